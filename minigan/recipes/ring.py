"""Eight Gaussians on a ring: a minimal example of mode collapse.

D judges the points in pairs (packing): if both points of a pair are always close together, G has
found only some of the eight modes. And every fake is compared with a real (RpGAN). With
``--penalty none`` the same nets leave out a mode, and with ``--objective non-saturating`` as well
two or three.

The modes are narrow, a hundredth of the ring's radius, so finding them isn't enough: what G makes
between two modes comes from the z between them, so it must tear the square of z apart. That takes
depth, and steps that become ever smaller: with ``--schedule constant`` more samples lie beside the
modes.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """Two perceptrons: four hidden layers of 128 in G, three in D."""
    generator = nn.Sequential(
        nn.Linear(2, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 2, rng=rng),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Linear(2, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2),
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
        "Jolicoeur-Martineau 2018 (RpGAN); Lin et al. 2018 (PacGAN); data of Metz et al. 2017 "
        "(Unrolled GAN)"
    ),
    data="ring",
    sample_shape=(2,),
    latent=Latent(2, "uniform"),
    networks=networks,
    settings=Settings(
        steps=12000,
        batch_size=128,
        lr_generator=2e-3,
        lr_discriminator=2e-3,
        objective="relativistic",
        average=0.99,
        penalties=("packing:2",),
        schedule="linear",
    ),
    duration="about 49 s of processor time",
)
