"""The recipe for pictures of any size, and its random flips and crops."""

import json

import numpy
import pytest
from PIL import Image

from minigan import data, recipes
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


# ---------------------------------------------------------------- flips and crops


def numbered(n=8, side=6):
    """Pictures in which every pixel of every picture has a value of its own."""
    pixels = numpy.arange(n * side * side).reshape(n, side, side, 1) % 251
    return data.Dataset("numbered", pixels.astype("uint8"))


def test_crops_are_windows_of_the_larger_pictures():
    whole = numbered()
    batches = data.VariedBatches(data.roomy(whole, 2), 4, rng())
    windows = {
        whole.images[i, y : y + 4, x : x + 4].tobytes()
        for i in range(8) for y in range(3) for x in range(3)
    }  # fmt: skip
    seen = {((image + 1) * 127.5).round().astype("uint8").tobytes()
            for _ in range(12) for image in next(batches)[0]}  # fmt: skip
    assert seen <= windows
    assert len(seen) > 24  # most of the 72 windows differ; without crops there would be 8


def test_the_centres_are_what_everybody_else_sees():
    roomy = data.roomy(numbered(), 2)
    numpy.testing.assert_array_equal(roomy.images, roomy.whole[:, 1:5, 1:5])
    assert roomy.image_shape == (4, 4, 1)


def test_half_of_the_pictures_are_mirrored():
    plain = numbered(n=200)
    batches = data.VariedBatches(plain, 200, rng(), flip=True)
    batch, _ = next(batches)
    known = {plain.batch([i]).tobytes() for i in range(200)}
    kept = sum(image.tobytes() in known for image in batch)
    mirrored = sum(image[:, ::-1].tobytes() in known for image in batch)
    assert kept + mirrored == 200
    assert 70 < kept < 130


def test_varied_batches_resume_bit_for_bit_and_keep_their_labels():
    labelled = data.Dataset("l", numbered().images, labels=numpy.arange(8))
    batches = data.VariedBatches(data.roomy(labelled, 2), 4, rng(), flip=True)
    next(batches)
    state = json.loads(json.dumps(batches.state_dict(), default=numpy.ndarray.tolist))
    again = data.VariedBatches(data.roomy(labelled, 2), 4, rng(5), flip=True)
    again.load_state_dict(state)
    for _ in range(3):
        (a, labels), (b, same) = next(batches), next(again)
        numpy.testing.assert_array_equal(a, b)
        numpy.testing.assert_array_equal(labels, same)


def test_a_crop_larger_than_the_pictures_is_refused():
    with pytest.raises(ValueError, match="can't be cropped by 6"):
        data.roomy(numbered(), 6)
