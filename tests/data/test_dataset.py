import json

import numpy
import pytest

from minigan.data import Batches, Dataset, roomy


def rng(seed=0):
    return numpy.random.default_rng(seed)


def numbered(n=10, **more):
    images = numpy.broadcast_to(
        numpy.arange(n, dtype=numpy.uint8)[:, None, None, None], (n, 2, 3, 1)
    ).copy()
    return Dataset(
        name="numbered", images=images, labels=numpy.arange(n, dtype=numpy.int64), **more
    )


def test_bytes_become_minus_one_to_one_exactly_and_stay_bytes_at_rest():
    images = numpy.arange(256, dtype=numpy.uint8).reshape(256, 1, 1, 1)
    dataset = Dataset(name="ramp", images=images)
    batch = dataset.batch(numpy.arange(256))
    assert dataset.images is images
    assert batch.dtype == numpy.float32
    assert batch.ravel()[0] == -1
    assert batch.ravel()[-1] == 1
    nearest = (numpy.arange(256) / 127.5 - 1).astype(numpy.float32)
    numpy.testing.assert_array_equal(batch.ravel(), nearest)


def test_batch_takes_the_images_named_in_order_as_a_copy():
    images = rng().uniform(-1, 1, (5, 4, 3, 2)).astype(numpy.float32)
    dataset = Dataset(name="floats", images=images)
    batch = dataset.batch([3, 0, 3])
    numpy.testing.assert_array_equal(batch, images[[3, 0, 3]])
    batch[...] = 0
    assert numpy.all(dataset.batch([3]) == images[3])
    assert images[3].any()
    assert len(dataset) == 5
    assert dataset.image_shape == (4, 3, 2)
    with pytest.raises(IndexError):
        dataset.batch([5])


@pytest.mark.parametrize(
    ("count", "side", "channels", "shown"),
    [(20, 16, 1, 12), (3, 16, 3, 3), (1, 64, 1, 1), (2, 65, 3, 2), (2, 33, 1, 2), (2, 32, 1, 2)],
)
def test_a_notebook_shows_some_images_side_by_side(count, side, channels, shown):
    from io import BytesIO

    from PIL import Image

    images = numpy.zeros((count, side, side + 1, channels), "uint8")
    images[...] = numpy.arange(count)[:, None, None, None]
    with Image.open(BytesIO(Dataset("shown", images)._repr_png_())) as picture:
        scale = max(64 // side, 1)
        assert picture.size == (shown * (side + 1) * scale, side * scale)
        assert picture.mode == ("L" if channels == 1 else "RGB")
        row = numpy.asarray(picture).reshape(picture.size[1], picture.size[0], -1)[0, :, 0]
    expected = numpy.linspace(0, count - 1, shown).astype(int)
    numpy.testing.assert_array_equal(row[:: (side + 1) * scale], expected)


def test_sample_draws_different_images():
    drawn = numbered().sample(10, rng())
    assert sorted(numpy.rint((drawn[:, 0, 0, 0] + 1) * 127.5)) == list(range(10))
    numpy.testing.assert_array_equal(drawn, numbered().sample(10, rng()))
    for n in (0, 11):
        with pytest.raises(ValueError, match=f"cannot draw {n} different images from 'numbered'"):
            numbered().sample(n, rng())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (numpy.zeros((3, 4, 4), numpy.uint8), r"shape \(3, 4, 4\)"),
        (numpy.zeros((0, 4, 4, 1), numpy.uint8), "non-empty"),
        (numpy.zeros((3, 4, 4, 1)), "are float64"),
        (numpy.full((3, 4, 4, 1), 1.5, numpy.float32), r"span 1\.5 to 1\.5"),
        (numpy.full((3, 4, 4, 1), numpy.nan, numpy.float32), "span nan"),
    ],
)
def test_images_of_the_wrong_form_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        Dataset(name="wrong", images=images)


@pytest.mark.parametrize(
    "labels",
    [
        numpy.zeros(2, numpy.int64),
        numpy.zeros(3),
        numpy.zeros((3, 1), int),
        [0, 1],
        [0, 1, -1],
        ["a", "b", "c"],
        3,
    ],
)
def test_labels_of_the_wrong_form_are_refused(labels):
    with pytest.raises(ValueError, match=r"int64 of shape \(3,\) is needed"):
        Dataset(name="wrong", images=numpy.zeros((3, 2, 2, 1), numpy.uint8), labels=labels)


@pytest.mark.parametrize("kind", [list, tuple, numpy.uint8, numpy.int32, numpy.int64])
def test_labels_of_any_integers_are_taken(kind):
    labels = kind([2, 0, 1]) if kind in (list, tuple) else numpy.array([2, 0, 1], kind)
    dataset = Dataset("three", numpy.zeros((3, 2, 2, 1), numpy.uint8), labels=labels)
    assert dataset.labels.dtype == numpy.int64
    assert dataset.labels.tolist() == [2, 0, 1]
    assert next(Batches(dataset, 3, rng()))[1].dtype == numpy.int64


def test_images_in_a_list_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="are list: an array of uint8 or float32 is needed"):
        Dataset("list", [[[[0]]]])


def test_an_epoch_serves_every_image_once_with_its_label_and_drops_the_rest():
    batches = Batches(numbered(), 3, rng())
    assert batches.per_epoch == 3
    assert batches.epoch == 0
    orders = []
    for epoch in (1, 2, 3):
        seen = []
        for _ in range(3):
            images, labels = next(batches)
            assert images.shape == (3, 2, 3, 1)
            numpy.testing.assert_array_equal(numpy.rint((images[:, 0, 0, 0] + 1) * 127.5), labels)
            seen += labels.tolist()
        assert batches.epoch == epoch
        assert len(set(seen)) == 9
        orders.append(tuple(seen))
    assert len(set(orders)) == 3


def test_batch_size_may_be_the_whole_set():
    batches = Batches(numbered(), 10, rng())
    assert sorted(next(batches)[1].tolist()) == list(range(10))
    assert sorted(next(batches)[1].tolist()) == list(range(10))


def test_arrays_of_points_are_served_as_they_are():
    points = rng().standard_normal((8, 2))
    served, labels = next(Batches(points, 8, rng()))
    assert labels is None
    assert served.dtype == numpy.float64
    numpy.testing.assert_array_equal(numpy.sort(served, axis=0), numpy.sort(points, axis=0))


def test_images_without_labels_give_none():
    dataset = Dataset(name="plain", images=numpy.zeros((4, 2, 2, 1), numpy.uint8))
    assert next(iter(Batches(dataset, 2, rng())))[1] is None


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7])
def test_a_resumed_stream_continues_bit_for_bit(steps):
    first = Batches(numbered(), 3, rng(1))
    for _ in range(steps):
        next(first)
    state = first.state_dict()
    through_json = json.loads(json.dumps({**state, "permutation": state["permutation"].tolist()}))
    expected = [next(first) for _ in range(8)]
    for saved in (state, through_json):
        second = Batches(numbered(), 3, rng(99))
        second.load_state_dict(saved)
        assert second.epoch == state["epoch"]
        for images, labels in expected:
            got_images, got_labels = next(second)
            numpy.testing.assert_array_equal(got_images, images)
            numpy.testing.assert_array_equal(got_labels, labels)
        assert second.epoch == first.epoch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"permutation": numpy.arange(9)}, "does not permute 10 examples"),
        ({"permutation": numpy.zeros(10, int)}, "does not permute 10 examples"),
        ({"position": 11}, "at position 11"),
        ({"position": -1}, "at position -1"),
        ({"rng": numpy.random.MT19937(0).state}, "MT19937 generator.*not PCG64"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    batches, twin = Batches(numbered(), 3, rng()), Batches(numbered(), 3, rng())
    next(batches)
    next(twin)
    with pytest.raises(ValueError, match=message):
        batches.load_state_dict({**Batches(numbered(), 3, rng(5)).state_dict(), **change})
    for _ in range(6):
        numpy.testing.assert_array_equal(next(batches)[1], next(twin)[1])


def test_an_incomplete_state_says_what_it_lacks():
    with pytest.raises(ValueError, match="lacks epoch, position, rng"):
        Batches(numbered(), 3, rng()).load_state_dict({"permutation": numpy.arange(10)})


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "batch_size is 0: it must be at least 1"),
        (-2, "is -2"),
        (11, "is 11 but there are only 10"),
    ],
)
def test_impossible_batch_sizes_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        Batches(numbered(), size, rng())


def test_wrong_types_are_refused():
    with pytest.raises(TypeError, match=r"rng is int, but needs to be a numpy\.random\.Generator"):
        Batches(numbered(), 2, 0)
    with pytest.raises(TypeError, match="array of int64 and needs floats"):
        Batches(numpy.zeros((4, 2), numpy.int64), 2, rng())
    images = numpy.zeros((4, 2, 2, 1), numpy.float32)
    for wrong in ((images, numpy.zeros(4)), [images], {"images": images}, None):
        with pytest.raises(TypeError, match=r"needs an array, a Dataset or a Text: for images wi"):
            Batches(wrong, 2, rng())


def test_what_is_known_of_a_data_set_is_known_of_its_centres_too():
    whole = numbered(source="a folder", class_names=tuple("abcdefghij"), notes=("one", "two"))
    centres = roomy(whole, 1)
    assert (centres.name, centres.source) == ("numbered", "a folder")
    assert centres.notes == ("one", "two")
    assert centres.class_names == whole.class_names
    numpy.testing.assert_array_equal(centres.labels, whole.labels)
