r"""R3GAN: a modern baseline of a pair of losses and two penalties, without any of the older tricks.

D isn't asked whether a picture is real, but whether a real one is more so than a fake one
(relativistic pairing, Jolicoeur-Martineau 2019): for their logits r and f, D minimises
:math:`\mathrm{softplus}(-(r - f))` and G :math:`\mathrm{softplus}(-(f - r))`. R1 and R2 pull D's
gradient to 0 at reals and fakes, without which the pairing need not converge (propositions 1, 2).
The nets are then free of what used to keep GANs stable: no batch norm, no strided convolutions, no
spectral norm, only residual blocks whose last convolution begins at 0 (fix-up), so that both begin
as nearly linear maps, and resampling by the filter [1, 2, 1].

The authors' run on CIFAR-10: two blocks for each size, 1x1 - 3x3 in groups - 1x1, β1 = 0, γ from
0.05 down to 0.005, learning rates from 2e-4 down to 5e-5 (cosine). Here one block with a dense 3x3,
constant γ, and, for a run of minutes, rates from 4e-3 down to 0. (Of one seed's trials 2e-3 and
8e-3 did worse.)
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes.recipe import Generator, Recipe, Settings

LATENT, WIDTH = 64, 16
TAPS = (1.0, 2.0, 1.0)


def block(rng: Generator, width: int) -> nn.Residual:
    """1x1, 3x3 and 1x1 convolutions beside the identity, which it is at first."""
    last = nn.Conv2d(width, width, kernel_size=1, bias=False, rng=rng)
    body = nn.Residual(
        nn.Conv2d(width, width, kernel_size=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(width, width, kernel_size=3, padding=1, rng=rng), nn.LeakyReLU(0.2), last,
    )  # fmt: skip
    nn.initial.kaiming_normal(body, rng=rng)
    last.weight.value[...] = 0
    return body


def one(rng: Generator, before: int, after: int) -> nn.Conv2d:
    """A 1x1 convolution that changes the number of channels."""
    return nn.Conv2d(before, after, kernel_size=1, rng=rng)


def generator(rng: Generator, width: int = WIDTH) -> nn.Sequential:
    """Latents (N, LATENT) to images (N, 16, 16, 1), without a bound on their values."""
    return nn.Sequential(
        nn.Linear(LATENT, 4 * 4 * 2 * width, rng=rng), nn.Reshape(4, 4, 2 * width),
        block(rng, 2 * width), nn.Interpolate(2, taps=TAPS), block(rng, 2 * width),
        one(rng, 2 * width, width), nn.Interpolate(2, taps=TAPS), block(rng, width),
        one(rng, width, 1),
    )  # fmt: skip


def discriminator(rng: Generator, width: int = WIDTH) -> nn.Sequential:
    """Images (N, 16, 16, 1) to logits (N, 1): the generator upside down."""
    return nn.Sequential(
        one(rng, 1, width), block(rng, width), nn.Downsample(2, taps=TAPS),
        one(rng, width, 2 * width), block(rng, 2 * width), nn.Downsample(2, taps=TAPS),
        block(rng, 2 * width), nn.Flatten(), nn.Linear(4 * 4 * 2 * width, 1, rng=rng),
    )  # fmt: skip


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """Both nets."""
    return generator(rng), discriminator(rng)


RECIPE = Recipe(
    name="r3gan",
    title="small digits, a relativistic pair with R1 and R2, no normalisation",
    source="Huang et al. 2024 (R3GAN), at a fraction of its size; γ = 1",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=1200,
        batch_size=64,
        lr_generator=4e-3,
        lr_discriminator=4e-3,
        beta1=0.0,
        beta2=0.99,
        objective="relativistic",
        penalties=("r1:1", "r2:1"),
        schedule="cosine",
        average=0.995,
    ),
    duration="about 0.11 s of processor time per step, 2 minutes in all",
)
