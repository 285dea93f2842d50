"""A conditional GAN: G is told which digit to draw, D which digit it is looking at."""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

CLASSES = 10


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G gets the label as a one-hot vector beside z; D projects onto a learnt vector per label."""
    generator = nn.Sequential(nn.ConcatenateLabels(CLASSES), *nets.generator(rng, 64 + CLASSES))
    *body, _ = nets.critic(rng)
    discriminator = nn.Projection(
        nn.Sequential(*body), features=4 * 4 * 64, classes=CLASSES, rng=rng
    )
    return generator, discriminator


RECIPE = Recipe(
    name="cgan-digits",
    title="small digits, conditional on the label",
    source="Mirza & Osindero 2014 (conditional GAN); Miyato & Koyama 2018 (projection in D)",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=networks,
    settings=Settings(
        steps=3000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=5e-4,
        penalties=("r1:1",),
        average=0.995,
    ),
    duration="about 100 s of processor time",
    classes=CLASSES,
)
