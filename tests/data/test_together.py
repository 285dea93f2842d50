"""Parts of the data room beside each other: splits, masks, labels beside files, crops, stacks."""

import io
import struct
import zipfile

import numpy
import pytest

from minigan import data, metrics

RNG = numpy.random.default_rng


def test_images_held_out_in_an_npz_get_the_labels_held_out_beside_it(tmp_path):
    x = RNG(0).integers(0, 256, (6, 8, 8), "uint8")
    numpy.savez(tmp_path / "my-imgs.npz", x_train=x[:4], x_test=x[4:])
    numpy.savez(tmp_path / "my-labels.npz", y_train=[0, 1, 2, 0], y_test=[2, 1])
    test = data.load(tmp_path / "my-imgs.npz", split="test")
    assert test.labels.tolist() == [2, 1]
    assert data.load(tmp_path / "my-imgs.npz").labels.tolist() == [0, 1, 2, 0]
    numpy.savez(tmp_path / "my-labels.npz", y_train=[0, 1, 2, 0])
    assert data.load(tmp_path / "my-imgs.npz", split="test").labels is None
    (tmp_path / "my-labels.npz").unlink()
    numpy.save(tmp_path / "my-labels.npy", [0, 1, 2, 0])
    assert data.load(tmp_path / "my-imgs.npz", split="test").labels is None


def named(labels, names):
    images = numpy.full((len(labels), 8, 8, 1), 0, "uint8")
    for image, label in zip(images, labels, strict=True):
        image[...] = {"cat": 0, "dog": 128, "fox": 255}.get(names[label], 60)
    return data.Dataset("-".join(names), images, numpy.array(labels), class_names=names)


def test_classes_of_the_test_images_are_those_of_the_same_name():
    train = named([0, 1, 2] * 8, ("cat", "dog", "fox"))
    test = named([0, 1] * 8, ("dog", "fox"))
    assert metrics.train_classifier(train, test, steps=150).accuracy == 1
    with pytest.raises(ValueError, match="class 'owl'"):
        metrics.train_classifier(train, named([0, 1], ("owl", "fox")), steps=1)


def test_a_kept_classifier_is_that_of_the_numbered_classes(tmp_path):
    train, test = named([0, 1, 2] * 8, ("cat", "dog", "fox")), named([0, 1] * 8, ("dog", "fox"))
    keys = {metrics.classifier_for(train, test, cache_dir=tmp_path).key for _ in range(2)}
    assert len(keys) == 1


def test_a_split_keeps_pictures_and_their_margins_together():
    digits = data.digits()
    room = data.roomy(digits, 4)
    train, test = metrics.split(room)
    for part in (train, test):
        assert len(part.whole) == len(part)
        numpy.testing.assert_array_equal(part.whole[:, 2:-2, 2:-2], part.images)


def test_a_mask_chooses_and_what_is_no_index_is_refused():
    digits = data.digits()
    mask = digits.labels == 3
    numpy.testing.assert_array_equal(digits.batch(mask), digits.batch(numpy.flatnonzero(mask)))
    assert digits.batch([]).shape == (0, 16, 16, 1)
    for wrong in ([0.9, 1.9], mask[:5]):
        with pytest.raises(TypeError, match="give integers, or a mask"):
            digits.batch(wrong)
    text = data.text("sentences")
    with pytest.raises(TypeError, match="give integers, or a mask"):
        text.batch([0.5])


def picture(*size):
    from PIL import Image

    return Image.fromarray(RNG(0).integers(0, 256, (*size, 3), "uint8"))


def test_a_zip_whose_names_begin_with_a_dot_for_here(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("./", b"")
        for name in ("./cat/1.png", "./dog/1.png"):
            buffer = io.BytesIO()
            picture(8, 8).save(buffer, "PNG")
            file.writestr(name, buffer.getvalue())
    loaded = data.load(tmp_path / "x.zip", image_shape=(8, 8, 3))
    assert loaded.class_names == ("cat", "dog")


def test_a_turned_photo_with_an_odd_tag_is_turned(tmp_path):
    """Pillow can't write such EXIF data anew; nobody asks it to."""
    tags = struct.pack(">2sHLH", b"MM", 42, 8, 2)
    tags += struct.pack(">HHL4s", 0x102, 2, 4, b"8 8\0") + struct.pack(
        ">HHLHHL", 0x112, 3, 1, 6, 0, 0
    )
    picture(8, 12).save(tmp_path / "a.png", exif=b"Exif\0\0" + tags)
    loaded = data.image_folder(tmp_path, size=(12, 8), channels=3)
    turned = numpy.rot90(numpy.asarray(picture(8, 12)), -1)
    numpy.testing.assert_array_equal(loaded.images[0], turned)


def test_what_nobody_hears_stays_silent(tmp_path):
    from minigan.data.sounds import _loud

    waves = numpy.array([[1e-39, 0], [1e-6, -1e-6], [0.1, -0.2]], "float32")
    scaled = _loud(waves)
    assert numpy.isfinite(scaled).all()
    assert abs(scaled[:2]).max() < 1e-5
    assert abs(scaled[2]).max() == pytest.approx(0.9)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_stacks_are_resized_and_cropped_as_other_images(dtype):
    digits = data.digits()
    images = digits.images if dtype == "uint8" else digits.batch(numpy.arange(len(digits)))
    digits = data.Dataset("digits", images, digits.labels)
    stacks = data.stack(digits, 5, rng=RNG(0))
    plain = data.Dataset("plain", stacks.images[:], stacks.labels)
    numpy.testing.assert_array_equal(
        data.fit(stacks, (32, 32, 3)).images, data.fit(plain, (32, 32, 3)).images
    )
    ours, theirs = (data.roomy(d, 2) for d in (stacks, plain))
    numpy.testing.assert_array_equal(ours.images[:], theirs.images)
    batches = [next(data.VariedBatches(d, 4, RNG(1), flip=True)) for d in (ours, theirs)]
    for a, b in zip(*batches, strict=True):
        numpy.testing.assert_array_equal(a, b)
    indices = [
        (1, 2), (slice(1, 3), 2, slice(3)), (numpy.array([3, 1]), slice(2), 4, 0), (..., 0),
        (slice(None), slice(2), slice(3), None), (numpy.array([0, 1]), numpy.array([2, 3])), (),
        (2, slice(1, 5), slice(2, 9)), (1, ..., 2), (1, numpy.array([0, 3])), (slice(None), slice(2), slice(2), slice(2)),
    ]  # fmt: skip
    for index in indices:
        numpy.testing.assert_array_equal(stacks.images[index][...], plain.images[index])


def test_stacks_need_ten_classes():
    letters = data.Dataset("letters", numpy.zeros((12, 8, 8, 1), "uint8"), numpy.arange(12))
    with pytest.raises(ValueError, match="labels from 0 to 9, but 'letters' has 11"):
        data.stack(letters, 5, rng=RNG(0))


@pytest.mark.parametrize("hole", ["", "NA", "?"])
def test_a_hole_in_the_first_row_is_no_name(tmp_path, hole):
    for row in (f"1.5,{hole}", f"{hole},4.5"):
        (tmp_path / "t.csv").write_text(f"{row}\n3,4\n5,6\n")
        with pytest.raises(data.DataError, match="cannot be read as a table of numbers"):
            data.load(tmp_path / "t.csv")


def test_a_spectrogram_needs_a_hop():
    with pytest.raises(ValueError, match="shorter than a hop of 64"):
        data.spectrogram(numpy.zeros((1, 32, 1), "float32"))
