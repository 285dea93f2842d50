"""Eight Gaussians on a ring: a minimal example of mode collapse.

D judges the points in pairs (packing): if both points of a pair are always close together, G has
found only one of the eight modes. Without packing, the same nets often end with only one or a few
modes; try ``--penalty none``.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """Two perceptrons with two hidden layers of 128."""
    generator = nn.Sequential(
        nn.Linear(16, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 2, rng=rng),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Linear(2, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 1, rng=rng),
    )  # fmt: skip
    nn.initial.kaiming_normal(generator, rng=rng)
    nn.initial.kaiming_normal(discriminator, rng=rng)
    return generator, discriminator


RECIPE = Recipe(
    name="ring",
    title="eight Gaussians on a ring, two perceptrons, D judges pairs",
    source=(
        "Goodfellow et al. 2014, Algorithm 1; Lin et al. 2018 (PacGAN); data of Metz et al. 2017 "
        "(Unrolled GAN)"
    ),
    data="ring",
    sample_shape=(2,),
    latent=Latent(16),
    networks=networks,
    settings=Settings(
        steps=6000,
        batch_size=256,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        average=0.995,
        penalties=("packing:2",),
    ),
    duration="about 20 s on two cores",
)
