"""A variational autoencoder from the same layers, for comparison: no game, one loss, blurrier
samples.
"""

import numpy

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Recipe, Settings

LATENT = 16


def networks(
    rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """The decoder grows 4 -> 8 -> 16 pixels; the encoder shrinks them again, to a mean and a
    variance per latent.
    """
    decoder = nn.Sequential(
        nn.Linear(LATENT, 4 * 4 * 64, rng=rng), nn.LeakyReLU(0.2), nn.Reshape(4, 4, 64),
        nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
    )  # fmt: skip
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 2 * LATENT, rng=rng),
    )  # fmt: skip
    return decoder, encoder


RECIPE = Recipe(
    name="vae",
    title="small digits, a variational autoencoder",
    source="Kingma & Welling 2014, with Gaussian pixels of a fixed width",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=2500,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        beta1=0.9,
        objective="elbo",
    ),
    duration="about 33 s of processor time",
    autoencoder=0.3,
)
