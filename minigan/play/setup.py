"""The choices of a game in the playground, as a link, and as a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from minigan import data
from minigan.gan import OBJECTIVES, WAYS
from minigan.gan.taming import parse
from minigan.latent import KINDS
from minigan.optim import schedules
from minigan.recipes.recipe import OPTIMIZERS

DRAWN, DIRAC = "drawn", "dirac"
"""Data that are no distribution of `minigan.data`: points of one's own, and the Dirac-GAN."""
PICTURES = ("digits", "avatars")
"""Pictures that the playground trains on."""
ACTIVATIONS = {
    "leaky-relu": "LeakyReLU(0.2)",
    "relu": "ReLU()",
    "tanh": "Tanh()",
    "sigmoid": "Sigmoid()",
    "elu": "ELU()",
    "gelu": "GELU()",
    "silu": "SiLU()",
    "softplus": "Softplus()",
}
"""Name -> how the layer is written."""
NORMS = ("none", "batch", "layer", "rms")
INITIALS = ("kaiming", "default", "dcgan")
MOST_POINTS = 1000


class Range(NamedTuple):
    """The smallest and the largest value of a number."""

    least: float
    most: float


RANGES: dict[str, Range] = {
    "spread": Range(0, 1),
    "smoothing": Range(0, 0.49),
    "lr_generator": Range(1e-7, 10),
    "lr_discriminator": Range(1e-7, 10),
    "beta1": Range(0, 0.9999),
    "beta2": Range(0, 0.99999),
    "steps": Range(1, 10**7),
    "discriminator_steps": Range(1, 20),
    "average": Range(0, 0.9999),
    "g_layers": Range(0, 8),
    "g_width": Range(1, 512),
    "d_layers": Range(0, 8),
    "d_width": Range(1, 512),
    "latent": Range(1, 64),
    "batch_size": Range(2, 2048),
    "seed": Range(0, 2**32 - 1),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "data": (*data.DISTRIBUTIONS, DRAWN, DIRAC, *PICTURES),
    "objective": tuple(OBJECTIVES),
    "optimizer": OPTIMIZERS,
    "g_activation": tuple(ACTIVATIONS),
    "g_norm": NORMS,
    "d_activation": tuple(ACTIVATIONS),
    "d_norm": NORMS,
    "initial": INITIALS,
    "latent_kind": KINDS,
}
LIVE = (
    "objective", "smoothing", "lr_generator", "lr_discriminator", "beta1", "beta2",
    "discriminator_steps",
)  # fmt: skip
"""What can change in the middle of a game; anything else begins a new one."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A game, completely: the same choices on the same machine give the same bits.

    The settings have the names of `minigan.recipes.Settings`. `spread` is the standard deviation of
    the noise in the data, 0 for the distribution's own. For G and D, the number of hidden
    layers, their width, activation and normalisation follow.

    Raises
    ------
    ValueError
        If a value is unknown or out of range.
    TypeError
        If a value is of the wrong type.
    """

    data: str = "ring"
    points: tuple[tuple[float, float], ...] = ()
    spread: float = 0.1
    objective: str = "non-saturating"
    smoothing: float = 0.0
    penalties: tuple[str, ...] = ("r1:0.1",)
    optimizer: str = "adam"
    lr_generator: float = 1e-3
    lr_discriminator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.999
    schedule: str = "constant"
    steps: int = 10_000
    discriminator_steps: int = 1
    average: float = 0.0
    g_layers: int = 2
    g_width: int = 128
    g_activation: str = "leaky-relu"
    g_norm: str = "none"
    d_layers: int = 2
    d_width: int = 128
    d_activation: str = "leaky-relu"
    d_norm: str = "none"
    initial: str = "kaiming"
    latent: int = 2
    latent_kind: str = "uniform"
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            _require_choice(name, getattr(self, name), choices)
        for name, range_ in RANGES.items():
            _require_number(name, getattr(self, name), range_, whole=KIND[name] == "int")
        most = {"packing": self.batch_size, "minibatch-discrimination": 512}
        for name, strength in map(parse, self.penalties):
            if strength > most.get(name, strength):  # D's weights grow with them
                raise ValueError(f"The strength of {name!r} must be at most {most[name]} here.")
        schedules.parse(self.schedule)
        _require_points(self.data, self.points)

    def changed(self, changes: Mapping[str, Any]) -> Setup:
        """Return a copy with some values changed; JSON's lists are taken for tuples.

        Raises
        ------
        ValueError, TypeError
            If there is no such choice, or a value isn't possible.
        """
        unknown = changes.keys() - KIND.keys()
        if unknown:
            raise ValueError(
                f"There is no choice {sorted(unknown)[0]!r}; the choices are {', '.join(KIND)}."
            )
        return replace(self, **{name: _given(name, value) for name, value in changes.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the choices by name, for JSON."""
        return asdict(self)

    # ------------------------------------------------------------ the link

    def link(self) -> str:
        """Return what differs from the defaults, as it stands in a link behind the #."""
        default = Setup()
        changed = {
            name: _as_text(getattr(self, name))
            for name in KIND
            if getattr(self, name) != getattr(default, name)
        }
        return urlencode(changed, safe=":,;+")

    @staticmethod
    def from_link(link: str) -> Setup:
        """Return the choices of a link, or of the part of it behind the #.

        Raises
        ------
        ValueError
            If it isn't one of `link`.
        """
        behind = link.partition("#")[2] if "://" in link else link.lstrip("#")
        query = behind.replace("+", "%2B")
        pairs = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
        return Setup().changed({name: _from_text(name, text) for name, text in pairs.items()})


KIND: dict[str, str] = {field.name: str(field.type) for field in fields(Setup)}
"""Choice -> its type, as it is written above."""


def describe() -> dict[str, Any]:
    """Return all that can be chosen, for the page: choices, ranges, ways to keep D tame."""
    return {
        "choices": CHOICES,
        "ranges": RANGES,
        "whole": [name for name in RANGES if KIND[name] == "int"],
        "ways": {
            name: {"strength": way.strength, "words": way.words} for name, way in WAYS.items()
        },
        "live": LIVE,
        "most_points": MOST_POINTS,
        "defaults": Setup().as_dict(),
    }


# ---------------------------------------------------------------- what values are possible


def _require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")


def _require_number(name: str, value: Any, range_: Range, *, whole: bool) -> None:
    kinds = int if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        what = "a whole number" if whole else "a number"
        raise TypeError(f"{name} must be {what}, got {value!r}.")
    if not range_.least <= value <= range_.most:  # NaN is out of every range
        raise ValueError(
            f"{name} must be between {range_.least:g} and {range_.most:g}, got {value}."
        )


def _require_points(kind: str, points: tuple[tuple[float, float], ...]) -> None:
    if not (2 if kind == DRAWN else 0) <= len(points) <= MOST_POINTS:
        raise ValueError(
            f"Data of your own need 2 to {MOST_POINTS:,} points, got {len(points):,}; draw some."
        )
    for point in points:
        if len(point) != 2 or not all(math.isfinite(x) and abs(x) <= 1e4 for x in point):
            raise ValueError(f"A point is two numbers up to 10,000 in size, got {point}.")


def _given(name: str, value: Any) -> Any:
    """Bring a value from JSON to the type of its field, where nothing is lost."""
    if name == "points":
        return tuple(_point(point) for point in _listed(name, value))
    if name == "penalties":
        return tuple(_text(name, way) for way in _listed(name, value))
    if KIND[name] == "str":
        return _text(name, value)
    if KIND[name] == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return _float(value) if KIND[name] == "float" and type(value) is int else value


def _float(value: float) -> float:
    """A number as a float; one too large for it becomes infinite, which no choice takes."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _listed(name: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list, got {type(value).__name__}.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {type(value).__name__}.")
    return value


def _point(point: Any) -> tuple[float, ...]:
    if not isinstance(point, (list, tuple)) or not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) for x in point
    ):
        raise TypeError(f"A point must be a list of two numbers, got {point!r}.")
    return tuple(_float(x) for x in point)


# ---------------------------------------------------------------- values as text


def short(x: float) -> str:
    """Return the shortest text that is read as this number again, to the bit."""
    return repr(float(x)).removesuffix(".0")


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple):
            return ";".join(f"{short(x)},{short(y)}" for x, y in value)
        return ",".join(value)
    return str(value)


def _from_text(name: str, text: str) -> Any:
    """The other way round; what isn't known is left to `Setup.changed` to refuse."""
    try:
        if name == "points":
            return [[float(x) for x in pair.split(",")] for pair in text.split(";") if pair]
        if name == "penalties":
            return [way for way in text.split(",") if way]
        return {"int": int, "float": float}.get(KIND.get(name, "str"), str)(text)
    except ValueError:
        raise ValueError(f"The link says {name}={text}, which isn't {KIND[name]}.") from None
