"""Outlines become coloured faces: pix2pix, with G a U-Net and D a judge of patches."""

from __future__ import annotations

from dataclasses import dataclass

from minigan import backend
from minigan.gan import BaseGame, ImageToImage, objective
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Settings
from minigan.recipes.translation import Translation, TranslationSettings, patches, unet


@dataclass(frozen=True, kw_only=True)
class Pix2Pix(Translation):
    """A recipe of pix2pix.

    Attributes
    ----------
    width, levels
        Channels of the U-Net's largest map, and how often it halves the image.
    halvings
        How often D halves the image.
    """

    width: int = 32
    levels: int = 4
    halvings: int = 1

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build G and D on their device, and their optimizers."""
        a, b = self.input_shape[2], self.sample_shape[2]
        G = unet(weights, noise, inputs=a, outputs=b, width=self.width, levels=self.levels)
        D = patches(weights, channels=a + b, width=self.width // 2, halvings=self.halvings)
        nets.drawn(G, D, weights)
        G.to(device)
        D.to(device)
        return ImageToImage(
            G, D, **settings.movers(G, D),
            objective=objective(settings.objective, smoothing=settings.smoothing),
            l1=getattr(settings, "l1", 100.0), adversarial=getattr(settings, "adversarial", 1.0),
        )  # fmt: skip


RECIPE = Pix2Pix(
    name="pix2pix",
    title="outlines of faces become coloured faces",
    source="Isola et al. 2017 (pix2pix), with smaller nets; D with half of G's learning rate",
    data="avatars-edges",
    input_shape=(16, 16, 1),
    sample_shape=(16, 16, 3),
    settings=TranslationSettings(
        steps=4000, batch_size=16, lr_discriminator=1e-4, schedule="linear:0.5"
    ),
    duration="about 0.03 s of processor time per step, 2 minutes in all",
)
