"""What the commands of `minigan learn` say, line by line."""

from __future__ import annotations

from collections.abc import Iterator

from minigan.learn import folder as places
from minigan.learn.course import CHAPTERS
from minigan.learn.folder import Folder
from minigan.learn.language import Speaker
from minigan.learn.parts import Exercise
from minigan.learn.verdict import NOT_BEGUN, Verdict

MARKS = {
    places.SOLVED: "✓",
    places.CHANGED: "?",
    places.BEGUN: "…",
    places.UNTOUCHED: "·",
    places.LOST: "!",
}
MEANING = {
    places.SOLVED: "solved",
    places.CHANGED: "changed since it was right; check it again",
    places.BEGUN: "begun",
    places.UNTOUCHED: "not begun",
    places.LOST: "its file is missing; `minigan learn start` writes it again",
}


def course_map(folder: Folder, say: Speaker) -> Iterator[str]:
    """Yield the map of the course."""
    states = {e.name: folder.state(e) for e in folder.exercises()}
    for first, last, title in CHAPTERS:
        inside = [e for e in folder.exercises() if first <= e.number <= last]
        if not inside:
            continue
        yield say(title)
        for exercise in inside:
            state = states[exercise.name]
            words = (
                "" if state in (places.SOLVED, places.UNTOUCHED) else f"  ({say(MEANING[state])})"
            )
            shown = f"  [{say('solution shown')}]" if folder.of(exercise).get("shown") else ""
            yield f"  {MARKS[state]} {exercise.stem:<22} {say(exercise.title)}{words}{shown}"
    solved = sum(state == places.SOLVED for state in states.values())
    yield say("{solved} of {all} solved.", solved=solved, all=len(states))
    upcoming = folder.first_unsolved()
    if upcoming is None:
        yield ended(folder, say)
    else:
        yield say("Go on with {file}.", file=folder.file(upcoming))


END = (
    "That was the last one: you have written every derivative of a GAN yourself. Train on your "
    "own layers "
    "with `minigan learn train digits`, or read how the library makes them fast."
)


def ended(folder: Folder, say: Speaker) -> str:
    """Say that all is solved: the course, or a class set."""
    if folder.whole:
        return say(END)
    return say("That was the last one in {folder}.", folder=folder.path)


def introduced(folder: Folder, exercise: Exercise, say: Speaker) -> Iterator[str]:
    """Yield what to do in an exercise."""
    yield f"{exercise.stem}: {say(exercise.title)}"
    yield say("Fill in {file}: {asks}.", file=folder.file(exercise), asks=", ".join(exercise.asks))
    yield say("The tutorial that goes with it: {tutorial}.", tutorial=exercise.tutorial)
    yield say(
        "Then type `minigan learn check {stem}`; if you are stuck, `minigan learn hint {stem}`.",
        stem=exercise.stem,
    )


def answered(
    folder: Folder, verdict: Verdict, say: Speaker, *, whole: bool = True
) -> Iterator[str]:
    """Yield the answer to a check: the verdict, and what belongs to it.

    Parameters
    ----------
    folder
        Where the file is.
    verdict
        What was found.
    say
        Translates.
    whole
        Whether all cases were tried, so that the exercise is solved.
    """
    yield from verdict.lines(say)
    if verdict.state == NOT_BEGUN:
        _, *rest = introduced(folder, verdict.exercise, say)
        yield from rest
    if verdict.ok and whole:
        yield ""
        yield from explained(verdict.exercise, say)
        yield from onward(folder, say)


def explained(exercise: Exercise, say: Speaker) -> Iterator[str]:
    """Yield what to notice after solving."""
    yield say(exercise.explanation)
    yield say(
        "In the library: {place}. Source: {paper}.", place=exercise.library, paper=exercise.paper
    )


def onward(folder: Folder, say: Speaker) -> Iterator[str]:
    """Yield what comes next."""
    upcoming = folder.first_unsolved()
    if upcoming is None:
        yield ended(folder, say)
    else:
        yield say("Next: {stem}, {title}.", stem=upcoming.stem, title=say(upcoming.title))


def hinted(folder: Folder, exercise: Exercise, say: Speaker) -> Iterator[str]:
    """Yield one more hint, and remember that it was given."""
    memory = folder.of(exercise)
    given = min(int(memory.get("hints", 0)) + 1, len(exercise.hints))
    memory["hints"] = given
    folder.save()
    for number, hint in enumerate(exercise.hints[:given], 1):
        yield say(
            "Hint {number} of {all}: {hint}", number=number, all=len(exercise.hints), hint=say(hint)
        )
    if given == len(exercise.hints):
        yield say(
            "That was the last hint; `minigan learn solution {stem}` shows the answer.",
            stem=exercise.stem,
        )
