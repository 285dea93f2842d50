"""Faces that come with minigan, sets from files of a data folder, and CIFAR-10's binary version."""

import hashlib
import tarfile

import numpy
import pytest
from zoo_files import FILES, some_bytes, zoo_folder

from minigan import data
from minigan.data import cifar


def test_the_faces_come_with_minigan_and_are_all_different():
    faces = data.load("avatars")
    assert faces.images.shape == (12_000, 16, 16, 3)
    assert len(numpy.unique(faces.images.reshape(12_000, -1), axis=0)) == 12_000
    assert faces.labels.max() + 1 == len(faces.class_names) == 11
    assert "CC0" in faces.source


def test_the_same_people_wear_glasses():
    plain, glasses = data.avatars(), data.avatars(glasses=True)
    changed = (plain.images != glasses.images).any(axis=-1)
    assert changed.any(axis=(1, 2)).all()
    assert changed.mean() < 0.2
    numpy.testing.assert_array_equal(plain.labels, glasses.labels)


def test_labels_of_faces_can_be_chosen():
    assert len(data.avatars(attribute="mouth").class_names) == 23
    with pytest.raises(ValueError, match="no attribute 'nose': use hair, hairColor"):
        data.avatars(attribute="nose")


# ---------------------------------------------------------------- files of a data folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return zoo_folder(tmp_path_factory.mktemp("zoo"))


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("emoji", (18, 32, 32, 3), 9),
        ("cartoons", (3, 64, 64, 3), None),
        ("glyphs", (30, 28, 28, 1), 2),
        ("kana", (20, 28, 28, 1), 10),
    ],
)
def test_a_set_is_read_from_the_data_folder(name, shape, classes, folder, monkeypatch):
    found = data.load(name, data_dir=folder)
    assert (found.name, found.images.shape) == (name, shape)
    assert (found.class_names and len(found.class_names)) == classes
    monkeypatch.setenv("MINIGAN_DATA", str(folder))
    numpy.testing.assert_array_equal(data.load(name).images, found.images)


def test_a_glyph_has_the_label_of_its_character(folder):
    glyphs = data.load("glyphs", data_dir=folder)
    numpy.testing.assert_array_equal(glyphs.images[3, ..., 0], FILES["glyphs"]["images"][1, 1])
    assert glyphs.class_names[glyphs.labels[3]] == "z"


def test_what_is_missing_is_said(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    with pytest.raises(
        data.DataError, match=r"emoji doesn't come with minigan: make emoji.npz with"
    ):
        data.load("emoji")
    with pytest.raises(data.DataError, match=r"has no file kana.npz: make kana.npz with"):
        data.load("kana", data_dir=tmp_path)
    numpy.savez(tmp_path / "emoji.npz", twemoji=FILES["emoji"]["twemoji"])
    with pytest.raises(data.DataError, match=r"emoji.npz has no array 'labels': make it again"):
        data.load("emoji", data_dir=tmp_path)
    numpy.savez(tmp_path / "cartoons.npz", images=numpy.zeros((3, 64, 64, 3)))
    numpy.savez(tmp_path / "glyphs.npz", images=numpy.zeros((2, 28, 28), "u1"), characters=["0"])
    with pytest.raises(data.DataError, match=r"have shape \(2, 28, 28\)"):
        data.glyphs(data_dir=tmp_path)
    with pytest.raises(data.DataError, match=r"cartoons.npz isn't what it should be .*float64"):
        data.load("cartoons", data_dir=tmp_path)
    with pytest.raises(data.DataError, match="avatars has no 'test' split"):
        data.load("avatars", split="test")
    with pytest.raises(ValueError, match="no emoji of design 'apple': use twemoji or noto"):
        data.emoji(data_dir=folder, design="apple")


# ---------------------------------------------------------------- CIFAR-10


@pytest.fixture
def binary(tmp_path):
    """Files of the binary version with four images each."""
    root = tmp_path / "cifar-10-batches-bin"
    root.mkdir()
    rows = some_bytes(6, 4, 3073)
    rows[:, :, 0] %= 10
    for name, part in zip((*cifar._FILES["train"], *cifar._FILES["test"]), rows, strict=True):
        part.tofile(root / name)
    return tmp_path, rows


@pytest.mark.parametrize(("split", "which"), [("train", slice(5)), ("test", slice(5, 6))])
def test_cifar_is_red_plane_green_plane_blue_plane_row_by_row(binary, split, which):
    root, rows = binary
    found = data.load("cifar10", data_dir=root, split=split)
    rows = rows[which].reshape(-1, 3073)
    numpy.testing.assert_array_equal(found.labels, rows[:, 0])
    for i, y, x, c in ((0, 0, 0, 0), (1, 3, 5, 1), (3, 31, 31, 2)):
        assert found.images[i, y, x, c] == rows[i, 1 + 1024 * c + 32 * y + x]
    assert found.class_names[0] == "airplane"


def test_cifar_in_its_archive(binary, tmp_path):
    root, _ = binary
    expected = data.cifar10(data_dir=root).images
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / cifar._ARCHIVE, "w:gz") as archive:
        archive.add(root / "cifar-10-batches-bin", "cifar-10-batches-bin")
    numpy.testing.assert_array_equal(data.cifar10(data_dir=tmp_path / "packed").images, expected)


def test_cifar_that_is_missing_or_damaged(binary, tmp_path):
    root, _ = binary
    with pytest.raises(data.DataError, match=r"cifar10 is not in .*: put the files of"):
        data.cifar10(data_dir=tmp_path / "nowhere")
    with pytest.raises(data.DataError, match="cifar10 has no split 'val': choose one of"):
        data.cifar10(data_dir=root, split="val")
    place = root / "cifar-10-batches-bin"
    (place / "data_batch_2.bin").write_bytes(b"\1" * 100)
    with pytest.raises(
        data.DataError, match=r"data_batch_2.bin has 100 bytes: a multiple of 3,073"
    ):
        data.cifar10(data_dir=root)
    (place / "data_batch_2.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(data.DataError, match=r"contains the label 11: 0 to 9 are needed"):
        data.cifar10(data_dir=root)
    (place / "data_batch_2.bin").unlink()
    with pytest.raises(data.DataError, match="lacks a file of cifar10's train split"):
        data.cifar10(data_dir=root)


def test_cifar_is_downloaded_once_and_verified(binary, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    root, _ = binary
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(root / "cifar-10-batches-bin", "cifar-10-batches-bin")
    calls = []

    def fetch(url, output, _):
        calls.append(url)
        with open(output, "wb") as file:
            file.write(packed.read_bytes())

    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setattr(cifar, "fetch", fetch)
    with pytest.raises(data.DataError, match=r"could not be downloaded \(.*: wrong checksum\)"):
        data.cifar10()
    assert not list((tmp_path / "cache").rglob("*.gz"))
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "_SHA256", digest)
    assert len(data.cifar10()) == len(data.cifar10()) == 20
    assert calls == [f"{cifar._MIRROR}{cifar._ARCHIVE}"] * 2
