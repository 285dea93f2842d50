"""A variational autoencoder for comparison: no game, a single loss, blurrier samples."""

from minigan import backend, nn
from minigan.gan import BaseGame, Latent, VariationalAutoencoder
from minigan.recipes.recipe import ELBO, Generator, Recipe, Settings

LATENT = 16
NOISE = 0.3
"""Standard deviation assumed for each pixel."""


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """A decoder, 4 -> 8 -> 16 pixels, and an encoder to a mean and log variance per latent."""
    decoder = nn.Sequential(
        nn.Linear(LATENT, 4 * 4 * 64, rng=rng), nn.LeakyReLU(0.2), nn.Reshape(4, 4, 64),
        nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
    )  # fmt: skip
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 2 * LATENT, rng=rng),
    )  # fmt: skip
    return decoder, encoder


class Autoencoder(Recipe):
    """A recipe whose players are a decoder and an encoder with one loss."""

    def check(self, settings: Settings) -> None:
        """Check that no setting needs a discriminator."""
        adversary = settings.penalties or settings.smoothing or settings.discriminator_steps > 1
        if adversary or settings.objective != ELBO:
            raise ValueError(
                f"{self.name!r} has no discriminator; leave out objective, penalties, smoothing "
                "and discriminator_steps."
            )

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build the decoder and the encoder on their device, and their optimizers."""
        decoder, encoder = (net.to(device) for net in networks(weights, noise))
        return VariationalAutoencoder(
            decoder, encoder, **settings.movers(decoder, encoder), latent=self.latent, noise=NOISE
        )


RECIPE = Autoencoder(
    name="vae",
    title="small digits, a variational autoencoder",
    source="Kingma & Welling 2014, with Gaussian pixels of a fixed standard deviation",
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=2500,
        batch_size=64,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        beta1=0.9,
        objective="elbo",
    ),
    duration="about 33 s of processor time",
)
