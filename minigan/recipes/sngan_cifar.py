"""SN-GAN on CIFAR-10: residual blocks, the hinge loss, spectral norm in D.

The paper's net for CIFAR-10 (table 4) has 256 channels in G and 128 in D, whose four blocks, two of
which halve the map, end in ReLU and a sum over the map; D takes five steps for each of G, 100,000
times. Here both have 32 channels, D has two blocks with leaky ReLU and ends in a mean, and it takes
one step, at four times G's learning rate.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings

LATENT, WIDTH = 128, 32


def up(rng: Generator, channels: int) -> nn.Residual:
    """Double a map: batch norm, ReLU, 3x3 convolution, twice, beside an enlarged copy."""
    return nn.Residual(
        nn.BatchNorm(channels), nn.ReLU(), nn.Upsample(2), conv(rng, channels, channels),
        nn.BatchNorm(channels), nn.ReLU(), conv(rng, channels, channels), shortcut=nn.Upsample(2),
    )  # fmt: skip


def down(rng: Generator, channels: int) -> nn.Residual:
    """Halve a map: leaky ReLU and 3x3 convolution, twice, beside a 1x1 convolution."""
    around = nn.Sequential(nn.AveragePool(2), nn.Conv2d(channels, channels, kernel_size=1, rng=rng))
    return nn.Residual(
        nn.LeakyReLU(0.1), conv(rng, channels, channels), nn.LeakyReLU(0.1),
        conv(rng, channels, channels), nn.AveragePool(2), shortcut=around,
    )  # fmt: skip


def conv(rng: Generator, before: int, after: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(before, after, kernel_size=3, padding=1, rng=rng)


def generator(rng: Generator, *, inputs: int = LATENT, width: int = WIDTH) -> nn.Sequential:
    """Latents (N, inputs) to images (N, 32, 32, 3)."""
    return nn.Sequential(
        nn.Linear(inputs, 4 * 4 * width, rng=rng), nn.Reshape(4, 4, width),
        up(rng, width), up(rng, width), up(rng, width),
        nn.BatchNorm(width), nn.ReLU(), conv(rng, width, 3), nn.Tanh(),
    )  # fmt: skip


def body(rng: Generator, *, width: int = WIDTH) -> nn.Sequential:
    """Images (N, 32, 32, 3) to features (N, width): halved twice, then averaged."""
    return nn.Sequential(
        conv(rng, 3, width), down(rng, width), down(rng, width), nn.LeakyReLU(0.1), nn.GlobalPool()
    )


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G with three doubling blocks; D with two halving ones."""
    return generator(rng), nn.Sequential(*body(rng), nn.Linear(WIDTH, 1, rng=rng))


RECIPE = Recipe(
    name="sngan-cifar",
    title="CIFAR-10, residual blocks, hinge loss, spectral norm",
    source="Miyato et al. 2018 (SN-GAN), table 4, with far fewer channels and one step of D",
    data="cifar10",
    sample_shape=(32, 32, 3),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        beta1=0.0,
        beta2=0.9,
        objective="hinge",
        penalties=("spectral-norm",),
        lr_discriminator=8e-4,
        average=0.995,
    ),
    duration="about 0.58 s of processor time per step, 19 minutes in all",
)
