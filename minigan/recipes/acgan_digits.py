"""A conditional GAN whose D isn't given the label but predicts it (AC-GAN).

G is rewarded if D predicts the label that G was given. Such a G tends to draw a single picture for
each label, since a single picture is classified most reliably. Here this happens if G receives the
label as a learnt vector of 16 numbers, with or without normalisation in D, but not if it receives
the label as a one-hot vector.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

CLASSES = 10


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G gets the label as a one-hot vector beside z; D has a logit for real, and one per class."""
    generator = nn.Sequential(nn.ConcatenateLabels(CLASSES), *nets.generator(rng, 64 + CLASSES))
    return generator, nets.critic(rng, outputs=1 + CLASSES)


RECIPE = Recipe(
    name="acgan-digits",
    title="small digits, conditional on the label; D predicts it",
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
