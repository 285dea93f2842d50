"""Flips and crops at random: windows of the pictures, some mirrored, resumed bit for bit."""

import json

import numpy
import pytest

from minigan import data


def rng(seed=0):
    return numpy.random.default_rng(seed)


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


@pytest.mark.parametrize(("crop", "window"), [(0, slice(6)), (2, slice(1, 5)), (3, slice(1, 4))])
def test_the_centres_are_what_everybody_else_sees(crop, window):
    wide = data.Dataset("wide", numbered(side=8).images[:, :6])
    roomy = data.roomy(wide, crop)
    columns = slice(window.start, window.stop + 2)
    numpy.testing.assert_array_equal(roomy.images, wide.images[:, window, columns])
    assert roomy.image_shape == (6 - crop, 8 - crop, 1)
    assert roomy.whole is wide.images
    assert roomy.crop == crop


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


@pytest.mark.parametrize("flip", [False, True])
def test_crops_go_with_the_labels_of_their_pictures(flip):
    numbers = numpy.arange(12)
    plain = numpy.broadcast_to(numbers[:, None, None, None], (12, 6, 6, 1)).astype("uint8")
    labelled = data.roomy(data.Dataset("plain", plain, labels=numbers), 2)
    batches = data.VariedBatches(labelled, 5, rng(), flip=flip)
    for _ in range(4):
        x, labels = next(batches)
        shown = ((x + 1) * 127.5).round().astype(int)
        assert (shown == labels[:, None, None, None]).all()


@pytest.mark.parametrize("crop", [-1, 6])
def test_a_crop_that_leaves_nothing_or_adds_something_is_refused(crop):
    with pytest.raises(ValueError, match=f"can't be cropped by {crop}"):
        data.roomy(numbered(), crop)
