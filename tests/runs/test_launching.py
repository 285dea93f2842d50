"""How the ranks are started, and what is said about one that died."""

import io
import os
import subprocess
import sys

import pytest

from minigan import ranks
from minigan.cli import errors, main
from minigan.ranks import ALONE, MPIRanks
from minigan.runs import launching, resuming

LEFT = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 4711 RUNNING AT node7
=   EXIT CODE: 3
===================================================================================
"""
KILLED = LEFT + "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"
FRAME = 74 * "-" + "\n"
KILLED_BY_OPEN_MPI = f"""{FRAME}\
prterun noticed that process rank 1 with PID 4711 on node node7 exited on
signal 9 (Killed).
{FRAME}"""
VANISHED = f"""{FRAME}\
prterun has exited due to process rank 1 with PID 4711 on node node7 exiting
improperly. There are three reasons this could occur:

1. this process did not call "init" before exiting, but others in the
job did. [...]

This may have caused other processes in the application to be
terminated by signals sent by prterun (as reported here).
{FRAME}"""
ABORTED = f"""{FRAME}\
MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD
  Proc: [[52691,1],1]
  Errorcode: 2

NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.
You may or may not see output from other processes, depending on
exactly when Open MPI kills them.
{FRAME}{FRAME}\
prterun has exited due to process rank 1 with PID 0 on node node7 calling
"abort". This may have caused other processes in the application to be
terminated by signals sent by prterun (as reported here).
{FRAME}"""
NON_ZERO = f"""{FRAME}\
prterun detected that one or more processes exited with non-zero status,
thus causing the job to be terminated. The first process to do so was:

   Process name: [prterun-node7-4711@1,1]
   Exit code:    3
{FRAME}"""
AS_ROOT = f"""{FRAME}\
prterun has detected an attempt to run as root.
{FRAME}"""


@pytest.mark.parametrize(
    ("text", "status", "first", "said"),
    [
        (KILLED, 9, (1, 4711), "rank 1 (process 4711) was killed by signal 9, so all ranks"),
        (LEFT, 3, (1, 4711), "rank 1 (process 4711) ended with status 3 before the others, so all"),
        (LEFT, 3, None, "a rank ended with status 3 before"),
        (KILLED_BY_OPEN_MPI, 137, (1, 4711), "rank 1 (process 4711) was killed by signal 9, so"),
        (VANISHED, 1, (1, 4711), "rank 1 (process 4711) ended with status 1 before the others"),
        (NON_ZERO, 3, None, "a rank ended with status 3 before the others"),
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


@pytest.mark.parametrize("said", [KILLED_BY_OPEN_MPI, VANISHED, ABORTED, NON_ZERO])
def test_what_open_mpi_says_about_a_rank_is_kept_back(said):
    printed = io.StringIO()
    lines = f"a note\nminigan: rank 1 of 2: no.\n{said}another\n".splitlines(keepends=True)
    told, chatter = launching._relay(lines, printed)
    assert told
    assert printed.getvalue() == "a note\nminigan: rank 1 of 2: no.\nanother\n"
    assert "\n".join(chatter) + "\n" == said


def test_what_a_rank_says_amid_the_words_of_open_mpi_is_passed_on():
    lines, printed = KILLED_BY_OPEN_MPI.splitlines(keepends=True), io.StringIO()
    assert launching._relay([*lines[:2], "\0minigan: rank 1 of 2: no.\n", *lines[2:]], printed)[0]
    assert printed.getvalue() == "minigan: rank 1 of 2: no.\n"


@pytest.mark.parametrize("said", [AS_ROOT, AS_ROOT.removesuffix(FRAME), FRAME])
def test_what_open_mpi_says_about_anything_else_is_passed_on(said):
    printed = io.StringIO()
    assert launching._relay(said.splitlines(keepends=True), printed) == (False, [])
    assert printed.getvalue() == said


def test_words_after_a_line_of_dashes_arrive_before_the_end():
    lines = iter([FRAME, *(f"{i}\n" for i in range(1000))])
    assert next(launching._in_frames(lines)).count("\n") <= launching._MOST + 1
    assert next(lines) != "999\n"


def launcher(folder, program):
    """Put a Python program in the place of mpiexec."""
    path = folder / "mpiexec"
    path.write_text(f"#!{sys.executable}\n{program}")
    path.chmod(0o755)
    return str(path)


def test_a_launcher_that_starts_nothing_is_no_rank_that_ended(tmp_path, monkeypatch, capsys):
    program = f"import sys\nprint({AS_ROOT!r}, end='', file=sys.stderr)\nsys.exit(1)"
    monkeypatch.setattr(launching, "_launcher", lambda: launcher(tmp_path, program))
    assert launching.launch(2, ["train", "ring"], resume="go on") == 1
    said = capsys.readouterr().err
    assert "attempt to run as root" in said
    assert said.endswith(
        "minigan: No rank began to train, see above; nothing was written, so mend that and start "
        "it again.\n"
    )


SIGNED_IN = """
import os, pathlib, signal, sys, time
if os.fork():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
own = pathlib.Path(os.environ["MINIGAN_ROLL"], "1")
own.with_suffix(".new").write_text(str(os.getpid()))
own.with_suffix(".new").rename(own)
print("begun", flush=True)
while True:
    time.sleep(0.05)
"""
INTERRUPTED = """
import os, signal, sys
from minigan.runs import launching, resuming
launching._launcher = lambda: sys.argv[1]
relay = sys.stdout.write
def heard(words):
    if words == "begun\\n":
        os.kill(os.getpid(), signal.SIGINT)
    return relay(words)
sys.stdout.write = heard
sys.exit(launching.launch(2, [], resume="go on"))
"""


def test_ranks_are_interrupted_whatever_their_launcher_does_with_a_signal(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, launcher(tmp_path, SIGNED_IN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


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
    assert [path.name for path in tmp_path.iterdir()] == ["1.done"]


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


def test_local_batch_norm_stays_so_when_a_run_goes_on(tmp_path, monkeypatch, capsys):
    train = ["train", "--quiet", "--frames", "0", "--steps"]
    out = str(tmp_path / "run")
    assert main([*train, "1", "ring", "--local-batchnorm", "--out", out]) == 0

    def assembled(*arguments, local_batchnorm, **more):
        raise ValueError(f"local: {local_batchnorm}")

    monkeypatch.setattr(resuming, "assemble", assembled)
    assert main([*train, "2", "--resume", out]) == 2
    assert "local: True" in capsys.readouterr().err


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
