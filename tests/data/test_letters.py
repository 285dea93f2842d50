"""The script that draws letters with fonts, on those that come with Matplotlib."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy
import pytest

from minigan import data

SCRIPT = Path(__file__).parents[2] / "datasets" / "letters.py"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "cmex10.ttf"):  # the last has no letters
        (folder / name).write_bytes((FONTS / name).read_bytes())
    (folder / "broken.ttf").write_bytes(b"no font")
    ended = run(folder, folder / "out")
    assert ended.returncode == 0, ended.stderr
    assert "broken.ttf can't be read as a font" in ended.stdout
    assert "all that kana.npz needs" in ended.stdout
    assert not (folder / "out" / "kana.npz").exists()
    return folder / "out"


def test_letters_stand_on_one_line_and_capitals_are_equally_high(drawn):
    with numpy.load(drawn / "glyphs.npz") as arrays:
        images, characters = arrays["images"], list(arrays["characters"])
        assert [name.split("|")[:2] for name in arrays["fonts"]] == [
            ["DejaVu Sans", "Bold"], ["DejaVu Sans", "Book"],
        ]  # fmt: skip
    assert images.shape == (2, 62, 28, 28)
    for letter in "EHLTx":
        rows = (images[:, characters.index(letter)] > 128).any(axis=2)
        bottoms = 27 - rows[:, ::-1].argmax(axis=1)
        assert bottoms.tolist() == [21, 21]
        assert letter == "x" or rows.argmax(axis=1).tolist() == [5, 5]
    assert (images[0].mean(axis=(1, 2)) > images[1].mean(axis=(1, 2))).mean() > 0.95  # bold


def test_what_it_writes_is_a_data_set(drawn):
    letters = data.load("glyphs", data_dir=drawn)
    assert letters.images.shape == (124, 28, 28, 1)
    assert len(set(letters.labels)) == 62


def test_a_folder_without_fonts_is_refused(tmp_path):
    ended = run(tmp_path, tmp_path / "out")
    assert ended.returncode == 1
    assert "name a folder with fonts" in ended.stderr
    assert not (tmp_path / "out").exists()
