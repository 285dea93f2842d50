r"""Nets that grow: first 4x4 pixels, then 8x8, then 16x16 and so on (Karras et al. 2018,
"Progressive growing of GANs for improved quality, stability, and variation").

Both nets consist of levels, each for twice the resolution of the one before. At first only the
lowest takes part, and G learns what a picture is like on the whole. Then a level at a time is added
to both, and fades in, so that new layers don't upset those that are trained already (section 2 and
figure 2): with α going from 0 to 1,

.. math:: G_l(z) = (1 - \alpha)\, \text{up}(c_{l-1}(h)) + \alpha\, c_l(b_l(h)),
          \qquad h = b_{l-1}(\dots b_0(z)),

where :math:`b_l` are the layers of a level, which double their map, and :math:`c_l` turn a map into
colours. D is the mirror image. The reals fade too: they are mixed with a coarser copy of themselves
in the same proportion, or else their sharpness would give them away.

Backward is that of `minigan.nn.Fade`: each path gets its share. Layers that haven't come yet get no
gradient, and with Adam's moments at 0, no step. As in the authors' code, pictures always have their
full size outside of the nets: G enlarges its result by repeating pixels, and D begins by averaging
over as many.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, nn
from minigan.backend import Array
from minigan.gan.game import Batch, Game
from minigan.nn import Cache, Signals


class Growing(nn.Layer, samplewise=True):
    """A net of several levels, of which those take part that have grown: a subclass defines `net`.

    Parameters
    ----------
    blocks
        The layers of each level, the lowest resolution first.
    colours
        For each level, the layer between its map and colours.

    Attributes
    ----------
    grown
        How far the net has grown: ``l - 1 + α`` while level l fades in, l once it has. It is a
        buffer, so that it is saved and averaged with the weights; but it lies on the host, which
        has to know which layers to run.
    """

    buffer_names = ("grown",)

    def __init__(self, blocks: Sequence[nn.Layer], colours: Sequence[nn.Layer]) -> None:
        self.blocks, self.colours = list(blocks), list(colours)
        self.grown = numpy.zeros((), "float32")

    @property
    def grown(self) -> NDArray[numpy.float32]:
        """How far the net has grown, shape ()."""
        return self._grown

    @grown.setter
    def grown(self, value: Any) -> None:
        self._grown = numpy.array(backend.to_numpy(value), "float32")

    @property
    def level(self) -> int:
        """The highest level that takes part, from 0."""
        return math.ceil(self._grown)

    @property
    def share(self) -> float:
        """α of that level."""
        return float(self._grown) - self.level + 1

    @property
    def shrinks(self) -> int:
        """How much smaller a picture is at the highest level so far than at full size."""
        return 1 << (len(self.blocks) - 1 - self.level)

    def net(self, alpha: float | Array) -> nn.Layer:
        """Return the chain of layers that take part; alpha is α of the highest level."""
        raise NotImplementedError

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x through the levels so far."""
        net = self.net(backend.of(x).number(lambda: self.share, "float32"))
        y, inner = net.forward(x, train=train)
        return y, Cache(self, y, net, inner)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx as those levels do."""
        net, inner = cache.recall(self, dy)
        dx: Array | None = net.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)
        return dx

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met inside."""
        net, inner = cache.recall(self, dy)
        dx, signals = net.backward_signals(dy, inner)
        return dx, signals

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v as those levels do."""
        net, inner = cache.recall(self, dy)
        dx, tangent = net.double_backward(
            v, dy, inner, param_grads=param_grads, input_grad=input_grad
        )
        return dx, tangent

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that the levels so far give."""
        return self.net(self.share).output_shape(shape)

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Those of the levels so far."""
        return self.net(self.share).multiply_adds(shape)

    def onnx(self, g: Any, x: Any, write: Any) -> str:
        """Write the levels so far into a graph, see `minigan.export`."""
        name: str = write(g, self.net(self.share), x).name
        return name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.blocks)} levels, grown={float(self.grown):g})"


class GrowingGenerator(Growing, samplewise=True):
    """Latents to images. Each block but the first doubles its map; colours map to (N, H, W, C)."""

    def net(self, alpha: float | Array) -> nn.Layer:
        """Return the blocks so far, the highest beside the colours of the one below."""
        top, whole = self.level, nn.Upsample(self.shrinks)
        if top == 0:
            return nn.Sequential(self.blocks[0], self.colours[0], whole)
        old = nn.Sequential(self.colours[top - 1], nn.Upsample(2))
        new = nn.Sequential(self.blocks[top], self.colours[top])
        return nn.Sequential(*self.blocks[:top], nn.Fade(old, new, alpha=alpha), whole)


class GrowingDiscriminator(Growing, samplewise=True):
    """Images to logits. Each block but the first halves its map, colours map (N, H, W, C) to it."""

    def net(self, alpha: float | Array) -> nn.Layer:
        """Return the blocks so far, the highest first, beside the colours of the one below."""
        top, whole = self.level, nn.AveragePool(self.shrinks)
        if top == 0:
            return nn.Sequential(whole, self.colours[0], self.blocks[0])
        old = nn.Sequential(nn.AveragePool(2), self.colours[top - 1])
        new = nn.Sequential(self.colours[top], self.blocks[top])
        below = reversed(self.blocks[:top])
        return nn.Sequential(whole, nn.Fade(old, new, alpha=alpha), *below)


class Growth:
    """When nets grow: the lowest level has a phase for itself; each further one has one in which it
    fades in, and one in which it stays as it is, the last of them without end.

    Parameters
    ----------
    levels
        The number of levels.
    phase
        The length of a phase, in rounds.
    rounds
        How many are over.
    """

    def __init__(self, levels: int, phase: int, *, rounds: int = 0) -> None:
        self.levels, self.phase, self.rounds = levels, phase, rounds

    @property
    def grown(self) -> float:
        """How far nets have grown by now, see `Growing`."""
        phases = self.rounds / self.phase
        level = min(int((phases + 1) // 2), self.levels - 1)
        return level - 1 + min(phases - (2 * level - 1), 1.0) if level else 0.0

    def reach(self, grown: float) -> None:
        """Go on from where nets have grown so far."""
        self.rounds = 0
        while self.grown < min(grown, self.levels - 1):
            self.rounds += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the rounds so far, and the length of a phase."""
        return {name: numpy.asarray(getattr(self, name)) for name in ("rounds", "phase")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore both: a run that is made longer goes on growing as it began."""
        self.rounds, self.phase = int(state["rounds"]), int(state["phase"])


@dataclass(repr=False, kw_only=True)
class ProgressiveGame(Game):
    """`Game` between nets that grow.

    Attributes
    ----------
    growth
        When they do.
    """

    growth: Growth

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[tuple[Batch, ...], Array]:
        """Draw as `Game`, with reals as coarse as fakes are by now."""
        batches, z = super().draw(source, rng)
        net = self._growing()[0]
        reals: list[Any] = [batch.real for batch in batches]
        coarse = [coarsened(real, net.shrinks, net.share) for real in reals]
        return tuple(b._replace(real=r) for b, r in zip(batches, coarse, strict=True)), z

    def kind(self) -> Hashable:
        """Return the level: with a new one, rounds run through other layers."""
        return self._growing()[0].level

    def end_round(self) -> None:
        """Let the nets grow, then update averages and schedulers.

        With a new level, optimizers forget their moments, and the average of G's weights warms up
        anew, if it does so at all: what it knows of the new layers are their random weights.
        """
        before = self.kind()
        self.growth.rounds += 1
        for net in self._growing():
            net.grown[...] = self.growth.grown
        if self.kind() != before:
            for optimizer in self.optimizers().values():
                _forget(optimizer)
            if self.average is not None:
                self.average.t = 0
        super().end_round()

    def begin(self) -> None:
        """Go on from where both nets have grown so far, as when trained ones were loaded."""
        self.growth.reach(min(float(net.grown) for net in self._growing()))
        for net in self._growing():
            net.grown[...] = self.growth.grown

    def parts(self) -> dict[str, Any]:
        """Return the parts of `Game`, and the growth."""
        return super().parts() | {"growth": self.growth}

    def _growing(self) -> list[Growing]:
        """G and D, or what is growing in them."""
        nets = (self.generator, self.discriminator)
        return [inner for net in nets for _, inner in net.layers() if isinstance(inner, Growing)]

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        super().check()
        found = [len(net.blocks) for net in self._growing()]
        if found != [self.growth.levels] * 2:
            raise ValueError(
                f"The game needs two nets that grow by {self.growth.levels} levels, got {found}; "
                "make them as GrowingGenerator and GrowingDiscriminator."
            )


def coarsened(images: NDArray[Any], factor: int, share: float) -> NDArray[Any]:
    """Return images without their finer details, at their size.

    Parameters
    ----------
    images
        Shape (N, H, W, C).
    factor
        Side of the squares whose mean is taken.
    share
        α: the rest of each pixel is taken from squares twice as large.
    """
    fine = _squares(images, factor)
    return fine if share == 1 else share * fine + (1 - share) * _squares(images, 2 * factor)


def _squares(images: NDArray[Any], factor: int) -> NDArray[Any]:
    """Replace each square by its mean."""
    if factor == 1:
        return images
    n, height, width, channels = images.shape
    small = images.reshape(n, height // factor, factor, width // factor, factor, channels)
    means = small.mean(axis=(2, 4), keepdims=True, dtype=images.dtype)
    return numpy.broadcast_to(means, small.shape).reshape(images.shape)


def _forget(optimizer: Any) -> None:
    """Begin anew: an average over the gradients of the smaller net says little of the larger one.

    In place, because a recorded GPU step refers to these very vectors.
    """
    optimizer.t = 0
    for name in optimizer.vector_names:
        getattr(optimizer, name)[...] = 0
