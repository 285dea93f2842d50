"""Sentences by a Wasserstein GAN: G paints the probabilities of all words at once.

Words are discrete, but D sees vectors: one-hot ones of the data, and G's softmax. D could tell them
apart by that alone; as long as its slope is bounded, it still has something to say about which
words belong together, and G's vectors become one-hot as it learns.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import text
from minigan.recipes.recipe import Generator

LATENT, WIDTH = 64, 64


def networks(
    rng: Generator, noise: Generator, *, length: int, words: int
) -> tuple[nn.Layer, nn.Layer]:
    """Two nets of residual 1-D convolutions; G ends in a softmax over the words."""
    shape = {"length": length, "words": words, "width": WIDTH}
    return text.generator(rng, nn.Softmax(), inputs=LATENT, **shape), text.critic(rng, **shape)


RECIPE = text.TextRecipe(
    name="textgan",
    title="sentences of a small grammar, all words at once",
    source=(
        "Gulrajani et al. 2017 (WGAN-GP), section 5.5 and its code gan_language.py, with smaller "
        "nets, fewer steps of D and a larger learning rate"
    ),
    data="sentences",
    latent=Latent(LATENT),
    build=networks,
    settings=text.TextSettings(
        steps=12000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        beta1=0.5,
        beta2=0.9,
        objective="wasserstein",
        penalties=("gradient-penalty:10",),
        discriminator_steps=3,
        average=0.995,
        schedule="linear",
    ),
    duration="about 11 minutes of processor time",
)
