"""The simplest gradient penalty: zero gradient at the reals, so that a perfect G stays put."""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="r1",
    title="small digits, R1 penalty",
    source="Mescheder et al. 2018, equation 9 (with its ½); γ = 1",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        beta1=0.0,
        beta2=0.99,
        penalties=("r1:1",),
        average=0.995,
    ),
    duration="about 45 s of processor time",
)
