"""SAGAN: self-attention in the middle of both nets, where every pixel sees all others.

A convolution of 3x3 or 4x4 joins what lies side by side; that the two ends of a stroke belong to
one digit is known only several layers further on. Attention (`minigan.nn.SelfAttention`) joins any
two places in one layer. Its γ is 0 at first, so the nets begin as they would without it. Spectral
norm is in both nets (section 4.1 of the paper), the losses are hinges, and D learns four times as
fast as G.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """DCGAN's nets for 16x16 pixels, with attention at 8x8; D's spectral norm is a setting."""
    generator = nn.Sequential(
        bounded(nn.Linear(64, 4 * 4 * 64, bias=False, rng=rng), rng), nn.Reshape(4, 4, 64),
        nn.BatchNorm(64), nn.ReLU(),
        bounded(nn.ConvTranspose2d(64, 32, **nets.HALVE, bias=False, rng=rng), rng),
        nn.BatchNorm(32), nn.ReLU(), bounded(nn.SelfAttention(32, rng=rng), rng),
        bounded(nn.ConvTranspose2d(32, 1, **nets.HALVE, rng=rng), rng), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, **nets.HALVE, rng=rng), nn.LeakyReLU(0.1), nn.SelfAttention(32, rng=rng),
        nn.Conv2d(32, 64, **nets.HALVE, rng=rng), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 1, rng=rng),
    )  # fmt: skip
    return generator, discriminator


def bounded(layer: nn.Layer, rng: Generator) -> nn.Layer:
    """Wrap a layer, or the layers inside one, in spectral norm."""
    if isinstance(layer, nn.SelfAttention):
        layer.replace_children(lambda child: bounded(child, rng))
        return layer
    return layer if isinstance(layer, nn.MaxPool) else nn.spectral_norm(layer, rng=rng)


RECIPE = Recipe(
    name="sagan",
    title="small digits, self-attention in both nets",
    source=(
        "Zhang et al. 2019 (SAGAN): attention at the middle resolution, hinge loss, spectral norm, "
        "two learning rates; at a small size and ten times the rates"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=4e-3,
        beta1=0.0,
        beta2=0.9,
        objective="hinge",
        penalties=("spectral-norm",),
        average=0.995,
    ),
    duration="about 100 s of processor time",
)
