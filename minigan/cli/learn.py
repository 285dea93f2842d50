"""``minigan learn``: exercises that are graded by mathematics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigan.cli.arguments import Commands, Parser, a_seed, add_command

if TYPE_CHECKING:
    from minigan.learn.folder import Folder
    from minigan.learn.language import Speaker
    from minigan.learn.marks import Task
    from minigan.learn.parts import Exercise
    from minigan.learn.verdict import Verdict


def start(options: argparse.Namespace) -> None:
    """Lay out the exercises."""
    from minigan.learn import folder
    from minigan.learn.course import course

    say = _speaker(options)
    made, written = folder.start(options.folder, say, course())
    upcoming = made.first_unsolved()
    _print([
        say("Files written to {folder}: {count}. Those that were there before are as they were.",
            folder=made.path, count=written)
        if written < len(made.names)
        else say("The {count} exercises are in {folder}.", count=written, folder=made.path),
        *([] if upcoming is None else [say("Begin with {file}, then type `minigan learn check` "
                                           "in that folder.", file=made.file(upcoming))]),
    ])  # fmt: skip


def check(options: argparse.Namespace) -> int:
    """Check one exercise; the status is 0 if it is right, 1 if wrong, 3 if not begun."""
    from minigan.learn import talk

    folder, say = _opened(options)
    chosen = _chosen(options, folder)
    if chosen is None:
        print(talk.ended(folder, say))
        return 0
    verdict = _checked(options, folder, chosen)
    if options.json:
        import json

        print(json.dumps(verdict.as_json(say), indent=1, ensure_ascii=False))
    else:
        _print(talk.answered(folder, verdict, say, whole=options.case is None))
    _warn(folder, say)
    return verdict.status


def _checked(options: argparse.Namespace, folder: Folder, exercise: Exercise) -> Verdict:
    from dataclasses import replace

    from minigan.learn.checking import LIMITS, check_file
    from minigan.learn.folder import digest

    seed = folder.seed if options.seed is None else options.seed
    limits = replace(LIMITS, seconds=options.time_limit)
    path = folder.file(exercise)
    if not path.is_file():
        raise ValueError(f"{path} is missing; `minigan learn start {folder.path}` writes it again.")
    checked = digest(path)
    verdict = check_file(exercise, path, seed=seed, case=options.case, limits=limits)
    if options.case is None:
        folder.record(verdict, checked)
    return verdict


def upcoming(options: argparse.Namespace) -> int:
    """Say what the next exercise is."""
    from minigan.learn import talk

    folder, say = _opened(options)
    exercise = folder.first_unsolved()
    _print(
        [talk.ended(folder, say)] if exercise is None else talk.introduced(folder, exercise, say)
    )
    return 0


def status(options: argparse.Namespace) -> None:
    """Print the map of the course."""
    from minigan.learn import talk

    _print(talk.course_map(*_opened(options)))


def hint(options: argparse.Namespace) -> None:
    """Give one more hint."""
    from minigan.learn import talk

    folder, say = _opened(options)
    _print(talk.hinted(folder, _named(options, folder), say))
    _warn(folder, say)


def solution(options: argparse.Namespace) -> None:
    """Print the answer."""
    from minigan.learn import starter

    folder, say = _opened(options)
    exercise = _named(options, folder)
    folder.of(exercise)["shown"] = True
    folder.save()
    print(starter.shown(exercise, say), end="")
    _warn(folder, say)


def reset(options: argparse.Namespace) -> int:
    """Write an exercise's file anew, after asking."""
    from minigan.learn import folder as places

    folder, say = _opened(options)
    exercise = _named(options, folder)
    if not options.yes and not _agreed(say, folder.file(exercise)):
        print(say("Nothing was changed."))
        return 1
    kept = places.reset(folder, exercise, say)
    print(say("{file} is as it was at the beginning.", file=folder.file(exercise)))
    if kept is not None:
        print(say("What was in it is kept in {kept}.", kept=kept))
    return 0


def train(options: argparse.Namespace) -> None:
    """Train the ring or the digits on the reader's own layers."""
    from minigan.learn import training

    folder, say = _opened(options)
    out = options.out or folder.path / options.what
    training.train(folder, options.what, out, say, _told, steps=options.steps, seed=options.seed)


def watch(options: argparse.Namespace) -> None:
    """Check again whenever a file is saved."""
    from minigan.learn import talk, watch

    folder, say = _opened(options)
    known = {folder.file(e): e for e in folder.exercises()}
    print(
        say("Watching {folder}; save a file to have it checked, Ctrl-C ends.", folder=folder.path)
    )

    def changed(path: Path) -> None:
        verdict = _checked(options, folder, known[path])
        _print([*talk.answered(folder, verdict, say), ""])
        sys.stdout.flush()
        _warn(folder, say)

    exercise = folder.first_unsolved()
    _print(
        [talk.ended(folder, say)] if exercise is None else talk.introduced(folder, exercise, say)
    )
    sys.stdout.flush()
    watch.watch(lambda: list(known), changed)


def export(options: argparse.Namespace) -> None:
    """Write a class set."""
    from minigan.learn import hosts, marks

    say = _speaker(options)
    task = marks.Task(marks.chosen(options.exercises), options.seed or 0, _imports(options))
    made = hosts.export(options.folder, task, say)
    _print(say("{folder} is ready.", folder=path) for path in made)


def grade(options: argparse.Namespace) -> int:
    """Grade a class, or one submission."""
    from dataclasses import replace

    from minigan.learn import hosts, marks
    from minigan.learn.checking import LIMITS

    say = _speaker(options)
    task = _task(options)
    tell = _noted if options.json else lambda name: None
    limits = replace(LIMITS, seconds=options.time_limit)
    alone = options.gradescope is not None or options.classroom50 is not None
    graded = marks.grade(
        options.folder, task, limits=limits, jobs=options.jobs, tell=tell, alone=alone,
        warn=lambda words: _noted(say.ended(words)),
    )  # fmt: skip
    if options.gradescope is not None:
        marks.write_json(options.gradescope, hosts.gradescope(graded[0][1], say))
    if options.classroom50 is not None:
        marks.write_json(options.classroom50, hosts.classroom50(graded[0][1]))
    if options.json:
        import json

        print(json.dumps(marks.as_json(graded, task, say), indent=1, ensure_ascii=False))
    else:
        _print(marks.lines(graded, say))
    return 0


def _task(options: argparse.Namespace) -> Task:
    from minigan.learn import marks

    own = (options.exercises, options.seed, options.imports)
    if options.set is None:
        return marks.Task(marks.chosen(options.exercises), options.seed or 0, _imports(options))
    if any(value is not None for value in own):
        raise ValueError(
            "A set says exercises, seed and imports already; leave out --set, or --exercises, "
            "--seed and --imports."
        )
    return marks.read_task(options.set)


def _noted(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _warn(folder: Folder, say: Speaker) -> None:
    """Say so if the progress couldn't be kept, once all else has been said."""
    if folder.trouble is not None:
        why = folder.trouble.strerror or str(folder.trouble)
        _noted(say("Your progress wasn't kept in {folder}: {why}.", folder=folder.path, why=why))


def _imports(options: argparse.Namespace) -> tuple[str, ...] | None:
    return None if options.imports is None else tuple(options.imports)


def _told(words: str) -> None:
    print(words, flush=True)


def _agreed(say: Speaker, path: Path) -> bool:
    if not sys.stdin or sys.stdin.closed:
        raise ValueError("There is nobody to ask; say --yes to begin an exercise anew.")
    question = say("Start {file} over? What you wrote is kept beside it.", file=path)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise ValueError("There is nobody to ask; say --yes to begin an exercise anew.")
    return answer.strip().lower() in ("y", "yes", "是")


# ---------------------------------------------------------------- what they share


def _speaker(options: argparse.Namespace) -> Speaker:
    from minigan.learn import language

    return language.speaker(options.lang or language.usual())


def _opened(options: argparse.Namespace) -> tuple[Folder, Speaker]:
    from minigan.learn import folder, language

    found = folder.found(Path()) if options.dir is None else folder.opened(options.dir)
    return found, language.speaker(options.lang or found.language)


def _chosen(options: argparse.Namespace, folder: Folder) -> Exercise | None:
    return _named(options, folder) if options.name is not None else folder.first_unsolved()


def _named(options: argparse.Namespace, folder: Folder) -> Exercise:
    from minigan.learn.course import find

    exercise = find(options.name)
    if exercise.name not in folder.names:
        raise ValueError(f"{exercise.stem} isn't among the exercises of {folder.path}.")
    return exercise


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


# ---------------------------------------------------------------- arguments


def add_commands(commands: Commands) -> None:
    """Add ``minigan learn`` with its subcommands."""
    parser = add_command(
        commands, "learn", _without, "write the backward passes yourself; calculus checks them",
        "Exercises: write each layer, loss, optimizer and training step of a GAN yourself. Finite "
        "differences and a reference say whether it is right, and what is wrong with it. Exit "
        "status of a check: 0 right, 1 wrong, 3 not begun, 2 a mistake in the command.",
    )  # fmt: skip
    parser.set_defaults(learner=parser)
    inner = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND")
    inner.type = str
    _add_start(inner)
    _add_check(inner)
    _in_folder(_sub(inner, "next", upcoming, "say what the next exercise is"))
    _in_folder(_sub(inner, "status", status, "show the map of the course and your way so far"))
    for name, run, summary in (
        ("hint", hint, "give a hint; each call gives one more"),
        ("solution", solution, "show the answer"),
        ("reset", reset, "write an exercise's file anew; asks first"),
    ):
        own = _in_folder(_sub(inner, name, run, summary))
        own.add_argument(
            "name", metavar="NAME", help="the exercise: its file's stem, word or number"
        )
    _add_train(inner)
    _add_watch(inner)
    _add_teaching(inner)
    own.add_argument("--yes", action="store_true", help="don't ask")


def _without(options: argparse.Namespace) -> None:
    options.learner.error("choose a subcommand, for example `minigan learn start exercises`")


def _sub(
    inner: Any, name: str, run: Callable[[argparse.Namespace], int | None], summary: str
) -> Parser:
    return add_command(inner, name, _in_their_language(run), summary)


def _in_their_language(
    run: Callable[[argparse.Namespace], int | None],
) -> Callable[[argparse.Namespace], int | None]:
    """Say a mistake in the command in the language that everything else is said in."""

    def said(options: argparse.Namespace) -> int | None:
        try:
            return run(options)
        except ValueError as error:
            raise ValueError(_language(options)(str(error))) from error

    return said


def _language(options: argparse.Namespace) -> Speaker:
    try:
        return _opened(options)[1]
    except (ValueError, AttributeError, OSError):
        return _speaker(options)


def _in_folder(parser: Parser) -> Parser:
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder (default: found here)")
    _add_language(parser)
    return parser


def _add_language(parser: Parser) -> None:
    parser.add_argument(
        "--lang",
        choices=["en", "zh"],
        help="English or 简体中文 (default: the folder's, or the locale's)",
    )


def _add_start(inner: Any) -> None:
    parser = _sub(inner, "start", start, "lay out the exercises in a folder")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    _add_language(parser)


def _add_check(inner: Any) -> None:
    parser = _in_folder(_sub(inner, "check", check, "check an exercise"))
    parser.add_argument(
        "name", nargs="?", metavar="NAME",
        help="the exercise: its file's stem, word or number (default: the first that isn't solved)",
    )  # fmt: skip
    parser.add_argument("--seed", type=a_seed, help="draws the numbers that it is tried on")
    parser.add_argument("--case", type=int, metavar="K", help="try this case alone")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument(
        "--time-limit", type=_seconds, default=5.0, metavar="SECONDS",
        help="for each call (default: 5)",
    )  # fmt: skip


def _add_train(inner: Any) -> None:
    parser = _in_folder(
        _sub(inner, "train", train, "train on your own layers, with pictures to show for it")
    )
    parser.add_argument(
        "what", choices=["ring", "digits"], help="ring after exercise 9, digits after 17"
    )
    parser.add_argument("--steps", type=_count, help="how many (default: 3000 or 1500)")
    parser.add_argument("--seed", type=a_seed, default=0, help="determines everything random")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the pictures")


def _add_watch(inner: Any) -> None:
    parser = _in_folder(_sub(inner, "watch", watch, "check a file again whenever it is saved"))
    parser.set_defaults(case=None, seed=None, time_limit=5.0)


def _add_teaching(inner: Any) -> None:
    parser = _sub(inner, "export", export, "for teachers: write a class set")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    _add_task(parser)
    parser = _sub(inner, "grade", grade, "for teachers: grade a class, or one submission")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="holds a folder for each student"
    )
    parser.add_argument(
        "--set", type=Path, metavar="FILE", help="the minigan-set.json of an export"
    )
    _add_task(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--gradescope", type=Path, metavar="FILE", help="write results.json for one"
    )
    parser.add_argument(
        "--classroom50", type=Path, metavar="FILE", help="write result.json for one"
    )
    parser.add_argument("--jobs", type=_count, default=1, help="students at a time (default: 1)")
    parser.add_argument(
        "--time-limit", type=_seconds, default=5.0, metavar="SECONDS",
        help="for each call (default: 5)",
    )  # fmt: skip


def _add_task(parser: Parser) -> None:
    parser.add_argument(
        "--exercises", nargs="+", metavar="NAME", help="which exercises (default: all)"
    )
    parser.add_argument(
        "--seed", type=a_seed, help="draws the numbers, for marks your own (default: 0)"
    )
    parser.add_argument(
        "--imports", nargs="*", metavar="MODULE",
        help="refuse files that import more than NumPy and these modules",
    )  # fmt: skip
    _add_language(parser)


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds, such as 5")
    return value
