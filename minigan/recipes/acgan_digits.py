"""A conditional GAN whose D isn't told the label but names it; G is rewarded where the name is what it was told."""

import numpy

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import small
from minigan.recipes.recipe import Recipe, Settings

CLASSES, FEATURES = 10, 16


def networks(rng: numpy.random.Generator, noise: numpy.random.Generator) -> tuple[nn.Layer, nn.Layer]:
    """G gets a learnt vector of the label beside z; D gives a logit for real and one for each class."""
    told = nn.ConcatenateLabels(CLASSES, features=FEATURES, rng=rng)
    return nn.Sequential(told, *small.generator(rng, 64 + FEATURES)), small.critic(rng, outputs=1 + CLASSES)


RECIPE = Recipe(
    name="acgan-digits",
    title="small digits, told which; D names them",
    source="Odena et al. 2017 (AC-GAN)",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=5e-4,
        penalties=("spectral-norm",),
        average=0.995,
    ),
    duration="not timed yet",
    classes=CLASSES,
    auxiliary=1.0,
)
