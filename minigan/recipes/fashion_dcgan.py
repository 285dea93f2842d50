"""A DCGAN on Fashion-MNIST, with batch norm in both nets."""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """A DCGAN: 7 -> 14 -> 28 pixels."""
    generator = nets.dcgan_generator(rng, inputs=100, side=7, width=128)
    return nets.drawn(generator, nets.dcgan_discriminator(rng, side=7, width=64), rng)


RECIPE = Recipe(
    name="fashion-dcgan",
    title="Fashion-MNIST, a DCGAN",
    source="Radford et al. 2016 (DCGAN); data: Xiao et al. 2017",
    data="fashion-mnist",
    sample_shape=(28, 28, 1),
    latent=Latent(100, "uniform"),
    networks=networks,
    settings=Settings(steps=4685, batch_size=64),
    duration="about 0.15 s of processor time per step, 12 minutes in all",
)
