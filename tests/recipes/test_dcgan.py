"""The recipe for pictures of any size."""

import json

import numpy
import pytest
from PIL import Image

from minigan import recipes
from minigan.recipes import dcgan
from minigan.runs import training
from minigan.runs.folder import open_run


def rng(seed=0):
    return numpy.random.default_rng(seed)


def pictures(folder, n=12, side=40):
    folder.mkdir()
    for i in range(n):
        pixels = rng(i).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


@pytest.mark.parametrize("size", dcgan.SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_depth_follows_from_the_size(size, channels):
    recipe = recipes.get("dcgan")
    settings = recipe.settings.changed(image_size=size, channels=channels, width=2)
    fitted = recipe.fitted(settings)
    game = fitted.game(settings, weights=rng(), noise=rng())
    images = game.sample(game.inputs(2, rng()))
    assert images.shape == (2, *fitted.sample_shape) == (2, size, size, channels)
    assert game.discriminator(images).shape == (2, 1)


def test_at_64_pixels_and_width_64_the_generator_is_the_papers():
    net = dcgan.generator(rng(), inputs=100, size=64, width=64, channels=3)
    shapes = [p.shape for name, p in net.parameters().items() if name.endswith("weight")]
    assert shapes == [
        (100, 4 * 4 * 512),
        *((4, 4, c // 2, c) for c in (512, 256, 128)),
        (4, 4, 3, 64),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 48}, "image_size must be one of 16, 32, 64, 128, got 48"),
        ({"channels": 2}, "channels must be one of 1, 3"),
        ({"width": 0}, "width must be a positive integer"),
        ({"crop": -1}, "crop must be an integer from 0"),
        ({"crop": 33}, "crop must be an integer from 0"),
    ],
)
def test_impossible_settings_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        recipes.get("dcgan").settings.changed(**changes)


def test_a_folder_of_colour_pictures_is_trained_sampled_and_opened_again(tmp_path):
    run = training.train(
        "dcgan", data_name=str(pictures(tmp_path / "mine")), out=tmp_path / "run", steps=2,
        batch_size=4, width=2, image_size=16, flip=True, crop=4, frames=0, progress=False,
    )  # fmt: skip
    opened = open_run(run)
    assert opened.recipe.sample_shape == (16, 16, 3)
    assert opened.sample(3).shape == (3, 16, 16, 3)
    assert opened.load_data().image_shape == (16, 16, 3)
    assert json.loads((run / "config.json").read_text())["settings"]["crop"] == 4


def test_other_recipes_have_no_image_size():
    with pytest.raises(ValueError, match="image_size"):
        training.train("digits", image_size=32)
