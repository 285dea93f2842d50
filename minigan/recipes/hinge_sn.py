"""The hinge loss with spectral normalisation, which bounds the Lipschitz constant of D."""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="hinge-sn",
    title="small digits, hinge loss, spectral norm",
    source="Miyato et al. 2018 (SN-GAN); the hinge loss of Lim & Ye 2017",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        objective="hinge",
        penalties=("spectral-norm",),
        average=0.995,
    ),
    duration="about 66 s of processor time",
)
