"""Least squares instead of cross entropy: D's outputs have finite targets."""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="lsgan",
    title="small digits, least squares",
    source="Mao et al. 2017 (LSGAN), equation 9: a = 0, b = c = 1",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=5e-4,
        objective="least-squares",
        average=0.995,
    ),
    duration="about 58 s of processor time",
)
