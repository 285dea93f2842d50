"""The nets of a game, as layers and as the Python that makes them: one list for both."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy

from minigan import nn
from minigan.play.setup import ACTIVATIONS, Setup

INITIAL = {
    "kaiming": "nn.initial.kaiming_normal({net}, rng=rng)",
    "dcgan": "nn.initial.normal({net}, rng=rng)",
    "default": "",
}
"""How weights are redrawn once a net is built."""


class Spec(NamedTuple):
    """A layer as one writes it: its name, its sizes, and whether it draws weights."""

    name: str
    sizes: tuple[float, ...] = ()
    draws: bool = False

    def text(self) -> str:
        """Return it in Python."""
        arguments = [f"{size:g}" for size in self.sizes] + ["rng=rng"] * self.draws
        return f"nn.{self.name}({', '.join(arguments)})"

    def build(self, rng: numpy.random.Generator) -> nn.Layer:
        """Return the layer."""
        layer = getattr(nn, self.name)
        return layer(*self.sizes, rng=rng) if self.draws else layer(*self.sizes)


def generator_specs(setup: Setup) -> list[Spec]:
    """Return the layers of G: from a latent vector to a point."""
    return _perceptron(
        setup.latent, 2, setup.g_layers, setup.g_width, setup.g_activation, setup.g_norm
    )


def discriminator_specs(setup: Setup) -> list[Spec]:
    """Return the layers of D: from a point to a logit."""
    return _perceptron(2, 1, setup.d_layers, setup.d_width, setup.d_activation, setup.d_norm)


def _perceptron(
    inputs: int, outputs: int, layers: int, width: int, activation: str, norm: str
) -> list[Spec]:
    specs = []
    for _ in range(layers):
        specs += [_linear(inputs, width), *_norm(norm, width), _activation(activation)]
        inputs = width
    return [*specs, _linear(inputs, outputs)]


def _linear(inputs: int, outputs: int) -> Spec:
    return Spec("Linear", (inputs, outputs), draws=True)


def _norm(name: str, width: int) -> list[Spec]:
    called = {"batch": "BatchNorm", "layer": "LayerNorm", "rms": "RMSNorm"}
    return [Spec(called[name], (width,))] if name in called else []


def _activation(name: str) -> Spec:
    called = re.fullmatch(r"(\w+)\((.*)\)", ACTIVATIONS[name])
    assert called is not None
    return Spec(called[1], tuple(float(x) for x in called[2].split(",") if x))


def build(
    setup: Setup, rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """Return G and D; what `minigan.recipes.Recipe` takes for its networks, but for the setup."""
    generator = nn.Sequential(*(spec.build(rng) for spec in generator_specs(setup)))
    discriminator = nn.Sequential(*(spec.build(rng) for spec in discriminator_specs(setup)))
    for net in (generator, discriminator):
        if setup.initial == "kaiming":
            nn.initial.kaiming_normal(net, rng=rng)
        elif setup.initial == "dcgan":
            nn.initial.normal(net, rng=rng)
    return generator, discriminator


def written(setup: Setup, *, indent: str) -> str:
    """Return the Python that does what `build` does."""
    lines: list[str] = []
    both = {"generator": generator_specs(setup), "discriminator": discriminator_specs(setup)}
    for name, specs in both.items():
        lines += [f"{name} = nn.Sequential(", *_rows(specs), ")"]
    lines += [INITIAL[setup.initial].format(net=name) for name in both if INITIAL[setup.initial]]
    return "".join(f"{indent}{line}\n" for line in lines)


def _rows(specs: list[Spec]) -> list[str]:
    """A line for each weighted layer, with what follows it."""
    rows: list[list[str]] = []
    for spec in specs:
        if spec.draws:
            rows.append([])
        rows[-1].append(spec.text())
    return [f"    {', '.join(row)}," for row in rows]
