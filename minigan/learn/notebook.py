"""The same checks in a notebook: a cell, or a class or functions that a cell has defined."""

from __future__ import annotations

import inspect
import tempfile
from html import escape
from pathlib import Path
from typing import Any

from minigan.learn import language
from minigan.learn.checking import LIMITS, check_file
from minigan.learn.course import course, find
from minigan.learn.parts import Exercise
from minigan.learn.verdict import TOLD, Verdict

HEADER = "import numpy as np\nimport numpy\nfrom minigan.learn.given import bce_with_logits\n\n"


class Shown:
    """A verdict that a notebook shows as a table.

    Parameters
    ----------
    verdict
        What was found.
    language
        ``"en"`` or ``"zh"``.

    Attributes
    ----------
    ok
        Whether it is right.
    """

    def __init__(self, verdict: Verdict, language_: str) -> None:
        self.verdict, self.ok = verdict, verdict.ok
        self._say = language.speaker(language_)

    def __str__(self) -> str:
        return "\n".join(self.verdict.lines(self._say))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        say = self._say
        rows = "".join(
            f"<tr><td>{escape(r.name)}</td><td>{escape(say(r.what))}</td>"
            f"<td>{r.error:.1e}</td><td>{escape(say(TOLD.get(r.state, r.state)))}</td></tr>"
            for r in self.verdict.rows
        )
        head = "".join(
            f"<th>{escape(say(w))}</th>"
            for w in ("output", "what it is", "worst relative error", "")
        )
        lines = self.verdict.lines(say)
        rest = lines[1 + len(self.verdict.table(say)) :]
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
        return f"<p><b>{escape(lines[0])}</b></p>{table}<pre>{escape(chr(10).join(rest))}</pre>"


def check(
    *objects: Any, exercise: str | None = None, seed: int = 0, lang: str | None = None
) -> Shown:
    """Check functions or classes that a notebook has defined.

    Parameters
    ----------
    objects
        The functions or classes of an exercise: ``check(forward, backward, exercise="linear")``,
        ``check(Linear, Chain)``. An object with one of these as methods will do as well.
    exercise
        Its word, stem or number; found by the names of the objects if that is enough.
    seed
        Draws the numbers that it is tried on.
    lang
        ``"en"`` or ``"zh"``; that of the locale if None.

    Returns
    -------
    Shown
        A table in a notebook; ``.ok`` says whether it is right.

    Raises
    ------
    ValueError
        If it isn't clear which exercise is meant, or the source can't be had.
    """
    chosen = find(exercise) if exercise is not None else _meant(objects)
    return check_text(
        "\n\n".join(_source(o, chosen) for o in objects), chosen, seed=seed, lang=lang
    )


def check_text(text: str, chosen: Exercise, *, seed: int = 0, lang: str | None = None) -> Shown:
    """Check the text of a cell, in a process of its own as always."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{chosen.stem}.py"
        path.write_text(HEADER + text, "utf-8")
        verdict = check_file(chosen, path, seed=seed, limits=LIMITS)
    return Shown(verdict, lang or language.usual())


def _meant(objects: tuple[Any, ...]) -> Exercise:
    names = {getattr(o, "__name__", type(o).__name__) for o in objects}
    fitting = [e for e in course() if {a.partition(".")[0] for a in e.asks} == names]
    if len(fitting) != 1:
        raise ValueError(
            "It isn't clear which exercise is meant; name it, for example "
            "check(forward, backward, exercise='linear')."
        )
    return fitting[0]


def _source(thing: Any, chosen: Exercise) -> str:
    try:
        text = inspect.cleandoc("\n" + inspect.getsource(thing))
    except (OSError, TypeError):
        raise ValueError(
            f"The source of {thing!r} can't be had; define it in a cell or a file, or use "
            f"%%exercise."
        ) from None
    name = getattr(thing, "__name__", "")
    plain = [a for a in chosen.asks if "." not in a]
    if isinstance(thing, type) and plain and all(hasattr(thing, a) for a in plain):
        text += "\n\n" + "\n".join(f"{a} = {name}.{a}" for a in plain)  # static methods
    return text


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%exercise NAME`` to IPython: ``%load_ext minigan.learn``."""

    def cell(line: str, body: str) -> Shown:
        """Run a cell, and check what it defines."""
        word, *more = line.split()
        chosen = find(word)
        shell.run_cell(body)
        options = dict(zip(("lang",), more, strict=False))
        return check_text(body, chosen, **options)  # type: ignore[arg-type]

    shell.register_magic_function(cell, "cell", "exercise")
