"""Stacked digits: three on each other, put together when they are asked for."""

import gzip

import numpy
import pytest

from minigan import data


def rng(seed=0):
    return numpy.random.default_rng(seed)


def test_a_stack_is_three_images_and_its_label_their_number():
    digits = data.digits()
    stacked = data.stack(digits, 50, rng=rng())
    assert stacked.image_shape == (16, 16, 3)
    assert len(stacked) == 50
    images = stacked.batch([7, 3])
    assert images.dtype == numpy.float32
    chosen = rng().integers(0, len(digits), (50, 3))
    for image, index in zip(images, (7, 3), strict=True):
        for channel in range(3):
            assert numpy.array_equal(
                image[..., channel], digits.images[chosen[index, channel], ..., 0]
            )
        hundreds, tens, ones = digits.labels[chosen[index]]
        assert stacked.labels[index] == 100 * hundreds + 10 * tens + ones


def test_nothing_is_put_together_before_it_is_asked_for():
    digits = data.digits()
    many = data.stack(digits, 1_000_000, rng=rng())
    assert (
        many.images.planes.base is digits.images
        or many.images.planes.nbytes == digits.images.nbytes
    )
    assert many.batch(numpy.arange(4)).shape == (4, 16, 16, 3)
    assert numpy.unique(many.labels).size == 1000


def test_the_seed_decides():
    digits = data.digits()
    assert numpy.array_equal(
        data.stack(digits, 9, rng=rng(1)).labels, data.stack(digits, 9, rng=rng(1)).labels
    )
    assert not numpy.array_equal(
        data.stack(digits, 9, rng=rng(1)).labels, data.stack(digits, 9, rng=rng(2)).labels
    )


def test_minibatches_and_samples():
    stacked = data.stack(data.digits(), 20, rng=rng())
    images, labels = next(data.Batches(stacked, 8, rng()))
    assert images.shape == (8, 16, 16, 3)
    assert images.flags.c_contiguous
    assert labels.shape == (8,)
    assert stacked.sample(5, rng()).shape == (5, 16, 16, 3)


@pytest.fixture
def folder(tmp_path):
    """Files as MNIST's, of a few images."""
    for split, n in (("train", 30), ("t10k", 10)):
        images = rng(n).integers(0, 256, (n, 28, 28), dtype="uint8")
        for kind, array in (
            ("images-idx3", images),
            ("labels-idx1", numpy.arange(n, dtype="uint8") % 10),
        ):
            data.write_idx(tmp_path / "plain", array)
            (tmp_path / f"{split}-{kind}-ubyte.gz").write_bytes(
                gzip.compress((tmp_path / "plain").read_bytes())
            )
    return tmp_path


def test_by_name(folder):
    stacked = data.load("stacked-mnist", image_shape=(28, 28, 3), data_dir=folder)
    assert stacked.name == "stacked-mnist"
    assert len(stacked) == 128_000
    assert stacked.images.dtype == numpy.uint8
    assert stacked.batch([0]).shape == (1, 28, 28, 3)
    assert len(data.load("stacked-mnist", data_dir=folder, split="test")) == 26_000


def test_refusals():
    digits = data.digits()
    with pytest.raises(ValueError, match="needs n >= 1"):
        data.stack(digits, 0, rng=rng())
    with pytest.raises(ValueError, match="grey images with labels"):
        data.stack(data.Dataset(name="mine", images=digits.images), 3, rng=rng())
