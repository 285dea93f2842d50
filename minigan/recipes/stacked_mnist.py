"""Three random digits as red, green and blue: 1,000 modes, so that lost ones can be counted.

PacGAN takes two steps of G for each step of D, with a learning rate of 2e-4 for both. Here it is
one step of each, and the learning rates are 1e-3 for G and 1e-4 for D: with equal ones, D wins
within a hundred steps and the samples stay noise for a long time.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """A DCGAN: 7 -> 14 -> 28 pixels; the setting ``packing:2`` lets D judge two stacks at once."""
    generator = nets.dcgan_generator(rng, inputs=100, side=7, width=128, channels=3)
    discriminator = nets.dcgan_discriminator(rng, side=7, width=64, channels=3)
    return nets.drawn(generator, discriminator, rng)


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
    duration="about 0.13 s of processor time per step, 8 minutes in all",
)
