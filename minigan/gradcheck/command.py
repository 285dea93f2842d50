"""Check a layer of the user's own, named as in ``minigan gradcheck FILE.py:NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from minigan.gradcheck.compare import Settings
from minigan.gradcheck.layers import apart, examine, generator
from minigan.gradcheck.load import UsageError, split
from minigan.gradcheck.report import GradientError, Misconduct, Report
from minigan.gradcheck.runner import Limits, Runner

MOST_LABELS = 2**31


def check_file(
    place: str,
    shapes: str | Sequence[str] | None,
    *,
    arguments: str = "",
    labels: int | None = None,
    seed: int = 0,
    train: bool = True,
    tolerance: float = 1e-6,
    h: float = 1e-3,
    samples: int | None = 100,
    directions: int | None = None,
    constants: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Report:
    """Check the gradients of a layer in a file, on random inputs.

    The file runs in a process of its own, with limits; the verdict is reached in this one.

    Parameters
    ----------
    place, arguments
        The layer, as for `minigan.gradcheck.load_layer`.
    shapes
        Shape of the input, as for `parse_shape`; for a pair of functions, also the shapes of the
        arrays after x.
    labels
        If given, the input holds integers from 0 up to, but not including, this number.
    seed
        Seed of the input and of everything else that is random.
    train, tolerance, h, samples, directions, constants
        As for `minigan.gradcheck.check`.
    limits
        What the file may use.

    Raises
    ------
    GradientError
        If a gradient is wrong, forward or backward raises, or the file ends its process, runs too
        long, or answers nonsense.
    UsageError
        If the layer can't be loaded; the message says what is missing, or what the user's code
        raised and where.
    """
    split(place)
    if not shapes:
        raise UsageError(
            "your layer needs an input to be checked on; give its shape, for example --input "
            "4,8,8,3."
        )
    if labels is not None and not 1 <= labels <= MOST_LABELS:
        raise UsageError(
            f"--labels must be a number from 1 to {MOST_LABELS:,}, got {labels}; the input then "
            "holds integers from 0 up to one less."
        )
    sizes = [parse_shape(s) for s in ([shapes] if isinstance(shapes, str) else shapes)]
    rng = generator(seed)
    settings = Settings(tolerance, h, samples, directions, apart(generator(seed)))
    x = rng.standard_normal(sizes[0]) if labels is None else (rng.integers(0, labels, sizes[0]))
    arrays = [rng.standard_normal(size) for size in sizes[1:]]
    try:
        with Runner(
            place, arguments=arguments, arrays=arrays, train=train, constants=constants,
            limits=limits,
        ) as runner:  # fmt: skip
            return _examine(runner, numpy.asarray(x), settings, train)
    except Misconduct as error:
        raise GradientError(Report(place, tolerance, problems=[str(error)])) from None


def _examine(runner: Runner, x: Any, settings: Settings, train: bool) -> Report:
    wide, narrow = (runner.subject(dtype) for dtype in ("float64", "float32"))
    try:
        report = examine(wide, narrow, [x], None, settings, train)
    except GradientError as error:
        raise GradientError(_with_output(error.report, runner), hint=error.hint) from None
    except UsageError as error:  # loaded it is: what is raised now is forward's or backward's
        what, _, line = str(error).partition("\n")
        report = Report(
            wide.traits().name, settings.tolerance, problems=[what.removesuffix(".")],
            notes=[*getattr(error, "__notes__", ())],
        )  # fmt: skip
        raise GradientError(_with_output(report, runner), hint=line or None) from error
    return _with_output(report, runner)


def _with_output(report: Report, runner: Runner) -> Report:
    printed = runner.printed.decode(errors="replace").strip()
    if printed:
        first, *more = printed.splitlines()
        report.notes.append(f"the file printed {first[:80]!r}{' and more' if more else ''}")
    return report


def parse_shape(text: str) -> tuple[int, ...]:
    """Turn ``"4,8,8,3"`` or ``"4x8x8x3"`` into a shape.

    Raises
    ------
    UsageError
        If it isn't a list of positive integers, or stands for more than 10 million numbers.
    """
    parts = text.strip("() ").lower().replace("x", ",").split(",")
    parts = [part.strip() for part in parts if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(
            f"--input needs positive sizes separated by commas, such as 4,8,8,3, got {text!r}."
        )
    shape = tuple(int(part) for part in parts)
    if numpy.prod(shape, dtype=float) > 1e7:
        raise UsageError(
            f"--input {text} stands for more than 10 million numbers; a small input finds a "
            "mistake as well, so give one."
        )
    return shape
