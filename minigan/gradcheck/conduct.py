"""The contract of layers, beside the numbers: what a layer may write to, return and keep."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.gradcheck.report import Report
from minigan.gradcheck.spot import Spot, close

KEEP = ": keep what backward needs in the cache, not in the layer"
NOT_LINEAR = (
    "backward isn't linear in dy: the gradients for 2 dy - 3 dy' aren't 2 and -3 times those for "
    "dy and dy'; every term of a gradient has dy as a factor, once"
)


class Conduct:
    """Checks a layer's conduct at one spot; sentences go into the report.

    Parameters
    ----------
    spot
        Where forward and backward have been called once.
    report
        Gets problems and notes.
    """

    def __init__(self, spot: Spot, report: Report) -> None:
        self.spot, self.subject, self.report = spot, spot.subject, report
        self.traits = spot.traits

    def check(self) -> None:
        """Check everything that needs no finite differences."""
        self.repeatable()
        self.adds()
        self.switches()
        self.cache_survives()
        self.views()
        self.linear()

    def complain(self, problem: str) -> None:
        """Add a problem, once."""
        if problem not in self.report.problems:
            self.report.problems.append(problem)

    def repeatable(self) -> None:
        """The same x gives the same y."""
        if not close(self.subject.evaluate(self.spot.xs), self.spot.y):
            raise self.spot.stop(
                "forward gives another y for the same x: randomness must come from a "
                "numpy.random.Generator kept in an attribute, so that the check can reset it"
            )

    def adds(self) -> None:
        """A second backward with the same cache adds the same gradients, and gives the same dx."""
        handle = self.subject.forward(self.spot.xs).handle
        self.subject.backward(self.spot.dy, handle)
        again = self.subject.backward(self.spot.dy, handle, zero=False)
        if not self._alike(again.dx, self.spot.dx):
            self.complain(
                "a second backward with the same cache gives another dx: backward changes its "
                "cache or the weights (leave their update to an optimizer), or draws random "
                "numbers of its own (keep what forward drew)"
            )
        for name, twice in again.grads.items():
            once, accumulates = self.spot.grads[name], self.spot.found.accumulates[name]
            if close(twice, 2 * once) or (not accumulates and close(twice, once)):
                continue
            if close(twice, once):
                self.complain(
                    f"the gradient of {name} is overwritten: a second backward must add to it "
                    "(+=, not =)"
                )
            else:
                self.complain(
                    f"a second backward with the same cache doesn't double the gradient of {name}"
                )

    def switches(self) -> None:
        """``param_grads=False`` and ``input_grad=False`` do what they say."""
        if self.traits.param_grads:
            self._without_param_grads()
        if self.traits.input_grad:
            result = self._again(input_grad=False)
            if any(d is not None for d in result.dx):
                self.report.notes.append(
                    "input_grad=False may return None and save the work; here dx is returned"
                )
            self._compare_gradients(result.grads, "input_grad=False changes")

    def _without_param_grads(self) -> None:
        result = self._again(param_grads=False)
        for name, grad in result.grads.items():
            if grad is not None and bool((grad != 0).any()):
                self.complain(
                    f"param_grads=False must leave the gradients alone, but {name}'s was written"
                )
        if not self._alike(result.dx, self.spot.dx):
            self.complain(
                "param_grads=False changes dx: the switch must only affect the gradients of "
                "parameters"
            )

    def _again(self, **switches: bool) -> Any:
        handle = self.subject.forward(self.spot.xs).handle
        return self.subject.backward(self.spot.dy, handle, **switches)

    def cache_survives(self) -> None:
        """Another forward call in between changes nothing."""
        handle = self.subject.forward(self.spot.xs).handle
        self.subject.backward(self.spot.dy, handle)
        self._forward_elsewhere(handle)
        self._compare_gradients(
            self.subject.grads(),
            "a later forward call changes",
            ": forward must leave the gradients alone",
        )
        if not self.traits.caches:
            self.report.notes.append(
                "backward relies on the last forward call: in one step with D(real) and D(fake), "
                "call backward before the next forward, or keep a cache for each call"
            )
            return
        result = self.subject.backward(self.spot.dy, handle)
        what = "another forward call between forward and backward changes"
        if not self._alike(result.dx, self.spot.dx):
            self.complain(f"{what} dx{KEEP}")
        self._compare_gradients(result.grads, what, KEEP)

    def _forward_elsewhere(self, handle: int) -> None:
        # No state is put back before this call: what the layer itself holds must not matter.
        self.subject.forward([numpy.flip(x) for x in self.spot.xs], restore=False)
        if not close(self.subject.output(handle), self.spot.y):
            self.complain(
                "a later forward call changes the y of an earlier one: it must be a new array"
            )

    def views(self) -> None:
        """Strided views of x and dy give the same as contiguous arrays."""
        forward = self.subject.forward(self.spot.xs, strided=True)
        result = self.subject.backward(self.spot.dy, forward.handle, strided=True)
        if not close(forward.y, self.spot.y):
            self.complain(
                "a strided view of x gives another y than a contiguous array of the same numbers"
            )
        if not self._alike(result.dx, self.spot.dx):
            self.complain(
                "strided views of x and dy give another dx than contiguous arrays of the same "
                "numbers"
            )
        self._compare_gradients(result.grads, "strided views of x and dy change")

    def linear(self) -> None:
        """Backward is linear in dy."""
        other = self.spot.another_dy()
        b = self.spot.pull(other)
        both = self.spot.pull(2 * self.spot.dy - 3 * other)
        pairs = [*zip(self.spot.dx, b.dx, both.dx, strict=True)]
        pairs += [(g, b.grads[n], both.grads[n]) for n, g in self.spot.grads.items()]
        if any(a is None or d is None or e is None for a, d, e in pairs):
            return
        scale = max((float(abs(e).max()) for *_, e in pairs if e.size), default=0.0)
        if not all(close(e, 2 * a - 3 * d, scale) for a, d, e in pairs):
            self.complain(NOT_LINEAR)

    def _compare_gradients(self, gradients: dict[str, Any], what: str, advice: str = "") -> None:
        scale = max((float(abs(g).max()) for g in self.spot.grads.values() if g.size), default=0.0)
        for name, grad in gradients.items():
            if not close(grad, self.spot.grads[name], scale):
                self.complain(f"{what} the gradient of {name}{advice}")

    def _alike(self, a: list[Any], b: list[Any]) -> bool:
        return len(a) == len(b) and all(close(p, q) for p, q in zip(a, b, strict=True))
