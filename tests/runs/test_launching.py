"""How the ranks are started, and what is said about one that died."""

import io
import os
import subprocess
import sys

import pytest

from minigan import ranks
from minigan.cli import errors, main
from minigan.ranks import ALONE, MPIRanks
from minigan.runs import launching

LEFT = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 4711 RUNNING AT node7
=   EXIT CODE: 3
===================================================================================
"""
KILLED = LEFT + "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"


@pytest.mark.parametrize(
    ("text", "status", "first", "said"),
    [
        (KILLED, 9, (1, 4711), "rank 1 (process 4711) was killed by signal 9, so all ranks"),
        (LEFT, 3, (1, 4711), "rank 1 (process 4711) ended with status 3 before the others, so all"),
        (LEFT, 3, None, "a rank ended with status 3 before"),
        ("", 0, (0, 12), "rank 0 (process 12) ended with status 0 before the others"),
    ],
)
def test_what_the_launcher_prints_becomes_a_sentence(text, status, first, said):
    assert launching.epitaph(text.splitlines(), status, first).startswith(said)


def test_chatter_is_kept_back_and_words_are_passed_on():
    printed = io.StringIO()
    said, chatter = launching._relay(["a note\n", *KILLED.splitlines(keepends=True)], printed)
    assert (said, printed.getvalue().strip(), len(chatter)) == (False, "a note", 6)
    assert launching._relay(["minigan: rank 1 of 2: no.\n"], printed)[0]


def test_who_ends_without_signing_off_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv(launching.ROLL, str(tmp_path))
    wait = [sys.executable, "-c", "input()"]
    launcher, left, vanished = (subprocess.Popen(wait, stdin=subprocess.PIPE) for _ in range(3))
    for rank, process in enumerate((left, vanished)):
        (tmp_path / str(rank)).write_text(str(process.pid))
    roll = launching.Roll(tmp_path, launcher)
    (tmp_path / "0").unlink()
    for process in (left, vanished):
        process.communicate(b"\n")
    roll._watch.join(timeout=20)
    launcher.communicate(b"\n")
    assert roll.first() == (1, vanished.pid)


class SlowLauncher:
    """Says that it runs until the ranks have ended, one after the other, all unseen."""

    def __init__(self, ranks):
        self.ranks, self.looks = ranks, 0

    def poll(self):
        """Kill the ranks at the second look, when all are watched."""
        self.looks += 1
        for rank in self.ranks if self.looks == 2 else ():
            rank.kill()
            rank.wait()


@pytest.mark.parametrize("first", range(3))
def test_the_first_of_those_that_ended_together_is_known(first, tmp_path):
    wait = [sys.executable, "-c", "input()"]
    ended = [subprocess.Popen(wait, stdin=subprocess.PIPE) for _ in range(3)]
    for rank, process in enumerate(ended):
        (tmp_path / str(rank)).write_text(str(process.pid))
    in_turn = SlowLauncher(ended[first:] + ended[:first])
    assert launching.Roll(tmp_path, in_turn).first() == (first, ended[first].pid)
    for process in ended:
        process.stdin.close()


def test_a_rank_that_is_done_signs_off(tmp_path, monkeypatch):
    monkeypatch.setenv(launching.ROLL, str(tmp_path))
    with launching.on_the_roll(MPIRanks(Comm(1))):
        assert (tmp_path / "1").read_text() == str(os.getpid())
    assert not list(tmp_path.iterdir())


def test_without_a_launcher_there_is_one_rank(monkeypatch):
    monkeypatch.setattr(ranks, "started_by_a_launcher", lambda: False)
    assert ranks.world() is ALONE


@pytest.fixture
def started(monkeypatch):
    """Four processes that mpiexec has started, as far as the environment says."""
    for name in ranks.LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PMI_SIZE", "4")


class OneRank:
    """MPI that knows one process."""

    class COMM_WORLD:
        @staticmethod
        def Get_size():
            return 1


def test_two_installations_of_mpi_are_found_out(started, monkeypatch):
    monkeypatch.setattr(ranks, "mpi", lambda: OneRank)
    with pytest.raises(ValueError, match="4 processes were started, but MPI knows only one"):
        ranks.world()


def test_a_missing_mpi4py_is_said(started, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r"needs mpi4py and an MPI.*pip install 'minigan\[mpi\]'"):
        ranks.world()


def test_a_missing_launcher_is_said(monkeypatch, capsys):
    monkeypatch.setattr(ranks, "started_by_a_launcher", lambda: False)
    monkeypatch.setattr(launching.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(launching.shutil, "which", lambda name: None)
    monkeypatch.setattr(launching, "mpi", lambda: None)
    assert main(["train", "ring", "--ranks", "2"]) == 2
    assert "--ranks needs the launcher mpiexec" in capsys.readouterr().err


def test_the_number_of_ranks_must_make_sense(capsys):
    assert main(["train", "ring", "--ranks", "0"]) == 2
    assert "--ranks must be at least 1, got 0." in capsys.readouterr().err


def test_cores_are_divided_among_the_ranks_of_a_machine(monkeypatch):
    class Cpu:
        threads = 8

    monkeypatch.setattr(ranks.backend, "get", lambda device: Cpu)
    assert [ranks.cores_of_each(n) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_threads_that_the_user_has_chosen_stay(monkeypatch):
    monkeypatch.setenv("MINIGAN_THREADS", "5")
    ranks._divide_cores(2)
    assert ranks.os.environ["MINIGAN_THREADS"] == "5"


def test_each_rank_gets_a_gpu_of_those_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    ranks._divide_devices(3)
    assert ranks.os.environ["CUDA_VISIBLE_DEVICES"] == "5"


# ---------------------------------------------------------------- one ends all


class Aborted(Exception):
    """What ends this process here."""


class Comm:
    def __init__(self, rank):
        self.rank = rank

    def Get_size(self):
        return 2

    def Get_rank(self):
        return self.rank

    def Abort(self, status):
        raise Aborted(status)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("No disk; buy one."), 2, "rank 1 of 2: No disk; buy one."),
        (KeyError("x"), 70, "rank 1 of 2: this is a mistake in minigan"),
        (SystemExit(3), 3, "rank 1 of 2: it left with status 3 before"),
        (SystemExit(0), 1, "rank 1 of 2: it left with status 0 before"),
        (KeyboardInterrupt(), 130, "rank 1 of 2: interrupted"),
    ],
)
def test_an_error_on_a_rank_ends_all(error, status, words, capsys, monkeypatch):
    monkeypatch.setattr(errors, "PATIENCE", 0)
    with pytest.raises(Aborted) as ended, errors.ending_together(MPIRanks(Comm(1)), False):
        raise error
    assert ended.value.args == (status,)
    assert words in capsys.readouterr().err


def test_an_error_on_a_single_rank_is_left_alone():
    with pytest.raises(KeyError), errors.ending_together(ALONE, False):
        raise KeyError
