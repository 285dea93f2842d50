"""Sentences of whole words: G draws each word, and the gradient goes straight through the draw.

In textgan D sees G's hesitation. Here G's last layer draws a word from its probabilities, so that D
sees exactly one-hot vectors as in the data; backward, the draw counts as the softmax of the same
numbers (see `minigan.nn.GumbelSoftmax`). That isn't the derivative, but points the same way.
"""

from minigan import nn
from minigan.gan import Latent
from minigan.recipes import text
from minigan.recipes.recipe import Generator

LATENT, WIDTH, TEMPERATURE = 64, 64, 1.0


def networks(
    rng: Generator, noise: Generator, *, length: int, words: int
) -> tuple[nn.Layer, nn.Layer]:
    """The nets of textgan, but G ends in one-hot draws."""
    shape = {"length": length, "words": words, "width": WIDTH}
    draws = nn.GumbelSoftmax(TEMPERATURE, hard=True, rng=noise)
    return text.generator(rng, draws, inputs=LATENT, **shape), text.critic(rng, **shape)


RECIPE = text.TextRecipe(
    name="gumbel-textgan",
    title="sentences of a small grammar, words drawn straight through",
    source=(
        "Kusner & Hernández-Lobato 2016 (GANs with the Gumbel-softmax); straight-through: Jang et "
        "al. 2017; loss and nets of textgan"
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
