import os
import re
import shutil

import numpy
import pytest
from PIL import Image

from minigan import data
from minigan.data import DataError, Dataset, write_idx


def save(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(numpy.asarray(pixels))
    (picture if mode is None else picture.convert(mode)).save(path, **options)


def flat(height, width, colour):
    return numpy.broadcast_to(
        numpy.array(colour, numpy.uint8), (height, width, *numpy.shape(colour))
    ).copy()


def test_pictures_of_the_right_shape_come_through_unchanged_in_path_order(tmp_path):
    pixels = numpy.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=numpy.uint8)
    for name, image in zip(["c.png", "a.PNG", "sub/b.bmp"], pixels, strict=True):
        save(tmp_path / name, image)
    dataset = data.image_folder(tmp_path, size=(5, 7), channels=3)
    numpy.testing.assert_array_equal(dataset.images, pixels[[1, 0, 2]])
    assert ["are no classes" in note for note in dataset.notes] == [True]
    assert dataset.labels is None
    assert dataset.name == tmp_path.name


def test_resizing_is_told_with_the_range_of_sizes(tmp_path):
    save(tmp_path / "a.png", flat(50, 60, 10))
    save(tmp_path / "b.png", flat(100, 80, 10))
    save(tmp_path / "c.png", flat(28, 28, 10))
    dataset = data.image_folder(tmp_path, size=(28, 28), channels=1)
    assert dataset.image_shape == (28, 28, 1)
    assert numpy.all(dataset.images == 10)
    assert dataset.notes[0] == "2 images resized from 50x60..100x80 to 28x28"
    assert "2 images cropped around the centre" in dataset.notes


def test_the_crop_is_central_and_nothing_is_squeezed(tmp_path):
    pixels = flat(10, 30, 0)
    pixels[:, 10:20] = 200
    save(tmp_path / "wide.png", pixels)
    dataset = data.image_folder(tmp_path, size=(10, 10), channels=1)
    assert numpy.all(dataset.images == 200)


def test_shrinking_smooths_instead_of_picking_pixels(tmp_path):
    checks = (numpy.indices((64, 64)).sum(axis=0) % 2 * 255).astype(numpy.uint8)
    save(tmp_path / "checks.png", checks)
    images = data.image_folder(tmp_path, size=(8, 8), channels=1).images
    assert numpy.all(numpy.abs(images.astype(int) - 127) < 10)


def test_colour_is_made_grey_and_grey_colour(tmp_path):
    save(tmp_path / "a" / "red.png", flat(4, 4, (255, 0, 0)))
    save(tmp_path / "b" / "grey.png", flat(4, 4, 90))
    grey = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert numpy.all(grey.images[0] == 76)
    assert grey.notes == ("1 image converted to grey",)
    colour = data.image_folder(tmp_path, size=(4, 4), channels=3)
    assert numpy.all(colour.images[1] == 90)
    assert colour.notes == ("1 image converted from grey to RGB",)


def test_nothing_is_noted_that_was_not_done(tmp_path):
    """Grey with alpha, opaque colours with alpha, and palettes of grey."""
    grey, full = flat(4, 4, 90), flat(4, 4, 255)
    save(tmp_path / "grey" / "alpha.png", numpy.dstack([grey, full]))
    save(tmp_path / "grey" / "palette.png", grey, "P")
    save(tmp_path / "grey" / "line.png", flat(4, 4, 0), "1")
    save(tmp_path / "colour" / "alpha.png", numpy.dstack([grey, full, grey, full]))
    save(tmp_path / "colour" / "palette.gif", numpy.dstack([full, grey, grey]), "P")
    dark = data.image_folder(tmp_path / "grey", size=(4, 4), channels=1)
    assert dark.notes == ()
    assert sorted(map(int, dark.images[:, 0, 0, 0])) == [0, 90, 90]
    assert data.image_folder(tmp_path / "colour", size=(4, 4), channels=3).notes == ()
    both = data.image_folder(tmp_path / "colour", size=(4, 4), channels=1)
    assert both.notes == ("2 images converted to grey",)
    assert data.image_folder(tmp_path / "grey", size=(4, 4), channels=3).notes == (
        "3 images converted from grey to RGB",
    )


def test_transparent_grey_is_laid_on_black_and_stays_grey(tmp_path):
    save(tmp_path / "a.png", numpy.dstack([flat(4, 4, 200), flat(4, 4, 128)]))
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert abs(int(dataset.images[0, 0, 0, 0]) - 100) <= 1
    assert dataset.notes == ("1 image composited on black",)


def test_pages_are_no_animation(tmp_path):
    pages = [Image.fromarray(flat(4, 4, value)) for value in (40, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert numpy.all(dataset.images == 40)
    assert dataset.notes == ("1 image of several (only the first is used)",)


@pytest.mark.parametrize(("turn", "words"), [(2, "mirrored"), (3, "rotated"), (5, "rotated and")])
def test_what_the_exif_data_ask_for_is_named(tmp_path, turn, words):
    exif = Image.Exif()
    exif[0x0112] = turn
    save(tmp_path / "a.png", flat(4, 4, 1), exif=exif)
    (note, *_) = data.image_folder(tmp_path, size=(4, 4), channels=1).notes
    assert note.startswith(f"1 image {words}")


@pytest.mark.parametrize("ending", ["pgm", "ppm", "pbm", "pnm", "jfif", "jpe", "tga", "pcx", "JP2"])
def test_pictures_are_known_by_many_endings(tmp_path, ending):
    kind = {"jfif": "JPEG", "jpe": "JPEG", "pnm": "PPM", "pgm": "PPM", "pbm": "PPM"}
    picture = Image.fromarray(flat(8, 8, 255)).convert("1" if ending == "pbm" else "L")
    picture = picture.convert("RGB") if ending == "ppm" else picture
    try:
        picture.save(tmp_path / f"a.{ending}", format=kind.get(ending))
    except (OSError, KeyError):
        pytest.skip(f"this Pillow doesn't write {ending}")
    assert numpy.all(data.image_folder(tmp_path, size=(8, 8), channels=1).images == 255)


def test_sixteen_bits_of_a_pgm_are_scaled(tmp_path):
    deep = numpy.array([[0, 257 * 100], [257 * 200, 65535]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 65535\n" + deep.tobytes())
    dataset = data.image_folder(tmp_path, size=(2, 2), channels=1)
    numpy.testing.assert_array_equal(dataset.images[0, ..., 0], [[0, 100], [200, 255]])


def test_a_format_that_is_not_meant_is_not_opened(tmp_path):
    """Pillow would run Ghostscript for it."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image"):
        data.image_folder(tmp_path, size=(2, 2), channels=1)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    save(tmp_path / "a.png", flat(20, 20, 1))
    monkeypatch.setenv("MINIGAN_MAX_PIXELS", "399")
    with pytest.raises(DataError, match=r"a\.png has more than 399 pixels"):
        data.image_folder(tmp_path, size=(2, 2), channels=1)
    monkeypatch.setenv("MINIGAN_MAX_PIXELS", "400")
    assert len(data.image_folder(tmp_path, size=(2, 2), channels=1)) == 1


def test_transparency_is_laid_on_black(tmp_path):
    save(tmp_path / "a.png", flat(4, 4, (200, 100, 50, 128)))
    save(tmp_path / "b.png", flat(4, 4, (200, 100, 50, 0)))
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=3)
    numpy.testing.assert_allclose(dataset.images[0, 0, 0], [100, 50, 25], atol=1)
    assert numpy.all(dataset.images[1] == 0)
    assert dataset.notes == ("2 images composited on black",)


def test_palettes_and_animations(tmp_path):
    frames = [Image.fromarray(flat(4, 4, value)) for value in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert numpy.all(dataset.images == 40)
    assert "1 image animated (only the first frame is used)" in dataset.notes


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    save(tmp_path / "a.png", numpy.array([[0, 257 * 100], [257 * 200, 65535]], numpy.uint16))
    dataset = data.image_folder(tmp_path, size=(2, 2), channels=1)
    numpy.testing.assert_array_equal(dataset.images[0, ..., 0], [[0, 100], [200, 255]])
    assert dataset.notes == ("1 image converted from 16 to 8 bits",)


@pytest.mark.parametrize(("dtype", "kind"), [("int32", "32-bit integer"), ("float32", "float")])
def test_pixels_of_no_agreed_range_are_refused(tmp_path, dtype, kind):
    save(tmp_path / "a.tif", numpy.arange(64).reshape(8, 8).astype(dtype))
    with pytest.raises(data.DataError, match=rf"a\.tif .*{kind}.* convert it to 8 or 16 bits"):
        data.image_folder(tmp_path, size=(8, 8), channels=1)


def test_nearly_black_images_are_noted(tmp_path):
    binary = numpy.random.default_rng(0).integers(0, 2, (4, 6, 6)).astype(numpy.uint8)
    write_idx(tmp_path / "binary.idx", binary)
    save(tmp_path / "masks" / "a.png", binary[0])
    for dataset in (
        data.load(tmp_path / "binary.idx"),
        data.load(tmp_path / "masks", image_shape=(6, 6, 1)),
    ):
        assert dataset.notes == (
            "the largest value is 1 of 255, nearly black: scale the images to 0..255",
        )
    write_idx(tmp_path / "full.idx", 255 * binary)
    assert data.load(tmp_path / "full.idx").notes == ()


def test_a_folder_of_splits_is_noted(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            save(tmp_path / split / name / "a.png", flat(4, 4, 90))
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert "the images in test, train are all used together" in dataset.notes[0]
    alone = data.image_folder(tmp_path / "train", size=(4, 4), channels=1)
    assert (alone.notes, alone.class_names) == ((), ("cat", "dog"))


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (("cat/train/a.png", "cat/test/a.png"), True),
        (("trainA/a.png", "testA/a.png"), True),
        (("train_set/a.png", "Validation/a.png", "more/a.png"), True),
        (("trainA/a.png", "trainB/a.png"), False),
        (("train/a.png", "bus/a.png"), False),
        (("testament/a.png", "trains/b/a.png"), False),
    ],
)
def test_splits_are_known_by_their_names(tmp_path, names, noted):
    for name in names:
        save(tmp_path / name, flat(4, 4, 90))
    notes = data.image_folder(tmp_path, size=(4, 4), channels=1).notes
    assert any("are all used together" in note for note in notes) == noted


def test_a_folder_around_all_classes_is_passed_through(tmp_path):
    for name in ("pets/train/cat/a.png", "pets/train/dog/b.png"):
        save(tmp_path / name, flat(4, 4, 90))
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert (dataset.class_names, dataset.labels.tolist()) == (("cat", "dog"), [0, 1])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.tar", "is an archive: unpack it, and give the folder"),
        ("a.pkl", "is a pickle, which is read by running code: save its arrays with numpy.savez"),
        ("a.PT", "is a pickle"),
        ("a.tar.gz", "is an archive"),
        ("a.csv.gz", "is packed: unpack it, and give the file in it"),
        ("a.HEIC", "is a picture of a format that minigan doesn't read: save it as png"),
        ("a.h5", "is of a format that minigan doesn't read: save its arrays with numpy.savez"),
        ("a.npz", "cannot be read as a NumPy file"),
        ("a.npy", "cannot be read as a NumPy file"),
        ("a.zip", "cannot be read as a zip"),
        ("a.PNG", "cannot be read as an image"),
        ("a.csv", "contains no rows of numbers"),
        ("a.bin", "is not an IDX file: it starts with 50 4b"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_remedy(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(data.DataError, match=rf"{name} {remedy}"):
        data.load(tmp_path / name, image_shape=(8, 8, 1))


def test_exif_rotation_is_applied(tmp_path):
    pixels = flat(4, 8, 0)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", pixels, exif=exif)
    image = data.image_folder(tmp_path, size=(8, 4), channels=1).images[0, ..., 0]
    assert numpy.all(image[:4] == 255)
    assert numpy.all(image[4:] == 0)
    assert data.image_folder(tmp_path, size=(8, 4), channels=1).notes == (
        "1 image rotated according to the EXIF data",
    )


def test_one_level_of_subfolders_is_the_classes(tmp_path):
    for name in ("dog/2.png", "cat/1.png", "cat/3.png"):
        save(tmp_path / name, flat(4, 4, 1))
    dataset = data.image_folder(tmp_path, size=(4, 4), channels=1)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert dataset.labels.dtype == numpy.int64


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("dog/2.png", "cat/1.png", "loose.png"), "loose.png lies beside them: move it into one"),
        (("dog/2.png", "cat/1.png", "cat/deep/4.png"), "cat/deep/4.png lies in a subfolder of one"),
        (("in/dog/2.png", "in/cat/1.png", "in/loose.png"), "in/loose.png lies beside them"),
        (("mammal/cat/1.png", "bird/owl/2.png"), "bird/owl/2.png lies in a subfolder of one"),
        (("cat/1.png", "cat/more/2.png"), "cat/1.png lies beside them"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_mixed_levels_are_no_classes(tmp_path, names, words, zipped):
    for name in names:
        save(tmp_path / "x" / name, flat(64, 64, 99))
    if zipped:
        shutil.make_archive(tmp_path / "x", "zip", tmp_path / "x")
    place = tmp_path / ("x.zip" if zipped else "x")
    dataset = data.load(place, image_shape=(64, 64, 1))
    assert dataset.labels is None
    assert dataset.class_names is None
    (note,) = dataset.notes
    assert note.startswith(f"the subfolders are no classes, since {words}")
    with pytest.raises(ValueError, match=rf"has no labels \({re.escape(note)}\)"):
        data.PartlyLabelled(dataset, 1, numpy.random.default_rng(0), labels=1)


def test_pictures_without_subfolders_are_not_missed_in_any(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, flat(4, 4, 99))
    assert data.image_folder(tmp_path, size=(4, 4), channels=1).notes == ()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_without_pictures_is_no_class_and_that_is_told(tmp_path, zipped):
    for name in ("in/cat/1.png", "in/eel/2.png"):
        save(tmp_path / "x" / name, flat(4, 4, 99))
    for name in ("dog", ".hidden"):
        (tmp_path / "x" / "in" / name).mkdir()
    place = tmp_path / ("x.zip" if zipped else "x")

    def read():
        if zipped:
            shutil.make_archive(tmp_path / "x", "zip", tmp_path / "x")
        dataset = data.load(place, image_shape=(4, 4, 1))
        assert dataset.class_names == ("cat", "eel")
        return dataset.notes

    assert read() == ("dog is no class: it holds no picture that can be read",)
    (tmp_path / "x" / "in" / "fox").mkdir()
    (tmp_path / "x" / "in" / "fox" / "a.png").write_bytes(b"no picture")
    assert read()[-1] == "dog, fox are no classes: they hold no picture that can be read"


def test_hidden_and_other_files_are_left_out(tmp_path):
    save(tmp_path / "a.png", flat(4, 4, 1))
    (tmp_path / "._a.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("not a picture")
    save(tmp_path / ".thumbnails" / "b.png", flat(4, 4, 1))
    assert len(data.image_folder(tmp_path, size=(4, 4), channels=1)) == 1


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "dangling"])
def test_a_broken_picture_is_named(tmp_path, damage):
    save(tmp_path / "a.png", flat(40, 40, 1))
    broken = tmp_path / "b.png"
    save(broken, numpy.random.default_rng(0).integers(0, 256, (40, 40), dtype=numpy.uint8))
    whole = broken.read_bytes()
    if damage == "dangling":
        broken.unlink()
        broken.symlink_to(tmp_path / "gone.png")
    else:
        broken.write_bytes(
            {"garbage": b"hello", "truncated": whole[: len(whole) // 2], "empty": b""}[damage]
        )
    pictures = data.image_folder(tmp_path, size=(8, 8), channels=1)
    assert len(pictures) == 1
    note = pictures.notes[0]
    assert note.startswith(f"1 file passed over: {broken} cannot be read as an image")
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        data.image_folder(tmp_path, size=(8, 8), channels=1)
    assert str(broken) in str(caught.value)


def test_labels_and_notes_are_those_of_the_pictures_that_were_read(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "dog/a.png", "eel/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name, flat(8, 8, 1))
    for name in ("cat/b.png", "dog/notes.txt", "dog/more.TXT", "list.csv", ".hidden.txt"):
        (tmp_path / name).write_bytes(b"no picture")
    pictures = data.image_folder(tmp_path, size=(8, 8), channels=1)
    assert pictures.labels.tolist() == [0, 1, 2]
    assert pictures.class_names == ("cat", "dog", "eel")
    assert pictures.notes[0] == "3 files passed over: no pictures (2 .txt, 1 .csv)"
    assert "1 file passed over: " in pictures.notes[1]


def test_what_was_changed_counts_only_pictures_that_were_read(tmp_path):
    save(tmp_path / "a.png", flat(8, 8, 10))
    save(tmp_path / "floats.tiff", numpy.random.default_rng(0).random((9, 9), numpy.float32))
    notes = data.image_folder(tmp_path, size=(4, 4), channels=1).notes
    assert notes[0].startswith("1 file passed over: ")
    assert notes[1] == "1 image resized from 8x8 to 4x4"


def test_of_many_broken_files_a_few_are_named(tmp_path):
    save(tmp_path / "a.png", flat(8, 8, 1))
    for i in range(9):
        (tmp_path / f"b{i}.png").write_bytes(b"no picture")
    note = data.image_folder(tmp_path, size=(8, 8), channels=1).notes[0]
    assert note.startswith("9 files passed over: ")
    assert note.endswith(", and 6 more")
    assert note.count("cannot be read") == 3


def test_float_pixels_are_refused(tmp_path):
    save(tmp_path / "a.tiff", numpy.zeros((4, 4), numpy.float32))
    with pytest.raises(DataError, match=r"a\.tiff.*no agreed range"):
        data.image_folder(tmp_path, size=(4, 4), channels=1)


@pytest.mark.parametrize(
    "names", [["x.npz"], ["cat.npy", "dog.npy"], ["train-images-idx3-ubyte.gz"], ["a/x.csv"]]
)
def test_a_folder_of_arrays_says_which_file_to_give(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    words = f"no pictures, but {', '.join(names)}: give the path of one file with images"
    with pytest.raises(DataError, match=words):
        data.load(tmp_path, image_shape=(4, 4, 1))


def test_no_pictures_says_which_extensions(tmp_path):
    with pytest.raises(DataError, match=r"contains no images.*\.png, \.jpg.*\.webp"):
        data.image_folder(tmp_path, size=(4, 4), channels=1)
    with pytest.raises(DataError, match="is not a folder"):
        data.image_folder(tmp_path / "nothing", size=(4, 4), channels=1)


@pytest.mark.parametrize(("size", "channels"), [((4, 4), 2), ((0, 4), 1), ((4,), 1)])
def test_impossible_shapes_are_refused(tmp_path, size, channels):
    with pytest.raises(ValueError, match="cannot be converted to shape"):
        data.image_folder(tmp_path, size=size, channels=channels)


def test_fit_leaves_what_fits_alone():
    digits = data.digits()
    assert data.fit(digits, (16, 16, 1)) is digits


def test_fit_resizes_and_adds_channels_and_says_so():
    digits = data.digits()
    fitted = data.fit(digits, (28, 28, 3))
    assert fitted.images.shape == (1797, 28, 28, 3)
    assert fitted.images.dtype == numpy.uint8
    assert numpy.all(fitted.images[..., 0] == fitted.images[..., 2])
    assert fitted.notes == (
        "1797 images resized from 16x16 to 28x28",
        "1797 images converted from grey to RGB",
    )
    numpy.testing.assert_array_equal(fitted.labels, digits.labels)
    assert fitted.class_names == digits.class_names
    # The margin of background grows with the picture.
    assert fitted.images[:, :2].max() < 10


def test_fit_rounds_floats_to_the_nearest_byte():
    values = numpy.linspace(-1, 1, 256, dtype=numpy.float32).reshape(1, 16, 16, 1)
    fitted = data.fit(Dataset(name="ramp", images=values), (16, 16, 3))
    numpy.testing.assert_array_equal(fitted.images[0, ..., 1].ravel(), numpy.arange(256))


def test_fit_refuses_channels_it_cannot_convert():
    dataset = Dataset(name="two", images=numpy.zeros((3, 4, 4, 2), numpy.uint8))
    with pytest.raises(DataError, match="'two' have 2 channels"):
        data.fit(dataset, (8, 8, 1))
    with pytest.raises(ValueError, match="cannot be converted to shape"):
        data.fit(data.digits(), (8, 8, 4))


def test_load_knows_the_digits_at_any_size():
    assert data.load("digits").image_shape == (16, 16, 1)
    assert data.load("digits", image_shape=(28, 28, 1)).notes == (
        "1797 images resized from 16x16 to 28x28",
    )
    native = data.load("digits", image_shape=(8, 8, 1))
    assert native.notes == ()
    numpy.testing.assert_array_equal(native.images, data.digits(enlarge=False).images)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_load_passes_split_and_folder_to_the_mnist_family(tmp_path, name):
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", numpy.zeros((3, 28, 28), numpy.uint8))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", numpy.zeros(3, numpy.uint8))
    dataset = data.load(name, split="test", data_dir=tmp_path, image_shape=(32, 32, 1))
    assert dataset.name == name
    assert dataset.image_shape == (32, 32, 1)
    assert dataset.notes == ("3 images resized from 28x28 to 32x32",)


def test_load_reads_folders_and_idx_files(tmp_path):
    save(tmp_path / "pictures" / "a.png", flat(6, 6, 5))
    dataset = data.load(tmp_path / "pictures", image_shape=(3, 3, 1))
    assert numpy.all(dataset.images == 5)
    with pytest.raises(ValueError, match="image_shape"):
        data.load(tmp_path / "pictures")
    grey, colour = (
        numpy.arange(24, dtype=numpy.uint8).reshape(2, 3, 4),
        numpy.full((2, 3, 4, 3), 200, numpy.uint8),
    )
    write_idx(tmp_path / "grey.gz", grey)
    write_idx(tmp_path / "colour", colour)
    numpy.testing.assert_array_equal(data.load(str(tmp_path / "grey.gz")).images, grey[..., None])
    assert data.load(tmp_path / "grey.gz").name == "grey"
    assert data.load(tmp_path / "colour").image_shape == (3, 4, 3)
    assert data.load(tmp_path / "colour", image_shape=(3, 4, 1)).notes == (
        "2 images converted to grey",
    )


@pytest.mark.parametrize(
    "array",
    [
        numpy.zeros(5, numpy.uint8),
        numpy.zeros((2, 3, 4), numpy.float32),
        numpy.zeros((0, 3, 4), numpy.uint8),
    ],
)
def test_load_refuses_idx_files_that_are_no_images(tmp_path, array):
    write_idx(tmp_path / "a", array)
    with pytest.raises(DataError, match="images must be uint8"):
        data.load(tmp_path / "a")


def test_load_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(DataError, match=r"'minst'.*did you mean 'mnist'\?"):
        data.load("minst")
    with pytest.raises(DataError, match=r"2-D distribution.*use distribution\('ring'\)"):
        data.load("ring")
    with pytest.raises(DataError, match="digits has no 'test' split"):
        data.load("digits", split="test")


def test_two_links_to_one_folder_are_two_classes(tmp_path):
    save(tmp_path / "elsewhere" / "1.png", flat(4, 4, 1))
    (tmp_path / "data").mkdir()
    try:
        for name in ("cat", "dog"):
            (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("links can't be made here")
    found = data.image_folder(tmp_path / "data", size=(4, 4), channels=1)
    assert (found.class_names, found.labels.tolist()) == (("cat", "dog"), [0, 1])


def test_links_that_lead_round_in_a_circle_end(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        save(tmp_path / name / "1.png", flat(4, 4, 1))
        try:
            (tmp_path / name / "on").symlink_to(tmp_path / other, target_is_directory=True)
        except OSError:
            pytest.skip("links can't be made here")
    assert len(data.image_folder(tmp_path, size=(4, 4), channels=1)) == 4


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    save(tmp_path / "cat" / "1.png", flat(4, 4, 1))
    real = os.scandir

    def scandir(path):
        if os.path.basename(os.fspath(path)) == "cat":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"cat cannot be read \(permission denied\)"):
        data.image_folder(tmp_path, size=(4, 4), channels=1)


def test_links_to_folders_are_followed_once(tmp_path):
    for i in range(3):
        save(tmp_path / "elsewhere" / f"{i}.png", numpy.full((4, 4), i, "uint8"))
    save(tmp_path / "data" / "dog" / "1.png", numpy.zeros((4, 4), "uint8"))
    try:
        (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "data" / "dog" / "back").symlink_to(tmp_path / "data", target_is_directory=True)
    except OSError:
        pytest.skip("links can't be made here")
    found = data.image_folder(tmp_path / "data", size=(4, 4), channels=1)
    assert len(found) == 4
    assert found.class_names == ("cat", "dog")
