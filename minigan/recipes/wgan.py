"""The original Wasserstein GAN: a critic with clipped weights, five steps of it for each of G.

There are two departures from the paper: its learning rates of 5e-5 are raised tenfold, because with
them the samples are still smudges after 2,000 steps; and samples come from an average of G's
weights.
"""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="wgan",
    title="small digits, Wasserstein distance, clipped weights",
    source=(
        "Arjovsky et al. 2017 (WGAN), Algorithm 1: RMSprop, clip 0.01, five critic steps; tenfold "
        "learning rates"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=1000,
        batch_size=64,
        lr_generator=5e-4,
        lr_discriminator=5e-4,
        optimizer="rmsprop",
        objective="wasserstein",
        penalties=("clip-weights:0.01",),
        discriminator_steps=5,
        average=0.99,
    ),
    duration="about 60 s of processor time",
)
