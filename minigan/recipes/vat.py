"""Virtual adversarial training of D: its output should hardly change in the worst direction."""

from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings

RECIPE = Recipe(
    name="vat",
    title="small digits, virtual adversarial training of D",
    source="Miyato et al. 2018b (VAT), applied to D; an exact direction, no finite difference",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    networks=nets.networks,
    settings=Settings(
        steps=2000,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=5e-4,
        penalties=("vat:1",),
        average=0.995,
    ),
    duration="about 65 s of processor time",
)
