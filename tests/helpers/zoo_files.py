"""Small files in the place of those that datasets/make.py makes."""

import numpy

from minigan import data
from minigan.recipes.translation import Translation


def some_bytes(*shape):
    return numpy.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


FILES = {
    "emoji": {
        "twemoji": some_bytes(18, 32, 32, 3), "noto": some_bytes(18, 32, 32, 3),
        "labels": numpy.arange(18) % 9, "categories": numpy.array(list("abcdefghi")),
    },
    "cartoons64": {"images": some_bytes(3, 64, 64, 3)},
    "glyphs": {
        "images": some_bytes(15, 2, 28, 28), "characters": numpy.array(["0", "z"]),
        "fonts": numpy.array(
            [f"{f}|{s}|p" for f in "ABCDEFG" for s in ("Bold", "Regular")] + ["H|Regular|p"]
        ),
    },
    "kana": {
        "images": some_bytes(20, 28, 28), "labels": numpy.arange(20) % 10,
        "characters": numpy.array(list("おきすつなはまやれを")),
    },
}  # fmt: skip


def zoo_folder(root):
    """Write them all, and return their folder."""
    for name, arrays in FILES.items():
        numpy.savez(root / f"{name}.npz", **arrays)
    return root


def noise(recipe, count, labels, rng):
    """Return a data set of random numbers of the recipe's shape: images, sounds or films."""
    values = rng.integers(0, 256, (count, *recipe.sample_shape), dtype="uint8")
    kind = {2: data.Sounds, 4: data.Films}.get(len(recipe.sample_shape))
    if kind is not None:
        return kind("noise", (values / 127.5 - 1).astype("float32"), labels)
    return for_recipe(recipe, data.Dataset("noise", values, labels))


def samples_for(recipe, count):
    """Return data of the recipe's shape: its own where it comes with the package, else noise."""
    if recipe.makes_text:
        return data.text(recipe.data)
    if not recipe.makes_images:
        return data.distribution(recipe.data)
    labels = numpy.arange(count) % max(recipe.classes, 1)
    return noise(recipe, count, labels, numpy.random.default_rng(0))


def for_recipe(recipe, found):
    """Return a data set as it is, or paired with noise for a recipe from images to images."""
    if not isinstance(recipe, Translation):
        return found
    inputs = data.Dataset("inputs", some_bytes(len(found), *recipe.input_shape))
    return data.Pairs(inputs, found, aligned=recipe.aligned)
