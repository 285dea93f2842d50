"""Real ranks, started by mpiexec on this machine."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

from minigan import checkpoint
from minigan.gan import list_checkpoints

HELPERS = Path(__file__).parents[1] / "helpers"
BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
WHY_NOT = (
    "mpi4py isn't installed: pip install 'minigan[mpi]' mpich"
    if importlib.util.find_spec("mpi4py") is None
    else None
    if MPIEXEC
    else "there is no mpiexec: pip install mpich"
)
pytestmark = [
    pytest.mark.ranks,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "there is an MPI"),
]
WITHIN = 150
"""Seconds after which a job that should have ended counts as hanging."""


def environment(**more):
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    return os.environ | {"MINIGAN_THREADS": "1", "PYTHONPATH": path} | more


def on_ranks(size, *arguments, **more):
    """Run Python with these arguments on several ranks."""
    command = [MPIEXEC, "-n", str(size), sys.executable, "-m", "mpi4py", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=WITHIN, env=environment(**more)
    )


def minigan(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, arguments)],
        capture_output=True, text=True, timeout=WITHIN, env=environment(**more),
    )  # fmt: skip


# ---------------------------------------------------------------- the same numbers


LONG = {"two dropout": 50, "two gradient-penalty": 50, "cyclegan": 50}
NORMALISED = {"two batchnorm dropout": 50, "cyclegan batchnorm": 50}


def distances(size, asked):
    done = on_ranks(size, HELPERS / "rank_program.py", json.dumps(asked))
    assert done.returncode == 0, done.stderr
    everybody = json.loads(re.search("^FAR (.*)", done.stdout, re.MULTILINE)[1])
    assert len(everybody) == size
    return {name: max(far[name] for far in everybody) for name in asked}


def test_two_ranks_are_one_process_with_the_whole_batch():
    far = distances(2, LONG | NORMALISED)
    assert max(far[name] for name in LONG) < 1e-12
    assert max(far[name] for name in NORMALISED) < 1e-8


def test_four_ranks_are_one_process_with_the_whole_batch():
    far = distances(4, dict.fromkeys(LONG | NORMALISED, 10))
    assert max(far[name] for name in LONG) < 1e-12
    assert max(far[name] for name in NORMALISED) < 1e-8


# ---------------------------------------------------------------- runs


def weights(run):
    arrays, _ = checkpoint.load(run / "model.safetensors")
    return arrays


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path):
    run, alone = tmp_path / "run", tmp_path / "alone"
    quiet = ("--quiet", "--frames", "0", "--schedule", "constant")
    first = minigan("train", "ring", "--ranks", 2, "--steps", 6, "--out", run, *quiet)
    assert (first.returncode, first.stderr) == (0, "")
    assert minigan("train", "--resume", run, "--steps", 12, *quiet[:3]).returncode == 0
    done = minigan("train", "--resume", run, "--steps", 18, "--ranks", 4, *quiet[:3])
    assert (done.returncode, done.stderr) == (0, "")
    assert minigan("train", "ring", "--steps", 18, "--out", alone, *quiet).returncode == 0
    found, wanted = weights(run), weights(alone)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        numpy.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-5)
    rows = [(place / "metrics.csv").read_text().splitlines() for place in (run, alone)]
    assert len(rows[0]) == len(rows[1])


def test_a_mistake_of_all_ranks_is_said_once(tmp_path):
    done = minigan("train", "ring", "--ranks", 2, "--batch-size", 511, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("minigan:") == 1
    assert "rank 0 of 2: A batch of 511 can't be dealt out evenly to 2 ranks" in done.stderr
    assert not (tmp_path / "run").exists()


def test_ranks_with_other_settings_are_refused(tmp_path):
    train = ("-m", "minigan", "train", "ring", "--out", tmp_path / "run", "--steps", "5")
    one, two = ([sys.executable, "-m", "mpi4py", *train, "--seed", seed] for seed in "01")
    command = [MPIEXEC, "-n", "1", *one, ":", "-n", "1", *two]
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=WITHIN, env=environment()
    )
    assert done.returncode == 2
    assert "Ranks 0 and 1 differ in the seed (0 and 1)" in done.stderr
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- a rank that goes wrong

SAID = {
    "raise": "faulty_recipe.py, line 18: The disk of this machine is broken; use another.",
    "mistake": "faulty_recipe.py, line 22: KeyError: 'nothing'.",
    "leave": "rank 1 of 2: it left with status 3",
    "kill": ") was killed by signal 9, so all ranks were ended; go on from the newest checkpoint",
    "vanish": ") ended with status 0 before the others, so all ranks were ended; go on from",
}
STATUS = {"raise": 2, "mistake": 2, "leave": 3}


@pytest.fixture
def faulty(tmp_path):
    """How to train a recipe that goes wrong on rank 1 after step 25, with checkpoints until then."""
    recipe = shutil.copy(HELPERS / "faulty_recipe.py", tmp_path)
    return [
        "train", f"{recipe}:RECIPE", "--ranks", "2", "--trust", "--quiet", "--steps", "100000",
        "--checkpoint-every", "10", "--frames", "0", "--out", str(tmp_path / "run"),
    ]  # fmt: skip


def last_checkpoint(folder):
    newest = list_checkpoints(folder / "run" / "checkpoints")[-1]
    return int(newest.stem.removeprefix("step-"))


@pytest.mark.parametrize("fault", SAID)
def test_a_rank_that_goes_wrong_ends_all(fault, faulty, tmp_path):
    done = minigan(*faulty, FAULT=fault, FAULTY_RANK="1")
    assert SAID[fault] in done.stderr
    assert "minigan: rank 1 " in done.stderr
    assert "mistake in minigan" not in done.stderr
    assert done.returncode == STATUS.get(fault, done.returncode)
    assert done.returncode
    assert last_checkpoint(tmp_path) == 20
    if fault != "kill":
        return
    on = minigan(
        "train", "--resume", tmp_path / "run", "--trust", "--quiet", "--steps", 24,
        FAULT=fault, FAULTY_RANK="1",
    )  # fmt: skip
    assert (on.returncode, on.stderr) == (0, "")


def test_ctrl_c_stops_all_ranks_after_the_same_step(faulty, tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-m", "minigan", *faulty], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment(FAULT="dawdle", FAULTY_RANK="1"),
    )  # fmt: skip
    for line in running.stderr:
        if line.startswith("waiting"):
            break
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=WITHIN)
    assert running.returncode == 130, said
    assert last_checkpoint(tmp_path) > 25
