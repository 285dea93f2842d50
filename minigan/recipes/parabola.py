"""Points on a parabola: a 2-D curve, learnt by two small perceptrons."""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """Two perceptrons with two hidden layers of 64."""
    generator = nn.Sequential(
        nn.Linear(8, 64, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(64, 64, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(64, 2, rng=rng),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Linear(2, 64, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(64, 64, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(64, 1, rng=rng),
    )  # fmt: skip
    nn.initial.kaiming_normal(generator, rng=rng)
    nn.initial.kaiming_normal(discriminator, rng=rng)
    return generator, discriminator


RECIPE = Recipe(
    name="parabola",
    title="points on a parabola, two small perceptrons",
    source="Goodfellow et al. 2014, Algorithm 1",
    data="parabola",
    sample_shape=(2,),
    latent=Latent(8),
    networks=networks,
    settings=Settings(
        steps=4000, batch_size=128, lr_generator=1e-3, lr_discriminator=1e-3, average=0.99
    ),
    duration="about 12 s on two cores",
)
