"""What a game shows: points over D's landscape, the plane of a Dirac-GAN, or pictures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, gan, latent, metrics
from minigan.play import dirac
from minigan.play.recipe import SETTINGS, settings_of
from minigan.play.setup import Setup
from minigan.recipes import Recipe, Settings
from minigan.runs import drawing
from minigan.runs.assembly import assemble

SIDE = 32
"""Points of D's landscape along each axis."""
LINES = 16
"""Lines of the latent square in each direction."""
SHOWN = 256
"""Points that are shown, of the data and of G."""
PICTURED = 36
TRAIL = 4000
"""Positions of a Dirac-GAN that are remembered."""

Frame = dict[str, Any]
"""Numbers, text and arrays by name."""


class Scene:
    """A game with what is needed to show it.

    Attributes
    ----------
    kind
        ``"plane"``, ``"dirac"`` or ``"pictures"``: what the page has to draw.
    game
        What is shown.
    trainer
        Plays the game, unless it is only looked at.
    gauges
        Measures the samples for the doctor, if it can.
    """

    kind = ""
    game: Any
    trainer: gan.Trainer
    gauges: Any = None

    def start(self) -> Frame:
        """Return what stays the same during the game."""
        raise NotImplementedError

    def frame(self) -> Frame:
        """Return what is to be seen now."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Take note of a step."""

    def adjust(self, setup: Setup) -> None:
        """Take note of choices that have changed in the middle of the game."""

    def probe(self, x: float, y: float) -> Frame:
        """Return the numbers at a place of the picture."""
        return {}


class Plane(Scene):
    """Points in the plane, D's landscape under them, and the latent square as G bends it."""

    kind = "plane"

    def __init__(self, game: gan.BaseGame, law: Any, seed: int) -> None:
        self.law, self.game = law, _require_game(game)
        rng = numpy.random.default_rng(numpy.random.SeedSequence(seed).spawn(7)[6])
        self.real = self.law.sample(SHOWN, rng)
        self.z = self.game.inputs(SHOWN, rng)
        self.limits = square(self.law.limits)
        self.places = lattice(self.limits, SIDE)
        assert self.game.latent is not None
        self.square = latent_lattice(self.game.latent, LINES)

    def start(self) -> Frame:
        """Return the data, the limits of the plane, and how the landscape is to be read."""
        centres = getattr(self.law, "centres", None)
        return {
            "limits": [*self.limits[0], *self.limits[1]],
            "real": self.real,
            "side": SIDE,
            "lattice_shape": [LINES if self.game.latent.size > 1 else 1, LINES],
            "modes": 0 if centres is None else len(centres),
            "probabilistic": self.game.objective.probabilistic,
        }

    def frame(self) -> Frame:
        """Return the samples, an arrow at each, D's landscape, the lattice, and modes covered."""
        fake = self.game.sample(self.z)
        return {
            "fake": fake,
            "arrows": self.game.push(fake),
            "landscape": shades(self.game.landscape(self.places)),
            "lattice": self.game.sample(self.square),
            "covered": self._covered(fake),
        }

    def _covered(self, fake: NDArray[Any]) -> int | None:
        centres, std = self.law.centres, self.law.std
        if centres is None or not std or not numpy.isfinite(fake).all():
            return None
        return metrics.mode_report(fake, centres, std).covered

    def probe(self, x: float, y: float) -> Frame:
        """Return D's logit and probability at a point, and the push that a fake there would get."""
        here = numpy.array([[x, y]], "float32")
        logit = float(self.game.discriminator(here)[0, 0])
        push = self.game.push(here)[0]
        found = {"logit": logit, "push": [float(p) for p in push]}
        if self.game.objective.probabilistic:
            found["probability"] = float(self.game.landscape(here)[0])
        return found


class Dirac(Scene):
    """The plane of the two weights of a Dirac-GAN, with its arrows and the path so far."""

    kind = "dirac"

    def __init__(self, setup: Setup) -> None:
        self.adjust(setup)
        self.trainer = dirac.trainer_of(setup, self.settings)
        self.game: gan.Game = _require_game(self.trainer.game)
        self.path = [dirac.position(self.game)]

    def start(self) -> Frame:
        """Return the limits and the arrows of the phase portrait."""
        reach = dirac.REACH
        return {"limits": [-reach, reach, -reach, reach],
                "field": dirac.field(self.setup, self.settings)}  # fmt: skip

    def frame(self) -> Frame:
        """Return the path in the plane, θ and ψ, oldest first."""
        return {"path": numpy.array(self.path[:: max(len(self.path) // 800, 1)] + self.path[-1:],
                                    "float32")}  # fmt: skip

    def adjust(self, setup: Setup) -> None:
        """Take note of the objective, which decides the arrows."""
        self.setup, self.settings = setup, settings_for(setup, None)

    def after_step(self) -> None:
        """Remember where the two weights are."""
        self.path.append(dirac.position(self.game))
        del self.path[:-TRAIL]

    def probe(self, x: float, y: float) -> Frame:
        """Return θ and ψ at a place."""
        return {"theta": x, "psi": y}


class Pictures(Scene):
    """Pictures from fixed latents, as they learn."""

    kind = "pictures"

    def __init__(
        self,
        game: gan.BaseGame,
        fixed: Any,
        samples: Any,
        classes: tuple[int, ...],
        names: Sequence[str] | None = None,
    ) -> None:
        self.game, self.samples, self.classes = game, samples, classes
        self.names = {label: names[label] if names else str(label) for label in classes}
        n, columns = drawing.layout(len(classes), PICTURED)
        self.columns = columns or 6
        self.z = drawing.first(fixed, n)
        self.labels = drawing.balanced(n, classes)

    def start(self) -> Frame:
        """Return how the samples are laid out, and their latents, if they are mere numbers."""
        law: Any = getattr(self.game, "latent", None)
        plain = law is not None and isinstance(self.z, numpy.ndarray)
        return {
            "columns": self.columns, "latent": law.size if plain else 0,
            "latent_kind": law.kind if plain else None, "z": self.z if plain else None,
            "classes": self.names,
            "labels": None if self.labels is None else self.labels.tolist(),
        }  # fmt: skip

    def frame(self) -> Frame:
        """Return the pictures as bytes, shape (N, H, W, C)."""
        return {"pictures": _pixels(self.game.picture(self.z, self.labels))}

    def explore(self, z: Any, label: int | None = None) -> Frame:
        """Return the pictures of given latents (N, latent), and the nearest real picture of each.

        Raises
        ------
        ValueError
            If the latents don't fit, or there is no such class.
        """
        return explore(self.game, self.samples, z, label, self.classes)


def explore(
    game: gan.BaseGame, samples: Any, z: Any, label: int | None, classes: tuple[int, ...]
) -> Frame:
    """Return the pictures of latents and their nearest real ones; see `Pictures.explore`.

    Without `samples`, the real pictures, none are the nearest.
    """
    law = getattr(game, "latent", None)
    try:
        z = numpy.asarray(z, "float32")
    except (ValueError, TypeError, OverflowError):
        z = numpy.empty(0, "float32")
    if law is None or z.ndim != 2 or z.shape[1] != law.size or not 1 <= len(z) <= 64:
        raise ValueError(f"Up to 64 latents of {law.size if law else 0} numbers are needed.")
    if classes and label is not None and label not in classes:
        raise ValueError(f"The class must be one of {', '.join(map(str, classes))}, got {label}.")
    chosen = classes[0] if classes and label is None else label
    made = game.picture(z, numpy.full(len(z), chosen) if classes else None)
    found = {"pictures": _pixels(made)}
    if samples is not None and made.shape[1:] == samples.image_shape and numpy.isfinite(made).all():
        near = metrics.nearest_neighbours(made, samples)
        found["nearest"] = _pixels(samples.batch(near.index[:, 0]))
        found["distance"] = backend.to_numpy(near.distance)[:, 0].tolist()
    return found


def walk(law: latent.Latent, start: Any, end: Any, steps: int) -> list[list[float]]:
    """Return latents on the path between two, as suits their distribution."""
    path = latent.spherical if law.kind == "normal" else latent.linear
    found = path(numpy.asarray(start, "float32"), numpy.asarray(end, "float32"), steps)
    return [[float(x) for x in row] for row in found]


def scene_of(setup: Setup, recipe: Recipe | None, settings: Settings) -> Scene:
    """Return the scene of a game."""
    if recipe is None:
        return Dirac(setup)
    require_shown(recipe)
    assembly = assemble(recipe, settings, recipe.load(recipe.data, None), seed=setup.seed)
    game, samples = assembly.trainer.game, assembly.samples
    scene: Scene = (
        Pictures(game, assembly.fixed, samples, assembly.classes)
        if recipe.makes_images
        else Plane(game, samples, setup.seed)
    )
    scene.trainer, scene.gauges = assembly.trainer, assembly.gauges
    return scene


def require_shown(recipe: Recipe) -> None:
    """Raise a ValueError if a recipe makes what the playground can't show."""
    if recipe.makes not in ("points", "images"):
        raise ValueError(
            f"The playground shows points and pictures, but {recipe.name!r} makes {recipe.makes}; "
            "choose another recipe."
        )


def _require_game(game: gan.BaseGame) -> gan.Game:
    if not isinstance(game, gan.Game) or not isinstance(game.latent, latent.Latent):
        raise ValueError("The playground shows games between two nets that begin with latents.")
    return game


# ---------------------------------------------------------------- places


def square(limits: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the smallest square around a box, with the same centre."""
    middle = [(low + high) / 2 for low, high in limits]
    half = max(high - low for low, high in limits) / 2
    (x, y) = middle
    return (x - half, x + half), (y - half, y + half)


def lattice(limits: Any, side: int) -> NDArray[Any]:
    """Return the centres of side x side cells, row by row from below, shape (side², 2)."""
    (x0, x1), (y0, y1) = limits
    ticks = (numpy.arange(side) + 0.5) / side
    x, y = numpy.meshgrid(x0 + (x1 - x0) * ticks, y0 + (y1 - y0) * ticks)
    return numpy.stack([x.ravel(), y.ravel()], axis=1).astype("float32")


def latent_lattice(law: latent.Latent, lines: int) -> NDArray[Any]:
    """Return a lattice over the first two coordinates of z, the others 0; each cell equally likely.

    Returns
    -------
    ndarray of float32, shape (lines², size), or (lines, 1) for latents of one number
    """
    shares = numpy.linspace(0.01, 0.99, lines)
    quantile = NormalDist().inv_cdf if law.kind == "normal" else (lambda p: 2 * p - 1)
    ticks = numpy.array([quantile(share) for share in shares])
    if law.size == 1:
        return ticks[:, None].astype("float32")
    x, y = numpy.meshgrid(ticks, ticks)
    z = numpy.zeros((lines * lines, law.size), "float32")
    z[:, 0], z[:, 1] = x.ravel(), y.ravel()
    return z


def shades(values: Any) -> NDArray[Any]:
    """Map numbers in [0, 1] to bytes; what isn't a number becomes 0."""
    return (numpy.fmin(numpy.fmax(values, 0), 1) * 255).astype("uint8")


def _pixels(pictures: Any) -> NDArray[Any]:
    """Map pictures in [-1, 1] to bytes."""
    return shades((backend.to_numpy(pictures) + 1) / 2)


def settings_for(setup: Setup, recipe: Recipe | None) -> Settings:
    """Return the settings of a game; for a Dirac-GAN, those of the same names."""
    if recipe is not None:
        return settings_of(setup, recipe)
    return Settings(**{name: getattr(setup, name) for name in SETTINGS})
