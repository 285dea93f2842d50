"""Games to begin with: some that work, some that fail on purpose, and Dirac-GANs.

What to look for and what to try is said by the page, in its language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigan.play.setup import Setup


@dataclass(frozen=True)
class Preset:
    """A game to begin with.

    Attributes
    ----------
    name
        Its name in the page and in links.
    group
        ``"works"``, ``"fails"``, ``"dirac"`` or ``"pictures"``.
    setup
        The choices.
    """

    name: str
    group: str
    setup: Setup


def _presets() -> dict[str, Preset]:
    listed = [Preset(name, group, Setup(**choices)) for name, group, choices in _LISTED]
    return {preset.name: preset for preset in listed}


def _dirac(objective: str, *penalties: str, **more: Any) -> dict[str, Any]:
    return {
        "data": "dirac", "objective": objective, "penalties": penalties, "optimizer": "sgd",
        "lr_generator": 0.05, "lr_discriminator": 0.05, **more,
    }  # fmt: skip


_LISTED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ring", "works", {}),
    ("moons", "works", {"data": "moons", "spread": 0.05}),
    ("spiral", "works", {"data": "spiral", "spread": 0.03, "objective": "relativistic",
                         "penalties": ("r1:0.02", "r2:0.02"), "g_layers": 3, "d_layers": 3}),
    ("grid", "works", {"data": "grid", "objective": "relativistic", "penalties": ("r1:0.1",),
                       "g_layers": 3, "d_layers": 3, "lr_generator": 2e-3,
                       "lr_discriminator": 2e-3}),
    ("wasserstein", "works", {"objective": "wasserstein", "penalties": ("gradient-penalty:0.1",),
                              "discriminator_steps": 3}),
    ("hinge", "works", {"objective": "hinge"}),
    ("spectral", "works", {"objective": "wasserstein", "penalties": ("spectral-norm",)}),
    ("collapse", "fails", {"penalties": (), "beta1": 0.9, "lr_generator": 2e-3,
                           "lr_discriminator": 5e-4, "d_layers": 1, "d_width": 32}),
    ("d-wins", "fails", {"penalties": (), "lr_discriminator": 4e-3, "lr_generator": 1e-5,
                         "discriminator_steps": 3, "initial": "dcgan"}),
    ("oscillation", "fails", {"penalties": (), "beta1": 0.9, "lr_generator": 5e-3,
                              "lr_discriminator": 5e-3, "d_layers": 1, "d_width": 32}),
    ("vanishing", "fails", {"objective": "saturating", "penalties": (), "lr_discriminator": 4e-3,
                            "initial": "dcgan", "spread": 0.02}),
    ("exploding-critic", "fails", {"objective": "wasserstein", "penalties": (),
                                   "discriminator_steps": 5, "lr_discriminator": 5e-3}),
    ("dirac", "dirac", _dirac("saturating")),
    ("dirac-non-saturating", "dirac", _dirac("non-saturating")),
    ("dirac-r1", "dirac", _dirac("saturating", "r1:1")),
    ("dirac-wasserstein", "dirac", _dirac("wasserstein")),
    ("dirac-clipped", "dirac", _dirac("wasserstein", "clip-weights:1")),
    ("dirac-gp", "dirac", _dirac("wasserstein", "gradient-penalty:0.5")),
    ("dirac-noise", "dirac", _dirac("saturating", "instance-noise:0.5")),
    ("digits", "pictures", {"data": "digits", "penalties": (), "batch_size": 64,
                            "lr_discriminator": 5e-4, "average": 0.99}),
    ("avatars", "pictures", {"data": "avatars", "penalties": ("spectral-norm",),
                             "objective": "hinge", "batch_size": 64, "lr_discriminator": 4e-4,
                             "average": 0.99}),
)  # fmt: skip

PRESETS = _presets()
"""Name -> preset; read-only."""
