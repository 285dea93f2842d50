"""The trainable GANs, one short file each, and the functions that list and find them."""

import difflib
import importlib

from minigan.recipes.recipe import Recipe, Settings

MODULES = (
    "ring",
    "parabola",
    "digits",
    "mnist_mlp",
    "mnist",
    "mnist_dcgan",
    "cgan_digits",
    "acgan_digits",
    "infogan",
    "ssgan_digits",
    "vae",
    "ddpm_digits",
    "lsgan",
    "wgan",
    "wgan_gp",
    "hinge_sn",
    "dragan",
    "r1",
    "r3gan",
    "sagan",
    "vat",
    "cgan_mnist",
    "stacked_mnist",
    "fashion_dcgan",
    "dcgan",
    "dcgan_cifar",
    "sngan_cifar",
    "cgan_cifar",
    "pix2pix",
    "pix2pix_glyphs",
    "pix2pix_emoji",
    "inpaint",
    "cyclegan",
    "progressive",
    "stylegan",
    "textgan",
    "gumbel_textgan",
    "seqgan_lite",
    "wavegan_tones",
    "wavegan_digits",
    "moving_digits",
)
"""The modules of the recipes, in the order in which to try them."""


def names() -> tuple[str, ...]:
    """Return the names of all recipes."""
    return tuple(module.replace("_", "-") for module in MODULES)


def get(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    ValueError
        If there is no recipe of this name; the error suggests a similar one.
    """
    if name not in names():
        near = difflib.get_close_matches(name.lower(), names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"Unknown recipe {name!r}{hint} `minigan recipes` lists them all.")
    recipe: Recipe = importlib.import_module(f"minigan.recipes.{name.replace('-', '_')}").RECIPE
    return recipe


__all__ = ["MODULES", "Recipe", "Settings", "get", "names"]
