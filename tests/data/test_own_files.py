"""Data in files of one's own: NumPy's, tables, archives, one picture, IDX with labels, points."""

import io
import pickle
import struct
import zipfile
import zlib

import numpy
import pytest
from PIL import Image

from minigan import data
from minigan.data import DataError, write_idx

RNG = numpy.random.default_rng
PIXELS = RNG(0).integers(0, 256, (6, 5, 5)).astype("uint8")
LABELS = numpy.array([2, 0, 1, 1, 0, 2])
GREY = (5, 5, 1)


def png(value, size=(5, 5)):
    stored = io.BytesIO()
    Image.fromarray(numpy.full(size, value, "uint8")).save(stored, "PNG")
    return stored.getvalue()


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    ("array", "notes"),
    [
        (PIXELS, ()),
        (PIXELS[..., None], ()),
        (PIXELS.reshape(6, 25), ()),
        (PIXELS.astype("int64"), ()),
        (PIXELS.astype(">i2"), ()),
        (PIXELS.astype("float64"), ()),
        (numpy.asfortranarray(PIXELS), ()),
        (PIXELS.astype("uint16") * 257, ("converted from 16 to 8 bits",)),
    ],
    ids=["(N, H, W)", "(N, H, W, C)", "rows", "int64", "big-endian", "floats", "Fortran", "deep"],
)
def test_an_array_of_bytes_is_read_whatever_its_type(tmp_path, array, notes):
    numpy.save(tmp_path / "x.npy", array)
    dataset = data.load(tmp_path / "x.npy")
    assert dataset.images.dtype == "uint8"
    numpy.testing.assert_array_equal(dataset.images[..., 0], PIXELS)
    assert (dataset.notes, dataset.name, dataset.labels) == (notes, "x", None)


@pytest.mark.parametrize(
    ("array", "note"),
    [
        (PIXELS / 255, "scaled from 0..1 to -1..1"),
        (PIXELS / 127.5 - 1, None),
        (PIXELS + numpy.where(PIXELS < 255, 0.25, 0), "scaled from 0..255 to -1..1"),
    ],
    ids=["0..1", "-1..1", "0..255"],
)
def test_floats_are_scaled_and_that_is_told(tmp_path, array, note):
    numpy.save(tmp_path / "x.npy", array)
    dataset = data.load(tmp_path / "x.npy")
    assert dataset.images.dtype == "float32"
    numpy.testing.assert_allclose(dataset.images[..., 0], PIXELS / 127.5 - 1, atol=0.003)
    assert dataset.notes == (() if note is None else (note,))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "uint16"])
def test_masks_are_black_and_white(tmp_path, dtype):
    numpy.save(tmp_path / "x.npy", (PIXELS > 127).astype(dtype))
    found = data.load(tmp_path / "x.npy")
    numpy.testing.assert_array_equal(found.images[..., 0], 255 * (PIXELS > 127))
    values = "False and True" if dtype == "bool" else "0 and 1"
    assert found.notes == (f"{values} were made 0 and 255",)


def test_what_is_nearly_black_is_told(tmp_path):
    # Divided by 255 twice.
    numpy.save(tmp_path / "twice.npy", PIXELS / 255 / 255)
    assert (
        "the largest value is 1 of 255, nearly black" in data.load(tmp_path / "twice.npy").notes[1]
    )


def test_floats_far_from_black_and_white_are_told(tmp_path):
    numpy.save(tmp_path / "half.npy", PIXELS / 255 - 0.5)
    found = data.load(tmp_path / "half.npy")
    assert "from -0.5 to 0.5, were taken as they are" in found.notes[0]
    numpy.testing.assert_allclose(found.images[..., 0], PIXELS / 255 - 0.5, atol=1e-6)


def test_channels_that_come_first_are_moved_last(tmp_path):
    colour = RNG(0).integers(0, 256, (4, 3, 6, 7)).astype("uint8")
    numpy.save(tmp_path / "x.npy", colour)
    dataset = data.load(tmp_path / "x.npy")
    numpy.testing.assert_array_equal(dataset.images, numpy.moveaxis(colour, 1, 3))
    assert dataset.notes == ("the channels, which came first, were moved last",)


def test_rows_that_are_no_squares_need_the_shape(tmp_path):
    rows = RNG(0).integers(0, 256, (4, 12)).astype("uint8")
    numpy.save(tmp_path / "x.npy", rows)
    with pytest.raises(DataError, match="12 numbers for each image, which is no square"):
        data.load(tmp_path / "x.npy")
    images = data.load(tmp_path / "x.npy", image_shape=(3, 4, 1)).images
    numpy.testing.assert_array_equal(images[..., 0], rows.reshape(4, 3, 4))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (numpy.zeros((3, 4, 4)) - 2, "float64 from -2 to -2: scale them to 0..255"),
        (numpy.full((3, 4, 4), 300), "int64 from 300 to 300"),
        (numpy.full((3, 4, 4), numpy.nan), "float64, and some are NaN or infinite"),
        (numpy.full((3, 4, 4), numpy.inf), "float64, and some are NaN or infinite"),
        (numpy.zeros((3, 4, 4), complex), "contains complex128"),
        (numpy.zeros((0, 4, 4)), r"shape \(0, 4, 4\)"),
        (numpy.zeros((8, 8, 3), "uint8"), r"must have the shape \(N, H, W\)"),
        (numpy.zeros((8, 8, 4), "uint8"), r"must have the shape \(N, H, W\)"),
        (numpy.zeros((16, 16), "uint8"), "may be one picture or a picture in each row"),
        (numpy.zeros((9, 2)), "points and no images: choose a recipe for points, such as ring"),
    ],
)
def test_arrays_that_mean_no_images_are_refused(tmp_path, array, words):
    numpy.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=words):
        data.load(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train"), ("images", "labels"), ("X", "y"), ("arr_0", "arr_1"),
        ("pictures", "targets"), ("train_images", "train_labels"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_images_and_labels_are_found_by_their_names(tmp_path, names, save):
    others = {"x_test": PIXELS[:2], "note": numpy.arange(3)} if names[0] == "x_train" else {}
    save(tmp_path / "x.npz", **dict(zip(names, (PIXELS, LABELS), strict=True)), **others)
    dataset = data.load(tmp_path / "x.npz", image_shape=GREY)
    numpy.testing.assert_array_equal(dataset.images[..., 0], PIXELS)
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.notes == (("not used of x.npz: x_test, note",) if others else ())


@pytest.mark.parametrize(
    "labels", [LABELS[:, None], numpy.eye(3)[LABELS], LABELS.astype("uint8"), LABELS.astype(float)]
)
def test_labels_in_a_column_or_one_hot_are_taken(tmp_path, labels):
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=labels)
    dataset = data.load(tmp_path / "x.npz")
    assert dataset.labels.dtype == "int64"
    numpy.testing.assert_array_equal(dataset.labels, LABELS)


@pytest.mark.parametrize("dtype", ["U3", "S3"])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_labels_may_be_names(tmp_path, dtype, shape):
    names = numpy.array(["dog", "cat", "eel"], dtype)[LABELS]
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=names.reshape(shape))
    dataset = data.load(tmp_path / "x.npz")
    numpy.testing.assert_array_equal(dataset.labels, numpy.array([1, 0, 2])[LABELS])
    assert dataset.class_names == ("cat", "dog", "eel")


@pytest.mark.parametrize(
    ("label", "words"), [(-1, "and one is -1"), (0.5, "and one is 0.5"), (numpy.nan, "one is nan")]
)
def test_the_label_that_cannot_be_one_is_named(tmp_path, label, words):
    labels = LABELS.astype(float)
    labels[2] = label
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=labels)
    with pytest.raises(DataError, match=words):
        data.load(tmp_path / "x.npz")


def test_several_answers_for_each_image_are_no_labels(tmp_path):
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=numpy.ones((6, 14), int))
    with pytest.raises(DataError, match=r"shape \(6, 14\): whole numbers of at least 0"):
        data.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("k-train-imgs.npz", "k-train-labels.npz"), ("x_train.npy", "y_train.npy"),
        ("X.npy", "Y.npy"), ("train_images.npy", "train_labels.npy"), ("own.npz", "own-labels.npy"),
    ],
)  # fmt: skip
def test_labels_in_a_file_named_alike_are_found(tmp_path, images, labels):
    for name, array in ((images, PIXELS), (labels, LABELS)):
        (numpy.save if name.endswith("npy") else numpy.savez)(tmp_path / name, array)
    dataset = data.load(tmp_path / images)
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    assert [note.lower() for note in dataset.notes] == [f"labels from {labels}".lower()]


def test_a_table_of_labels_is_not_taken_for_an_array(tmp_path):
    table(tmp_path / "y.csv", LABELS[:, None])
    assert data.load(table(tmp_path / "x.csv", PIXELS.reshape(6, 25))).labels is None


def test_labels_in_a_file_named_alike_that_do_not_fit_are_told(tmp_path):
    numpy.save(tmp_path / "images.npy", PIXELS)
    numpy.save(tmp_path / "labels.npy", LABELS[1:])
    with pytest.raises(DataError, match=r"the labels in .*labels\.npy are .* each of the 6 images"):
        data.load(tmp_path / "images.npy")
    own = numpy.zeros(6, int)
    numpy.savez(tmp_path / "images.npz", images=PIXELS, labels=own)
    numpy.testing.assert_array_equal(data.load(tmp_path / "images.npz").labels, own)


def test_arrays_that_cannot_be_told_apart_are_listed(tmp_path):
    numpy.savez(tmp_path / "x.npz", a=PIXELS, b=PIXELS)
    with pytest.raises(DataError, match="contains a, b, and it can't be told which are the images"):
        data.load(tmp_path / "x.npz")
    numpy.savez(tmp_path / "y.npz", images=PIXELS, labels=LABELS - 1)
    with pytest.raises(DataError, match="whole numbers of at least 0 are needed"):
        data.load(tmp_path / "y.npz")
    numpy.savez(tmp_path / "z.npz", images=PIXELS, y=LABELS[1:])
    with pytest.raises(DataError, match=r"images, but \d+ labels in y: save a label for each"):
        data.load(tmp_path / "z.npz")


def test_the_only_array_needs_no_name(tmp_path):
    numpy.savez(tmp_path / "x.npz", whatever=PIXELS.reshape(len(PIXELS), -1))
    assert len(data.load(tmp_path / "x.npz", image_shape=GREY)) == len(PIXELS)


@pytest.mark.parametrize("value", [2**64 - 1, 1e300])
def test_labels_beyond_64_bits_are_refused(tmp_path, value):
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=numpy.full(6, value))
    with pytest.raises(DataError, match=r"the labels in .* whole numbers of at least 0 are needed"):
        data.load(tmp_path / "x.npz")


def test_labels_that_look_one_hot_in_a_row_are_labels(tmp_path):
    """A single 1 among zeros, along the images: not a row for each class."""
    labels = (numpy.arange(len(PIXELS)) == 2).astype("int64")
    numpy.savez(tmp_path / "x.npz", images=PIXELS, labels=labels)
    numpy.testing.assert_array_equal(data.load(tmp_path / "x.npz").labels, labels)


class Trap:
    """Whoever unpickles this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_pickle_is_ever_read(tmp_path):
    trap = numpy.array([Trap(tmp_path / "sprung")], object)
    numpy.save(tmp_path / "x.npy", trap, allow_pickle=True)
    numpy.savez(tmp_path / "y.npz", images=PIXELS, labels=trap)
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    (tmp_path / "w.npy").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("x.npy", "y.npz", "z.pkl", "w.npy"):
        for load in (data.load, data.points):
            with pytest.raises(DataError):
                load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def lying(shape, dtype="<f8", payload=b"\0" * 100):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + payload


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lying((10**9, 10**6)), "claims shape .* more than 1,000,000,000 bytes"),
        (lying((0, 10**12)), "more than 1,000,000,000 bytes"),
        (lying((100, 100)), "truncated: its header claims 80,000 bytes"),
        (lying((5,), "|O"), "Python objects"),
        (lying((5,), [("a", "<f8")]), "holds records"),
        (lying("x"), "has a damaged header"),
        (b"\x93NUMPY\3\0", "NumPy's format"),
        (b"\x93NUMPY", "cannot be read as a NumPy file"),
    ],
)
def test_headers_that_lie_are_told(tmp_path, content, words):
    (tmp_path / "x.npy").write_bytes(content)
    zipped(tmp_path / "x.npz", {"images.npy": content}, compression=zipfile.ZIP_DEFLATED)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(DataError, match=words):
            data.load(tmp_path / name)


def test_limits_can_be_raised(tmp_path, monkeypatch):
    numpy.savez(tmp_path / "x.npz", PIXELS)
    monkeypatch.setenv("MINIGAN_MAX_BYTES", "149")
    with pytest.raises(DataError, match=r"more than 149 bytes: .* set MINIGAN_MAX_BYTES"):
        data.load(tmp_path / "x.npz")
    monkeypatch.setenv("MINIGAN_MAX_BYTES", "150")
    assert len(data.load(tmp_path / "x.npz")) == 6


def test_a_damaged_npz_is_told(tmp_path):
    numpy.savez_compressed(tmp_path / "x.npz", PIXELS)
    whole = (tmp_path / "x.npz").read_bytes()
    for cut in (whole[:100], whole[:60] + b"\xff\xff\xff" + whole[63:], whole[:-30]):
        (tmp_path / "x.npz").write_bytes(cut)
        with pytest.raises(DataError, match=r"x\.npz cannot be read as a NumPy file"):
            data.load(tmp_path / "x.npz")


# ---------------------------------------------------------------- tables


def table(path, rows, header=None, separator=","):
    lines = [separator.join(map(str, row)) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


NAMES = ",".join(f"pixel{i}" for i in range(25))


@pytest.mark.parametrize(
    ("header", "first", "note"),
    [
        (f"label,{NAMES}", True, "column label was taken for the labels"),
        (None, True, "column 1 was taken for the labels"),
        (f"{NAMES},class", False, "column class was taken for the labels"),
        (f"{NAMES},number", False, "column number was taken for the labels"),
    ],
)
def test_a_table_of_pixels_with_labels(tmp_path, header, first, note):
    pixels = PIXELS.reshape(6, 25).copy()
    pixels[:, 0] = 0
    column = LABELS[:, None]
    rows = numpy.hstack([column, pixels] if first else [pixels, column])
    dataset = data.load(table(tmp_path / "x.csv", rows, header))
    numpy.testing.assert_array_equal(dataset.images.reshape(6, 25), pixels)
    assert dataset.images.dtype == "uint8"
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.notes == (note,)


@pytest.mark.parametrize("first", [True, False])
def test_labels_without_a_name_count_classes_and_pixels_do_not(tmp_path, first):
    pixels, column = PIXELS.reshape(6, 25), LABELS[:, None]
    rows = numpy.hstack([column, pixels] if first else [pixels, column])
    dataset = data.load(table(tmp_path / "x.csv", rows))
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    # A corner that is nearly always 0 counts, too, but no class has nearly all pictures.
    corner = numpy.repeat([[0], [1]], [60, 6], axis=0)
    rows = numpy.hstack([numpy.tile(pixels[:, 1:], (11, 1)), numpy.tile(column, (11, 1))])
    rows = numpy.hstack([corner, rows])[:, :: -1 if first else 1]
    dataset = data.load(table(tmp_path / "x.csv", rows))
    numpy.testing.assert_array_equal(dataset.labels, numpy.tile(LABELS, 11))


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_a_table_of_pixels_without_labels(tmp_path, separator):
    rows = PIXELS.reshape(6, 25)
    dataset = data.load(table(tmp_path / "x.txt", rows, separator=separator))
    numpy.testing.assert_array_equal(dataset.images.reshape(6, 25), rows)
    assert (dataset.labels, dataset.notes) == (None, ())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "contains no rows of numbers"),
        ("a,b,c\n", "contains no rows of numbers"),
        ("1,2,3,4\n1,2,3\n", "cannot be read as a table of numbers"),
        ("1,2,3,4\n1,2,3,cat\n", "cat"),
        ("a,b\n1,2,3,4\n", "2 names in its first line, but 4 numbers"),
        ("1,2,3,nan\n1,2,3,4\n", "not finite"),
        ("1,2,3,-4\n1,2,3,4\n", "from -4 to 4"),
        ("1,2,3,4,5,6,7\n" * 3, "no square of grey pixels"),
        ("\0\0\0\n", "cannot be read as a table|contains no rows"),
        ("1,2\n3,4\n", "points and no images"),
        ("x,y\n1,2\n3,4\n", "points and no images"),
        ("1\n2\n", "has 1 number for each image"),
    ],
)
def test_tables_that_hold_no_images_are_refused(tmp_path, content, words):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        data.load(tmp_path / "x.csv")


def test_columns_that_pandas_has_numbered_are_no_image(tmp_path):
    rows = PIXELS.reshape(6, 25)
    counted = ",".join(map(str, range(25)))
    dataset = data.load(table(tmp_path / "x.csv", rows, counted))
    numpy.testing.assert_array_equal(dataset.images[..., 0], PIXELS)


def test_a_row_that_is_too_short_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("1,2,3,4\n1,2,3\n")
    with pytest.raises(DataError, match=r"changed from 4 to 3 at row 2\): save numbers alone"):
        data.load(tmp_path / "x.csv")


def test_text_of_another_encoding_and_a_table_too_large_are_told(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="cannot be read as a table of numbers"):
        data.points(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes("\ufeffx,y\r\n1,2\r\n3,4\r\n".encode())
    assert len(data.points(tmp_path / "x.csv")) == 2
    monkeypatch.setenv("MINIGAN_MAX_BYTES", "10")
    with pytest.raises(DataError, match=r"more than 10: .* set MINIGAN_MAX_BYTES"):
        data.points(tmp_path / "x.csv")


# ---------------------------------------------------------------- archives and one picture


def test_a_zip_of_pictures_is_read_without_being_unpacked(tmp_path):
    members = {
        "pets/dog/2.png": png(20), "pets/cat/1.PNG": png(10), "pets/cat/._1.png": b"",
        "__MACOSX/pets/cat/1.png": b"", "pets/readme.txt": b"hello",
    }  # fmt: skip
    path = zipped(tmp_path / "pets.zip", members)
    before = sorted(tmp_path.rglob("*"))
    dataset = data.load(path, image_shape=GREY)
    assert dataset.images[:, 0, 0, 0].tolist() == [10, 20]
    assert (dataset.class_names, dataset.labels.tolist()) == (("cat", "dog"), [0, 1])
    assert dataset.notes[0] == "1 file passed over: no pictures"
    assert dataset.name == "pets"
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_lead_out_of_a_zip_lead_nowhere(tmp_path):
    names = ("../../up.png", "/etc/root.png", "C:\\windows\\a.png")
    path = zipped(tmp_path / "x.zip", {name: png(10) for name in names})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="contains no pictures"):
        data.load(zipped(tmp_path / "hidden.zip", {".hidden/a.png": png(1)}), image_shape=GREY)
    assert len(data.load(path, image_shape=GREY)) == 2  # a name of dots is a hidden one
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [tmp_path / "hidden.zip"]


def test_what_cannot_be_read_in_a_zip_is_passed_over_and_told(tmp_path):
    members = {"a/1.png": png(10), "a/2.png": b"no picture", "b/1.png": png(30)}
    dataset = data.load(zipped(tmp_path / "x.zip", members), image_shape=GREY)
    assert dataset.images[:, 0, 0, 0].tolist() == [10, 30]
    assert dataset.labels.tolist() == [0, 1]
    (note,) = [note for note in dataset.notes if "passed over" in note]
    assert "1 file passed over: a/2.png in " in note


def test_splits_in_a_zip_are_noted_as_those_in_a_folder(tmp_path):
    path = zipped(tmp_path / "x.zip", {"train/a/1.png": png(90), "test/a/1.png": png(90)})
    assert "are all used together" in data.load(path, image_shape=GREY).notes[0]


def test_zips_that_cannot_be_used_are_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"contains no pictures, but x\.idx, y\.txt: unpack it"):
        data.load(zipped(tmp_path / "a.zip", {"x.idx": b"1", "y.txt": b"2"}), image_shape=GREY)
    with pytest.raises(DataError, match=r"1\.png in .*b\.zip cannot be read as an image"):
        data.load(zipped(tmp_path / "b.zip", {"1.png": b"no picture"}), image_shape=GREY)
    with pytest.raises(ValueError, match="is a zip of pictures: give the image_shape"):
        data.load(zipped(tmp_path / "c.zip", {"1.png": png(1)}))
    whole = (tmp_path / "c.zip").read_bytes()
    (tmp_path / "d.zip").write_bytes(whole.replace(b"IDAT", b"IDOT"))
    with pytest.raises(DataError, match=r"1\.png in .*d\.zip cannot be read"):
        data.load(tmp_path / "d.zip", image_shape=GREY)
    (tmp_path / "e.zip").write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"e\.zip cannot be read"):
        data.load(tmp_path / "e.zip", image_shape=GREY)
    monkeypatch.setenv("MINIGAN_MAX_BYTES", "40")
    with pytest.raises(DataError, match=r"unpacks to .* more than 40: .* set MINIGAN_MAX_BYTES"):
        data.load(tmp_path / "c.zip", image_shape=GREY)


def test_a_picture_that_expands_a_thousandfold_is_refused(tmp_path):
    """A PNG header of 30,000 x 30,000 pixels, over a few bytes of zeros."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    (tmp_path / "x.png").write_bytes(bomb)
    zipped(tmp_path / "x.zip", {"x.png": bomb})
    for name in ("x.png", "x.zip"):
        with pytest.raises(DataError, match=r"has more than 89,478,485 pixels"):
            data.load(tmp_path / name, image_shape=GREY)


def test_one_picture_is_a_data_set_of_one(tmp_path):
    (tmp_path / "cat.png").write_bytes(png(40, (10, 10)))
    dataset = data.load(tmp_path / "cat.png", image_shape=GREY)
    assert dataset.images.shape == (1, 5, 5, 1)
    assert numpy.all(dataset.images == 40)
    assert (dataset.name, dataset.labels) == ("cat.png", None)
    assert dataset.notes == ("1 image resized from 10x10 to 5x5",)
    with pytest.raises(ValueError, match="is a picture: give the image_shape"):
        data.load(tmp_path / "cat.png")


# ---------------------------------------------------------------- IDX with labels


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("x-images-idx3-ubyte.gz", "x-labels-idx1-ubyte.gz"),
        ("x-images.idx3-ubyte", "x-labels.idx1-ubyte.gz"),
        ("images.idx", "labels.idx"),
        ("x.idx", "x-labels.idx"),
        ("x.idx.gz", "x_labels.idx"),
        ("x", "x-labels"),
    ],
)
def test_labels_lie_beside_the_images(tmp_path, images, labels):
    write_idx(tmp_path / images, PIXELS)
    assert data.load(tmp_path / images).labels is None
    write_idx(tmp_path / labels, LABELS.astype("uint8"))
    dataset = data.load(tmp_path / images)
    numpy.testing.assert_array_equal(dataset.images[..., 0], PIXELS)
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    write_idx(tmp_path / labels, LABELS[:5].astype("uint8"))
    with pytest.raises(DataError, match="one for each of the 6 images"):
        data.load(tmp_path / images)


def test_emnist_as_it_comes(tmp_path):
    letters = tmp_path / "emnist-letters-train-images-idx3-ubyte.gz"
    write_idx(letters, PIXELS)
    write_idx(tmp_path / "emnist-letters-train-labels-idx1-ubyte.gz", (LABELS + 1).astype("uint8"))
    dataset = data.load(letters)
    numpy.testing.assert_array_equal(dataset.images[..., 0], PIXELS.transpose(0, 2, 1))
    numpy.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.notes == (
        "6 images turned upright: EMNIST has rows and columns exchanged",
        "the labels 1 to 3 became 0 to 2",
    )
    mapping = tmp_path / "emnist-letters-mapping.txt"
    mapping.write_text("1 65 97\n2 66 98\n3 67 99\n")
    assert data.load(letters).class_names == ("Aa", "Bb", "Cc")
    for wrong in ("1 x\n", "1000000000000 65\n", "1 -5\n"):
        mapping.write_text(wrong)
        with pytest.raises(DataError, match=r"mapping\.txt cannot be read"):
            data.load(letters)
    with pytest.raises(DataError, match=r"there is emnist-letters-train-images-idx3-ubyte\.gz"):
        data.mnist(data_dir=tmp_path)


# ---------------------------------------------------------------- points

PLANE = RNG(0).standard_normal((50, 2)).astype("float32")


@pytest.mark.parametrize("name", ["p.npy", "p.npz", "named.npz", "p.csv", "p.tsv", "header.csv"])
def test_points_are_read_from_every_kind_of_file(tmp_path, name):
    path = tmp_path / name
    if name == "p.npy":
        numpy.save(path, PLANE.astype(">f8"))
    elif name.endswith("npz"):
        numpy.savez(path, PLANE) if name == "p.npz" else numpy.savez(path, points=PLANE, k=LABELS)
    else:
        table(path, PLANE, "x,y" if name == "header.csv" else None, "\t" if "tsv" in name else ",")
    found = data.points(path)
    numpy.testing.assert_allclose(found.points, PLANE, rtol=1e-6)
    assert (len(found), found.name, found.notes, found.centres) == (50, path.stem, (), None)
    (x0, x1), (y0, y1) = found.limits
    assert x0 < PLANE[:, 0].min() < PLANE[:, 0].max() < x1
    assert y0 < PLANE[:, 1].min() < PLANE[:, 1].max() < y1


def test_points_are_drawn_without_repetition_and_resumably(tmp_path):
    numpy.save(tmp_path / "p.npy", PLANE)
    found = data.points(tmp_path / "p.npy")
    drawn = found.sample(50, RNG(0))
    assert drawn.dtype == "float32"
    numpy.testing.assert_array_equal(numpy.sort(drawn, axis=0), numpy.sort(PLANE, axis=0))
    assert found.sample(70, RNG(0)).shape == (70, 2)
    stream, other = (data.Stream(found, 8, RNG(1)) for _ in range(2))
    next(stream)
    other.load_state_dict(stream.state_dict())
    numpy.testing.assert_array_equal(next(stream)[0], next(other)[0])
    with pytest.raises(ValueError, match="n=0"):
        found.sample(0, RNG(0))
    with pytest.raises(TypeError, match="rng is int"):
        found.sample(3, 0)


def test_the_window_of_points_and_the_fewest_that_are_drawn(tmp_path):
    numpy.save(tmp_path / "p.npy", numpy.array([[0.0, 1.0], [2.0, 5.0]]))
    found = data.points(tmp_path / "p.npy")
    numpy.testing.assert_allclose(found.limits, [[-0.4, 2.4], [0.6, 5.4]])
    assert found.sample(1, numpy.random.default_rng(0)).shape == (1, 2)
    assert found.sample(5, numpy.random.default_rng(0)).shape == (5, 2)
    with pytest.raises(ValueError, match="cannot draw n=0 points"):
        found.sample(0, numpy.random.default_rng(0))
    numpy.save(tmp_path / "same.npy", numpy.ones((2, 2)))
    numpy.testing.assert_allclose(data.points(tmp_path / "same.npy").limits, [[0.9, 1.1]] * 2)


def test_columns_of_numbers_and_labels_are_left_out_of_points(tmp_path):
    counted = numpy.hstack([numpy.arange(50)[:, None], PLANE])
    found = data.points(table(tmp_path / "a.csv", counted, ",x,y"))
    assert found.notes == ("the column that counts the rows was left out",)
    labelled = numpy.hstack([PLANE, numpy.ones((50, 1))])
    found = data.points(table(tmp_path / "b.csv", labelled, "x,y,label"))
    assert found.notes == ("the column of labels was left out",)
    numpy.testing.assert_allclose(found.points, PLANE, rtol=1e-6)


@pytest.mark.parametrize(("scale", "noted"), [(1, False), (100, True), (0.001, True)])
def test_points_of_an_unusual_scale_are_noted(tmp_path, scale, noted):
    numpy.save(tmp_path / "p.npy", PLANE * scale)
    assert any("so scale them" in note for note in data.points(tmp_path / "p.npy").notes) is noted


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (numpy.zeros((9, 3)), "points in the plane need two numbers"),
        (numpy.zeros((1, 2)), "at least two rows"),
        (numpy.zeros((5, 2, 2)), "two numbers in each row"),
        (numpy.full((5, 2), numpy.inf), "not finite"),
        (numpy.zeros((5, 2), complex), "complex128"),
    ],
)
def test_arrays_that_are_no_points_are_refused(tmp_path, array, words):
    numpy.save(tmp_path / "p.npy", array)
    with pytest.raises(DataError, match=words):
        data.points(tmp_path / "p.npy")


def test_files_without_points_are_refused(tmp_path):
    (tmp_path / "cat.png").write_bytes(png(1))
    with pytest.raises(DataError, match="is no table or array of points"):
        data.points(tmp_path / "cat.png")
    with pytest.raises(DataError, match="is not a file"):
        data.points(tmp_path)
    with pytest.raises(DataError, match="contains no arrays"):
        data.points(zipped(tmp_path / "x.zip", {"1.png": png(1)}))


# ---------------------------------------------------------------- test splits


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("x_train", "y_train"), ("x_test", "y_test")),
        (("train_images", "train_labels"), ("test_images", "test_labels")),
        (("train_x", "train_y"), ("test_x", "test_y")),
        (("x_train", None), ("x_test", None)),
    ],
)
def test_a_test_split_in_the_same_file(tmp_path, train, test):
    arrays = {train[0]: PIXELS, test[0]: PIXELS[::-1][:4]}
    if train[1]:
        arrays |= {train[1]: LABELS, test[1]: LABELS[::-1][:4]}
    numpy.savez(tmp_path / "x.npz", **arrays)
    assert data.has_test_split(tmp_path / "x.npz")
    found = data.load(tmp_path / "x.npz", image_shape=GREY, split="test")
    whole = data.load(tmp_path / "x.npz", image_shape=GREY)
    numpy.testing.assert_array_equal(found.batch([0, 1]), whole.batch([5, 4]))
    if train[1]:
        numpy.testing.assert_array_equal(found.labels, LABELS[::-1][:4])
    else:
        assert found.labels is None


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("train-images.idx", "test-images.idx"),
        ("emnist-digits-train-images-idx3-ubyte", "emnist-digits-test-images-idx3-ubyte"),
        ("k-train-imgs.npz", "k-test-imgs.npz"), ("X_train.npy", "X_test.npy"),
        ("TRAIN.npy", "TEST.npy"), ("Training.npy", "Testing.npy"),
    ],
)  # fmt: skip
def test_a_test_split_in_a_file_that_is_named_alike(tmp_path, train, test):
    for name, pixels in ((train, PIXELS), (test, PIXELS[:3])):
        if "npy" in name:
            numpy.save(tmp_path / name, pixels)
        elif "npz" in name:
            numpy.savez(tmp_path / name, pixels)
        else:
            write_idx(tmp_path / name, pixels)
    assert data.has_test_split(tmp_path / train)
    assert len(data.load(tmp_path / train, image_shape=GREY)) == 6
    assert len(data.load(tmp_path / train, image_shape=GREY, split="test")) == 3


def test_a_test_split_in_a_folder_that_is_named_alike(tmp_path):
    for name, count in (("train", 3), ("test", 2)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index}.png").write_bytes(png(index))
    assert len(data.load(tmp_path / "train", image_shape=GREY, split="test")) == 2


def test_most_files_have_no_test_split(tmp_path):
    numpy.save(tmp_path / "trained.npy", PIXELS)
    numpy.save(tmp_path / "x_train.npy", PIXELS)
    numpy.save(tmp_path / "tested.npy", PIXELS)
    numpy.savez(tmp_path / "x.npz", images=PIXELS, x_test=PIXELS)
    for name in ("trained.npy", "x_train.npy", "x.npz", "missing_train.npy"):
        assert not data.has_test_split(tmp_path / name)
        with pytest.raises(DataError, match="has no 'test' split: ask for 'train'"):
            data.load(tmp_path / name, image_shape=GREY, split="test")
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / ".hidden").touch()
    assert not data.has_test_split(tmp_path / "train"), "an empty folder is no test split"
    assert not data.has_test_split("digits")
    assert data.has_test_split("mnist")
