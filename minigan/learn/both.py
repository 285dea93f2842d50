"""Two of the usual mistakes at once: their changes put into one text.

The usual mistakes of an exercise are written on one pattern. What most of them have in common is
the right text; where two of them change it at different places, both changes are made.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from minigan.learn.parts import Exercise, Variant

TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
FEW = 3
"""This many mistakes on one pattern tell what it is."""
Edit = tuple[int, int, tuple[str, ...]]
"""From where, to where in the right text, and what stands there instead."""


@dataclass(frozen=True)
class Both:
    """Two usual mistakes.

    Attributes
    ----------
    first, second
        The words for them.
    variant
        Their code.
    """

    first: str
    second: str
    variant: Variant


@cache
def known(name: str) -> list[Both]:
    """Return all pairs of the usual mistakes of an exercise that can be made at once."""
    from minigan.learn.course import exercise

    return [both for group in _groups(exercise(name)) for both in _pairs(group)]


def _groups(chosen: Exercise) -> Iterator[list[Variant]]:
    """Yield the mistakes that are written on one pattern: the same functions, as many lines."""
    shapes: dict[tuple[str, ...], list[Variant]] = {}
    for variant in chosen.variants:
        lines = variant.code.splitlines()
        heads = (str(len(lines)), *(line for line in lines if line.startswith("def ")))
        shapes.setdefault(heads, []).append(variant)
    yield from (group for group in shapes.values() if len(group) >= FEW)


def _pairs(group: list[Variant]) -> Iterator[Both]:
    columns = zip(*(v.code.splitlines() for v in group), strict=True)
    right = TOKEN.findall("\n".join(Counter(c).most_common(1)[0][0] for c in columns) + "\n")
    edits = [(v.words, _edits(right, TOKEN.findall(v.code))) for v in group]
    for (first, one), (second, other) in itertools.combinations(edits, 2):
        if first != second and one and other and _apart(one, other):
            yield Both(first, second, Variant("", _made(right, sorted(one + other))))


def _edits(right: list[str], wrong: list[str]) -> list[Edit]:
    codes = difflib.SequenceMatcher(None, right, wrong, autojunk=False).get_opcodes()
    return [(i, j, tuple(wrong[a:b])) for tag, i, j, a, b in codes if tag != "equal"]


def _apart(one: list[Edit], other: list[Edit]) -> bool:
    """Tell whether no two edits touch."""
    pairs = itertools.product(one, other)
    return all(a[1] < b[0] or b[1] < a[0] for a, b in pairs)


def _made(right: list[str], edits: list[Edit]) -> str:
    text, place = [], 0
    for i, j, tokens in edits:
        text += [*right[place:i], *tokens]
        place = j
    return "".join(text + right[place:])
