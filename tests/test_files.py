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


def test_a_read_only_file_system_names_the_file_that_was_wanted(tmp_path, monkeypatch):
    def refuse(path, *arguments, **named):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(OSError, match="Read-only") as caught,
        files.written_whole(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert caught.value.filename == str(tmp_path / "a.txt")


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


@pytest.mark.skipif(os.name == "nt", reason="Windows can't open folders")
def test_the_name_of_a_file_reaches_the_disk_after_its_content(tmp_path, monkeypatch):
    events, sync, replace = [], os.fsync, os.replace

    def synced(handle):
        events.append(("sync", os.fstat(handle).st_ino))
        sync(handle)

    def replaced(source, target):
        events.append(("replace", os.stat(source).st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    path = tmp_path / "a.txt"
    with files.written_whole(path) as temporary:
        temporary.write_text("new")
    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert events == [("sync", file), ("replace", file), ("sync", folder)]


def test_a_folder_is_no_leftover_whatever_its_name(tmp_path):
    left, folder = (tmp_path / f".{name}-0123456789ab.png" for name in ("file", "folder"))
    left.touch()
    folder.mkdir()
    assert files.is_leftover(folder)
    files.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
