r"""Check ``double_backward``: the derivatives of ⟨v, dx⟩ with respect to x, the weights and dy."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.gradcheck.compare import Comparison, Settings, too_many_skipped
from minigan.gradcheck.report import Misconduct
from minigan.gradcheck.slopes import Line
from minigan.gradcheck.spot import Spot, largest


def check(spot: Spot, settings: Settings) -> None:
    """Compare what ``double_backward`` gives with slopes of ⟨v, dx⟩, dx taken from `backward`.

    Parameters
    ----------
    spot
        Where the first derivatives have been found right.
    settings
        How to compare.
    """
    if len(spot.inputs) != 1 or len(spot.xs) != 1:
        return
    (x,), inherited = spot.xs, spot.traits.inherited
    v = numpy.asarray(settings.rng.standard_normal(x.shape))
    handle = spot.subject.forward(spot.xs, values=spot.values).handle
    try:
        result = spot.subject.second(v, spot.dy, handle)
    except Misconduct:
        raise
    except Exception as error:
        if not (inherited or isinstance(error, ValueError)):
            raise
        what = str(error).partition("\n")[0].removesuffix(".")
        reason = f"{what}; {inherited}" if inherited else error
        spot.report.notes.append(f"no second derivative was checked: {reason}")
        return
    dx = numpy.zeros_like(x) if result.dx[0] is None else result.dx[0]
    arrays = {"x": (x.copy(), dx), "dy": (spot.dy.copy(), result.dx[1])}
    arrays |= {n: (numpy.array(spot.values[n]), g) for n, g in result.grads.items()}
    scale = largest(gradient for _, gradient in arrays.values())
    for name, (array, gradient) in arrays.items():
        line = Line(_dx_at(spot, name, array), v, h=settings.h)
        title = f"double_backward: {name}"
        if not hasattr(gradient, "dtype") or gradient.shape != array.shape:
            because = f": {inherited}" if inherited else ""
            spot.complain(f"{title} has the wrong shape, but must have {array.shape}{because}")
            continue
        row = Comparison(title, array, gradient, line, scale, settings).run()
        if row.error > settings.tolerance and inherited:
            row.cause = inherited
        spot.report.second.append(row)
        if skipped := too_many_skipped(row):
            spot.report.problems.append(skipped)


def _dx_at(spot: Spot, name: str, array: Any) -> Any:
    """Return a function that gives dx for an array as it is at the time of the call."""

    def dx() -> Any:
        xs = [array] if name == "x" else spot.xs
        values = spot.values if name in ("x", "dy") else spot.values | {name: array}
        handle = spot.subject.forward(xs, values=values).handle
        result = spot.subject.backward(array if name == "dy" else spot.dy, handle)
        spot.subject.forget()
        return result.dx[0]

    return dx
