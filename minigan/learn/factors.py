"""What an answer has been multiplied by, and the name of that number in its case."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy

from minigan.learn import compare
from minigan.learn.language import Text
from minigan.learn.parts import Case, Numbers

Others = list[tuple[Numbers, Numbers, Case]]
"""The other cases that are wrong: the given numbers, the right ones, and the case."""


def told(a: Numbers, r: Numbers, case: Case, others: Others) -> Text | None:
    """Say by which factor an answer is off, if it is a multiple of the right one."""
    c = float((a * r).sum() / (r * r).sum())
    if c == 0 or abs(c - 1) < 1e-4 or not compare.equal(numpy.asarray(a / c), r):
        return None
    if abs(c + 1) < 1e-5:
        return Text("the sign is wrong")
    size = named(abs(c), case, others)
    if a.size == 1 and not str(size) and not is_simple(numpy.array([c])):
        return None
    sign = Text(", and the sign is wrong") if c < 0 else Text("")
    values = {"factor": f"{abs(c):.5g}", "size": size, "sign": sign}
    if a.ndim == 0:
        return Text("it is off by the factor {factor}{size}{sign}", values)
    return Text("every entry is off by the same factor, {factor}{size}{sign}", values)


def is_usual(a: Numbers, r: Numbers, case: Case, others: Others) -> bool:
    """Tell whether the factor between two arrays is a simple number or one that has a name."""
    factor = float((a * r).sum() / (r * r).sum())
    return is_simple(numpy.array([factor])) or str(named(abs(factor), case, others)) != ""


def multiple(a: Numbers, b: Numbers) -> float | None:
    """Return by what number one array is a multiple of another, None if it isn't."""
    below = float((b * b).sum())
    if (
        a.shape != b.shape
        or a.dtype.kind != "f"
        or not numpy.isfinite(a).all()
        or not 0 < below < math.inf
    ):
        return None
    factor = float((a * b).sum() / below)
    return factor if factor and compare.equal(a, factor * b) else None


def is_simple(shares: Numbers) -> bool:
    """Tell whether all are multiples of a quarter, and small."""
    return all(abs(c * 4 - round(c * 4)) < 1e-4 and abs(c) < 9 for c in shares)


def named(factor: float, case: Case, others: Others) -> Text:
    """Name a factor that is one of the numbers or sizes of the case, or made of two of them."""
    made = () if is_simple(numpy.array([factor])) else _made_numbers(case)
    for value, word in itertools.chain(_plain_numbers(case), made):
        if math.isclose(factor, value, rel_tol=1e-4) and all(_agrees(word, *o) for o in others):
            return Text(f" ({word})")
    return Text("")


def _agrees(word: str, a: Numbers, r: Numbers, case: Case) -> bool:
    """Tell whether another case speaks for the name of a factor, or says nothing."""
    factor = multiple(a, r)
    named = (*_plain_numbers(case, least=1), *_made_numbers(case))
    values = [value for value, other in named if other == word]
    return not (factor and values) or any(
        math.isclose(abs(factor), v, rel_tol=1e-4) for v in values
    )


def _plain_numbers(case: Case, least: int = 3) -> Iterator[tuple[float, str]]:
    """Yield the numbers and the lengths of a case, one over them, and Bessel's correction."""
    for name, value in case.given.items():
        if isinstance(value, float) and value > 0:
            yield from ((value, name), (1 / value, f"1 / {name}"), (1 - value, f"1 - {name}"))
        if isinstance(value, float) and 0 < value < 1:
            yield 1 / (1 - value), f"1 / (1 - {name})"
        for word, n in _lengths(name, value):
            if n >= least:  # no usual factor is mistaken for it
                bessel = n / max(n - 1, 1)
                yield from ((n, word), (1 / n, f"1 / {word}"), (bessel, f"{word} / ({word} - 1)"))


def _made_numbers(case: Case) -> Iterator[tuple[float, str]]:
    """Yield squares of numbers, numbers of pixels and of entries, and those of logarithms."""
    for name, value in case.given.items():
        if (isinstance(value, float) and value > 0) or (type(value) is int and value > 2):
            yield from ((value**2, f"{name}²"), (1 / value**2, f"1 / {name}²"))
        if isinstance(value, numpy.ndarray) and value.ndim == 4 and value.size:
            pixels, word = value.shape[1] * value.shape[2], f"{name}.shape[1] · {name}.shape[2]"
            yield from ((pixels, word), (1 / pixels, f"1 / ({word})"))
            kernel, word = value.shape[0] * value.shape[1], f"{name}.shape[0] · {name}.shape[1]"
            yield from ((kernel, word), (1 / kernel, f"1 / ({word})"))
        if isinstance(value, numpy.ndarray) and value.size > 2:
            if (
                value.dtype.kind == "f"
                and name.isalpha()
                and (norm := float(numpy.sqrt((value**2).sum()))) > 0
            ):
                yield from ((norm, f"|{name}|"), (1 / norm, f"1 / |{name}|"))
            yield from ((value.size, f"{name}.size"), (1 / value.size, f"1 / {name}.size"))
    yield from ((math.log(2), "log 2"), (1 / math.log(2), "1 / log 2"))
    yield from ((math.log(10), "log 10"), (1 / math.log(10), "1 / log 10"))


def _lengths(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Yield the lengths of an array's axes."""
    if isinstance(value, numpy.ndarray):
        yield from ((f"{name}.shape[{k}]", n) for k, n in enumerate(value.shape) if n)
