r"""Diffusion (Ho et al. 2020, "DDPM"): no game, but a net that takes noise away, for contrast.

Training. A picture x is mixed with noise ε ~ N(0, I), more of it the larger t in 0, ..., T - 1,

.. math:: x_t = \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \varepsilon, \qquad
          \bar\alpha_t = \prod_{s \le t} (1 - \beta_s),

with β rising linearly from 1e-4 to 0.02 for T = 1000 (section 4 there), so that next to nothing is
left of x at the end; for other T it is 1000 / T times as large, at most 0.999. The net is told x_t
and t and guesses the noise (equation 14):

.. math:: L = \langle |e(x_t, t) - \varepsilon|^2 \rangle, \qquad dL/de = 2 (e - \varepsilon) / n .

That is ordinary regression: no adversary, no balance to keep, and no mode pays for being left out.

Sampling starts from pure noise and goes back, here along a few of the T levels and without new
noise (Song et al. 2021, "DDIM", equation 12 with σ = 0). From level t to the next lower one, s, the
picture is guessed and mixed with the guessed noise again, at the new level:

.. math:: \hat x = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, e}{\sqrt{\bar\alpha_t}}, \qquad
          x_s = \sqrt{\bar\alpha_s}\, \hat x + \sqrt{1 - \bar\alpha_s}\, e .

Every level costs a pass through the net: fifty for a sample, where a generator needs one. The
result is a function of the noise at the start, which can therefore be interpolated like z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import losses, nn, optim
from minigan.backend import Array
from minigan.gan.base import BaseGame, in_batches, require_owner
from minigan.latent import Latent


@dataclass(repr=False)
class Diffusion(BaseGame):
    """A net that guesses the noise in noisy pictures, and pictures made with it.

    Attributes
    ----------
    denoiser
        Maps pictures (N, H, W, C) and levels (N,), integers below `levels`, to noise (N, H, W, C).
    optimizer
        That of the net.
    shape
        (H, W, C).
    levels
        T.
    passes
        Levels that a sample passes through, at most T.
    average
        An average of the weights to sample with, if any.
    scheduler
        Changes the learning rate, if any.

    Raises
    ------
    ValueError
        If there are no passes, or more than levels.
    """

    denoiser: nn.Layer
    optimizer: optim.Optimizer
    shape: tuple[int, ...]
    levels: int = 1000
    passes: int = 50
    average: optim.ExponentialMovingAverage | None = None
    scheduler: optim.Scheduler | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.passes <= self.levels:
            raise ValueError(
                f"A sample passes through 1 to {self.levels} levels, got {self.passes} passes."
            )
        require_owner(self.optimizer, self.denoiser, (), "denoiser")
        beta = numpy.linspace(1e-4, 0.02, self.levels) * (1000 / self.levels)
        self.kept = numpy.cumprod(1 - numpy.minimum(beta, 0.999))

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[Array, Array, Array]:
        """Draw pictures, levels and noise; return x_t, t and ε."""
        x, _ = next(source)
        t = rng.integers(0, self.levels, len(x))
        noise = rng.standard_normal(x.shape, "float32")
        kept = self.kept[t].reshape(-1, *[1] * (x.ndim - 1))
        noisy = numpy.sqrt(kept) * x + numpy.sqrt(1 - kept) * noise
        return noisy.astype("float32"), t, noise

    def play(self, noisy: Array, t: Array, noise: Array) -> dict[str, Array]:
        """Update the net once.

        Parameters
        ----------
        noisy, noise
            x_t and ε, (N, H, W, C).
        t
            Levels (N,).

        Returns
        -------
        dict
            ``noise_left``, L; guessing nothing leaves 1.
        """
        self.optimizer.zero_grad()
        guess, cache = self.denoiser.forward((noisy, t), train=True)
        loss, d_guess = losses.mse(guess, noise)
        self.denoiser.backward(d_guess, cache, input_grad=False)
        self.optimizer.step()
        return {"noise_left": loss}

    # ------------------------------------------------------------ samples

    def inputs(
        self, n: int, rng: numpy.random.Generator, data: Callable[[], Any] | None = None
    ) -> Array:
        """Draw the noise that n samples start from, (n, H W C)."""
        return Latent(int(numpy.prod(self.shape))).sample(n, rng)

    def sample(
        self, inputs: Array, labels: Array | None = None, *, averaged: bool = True
    ) -> NDArray[Any]:
        """Map noise (N, H W C) to samples (N, H, W, C), in `passes` passes."""
        net = self.average.net if averaged and self.average else self.denoiser
        levels = numpy.linspace(self.levels - 1, 0, self.passes).round().astype("int64")
        kept = [*self.kept[levels], 1.0]
        x = numpy.asarray(inputs, "float32").reshape(-1, *self.shape)
        for level, now, then in zip(levels, kept, kept[1:], strict=False):
            guess = in_batches(net, (x, numpy.full(len(x), level)))
            x = without_noise(x, guess, now, then)
        return x

    # ------------------------------------------------------------ the interface of every game

    def parts(self) -> dict[str, Any]:
        """Return the net, its optimizer and, if set, the average and the scheduler."""
        parts = {
            "denoiser": self.denoiser,
            "optimizer": self.optimizer,
            "average": self.average,
            "scheduler": self.scheduler,
        }
        return {name: part for name, part in parts.items() if part is not None}


def without_noise(x: Array, noise: Array, now: float, then: float) -> NDArray[Any]:
    """Go from one level to a lower one, given the noise; see the top of this file.

    Parameters
    ----------
    x, noise
        x_t and e, (N, H, W, C).
    now, then
        ᾱ of both levels; 1 is a picture without noise.
    """
    clean = (x - numpy.sqrt(1 - now) * noise) / numpy.sqrt(now)
    # Where little of the picture is left, a small mistake about the noise is a large one here.
    clean = clean.clip(-1, 1)
    return numpy.asarray(numpy.sqrt(then) * clean + numpy.sqrt(1 - then) * noise, "float32")
