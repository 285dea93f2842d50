"""Lazy regularisation: penalties that are added every k-th round only, k times as strong.

A gradient penalty costs more than everything else in D's step, but changes slowly (Karras et al.
2020, "Analyzing and improving the image quality of StyleGAN", section 3.1).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from minigan.backend import Array
from minigan.gan.game import Batch, Game, Penalty
from minigan.gan.taming import parse

PENALTIES = ("gradient-penalty", "one-sided-penalty", "r1", "r2", "dragan", "vat")
"""Those that add to D's loss."""


def stronger(ways: Sequence[str], times: int) -> tuple[str, ...]:
    """Multiply the strengths of penalties, see `minigan.gan.tame`, but not those of other ways."""
    strengths = [(way, *parse(way)) for way in ways]
    return tuple(
        f"{name}:{strength * times:.17g}" if name in PENALTIES else way
        for way, name, strength in strengths
    )


@dataclass(repr=False, kw_only=True)
class LazyGame(Game):
    """`Game` with penalties in some of the rounds.

    Attributes
    ----------
    lazy
        k, the rounds from one with the penalties to the next. The penalties' weights are those of
        the rounds that have them: k times as large as otherwise, see `stronger`.
    """

    lazy: int = 8

    def kind(self) -> Hashable:
        """Return whether the penalties are due in this round."""
        return self.rounds % self.lazy == 0

    @property
    def rounds(self) -> int:
        """Rounds so far: the steps of G's optimizer."""
        return getattr(self.generator_optimizer, "t", 0)

    def play(self, batches: Sequence[Batch | tuple[Array, ...]], z: Array) -> dict[str, Array]:
        """Play as `Game`; the penalties, which only some rounds have, aren't reported."""
        report = super().play(batches, z)
        report.pop("penalty", None)
        return report

    def due_penalties(self) -> Sequence[Penalty]:
        """Return the penalties every k-th time."""
        return self.penalties if self.rounds % self.lazy == 0 else ()

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        super().check()
        if self.lazy < 1:
            raise ValueError(f"lazy must be at least 1, got {self.lazy}.")
