"""One writer at a time in a run's folder, and folders that nobody else has taken."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minigan import gan
from minigan.files import locked
from minigan.runs import resuming, training
from minigan.runs.folder import new_folder
from minigan.runs.lock import sole_writer

SMALL = {"batch_size": 8, "frames": 0, "progress": False}


class Meanwhile(gan.Callback):
    """Does something at a step of a run, and keeps what it raised."""

    def __init__(self, step, act):
        self.step, self.act, self.raised = step, act, None

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            try:
                self.act()
            except ValueError as error:
                self.raised = str(error)


def test_a_run_that_still_trains_is_not_resumed_beside_it(tmp_path):
    folder = tmp_path / "run"
    files = {}

    def act():
        files.update({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
        resuming.resume(folder, steps=9, progress=False)

    beside = Meanwhile(2, act)
    training.train("ring", out=folder, steps=3, callbacks=[beside], **SMALL)
    assert f"{folder} is being written by process {os.getpid()} on " in beside.raised
    assert beside.raised.endswith("wait until it has ended, or stop it first.")
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3"]
    assert files["config.json"] == (folder / "config.json").read_bytes()


def test_nor_is_another_run_started_there(tmp_path):
    folder = tmp_path / "run"
    beside = Meanwhile(1, lambda: training.train("ring", out=folder, steps=1, **SMALL))
    training.train("ring", out=folder, steps=2, callbacks=[beside], **SMALL)
    assert "isn't empty" in beside.raised


def test_the_lock_leaves_nothing_behind_and_the_next_writer_gets_it(tmp_path):
    for _ in range(2):
        with sole_writer(tmp_path):
            assert {path.name for path in tmp_path.iterdir()} == {".lock", ".writer"}
        assert not list(tmp_path.iterdir())


HOLD = """
import sys, time
from pathlib import Path
from minigan.runs.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_another_process_is_named_and_its_lock_ends_with_it(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match=f"written by process {other.pid} on .* since 20"):
        sole_writer(tmp_path).__enter__()
    other.kill()
    other.wait(20)
    other.stdout.close()
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".writer"}
    # What a killed process leaves doesn't take the folder either.
    training.train("ring", out=tmp_path, steps=1, **SMALL)


def test_a_lock_without_a_name_is_of_another_process(tmp_path):
    with (
        locked(tmp_path / ".lock"),
        pytest.raises(ValueError, match="is being written by another process"),
    ):
        sole_writer(tmp_path).__enter__()


def test_a_file_system_without_locks_has_none(tmp_path, monkeypatch):
    import filelock

    def acquire(*arguments, **options):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with locked(tmp_path / ".lock") as held:
        assert held is False


def test_a_folder_that_somebody_takes_at_the_same_moment_is_left_to_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "ring").mkdir(parents=True)
    # As if it had been made after it was looked for.
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert new_folder(None, "ring") == Path("runs", "ring-2")
    assert new_folder(None, "ring") == Path("runs", "ring-3")
