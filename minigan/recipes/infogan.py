"""InfoGAN: without a single label, each of ten codes comes to stand for a kind of digit."""

from minigan import backend, nn
from minigan.gan import BaseGame, InformationGame, Latent, objective, tame
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

CATEGORIES, NUMBERS, LATENT = 10, 2, 64


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G gets the category one-hot beside z; D's verdict and Q's guesses share all but the last
    layers.
    """
    generator = nn.Sequential(
        nn.ConcatenateLabels(CATEGORIES), *nets.generator(rng, LATENT + CATEGORIES)
    )
    verdict = nn.Linear(4 * 4 * 64, 1, rng=rng)
    guess = nn.Sequential(
        nn.Linear(4 * 4 * 64, 64, bias=False, rng=rng), nn.BatchNorm(64), nn.LeakyReLU(0.1),
        nn.Linear(64, CATEGORIES + NUMBERS, rng=rng),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, **nets.HALVE, rng=rng), nn.LeakyReLU(0.1),
        nn.Conv2d(32, 64, **nets.HALVE, bias=False, rng=rng), nn.BatchNorm(64),
        nn.LeakyReLU(0.1), nn.Flatten(), nn.Branches(verdict, guess),
    )  # fmt: skip
    nn.initial.normal(discriminator, rng=rng)
    return generator, discriminator


class InfoGAN(Recipe):
    """A recipe whose labels are codes that the game draws."""

    def check(self, settings: Settings) -> None:
        """Check that the settings make sense, see `Recipe.check`."""
        super().check(settings)
        self.refuse(settings, ("virtual-batch-norm",), "whose G is told codes besides z")

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build both players on their device, and their optimizers."""
        G, D = networks(weights, noise)
        taming = tame(D, settings.penalties, rng=noise)
        G.to(device)
        taming.discriminator.to(device)
        return InformationGame(
            G, taming.discriminator, **settings.movers(G, taming.discriminator),
            **taming.pulls(generator=G, discriminator=taming.discriminator),
            objective=objective(settings.objective, smoothing=settings.smoothing),
            penalties=taming.penalties, before_step=taming.before_step,
            after_discriminator_step=taming.after_discriminator_step,
            feature_matching=taming.feature_matching, latent=self.latent,
            discriminator_steps=settings.discriminator_steps, categories=self.classes,
            numbers=NUMBERS, information=self.auxiliary,
        )  # fmt: skip


RECIPE = InfoGAN(
    name="infogan",
    title="small digits, sorted without labels",
    source=(
        "Chen et al. 2016 (InfoGAN); the authors' z (U(-1, 1), ten categories, two numbers) and "
        "learning rates, with smaller nets"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(LATENT, kind="uniform"),
    networks=networks,
    settings=Settings(
        steps=3000, batch_size=64, lr_generator=1e-3, lr_discriminator=2e-4, average=0.995
    ),
    duration="about 85 s of processor time",
    classes=CATEGORIES,
    auxiliary=1.0,
    invented=True,
)
