"""The first Wasserstein GAN: a critic whose weights are kept in a box, five steps of it for each of G."""

from minigan.gan import Latent
from minigan.recipes import small
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="wgan",
    title="small digits, Wasserstein distance, clipped weights",
    source="Arjovsky et al. 2017 (WGAN), Algorithm 1: RMSprop 5e-5, clip 0.01, five critic steps",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=small.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=5e-5,
        lr_discriminator=5e-5,
        optimizer="rmsprop",
        objective="wasserstein",
        penalties=("clip-weights:0.01",),
        discriminator_steps=5,
    ),
    duration="not timed yet",
)
