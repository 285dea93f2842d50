"""A conditional GAN whose D isn't told the label but names it; G is rewarded where the name is what
it was told.

Such a G is in danger of drawing one picture for each label, since that is named most surely. Here
it does so if the label reaches it as a learnt vector of 16 numbers, with D normalised or not, and
not if the label is a one-hot vector.
"""

import numpy

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

CLASSES = 10


def networks(
    rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """G gets the label as a one-hot vector beside z; D gives a logit for real and one for each
    class.
    """
    generator = nn.Sequential(nn.ConcatenateLabels(CLASSES), *nets.generator(rng, 64 + CLASSES))
    return generator, nets.critic(rng, outputs=1 + CLASSES)


RECIPE = Recipe(
    name="acgan-digits",
    title="small digits, told which; D names them",
    source="Odena et al. 2017 (AC-GAN)",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=networks,
    settings=Settings(
        steps=1500, batch_size=64, lr_generator=5e-4, lr_discriminator=1e-3, average=0.995
    ),
    duration="about 33 s of processor time",
    classes=CLASSES,
    auxiliary=1.0,
)
