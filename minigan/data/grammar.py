"""Grammars small enough that each of their sentences can be drawn, and any line be judged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy

__all__ = ["ENGLISH", "MOTIFS", "Grammar"]

START = "sentence"


@dataclass(frozen=True)
class Grammar:
    """Rules by which lines are made, from ``sentence`` on.

    Attributes
    ----------
    rules : mapping of str to tuple of str
        The alternatives of each symbol, equally likely: words and symbols with spaces between. What
        has no rule is a word. No symbol may lead back to itself.
    separator : str
        What stands between two words of a line.
    """

    rules: Mapping[str, tuple[str, ...]]
    separator: str = " "

    @cached_property
    def words(self) -> tuple[str, ...]:
        """All words, sorted."""
        used = " ".join(" ".join(alternatives) for alternatives in self.rules.values()).split()
        return tuple(sorted(set(used) - set(self.rules)))

    def count(self, symbol: str = START) -> int:
        """Return in how many ways a symbol can be written out."""
        if symbol not in self.rules:
            return 1
        return sum(
            int(numpy.prod([self.count(part) for part in alternative.split()], dtype=object))
            for alternative in self.rules[symbol]
        )

    def draw(self, n: int, rng: numpy.random.Generator) -> list[tuple[str, ...]]:
        """Draw `n` sentences, each a tuple of words."""
        chances = _chances(rng)
        return [tuple(self._written(START, chances)) for _ in range(n)]

    def _written(self, symbol: str, chances: Iterator[float]) -> Iterator[str]:
        if symbol not in self.rules:
            yield symbol
            return
        alternatives = self.rules[symbol]
        for part in alternatives[int(next(chances) * len(alternatives))].split():
            yield from self._written(part, chances)

    def accepts(self, line: str) -> bool:
        """Return whether a line is a sentence."""
        return self._pattern.fullmatch(line) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._expression(START))

    def _expression(self, symbol: str) -> str:
        """The rules have no circle, so that a regular expression decides what they make."""
        if symbol not in self.rules:
            return re.escape(symbol)
        alternatives = (
            re.escape(self.separator).join(map(self._expression, alternative.split()))
            for alternative in self.rules[symbol]
        )
        return f"(?:{'|'.join(alternatives)})"


def _chances(rng: numpy.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(4096).tolist()


ENGLISH = Grammar({
    "sentence": ("one does", "several do"),
    "one": ("this noun", "this adjective noun"),
    "several": ("these nouns", "these adjective nouns"),
    "someone": ("one", "several"),
    "this": ("a", "the", "every"),
    "these": ("the", "two", "many", "some"),
    "adjective": ("small", "big", "red", "happy", "lazy", "young"),
    "noun": ("cat", "dog", "bird", "girl", "king", "fox"),
    "nouns": ("cats", "dogs", "birds", "girls", "kings", "foxes"),
    "does": ("rests place", "acts someone", "acts someone when"),
    "do": ("rest place", "act someone", "act someone when"),
    "rests": ("sleeps", "sings"),
    "rest": ("sleep", "sing"),
    "acts": ("sees", "likes", "chases", "finds"),
    "act": ("see", "like", "chase", "find"),
    "place": ("near someone", "with someone"),
    "when": ("today", "often"),
})  # fmt: skip
"""Forty words of English: subject and verb agree in number, and so do article and noun."""


def _strands(length: int, gaps: range) -> tuple[str, ...]:
    """Every place of the two motifs in a strand, with bases that may be any around them."""
    box35, box10 = " ".join("TTGACA"), " ".join("TATAAT")
    free = length - 12
    return tuple(
        " ".join(["any"] * before + [box35] + ["any"] * gap + [box10] + ["any"] * after)
        for gap in gaps
        for before in range(free - gap + 1)
        for after in [free - gap - before]
    )


MOTIFS = Grammar({"sentence": _strands(20, range(4, 7)), "any": ("A", "C", "G", "T")}, separator="")
"""Strands of 20 bases with both motifs of a bacterial promoter, TTGACA and TATAAT, 4 to 6 apart.

In a bacterium, there are 16 to 18 bases between them.
"""
