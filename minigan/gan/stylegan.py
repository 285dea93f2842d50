r"""The game of StyleGAN2 (Karras et al. 2019, "A style-based generator architecture", and 2020,
"Analyzing and improving the image quality of StyleGAN").

Algorithm 1 with four changes:

*Style mixing* (2019, section 3.1). Some samples in training have two latents, one up to a random
resolution and another above it. So G can't rely on neighbouring resolutions having one style.

*Lazy regularisation* (2020, section 3.1). D's penalty (R1) is added every k-th round only, see
`minigan.gan.lazy`.

*Path length regularisation* (2020, section 3.2; off by default, as in the authors' settings for
CIFAR-10). A step of one size in w should change the image by one amount, wherever and in whatever
direction. With J = ∂y/∂w and noise :math:`e \sim N(0, I/HW)`, let :math:`g = J^T e`, and

.. math:: \ell_n = \Big(\frac1L \sum_l |g_{nl}|^2\Big)^{1/2}, \qquad
          P = \frac\lambda N \sum_n (\ell_n - a)^2, \qquad
          v = \frac{\partial P}{\partial g}
            = \frac{2\lambda}{N L} \frac{\ell_n - a}{\ell_n}\, g_{nl},

with the running mean a of :math:`\ell` held constant. P depends on G's weights through J, so its
gradient is that of ⟨v, Jᵀe⟩: `Synthesis.double_backward`, and from the styles on down the mapping
net. It is lazy as well.

*Truncation* (2019, appendix B). Styles are drawn towards their mean, :math:`\bar w + \psi
(w - \bar w)`: better images, less variety.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend, nn, randomness
from minigan.backend import Array
from minigan.gan.game import Batch
from minigan.gan.lazy import LazyGame
from minigan.gan.synthesis import StyleGenerator, Styles

DECAY = 0.01
"""How fast the mean path length follows."""


@dataclass(repr=False, kw_only=True)
class StyleGame(LazyGame):
    """`LazyGame` with a `StyleGenerator` for G.

    Attributes
    ----------
    mixing
        Share of the samples in training that have two latents.
    path_length
        λ; 0 leaves path length regularisation out.
    path_lazy
        The rounds from one with path length regularisation to the next.
    noise
        Draws the noise e.
    """

    mixing: float = 0.5
    path_length: float = 0.0
    path_lazy: int = 4
    noise: numpy.random.Generator | None = None

    # ------------------------------------------------------------ mixing

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[tuple[Batch, ...], Array]:
        """Draw as `Game`, but latents of shape (N, levels, latent)."""
        batches, z = super().draw(source, rng)
        mixed = [batch._replace(latents=self._mixed(batch.latents, rng)) for batch in batches]
        return tuple(mixed), self._mixed(z, rng)

    def _mixed(self, z: Any, rng: numpy.random.Generator) -> Any:
        """Give z (N, latent) to all levels, except to those above a random one of some samples."""
        assert self.latent is not None
        n, levels = len(z), self.styled.levels
        other = self.latent.sample(n, rng)
        begins = rng.integers(1, levels, n) if levels > 1 else numpy.ones(n, "int64")
        begins[rng.random(n) >= self.mixing] = levels
        second = numpy.arange(levels) >= begins[:, None]
        return numpy.where(second[:, :, None], other[:, None], z[:, None])

    # ------------------------------------------------------------ what a round is like

    def kind(self) -> tuple[bool, bool]:
        """Return whether the penalties, and path length regularisation, are due in this round."""
        stretched = self.path_length > 0 and self.rounds % self.path_lazy == 0
        return bool(super().kind()), stretched

    # ------------------------------------------------------------ path length

    @property
    def share_multiple(self) -> int:  # type: ignore[override]
        """Path length regularisation takes half of a batch, and on several ranks half of each
        one's share.
        """
        return 2 if self.path_length > 0 else 1

    def regularise(self, z: Array) -> None:
        """Add the gradient of path length regularisation to G's, if it is due."""
        if self.kind()[1]:
            self.stretch(z[: max(len(z) // 2, 1)])

    def stretch(self, z: Array) -> Array:
        """Add the gradient of P to G's, times `path_lazy`, and move a; return P."""
        G = self.styled
        ops: Any = backend.of(z)
        with nn.frozen_statistics(G):
            ws, below = G.styles(z, train=True)
            y, above = G.synthesis.forward(ws, train=True)
        rng, scale = randomness.generator(self.noise), math.sqrt(y.shape[1] * y.shape[2])
        e = ops.draw(rng, lambda rng: rng.standard_normal(tuple(y.shape)) / scale, y.dtype)
        g, signals = G.synthesis.backward_signals(e, above)
        n, levels = g.shape[:2]
        length = ops.xp.sqrt((g * g).sum(axis=(1, 2)) / levels)
        (mean,) = self.ranks.mean(length.mean())
        G.path += DECAY * (mean - G.path)
        off = length - G.path
        factor = self.path_length / n
        v = (2 * factor * self.path_lazy / levels) * (off / length)[:, None, None] * g
        dws: Any = G.synthesis.double_backward(v, signals, above)[0]
        G.latents_grad(dws, below, tuple(z.shape), input_grad=False)
        return factor * (off * off).sum()

    # ------------------------------------------------------------ truncation

    def truncated(self, n: int, rng: numpy.random.Generator, psi: float) -> Styles:
        """Draw n styles, and leave the share ψ of their distance from the mean.

        Raises
        ------
        ValueError
            If ψ isn't from 0 to 2.
        """
        if not 0 <= psi <= 2:
            raise ValueError(
                f"Truncation must be from 0, where all samples are alike, to 2, got {psi}; 1 "
                "leaves the styles as they are, and 0.7 is usual."
            )
        return self.towards_the_mean(self.styles(self.inputs(n, rng)), psi)

    def styles(self, z: Array) -> Styles:
        """Map latents on the host, (N, latent) or (N, levels, latent), to styles on the host."""
        G: Any = self.sampler
        ws, _ = G.styles(self.device.asarray(z))
        return Styles(numpy.array(backend.to_numpy(ws)))

    def towards_the_mean(self, styles: Styles, psi: float) -> Styles:
        """Truncate styles on the host."""
        G: Any = self.sampler
        centre = backend.to_numpy(G.centre)
        return Styles((centre + psi * (styles.w - centre)).astype(styles.w.dtype))

    # ------------------------------------------------------------ the rest

    @property
    def styled(self) -> StyleGenerator:
        """The generator."""
        assert isinstance(self.generator, StyleGenerator)
        return self.generator

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        super().check()
        if not isinstance(self.generator, StyleGenerator):
            raise TypeError(
                f"The game needs a StyleGenerator, got {type(self.generator).__name__}; make one "
                "of a mapping net and a Synthesis."
            )
        if self.path_lazy < 1:
            raise ValueError(f"path_lazy must be at least 1, got {self.path_lazy}.")
