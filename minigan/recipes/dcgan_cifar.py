"""A DCGAN on CIFAR-10: small photographs in colour."""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G: 128-64-3 channels, 8 -> 16 -> 32 pixels. D: 64-128 channels."""
    generator = nets.dcgan_generator(rng, inputs=100, side=8, width=128, channels=3)
    discriminator = nets.dropout_discriminator(rng, noise, side=8, width=64, channels=3)
    return nets.drawn(generator, discriminator, rng)


RECIPE = Recipe(
    name="dcgan-cifar",
    title="CIFAR-10, a DCGAN in colour",
    source="Radford et al. 2016 (DCGAN), with a level less; dropout in D, as in mnist-dcgan",
    data="cifar10",
    sample_shape=(32, 32, 3),
    latent=Latent(100),
    networks=networks,
    settings=Settings(steps=7800, batch_size=64, average=0.995),
    duration="about 0.15 to 0.19 s of processor time per step, 20 to 25 minutes in all",
)
