"""Files that would fill the memory, start other programs or never end: refused in a sentence."""

import gzip
import os
import struct
import zlib

import numpy
import pytest
from PIL import EpsImagePlugin, Image

from minigan import data
from minigan.data import DataError, write_idx


def folder_with(tmp_path, name, content):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / name).write_bytes(content)
    return folder


def load(folder):
    return data.image_folder(folder, size=(8, 8), channels=1)


def png(width, height):
    """A PNG of one colour that claims a size, without the pixels for it."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0" * 10)), chunk(b"IEND", b"")]
    )


# ---------------------------------------------------------------- pictures


def test_a_file_that_is_eps_inside_starts_no_other_program(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **b: started.append(a))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    folder = folder_with(tmp_path, "cat.png", eps)
    with Image.open(folder / "cat.png") as picture:  # Pillow alone takes it for what it is
        assert picture.format == "EPS"
    with pytest.raises(
        DataError, match=r"cat\.png cannot be read as an image .*: repair or remove"
    ):
        load(folder)
    assert not started


@pytest.mark.parametrize("end", [".png", ".jpg", ".bmp", ".gif", ".webp", ".tif"])
def test_every_format_that_an_extension_stands_for_is_read_under_any_of_them(tmp_path, end):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("L", (8, 8), 200).save(folder / f"a{end}")
    (folder / f"a{end}").rename(folder / "a.png")
    assert abs(int(load(folder).images[0, 0, 0, 0]) - 200) < 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_and_a_link_to_nothing_are_no_pictures(tmp_path):
    for make in (os.mkfifo, lambda path: path.symlink_to("nowhere")):
        path = tmp_path / "a.png"
        make(path)
        with pytest.raises(DataError, match=r"a\.png cannot be read .*a pipe, a device or a link"):
            load(tmp_path)
        path.unlink()


@pytest.mark.parametrize(("width", "height"), [(10_000, 9_000), (20_000, 8_900), (60_000, 60_000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, width, height):
    folder = folder_with(tmp_path, "a.png", png(width, height))
    with pytest.raises(
        DataError, match=r"a\.png has more than 89,478,485 pixels: .*set MINIGAN_MAX_PIXELS"
    ):
        load(folder)


def test_the_limit_of_pixels_can_be_lowered_and_raised(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("L", (20, 20), 200).save(folder / "a.png")
    monkeypatch.setenv("MINIGAN_MAX_PIXELS", "399")
    with pytest.raises(DataError, match="more than 399 pixels"):
        load(folder)
    monkeypatch.setenv("MINIGAN_MAX_PIXELS", "400")
    assert len(load(folder)) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # twice that, and Pillow refuses it
    assert len(load(folder)) == 1


# ---------------------------------------------------------------- arrays


def test_an_array_that_unpacks_to_more_than_a_gigabyte_is_refused(tmp_path):
    path = tmp_path / "bomb.gz"
    header = bytes([0, 0, 8, 1]) + struct.pack(">I", 2**30)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(20):
            file.write(bytes(2**20))
    # Not all of it is there, but as much as could be; the size that is claimed is enough.
    path.write_bytes(path.read_bytes() + bytes(2**20))
    with pytest.raises(
        DataError, match=r"more than max_bytes=1000000000: .*set MINIGAN_MAX_BYTES, or max_bytes"
    ):
        data.read_idx(path)


def test_the_limit_of_bytes_can_be_lowered_and_raised(tmp_path, monkeypatch):
    write_idx(tmp_path / "a.gz", numpy.zeros(100, "uint8"))
    monkeypatch.setenv("MINIGAN_MAX_BYTES", "99")
    with pytest.raises(DataError, match="more than max_bytes=99"):
        data.read_idx(tmp_path / "a.gz")
    assert len(data.read_idx(tmp_path / "a.gz", max_bytes=100)) == 100
    monkeypatch.setenv("MINIGAN_MAX_BYTES", " 100 ")
    assert len(data.read_idx(tmp_path / "a.gz")) == 100


@pytest.mark.parametrize("wrong", ["many", "0", "-5", "1e9", "2 GB"])
def test_a_limit_that_is_no_number(tmp_path, monkeypatch, wrong):
    write_idx(tmp_path / "a.gz", numpy.zeros(100, "uint8"))
    monkeypatch.setenv("MINIGAN_MAX_BYTES", wrong)
    with pytest.raises(DataError, match="MINIGAN_MAX_BYTES must be a positive integer, got"):
        data.read_idx(tmp_path / "a.gz")


@pytest.mark.parametrize(
    "header",
    [
        "(" * 5000,
        "__import__('os').system('exit 1')",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': 'x'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 16, 16)}",
        "\0" * 100,
    ],
)
def test_a_numpy_file_whose_header_is_no_literal(tmp_path, header):
    text = f"{header}\n".encode()
    content = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + bytes(2000)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy "):
        data.load(tmp_path / "a.npy")


def test_what_is_odd_about_a_picture_is_not_printed(tmp_path):
    tiff = b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\0" * 100
    folder = folder_with(tmp_path, "a.tif", tiff)  # a warning of Pillow's would be an error here
    with pytest.raises(DataError, match=r"a\.tif cannot be read as an image \(cannot identify"):
        load(folder)
