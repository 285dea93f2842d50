"""A Wasserstein GAN with a gradient penalty in place of weight clipping.

The critic's gradient is pulled to norm 1 at points between reals and fakes.
"""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="wgan-gp",
    title="small digits, Wasserstein distance, gradient penalty",
    source=(
        "Gulrajani et al. 2017 (WGAN-GP), Algorithm 1: λ = 10, five critic steps; a larger "
        "learning rate, and β1 of 0.5 in place of 0"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=600,
        batch_size=64,
        lr_generator=5e-4,
        lr_discriminator=5e-4,
        beta1=0.5,
        beta2=0.9,
        objective="wasserstein",
        penalties=("gradient-penalty:10",),
        discriminator_steps=5,
        average=0.99,
    ),
    duration="about 46 s of processor time",
)
