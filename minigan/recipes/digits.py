"""A small DCGAN on the handwritten digits that come with the package: 4 -> 8 -> 16 pixels."""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G doubles its map twice by transposed convolutions, D halves the image by convolutions."""
    generator = nn.Sequential(
        nn.Linear(64, 4 * 4 * 64, bias=False, rng=rng),
        nn.Reshape(4, 4, 64),
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(64), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 1, rng=rng),
    )  # fmt: skip
    nn.initial.normal(generator, rng=rng)
    nn.initial.normal(discriminator, rng=rng)
    return generator, discriminator


RECIPE = Recipe(
    name="digits",
    title="handwritten digits of 16x16 pixels, a small DCGAN",
    source=(
        "Radford et al. 2016 (DCGAN), at a quarter of its size; data: Alpaydin & Kaynak 1998 (UCI)"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=networks,
    settings=Settings(
        steps=3000, batch_size=64, lr_generator=1e-3, lr_discriminator=5e-4, average=0.995
    ),
    duration="about 60 s on two cores",
)
