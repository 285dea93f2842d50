"""The parser, and the arguments that several commands share."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from minigan.runs.folder import Run

# A string, because the class can't be subscripted at run time.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What ``add_subparsers`` returns, and `add_command` adds to."""
Command: TypeAlias = Callable[[argparse.Namespace], int | None]
"""Runs a command; returns its exit status, or None for 0."""

RUN, SAMPLES, OUTPUT = "the run", "the samples", "output"
"""Groups of options that several commands have."""
A_RUN = "folder of a run, or pretrained:NAME for weights of the package, such as pretrained:digits"
PIXELS = (".png", ".jpg", ".jpeg", ".pdf")
FIGURES = (*PIXELS, ".svg")
"""Suffixes of pictures, and of figures, which can be drawn as lines."""


class Parser(argparse.ArgumentParser):
    """Reports an error in one sentence and refers to ``--help``, instead of printing the usage.

    An empty text is an error, too: as a rule, it is a variable of a script that has no value.

    Attributes
    ----------
    enrich
        Called before the help is shown, with the parser and the options read so far: adds what
        would take too long to find out whenever a parser is built.
    """

    enrich: Callable[[Parser, argparse.Namespace], None] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"add_help": False})
        self.register("type", None, _not_empty)
        self.register("type", Path, lambda text: Path(_not_empty(text)))
        self.add_argument(
            "-h", "--help", action=_Help, nargs=0, default=argparse.SUPPRESS,
            help="show this help message and exit",
        )  # fmt: skip

    def section(self, title: str) -> argparse._ArgumentGroup:
        """Return the group of options with a title, made when it is asked for first."""
        found = [group for group in self._action_groups if group.title == title]
        return found[0] if found else self.add_argument_group(title)

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        self.exit(2, f"minigan: {message.rstrip('.')}; see `{self.prog} --help`.\n")

    # A command's own parser reports what it doesn't know, not the parser of all commands.
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and report what isn't known, with an option that is spelt like it."""
        options, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("-"):
                near = _near(word.partition("=")[0], self._option_string_actions)
                self.error(f"there is no option {word}{near}")
        return options, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        near = _near(str(value), map(str, action.choices or ()))
        if near:
            what = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
            raise argparse.ArgumentError(None, f"there is no {what} {value!r}{near}")
        super()._check_value(action, value)

    def _print_message(self, message: str, file: Any = None) -> None:
        # Nobody may be reading any more; early versions of Python 3.11 don't expect that.
        with suppress(BrokenPipeError):
            super()._print_message(message, file)


class _Help(argparse.Action):
    """Shows the help, enriched; like argparse's own action otherwise."""

    def __call__(self, parser: Any, options: argparse.Namespace, *_: Any) -> None:
        """Print the help and exit."""
        if parser.enrich is not None:
            parser.enrich(parser, options)
        parser.print_help()
        parser.exit()


def _near(word: str, known: Iterable[str]) -> str:
    """Return a question about the word that was meant, if one is near."""
    words = {each.lstrip("-"): each for each in known}  # the dashes would make all options alike
    meant = word.lstrip("-")
    near = [] if meant in words else difflib.get_close_matches(meant, words, n=1, cutoff=0.7)
    return f" (did you mean {words[near[0]]}?)" if near else ""


def _not_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a value, or leave it out")
    return text


def add_command(
    commands: Commands, name: str, run: Command, summary: str, description: str = ""
) -> Parser:
    """Add a command and return its parser.

    Parameters
    ----------
    commands
        Where to add it.
    name
        Name of the command.
    run
        Called with the options.
    summary
        Shown beside the name in ``minigan --help``.
    description
        Shown at the top of the command's own help; by default the summary as a sentence.
    """
    sentence = summary[0].upper() + summary[1:] + ("" if summary.endswith("?") else ".")
    parser = commands.add_parser(name, help=summary, description=description or sentence)
    parser.set_defaults(command=run)
    parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    return parser


def add_quiet(parser: Parser) -> None:
    """Add ``--quiet``, which `say` and `conclude` obey."""
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing but errors and what was asked for"
    )


def add_run(parser: Parser) -> None:
    """Add the options that select a run: its folder, the checkpoint and the seed of the latents."""
    parser.add_argument("run", type=Path, metavar="RUN", help=A_RUN)
    add_checkpoint(parser)
    add_trust(parser)
    parser.section(SAMPLES).add_argument(
        "--seed", type=a_seed, default=0, help="seed of the latents (default: 0)"
    )


def add_checkpoint(parser: Parser) -> None:
    """Add ``--checkpoint``, as `minigan.runs.folder.Run.networks` takes it."""
    parser.section(RUN).add_argument(
        "--checkpoint", metavar="WHICH", help="best, a step or a file (default: the end of the run)"
    )


def add_trust(parser: Parser) -> None:
    """Add ``--trust``, which `trust` obeys."""
    parser.section(RUN).add_argument(
        "--trust",
        action="store_true",
        help="run the recipe file of a run that was made elsewhere, without asking; read it first",
    )


def trust(options: argparse.Namespace) -> Callable[[str], bool] | bool:
    """Return whether a run's recipe file may be executed; ask the user if there is a terminal."""
    if options.trust or not (sys.stdin and sys.stdin.isatty()):
        return bool(options.trust)
    return _answer


def _answer(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def open_run(options: argparse.Namespace) -> Run:
    """Open the run that the options name."""
    from minigan.runs import folder

    return folder.open_run(options.run, trust=trust(options))


def replaces(*paths: Path) -> str:
    """Return what to add to a message about files that are about to be written."""
    return replaced(sum(path.exists() for path in paths))


def replaced(before: int) -> str:
    """Return what to add to a message about files, of which so many were there before."""
    if before > 1:
        return " (the earlier ones were replaced)"
    return " (the earlier one was replaced)" if before else ""


def add_picture(parser: Parser, name: str) -> None:
    """Add the image file that a command writes, and the label of its samples."""
    parser.section(OUTPUT).add_argument(
        "-o", "--output", type=Path, default=Path(name), help=f"image file (default: {name})"
    )
    parser.section(SAMPLES).add_argument(
        "--label", help="label to draw, for conditional recipes: a number or a name"
    )


def a_seed(text: str) -> int:
    """Parse the seed of a generator."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"a seed is a whole number of at least 0, got {text!r}")
    return value


def whole_numbers(text: str) -> tuple[int, ...]:
    """Parse a list of integers such as ``"0,3,5"``."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} isn't a list of whole numbers, such as 0,3,5"
        ) from None


def check_picture(path: Path, media: str | None = None, *, figure: bool = True) -> None:
    """Check that an image can be written to a path, before the work rather than after it.

    `media` is the suffix of another kind of file that will do; `figure` tells whether matplotlib
    draws, rather than that pixels are written.

    Raises
    ------
    ValueError
        If the folder doesn't exist, or the suffix isn't that of an image format.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{path} can't be written; give the name of an image file in an existing folder."
        )
    kinds = FIGURES if figure else PIXELS
    *others, last = (*kinds, media) if media else kinds
    if path.suffix.lower() not in (*others, last):
        raise ValueError(
            f"{path} doesn't end in {', '.join(others)} or {last}; use {media or '.png'}."
        )


def check_text(path: Path) -> None:
    """Check that lines can be written to a path, before the work rather than after it.

    Raises
    ------
    ValueError
        If the folder doesn't exist, or the suffix isn't .txt.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"{path} can't be written; give a .txt file in an existing folder.")
    if path.suffix.lower() != ".txt":
        raise ValueError(f"The samples of this run are text, but {path} doesn't end in .txt.")


def conclude(options: argparse.Namespace, words: str) -> None:
    """Print to standard output what a command has written, unless ``--quiet`` was given."""
    if not options.quiet:
        print(words)


def say(options: argparse.Namespace) -> Callable[[str], None]:
    """Return a function that prints messages for the user, unless ``--quiet`` was given.

    It prints to standard error: standard output is for the result of the command.
    """
    return (lambda words: None) if options.quiet else (lambda words: print(words, file=sys.stderr))
