"""Files that are a little unlike what was expected: read as they are meant, or told."""

import numpy
import pytest
from PIL import Image

from minigan import data
from minigan.data.errors import DataError

GREY = (8, 8, 1)


def picture(path, value, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numpy.full((8, 8), value, "u1")).convert(mode).save(path)


def test_two_pictures_of_one_name_cant_be_paired(tmp_path):
    for kind in "ab":
        for i in range(6):
            for ending in ("png", "bmp"):
                picture(tmp_path / kind / f"{i}.{ending}", i)
    with pytest.raises(DataError, match="several pictures '0', with different endings"):
        data.pairs(str(tmp_path), a_shape=GREY, b_shape=GREY)


def test_a_folder_test_beside_train_is_the_test_split_of_sounds(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for i in range(count):
            (tmp_path / split).mkdir(exist_ok=True)
            data.write_wav(tmp_path / split / f"{i}.wav", numpy.sin(numpy.arange(99.0)), rate=8000)
    name = str(tmp_path / "train")
    assert data.has_test_split(name)
    assert len(data.load(name, split="train")) == 3
    assert len(data.load(name, split="test")) == 2


def test_sounds_behind_a_link_are_found(tmp_path):
    (tmp_path / "there").mkdir()
    data.write_wav(tmp_path / "there" / "a.wav", numpy.sin(numpy.arange(99.0)), rate=8000)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "cat").symlink_to(tmp_path / "there")
    assert len(data.load(str(tmp_path / "here"))) == 1


@pytest.mark.parametrize("wrong", [{"length": 0}, {"length": -5}, {"rate": 0}])
def test_sounds_have_a_length_and_a_rate(tmp_path, wrong):
    data.write_wav(tmp_path / "a.wav", numpy.sin(numpy.arange(99.0)), rate=8000)
    with pytest.raises(ValueError, match="length and rate must be positive"):
        data.sound_folder(tmp_path, **wrong)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1 + 5e-16), (-1e-17, 1.0), (-1 - 1e-7, 1.0), (0.5, 255.0001)]
)
def test_what_rounding_put_beyond_a_range_belongs_to_it(tmp_path, low, high):
    array = numpy.linspace(low, high, 3 * 64).reshape(3, 8, 8)
    numpy.save(tmp_path / "a.npy", array)
    images = data.load(str(tmp_path / "a.npy")).batch(numpy.arange(3))
    assert images.min() == pytest.approx(-1, abs=0.01)
    assert images.max() == pytest.approx(1, abs=0.01)


def test_what_lies_far_beyond_a_range_is_refused(tmp_path):
    numpy.save(tmp_path / "a.npy", numpy.linspace(-0.002, 1.4, 3 * 64).reshape(3, 8, 8))
    with pytest.raises(DataError, match="scale them to"):
        data.load(str(tmp_path / "a.npy"))


def test_points_too_large_for_single_precision_are_refused():
    with pytest.raises(DataError, match="too large for float32"):
        data.point_set([[1e300, 0], [0, 1]])


def table(path, header, rows):
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([*header, *lines]) + "\n")
    return str(path)


def test_a_header_that_counts_from_1_is_one(tmp_path):
    rows = numpy.arange(32).reshape(2, 16)
    name = table(tmp_path / "a.csv", [",".join(map(str, range(1, 17)))], rows)
    assert data.load(name).images.shape == (2, 4, 4, 1)


@pytest.mark.parametrize("header", [["# made by me"], [""], ["", "# a", "#b"]])
def test_remarks_and_empty_lines_before_a_table_are_skipped(tmp_path, header):
    name = table(tmp_path / "a.csv", header, [[0.5, 1], [2, 3], [4, 5]])
    assert data.points(name).points.tolist() == [[0.5, 1], [2, 3], [4, 5]]


def test_names_in_a_remark_are_names(tmp_path):
    name = table(tmp_path / "a.csv", ["# x, y, label"], [[0.5, 1, 0], [2, 3, 1]])
    assert data.points(name).points.tolist() == [[0.5, 1], [2, 3]]


def test_a_grey_palette_with_a_transparency_entry_is_grey(tmp_path):
    for i in range(2):
        grey = Image.fromarray(numpy.full((8, 8), 40 + i, "u1")).convert("P")
        grey.info["transparency"] = 255
        grey.save(tmp_path / f"{i}.png", transparency=255)
    assert not any("to grey" in n for n in data.load(str(tmp_path), image_shape=GREY).notes)


@pytest.mark.parametrize("channels", [1, 3])
def test_lab_is_read_as_grey_and_as_colour(tmp_path, channels):
    for i in range(2):
        Image.fromarray(numpy.full((8, 8, 3), 128, "u1"), mode="LAB").save(tmp_path / f"{i}.tiff")
    assert len(data.load(str(tmp_path), image_shape=(8, 8, channels))) == 2


@pytest.mark.parametrize("shape", [28, (8.5, 8, 1), (8, 8), "883", (8, 8, 2)])
def test_an_image_shape_is_three_integers(tmp_path, shape):
    picture(tmp_path / "0.png", 3)
    with pytest.raises(ValueError, match=r"\(height, width, channels\) with 1 or 3 channels"):
        data.load(str(tmp_path), image_shape=shape)
