"""The scripts that make data sets: nothing is replaced unasked, nothing is half written, and what
is wrong is said in a sentence.
"""

import importlib
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import matplotlib
import numpy
import pytest

SCRIPTS = Path(__file__).parents[2] / "datasets"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def run(script, *arguments, path=None):
    env = os.environ | ({} if path is None else {"PATH": str(path)})
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def refusal(script, *arguments, status=1, path=None):
    """Return what a script that refuses says, in a line."""
    ended = run(script, *arguments, path=path)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()[-1]


@pytest.fixture
def writing(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    yield importlib.import_module("writing")
    sys.modules.pop("writing")


@pytest.fixture
def recordings(tmp_path):
    """Two recordings of a tenth of a second."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("7_ann_0", "3_bob_12"):
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(numpy.arange(800, dtype="<i2").tobytes())
    return folder


def test_recordings_become_a_file(recordings, tmp_path):
    assert run("spoken_digits.py", recordings, tmp_path / "out").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["spoken_digits.npz"]
    with numpy.load(tmp_path / "out" / "spoken_digits.npz") as arrays:
        assert arrays["labels"].tolist() == [3, 7]
        assert arrays["takes"].tolist() == [12, 0]
        assert arrays["speakers"].tolist() == [1, 0]
        assert arrays["lengths"].tolist() == [800, 800]


def test_a_file_is_replaced_only_when_asked_to(recordings, tmp_path):
    target = tmp_path / "spoken_digits.npz"
    target.write_bytes(b"mine")
    assert "--force" in refusal("spoken_digits.py", recordings, tmp_path)
    assert target.read_bytes() == b"mine"
    assert run("spoken_digits.py", recordings, tmp_path, "--force").returncode == 0
    assert target.read_bytes()[:2] == b"PK"


@pytest.mark.parametrize(("script", "name"), [("make.py", "emoji"), ("letters.py", "kana")])
def test_what_is_there_is_noticed_before_anything_is_made(script, name, tmp_path):
    (tmp_path / f"{name}.npz").write_bytes(b"mine")
    said = refusal(script, *[FONTS] * (script == "letters.py"), tmp_path)
    assert f"{name}.npz" in said
    assert "--force" in said
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.npz"]


@pytest.mark.parametrize("name", ["1_ann_0_b.wav", "x_ann_0.wav", "1_ann_last.wav"])
def test_a_recording_with_another_name_is_named(name, recordings, tmp_path):
    shutil.copy(recordings / "7_ann_0.wav", recordings / name)
    said = refusal("spoken_digits.py", recordings, tmp_path)
    assert name in said
    assert "7_jackson_32.wav" in said


def test_a_broken_recording_is_named(recordings, tmp_path):
    (recordings / "1_ann_0.wav").write_bytes(b"RIFF")
    assert "1_ann_0.wav cannot be read" in refusal("spoken_digits.py", recordings, tmp_path)


def test_a_file_is_no_folder(recordings, tmp_path):
    (tmp_path / "taken").write_text("")
    assert "it is a file" in refusal("spoken_digits.py", recordings, tmp_path / "taken")
    assert "it is a file" in refusal("letters.py", FONTS, tmp_path / "taken")
    assert "it is a file" in refusal("make.py", tmp_path / "taken")


def test_a_missing_program_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    path = tmp_path / "empty"
    assert "program npm, which isn't here; install Node" in refusal("make.py", tmp_path, path=path)
    fonts = ("letters.py", tmp_path / "fonts", tmp_path, "--download")
    assert "program apt-get, which isn't here" in refusal(*fonts, path=path)


@pytest.mark.parametrize(("script", "flag"), [("letters.py", "--maps"), ("make.py", "--faces")])
def test_numbers_are_above_zero(script, flag, tmp_path):
    said = refusal(script, *[FONTS] * (script == "letters.py"), tmp_path, flag, "0", status=2)
    assert "0 isn't above zero" in said


def test_what_could_not_be_written_whole_leaves_the_older_file(writing, tmp_path, monkeypatch):
    target = tmp_path / "x.npz"
    target.write_bytes(b"older")

    def half(file, **_):
        file.write(b"PK half")
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.numpy, "savez_compressed", half)
    with pytest.raises(KeyboardInterrupt):
        writing.save(target, images=numpy.zeros(3))
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]


def test_a_program_that_fails_ends_the_script(writing, tmp_path):
    fails = (sys.executable, "-c", "raise SystemExit(3)")
    assert writing.call(*fails, cwd=tmp_path, install="", check=False) == 3
    with pytest.raises(SystemExit, match="ended with status 3"):
        writing.call(*fails, cwd=tmp_path, install="")
