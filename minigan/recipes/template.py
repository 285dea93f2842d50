"""A recipe of your own: nets, data and settings in one file.

Train it with `minigan train my_recipe.py`. Each run keeps a copy of this file and samples, resumes
and evaluates with it, so the file must be complete in itself: it may import what is installed, but
no other file of yours. Change anything; the settings can also be changed on the command line.
"""

from typing import Any

import numpy

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import Recipe, Settings

LATENT = 64
"""Numbers in a latent vector, from which G makes one picture."""


class Gain(nn.Layer, samplewise=True):
    """A layer of your own: y = g x, with one learnt number g for each channel.

    Check its gradients with `minigan gradcheck my_recipe.py:Gain --args 3 --input 2,4,4,3`.
    """

    def __init__(self, channels: int) -> None:
        self.gain = nn.Parameter(numpy.ones(channels, "float32"), role="scale")

    def forward(self, x: Any, *, train: bool = True) -> Any:
        """Return y, and what backward needs."""
        x = self.check(x)
        y = x * self.gain.value
        return y, nn.Cache(self, y, x)

    def backward(
        self, dy: Any, cache: Any, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Add dL/dg to the gradient, and return dL/dx."""
        (x,) = cache.recall(self, dy)
        if param_grads:
            self.gain.grad += (dy * x).sum(axis=tuple(range(dy.ndim - 1)))
        return dy * self.gain.value if input_grad else None


def networks(
    rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """Return G and D. `rng` draws the weights; `noise` is for layers such as dropout.

    G maps latents (N, LATENT) to images (N, 16, 16, 1), D maps images to logits (N, 1).
    """
    halve: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}
    generator = nn.Sequential(
        nn.Linear(LATENT, 4 * 4 * 64, rng=rng), nn.Reshape(4, 4, 64), nn.BatchNorm(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, **halve, rng=rng), nn.BatchNorm(32), nn.ReLU(), Gain(32),
        nn.ConvTranspose2d(32, 1, **halve, rng=rng), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, **halve, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, **halve, rng=rng), nn.BatchNorm(64), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 1, rng=rng),
    )  # fmt: skip
    nn.initial.normal(generator, rng=rng)
    nn.initial.normal(discriminator, rng=rng)
    return generator, discriminator


RECIPE = Recipe(
    name="my-recipe",
    title="digits of 16x16 pixels",
    source="Radford et al. 2016 (DCGAN)",
    # A data set (digits, mnist, fashion-mnist), a folder of pictures, or an IDX file. Data of
    # another size or colour are converted to sample_shape: height, width and channels (1 or 3).
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=2000, batch_size=64, lr_generator=1e-3, lr_discriminator=5e-4, average=0.995
    ),
    duration="about a minute on two cores",
)

# For data of another kind, callbacks, or a game of another kind, derive a class from Recipe and
# override its methods load and stream, callbacks, or game; see the page "Write a recipe".
