"""The gradient penalty of WGAN-GP, but around the reals, where an overfitting D becomes steep."""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="dragan",
    title="small digits, gradient penalty around the reals",
    source="Kodali et al. 2017 (DRAGAN): λ = 10, neighbourhoods of half a standard deviation",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=5e-4,
        penalties=("dragan:10",),
        average=0.995,
    ),
    duration="about 45 s of processor time",
)
