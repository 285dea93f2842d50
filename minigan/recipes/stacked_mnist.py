"""Three random digits as red, green and blue: 1,000 combinations, and a count of those that G has
lost.

PacGAN takes two steps of G for each of D, with a rate of 2e-4 for both. Here it's one step of each,
and the rates are 1e-3 for G and 1e-4 for D: with equal ones D wins within a hundred steps, and the
samples are noise for long.
"""

import numpy

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Recipe, Settings


def networks(
    rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """A DCGAN from 7 to 28 pixels; D sees two stacks at once."""
    generator = nn.Sequential(
        nn.Linear(100, 7 * 7 * 128, bias=False, rng=rng),
        nn.Reshape(7, 7, 128),
        nn.BatchNorm(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(128), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(7 * 7 * 128, 1, rng=rng),
    )  # fmt: skip
    nn.initial.normal(generator, rng=rng)
    nn.initial.normal(discriminator, rng=rng)
    return generator, discriminator


RECIPE = Recipe(
    name="stacked-mnist",
    title="three digits in one picture, packing of two",
    source=(
        "Lin et al. 2018 (PacGAN), section 4.2, at a quarter of its size; data of Metz et al. 2017"
    ),
    data="stacked-mnist",
    sample_shape=(28, 28, 3),
    latent=Latent(100, "uniform"),
    networks=networks,
    settings=Settings(
        steps=4000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-4,
        penalties=("packing:2",),
        average=0.99,
    ),
    duration="about 0.13 s of processor time a step, 8 minutes in all",
)
