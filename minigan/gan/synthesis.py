r"""The generator of StyleGAN2: latents become styles, styles an image (Karras et al. 2019, 2020).

A mapping net turns z into w, which need not be distributed like z, so that its directions may
separate what varies in the data. The image begins as a learnt constant; w only scales the weights
of the convolutions (`minigan.nn.ModulatedConv2d`), once for each resolution:

.. math:: x_l = b_l(x_{l-1}, w_l), \qquad y_l = \text{up}(y_{l-1}) + c_l(x_l, w_l),

where :math:`b_l` doubles the map, :math:`c_l` turns it into colours, and y sums up what all
resolutions add to the image (2020, figure 7 b). Usually all :math:`w_l` are the same; where they
come from several z, the coarse features of one are combined with the fine ones of another (*style
mixing*, 2019, section 3.1). The authors have a style for each convolution; here the two of a
resolution share one.

Backward: dy reaches level l through all enlargements above it; then

.. math:: (dx_l, dw_l) \mathrel{+}= c_l'^T dy_l, \qquad (dx_{l-1}, dw_l) \mathrel{+}= b_l'^T dx_l,
          \qquad dy_{l-1} = \text{up}^T dy_l .

Double backward. F = ⟨v, dw⟩ is the derivative of ⟨y, dy⟩ along v: the tangents of x and y walk up
as x and y do, and each layer drops what F owes to its own curvature, which then walks back down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy

from minigan import backend, nn
from minigan.backend import Array
from minigan.nn import Cache, Signals
from minigan.nn.sequential import plus
from minigan.ranks import ALONE, Ranks


class Styles(NamedTuple):
    """Styles in the place of latents, as the input of a `StyleGenerator`: w (N, levels, width)."""

    w: Any


class Synthesis(nn.Layer):
    """Styles (N, levels, width) to images (N, H, W, C); see the top of this file.

    Parameters
    ----------
    blocks
        b_l, layers of a map and a style; the first needs a style only.
    colours
        c_l, layers of a map and a style.
    """

    def __init__(self, blocks: Sequence[nn.Layer], colours: Sequence[nn.Layer]) -> None:
        self.blocks, self.colours, self.up = list(blocks), list(colours), nn.Upsample(2)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map w (N, levels, width) to y (N, H, W, C)."""
        x = self.check(x)
        h = y = None
        caches: list[Any] = []
        for w, block, colour in self._levels(x):
            h, below = block.forward(w if h is None else (h, w), train=train)
            seen, of_colour = colour.forward((h, w), train=train)
            larger, of_up = (None, None) if y is None else self.up.forward(y, train=train)
            y = plus(larger, seen)
            caches.append((below, of_colour, of_up))
        assert y is not None
        return y, Cache(self, y, caches)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, H, W, C) to dw (N, levels, width)."""
        (caches,) = cache.recall(self, dy)
        nothing = [(None, None)] * len(caches)
        dw = self._down(dy, nothing, caches, param_grads)
        return dw if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dw, and keep the cotangents met inside."""
        (caches,) = cache.recall(self, dy)
        dx, dws, signals = None, [], []
        for block, colour, (below, of_colour, of_up) in self._from_the_top(caches):
            (dx_c, dw_c), seen = colour.backward_signals(dy, of_colour)
            found, met = block.backward_signals(plus(dx, dx_c), below)
            dx, dw_b = _apart(found)
            dws.append(dw_c + dw_b)
            signals.append((met, seen))
            dy = dy if of_up is None else self._smaller(dy, of_up)
        return _stacked(dws[::-1]), Signals(signals[::-1])

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Walk v up beside the styles, then the cotangents that arise back down."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        (caches,) = cache.recall(self, signals)
        up: Any = None
        tangent: Any = None
        dropped = []
        for (v_w, block, colour), (met, seen), (below, of_colour, of_up) in zip(
            self._levels(v), signals, caches, strict=True
        ):
            way: Any = v_w if up is None else (up, v_w)
            drop_b, up = block.double_backward(way, met, below, param_grads=param_grads)
            drop_c, more = colour.double_backward(
                (up, v_w), seen, of_colour, param_grads=param_grads
            )
            larger = None if of_up is None else self.up(tangent)
            tangent = plus(larger, more)
            dropped.append((drop_b, drop_c))
        dw = self._down(None, dropped, caches, param_grads)
        return (dw if input_grad else None), tangent

    def _down(self, dy: Any, dropped: list[Any], caches: list[Any], param_grads: bool) -> Array:
        """Walk cotangents down, and add at each level what was dropped there: dw."""
        dx, dws = None, []
        for (block, colour, (below, of_colour, of_up)), (drop_b, drop_c) in zip(
            self._from_the_top(caches), reversed(dropped), strict=True
        ):
            seen: Any = None
            if dy is not None:
                seen = colour.backward(dy, of_colour, param_grads=param_grads)
            dx_c, dw_c = plus(seen, drop_c)
            dx = plus(dx, dx_c)
            found = None if dx is None else block.backward(dx, below, param_grads=param_grads)
            dx, dw_b = _apart(plus(found, drop_b))
            dws.append(plus(dw_c, dw_b))
            dy = dy if of_up is None or dy is None else self._smaller(dy, of_up)
        return _stacked(dws[::-1])

    def _levels(self, w: Array) -> Any:
        """Return style, block and colours of each level, from the lowest."""
        xp = backend.of(w).xp
        ws = [xp.ascontiguousarray(w[:, level]) for level in range(len(self.blocks))]
        return zip(ws, self.blocks, self.colours, strict=True)

    def _from_the_top(self, caches: list[Any]) -> Any:
        return zip(self.blocks[::-1], self.colours[::-1], caches[::-1], strict=True)

    def _smaller(self, dy: Array, of_up: Cache) -> Any:
        return self.up.backward(dy, of_up)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, levels, width) -> (N, H, W, C)."""
        if len(shape) != 3 or shape[1] != len(self.blocks):
            raise ValueError(
                f"{self!r} got styles of shape {shape}, but needs (N, {len(self.blocks)}, width)."
            )
        map_shape: tuple[int, ...] = (shape[0], shape[2])
        for block in self.blocks:
            map_shape = block.output_shape(map_shape)
        return self.colours[-1].output_shape(map_shape)

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Sum over the levels."""
        total = 0
        map_shape: tuple[int, ...] = (shape[0], shape[2])
        for block, colour in zip(self.blocks, self.colours, strict=True):
            total += block.multiply_adds(map_shape)
            map_shape = block.output_shape(map_shape)
            total += colour.multiply_adds(map_shape)
        return total

    def __repr__(self) -> str:
        return f"Synthesis({len(self.blocks)} levels)"


class StyleGenerator(nn.Layer):
    """Latents, or styles, to images: a mapping net and a `Synthesis`.

    Shapes: z (N, latent), or (N, levels, latent) for a latent of each level, or `Styles`.

    Parameters
    ----------
    mapping
        z (N, latent) to w (N, width).
    synthesis
        Styles to images.
    width
        Length of w.

    Attributes
    ----------
    centre
        The running mean of w, shape (width,), for truncation. A buffer, moved by 0.005 of the way
        in each forward call of training.
    path
        The running mean of path lengths, shape (); a buffer, see `minigan.gan.StyleGame`.
    """

    buffer_names = ("centre", "path")
    ranks: Ranks = ALONE
    MOMENTUM = 0.005

    def __init__(self, mapping: nn.Layer, synthesis: Synthesis, *, width: int) -> None:
        self.mapping, self.synthesis = mapping, synthesis
        self.centre: Array = numpy.zeros(width, "float32")
        self.path: Array = numpy.zeros((), "float32")
        self.track_statistics = True

    @property
    def levels(self) -> int:
        """The number of styles of an image."""
        return len(self.synthesis.blocks)

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map z, or `Styles`, to y (N, H, W, C)."""
        if isinstance(x, Styles):
            y, above = self.synthesis.forward(x.w, train=train)
            return y, Cache(self, y, None, above, None)
        ws, below = self.styles(x, train=train)
        if train and self.track_statistics:
            (mean,) = self.ranks.mean(ws.mean(axis=(0, 1)))
            self.centre += self.MOMENTUM * (mean - self.centre)
        y, above = self.synthesis.forward(ws, train=train)
        return y, Cache(self, y, below, above, tuple(x.shape))

    def styles(self, z: Array, *, train: bool = False) -> tuple[Array, Cache]:
        """Map z to styles (N, levels, width), and a cache for `latents_grad`."""
        if z.ndim == 3:
            rows = z.reshape(-1, z.shape[2])
            w, cache = self.mapping.forward(rows, train=train)
            return w.reshape(*z.shape[:2], -1), cache
        w, cache = self.mapping.forward(z, train=train)
        shape = (w.shape[0], self.levels, w.shape[1])
        return backend.of(w).xp.broadcast_to(w[:, None], shape), cache

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Map dy to dz, or to the cotangents of `Styles`."""
        below, above, shape = cache.recall(self, dy)
        dws: Any = self.synthesis.backward(dy, above, param_grads=param_grads)
        if below is None:
            return Styles(dws) if input_grad else None
        return self.latents_grad(dws, below, shape, param_grads=param_grads, input_grad=input_grad)

    def latents_grad(
        self, dws: Array, cache: Cache, shape: tuple[int, ...], *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> Any:  # fmt: skip
        """Map the cotangent of `styles` to that of z, which has the given shape."""
        dw = dws.sum(axis=1) if len(shape) == 2 else dws.reshape(-1, dws.shape[2])
        dz: Any = self.mapping.backward(dw, cache, param_grads=param_grads, input_grad=input_grad)
        return dz.reshape(shape) if input_grad else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, latent) or (N, levels, latent) -> (N, H, W, C)."""
        if len(shape) not in (2, 3):
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs latents (N, latent) or "
                f"(N, {self.levels}, latent)."
            )
        width = self.mapping.output_shape((shape[0], shape[-1]))[1]
        levels = shape[1] if len(shape) == 3 else self.levels
        return self.synthesis.output_shape((shape[0], levels, width))

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Those of both nets."""
        width = self.mapping.output_shape((shape[0], shape[-1]))[1]
        rows = self.mapping.multiply_adds((shape[0], shape[-1]))
        return rows + self.synthesis.multiply_adds((shape[0], self.levels, width))

    def onnx(self, g: Any, x: Any, write: Any) -> str:
        """Write both nets into a graph for latents (N, latent), see `minigan.export`."""
        w, name = write(g, self.mapping, x), ""
        y: Any = None
        h: Any = None
        parts = self.synthesis
        for block, colour in zip(parts.blocks, parts.colours, strict=True):
            h = write(g, block, w if h is None else (h, w))
            seen = write(g, colour, (h, w))
            larger: Any = None if y is None else write(g, parts.up, y)
            name = seen.name if larger is None else g.add(larger.name, seen.name)
            y = replace(seen, name=name)
        return name

    def __repr__(self) -> str:
        return f"StyleGenerator({self.mapping!r}, {self.synthesis!r})"


def _apart(d: Any) -> Any:
    """Return (dx, dw) of what a block returned: the first has no map below it."""
    return d if isinstance(d, tuple) else (None, d)


def _stacked(dws: list[Any]) -> Array:
    return backend.of(dws[0]).xp.stack(dws, axis=1)
