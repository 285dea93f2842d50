"""Files that somebody else has open for a moment, and names of the system's that aren't UTF-8."""

import os
from pathlib import Path

import pytest

from minigan import files, gan, memory
from minigan.backend.cpu import cores


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0))


def refusing(times, act):
    """The function, which refuses at first, as Windows does while somebody reads the file."""
    left = [None] * times

    def act_or_refuse(*arguments, **named):
        if left:
            left.pop()
            raise PermissionError(13, "somebody reads it")
        return act(*arguments, **named)

    return act_or_refuse


def test_a_file_that_somebody_reads_is_replaced_a_moment_later(tmp_path, monkeypatch, patient):
    replace = os.replace
    monkeypatch.setattr(os, "replace", refusing(2, replace))
    with files.written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    monkeypatch.setattr(os, "replace", refusing(3, replace))
    with pytest.raises(PermissionError), files.written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("newer")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_without_another_try_a_refusal_is_told_at_once(monkeypatch):
    monkeypatch.setattr(files, "PAUSES", ())
    act = refusing(1, lambda: "done")
    with pytest.raises(PermissionError):
        files.insist(act)
    assert files.insist(act) == "done"


def test_an_old_checkpoint_that_somebody_reads_goes_later(tmp_path, monkeypatch, patient):
    saver = gan.Checkpoints(tmp_path, every=1, keep=1)
    for step in (1, 2):
        (tmp_path / f"step-0000000{step}.safetensors").touch()

    class Stage:
        step = 2

    monkeypatch.setattr(Path, "unlink", refusing(3, Path.unlink))
    saver._drop_old(Stage)
    assert len(os.listdir(tmp_path)) == 2
    saver._drop_old(Stage)
    assert os.listdir(tmp_path) == ["step-00000002.safetensors"]


def test_names_of_the_system_need_not_be_utf8(tmp_path):
    path = tmp_path / "maps"
    path.write_bytes(b"7f00 r--p /home/j\xf6rg/libopenblas.so\n")
    assert "libopenblas" in cores.read(path)
    assert "libopenblas" in memory._text(path)
