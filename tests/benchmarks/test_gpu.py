"""``python -m benchmarks gpu`` as far as it goes without a GPU."""

import csv
import json
import os
import subprocess
import sys

import pytest

from benchmarks import gpu
from benchmarks.gpu import Part


def test_the_work_of_a_step_is_that_counted_by_hand():
    operations, moved = gpu.work("toy", 256)
    # MLPs 2-128-128-2 and 2-128-128-1; the input's gradient of the first layer isn't needed for z
    # and the images.
    g, d, first = 2 * 128 + 128 * 128 + 128 * 2, 2 * 128 + 128 * 128 + 128, 2 * 128
    assert operations == 2 * 256 * (2 * g + (2 * g - first) + 3 * d + 2 * (2 * d - first) + d)
    assert moved > 4 * 256 * 128 * 10
    # A DCGAN of 64x64 pixels: 104 M multiply-adds per net and image, 4 times for G and 8 times for
    # D, less the gradients of z and of the images.
    assert gpu.work("dc64", 128)[0] == pytest.approx(2 * 128 * 104e6 * 12, rel=0.01)


def test_the_floor_is_the_longer_of_arithmetic_and_memory():
    operations, moved = gpu.work("dc64", 128)
    assert gpu.floor_ms("dc64", 128, 50, 1e9) == pytest.approx(operations / 50e12 * 1e3)
    assert gpu.floor_ms("dc64", 128, 1e9, 4000) == pytest.approx(moved / 4000e9 * 1e3)


def test_every_workload_has_every_contestant_at_every_precision():
    steps = {part.key() for part in gpu.parts() if part.kind == "step"}
    for name, batch in gpu.CASES:
        for precision in gpu.PRECISIONS:
            for contestant in ("minigan", "minigan graph", "PyTorch eager", "PyTorch compiled"):
                assert ("step", name, str(batch), precision, contestant) in steps
        assert ("step", name, str(batch), "float32", "NumPy") in steps


def test_the_most_telling_are_measured_first():
    """A net that is bound by launches and one that is bound by arithmetic, against all others,
    before the rest.
    """
    keys = [part.key() for part in gpu.parts()]
    telling = [
        i for i, key in enumerate(keys) if key[0] == "step" and (key[1], int(key[2])) in gpu.TELLING
    ]
    assert telling == list(range(telling[0], telling[0] + len(telling)))
    assert {key[4] for key in keys[: telling[-1] + 1]} >= {
        "minigan graph",
        "PyTorch eager",
        "PyTorch compiled",
        "NumPy",
    }
    assert keys[0][0] == "parity"
    assert len(set(keys)) == len(keys)


def test_ratios_to_a_rival_that_is_missing_or_failed_are_left_open():
    case = {
        "kind": "step",
        "workload": "toy",
        "batch": "256",
        "precision": "float32",
        "floor_ms": "",
        "note": "",
    }
    ours = case | {"contestant": "minigan graph", "ms": "2", "images_per_s": "128000"}
    eager = case | {"contestant": "PyTorch eager", "ms": "5", "images_per_s": "51200"}
    failed = case | {
        "contestant": "PyTorch compiled",
        "ms": "",
        "images_per_s": "",
        "note": "FAILED: no",
    }
    other = eager | {"precision": "tf32", "ms": "1"}
    assert gpu.cells([other, ours, eager, failed], ours) == ["128,000", "2.50", "-", "-"]
    assert gpu.cells([ours, eager, failed], failed) == ["FAILED: no", "-", "-", "-"]


@pytest.mark.parametrize("contestant", ["minigan graph", "minigan", "NumPy"])
def test_a_part_is_measured_on_the_strict_device(contestant):
    part = Part("step", "toy", 4, "float32", contestant)
    result = gpu.run_part(part, dry=True)
    assert result["ms"] > 0
    assert result["images_per_s"] == pytest.approx(4e3 / result["ms"])
    assert result["note"] == (
        "recorded median of 3" if contestant == "minigan graph" else "median of 3"
    )


def test_peaks_are_measured_on_the_strict_device():
    result = gpu.run_part(Part("peaks", precision="tf32"), dry=True)
    assert result["tflops"] > 0
    assert result["gb_per_s"] > 0
    assert result["note"] == "dry run"


def _run(tmp_path, monkeypatch, capsys, answers, *options):
    """Run the command with the parts' processes replaced by what `answers` says."""

    def process(command, **kwargs):
        part = Part(*json.loads(command[command.index("--part") + 1]))
        answer = answers(part)
        if isinstance(answer, Exception):
            raise answer
        code, result = (0, answer) if isinstance(answer, dict) else (1, None)
        error = "" if code == 0 else f"Traceback\n{answer}"
        return subprocess.CompletedProcess(command, code, json.dumps(result), error)

    monkeypatch.setattr(gpu.subprocess, "run", process)
    code = gpu.main(["--out", str(tmp_path), *options])
    with (tmp_path / "gpu.csv").open() as file:
        return code, list(csv.DictReader(file)), capsys.readouterr().out


def _answer(part):
    if part.kind == "peaks":
        return {"tflops": 50.0, "gb_per_s": 4000.0, "note": "a chip"}
    return (
        {"note": "33 passed"}
        if part.kind == "parity"
        else {"ms": 2.0, "images_per_s": part.batch * 500.0, "note": ""}
    )


def test_a_part_that_fails_is_recorded_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    def answers(part):
        if part.contestant == "PyTorch compiled":
            return subprocess.TimeoutExpired("python", 150)
        return "ValueError: out of memory" if part.batch == 512 else _answer(part)

    code, rows, out = _run(tmp_path, monkeypatch, capsys, answers)
    assert code == 1
    assert len(rows) == len(gpu.parts())
    failed = [row for row in rows if row["note"].startswith("FAILED")]
    assert {row["contestant"] for row in failed if row["batch"] != "512"} == {"PyTorch compiled"}
    assert "FAILED: ValueError: out of memory" in out
    assert (tmp_path / "gpu.png").stat().st_size > 10_000
    # A second run measures only what failed; then all is well.
    asked = []
    code, rows, _ = _run(
        tmp_path, monkeypatch, capsys, lambda part: asked.append(part) or _answer(part)
    )
    assert code == 0
    assert len(asked) == len(failed)
    assert len(rows) == len(gpu.parts())


def test_floors_and_ratios_are_told(tmp_path, monkeypatch, capsys):
    code, rows, out = _run(tmp_path, monkeypatch, capsys, _answer, "--only", "dc64")
    assert code == 0
    assert {row["workload"] for row in rows} == {"", "dc64"}
    row = next(r for r in rows if r["batch"] == "128" and r["contestant"] == "minigan graph")
    assert float(row["floor_ms"]) == pytest.approx(gpu.floor_ms("dc64", 128, 50, 4000), rel=1e-3)
    line = next(
        line
        for line in out.splitlines()
        if line.startswith("dc64") and "128" in line and "graph" in line
    )
    assert line.split()[-3:-1] == ["1.00", "1.00"]
    page = (tmp_path / "gpu.md").read_text()
    assert "| dc64 | 128 | float32 | minigan graph | 64,000 | 1.00 | 1.00 | " in page
    assert "aim" not in page
    assert "- peaks float32: 50 TFLOP/s; 4000 GB/s; a chip" in page
    assert "`python -m benchmarks gpu`" in page
    assert not any(r["floor_ms"] for r in rows if r["contestant"] == "NumPy")


def test_no_part_is_begun_when_the_time_is_over(tmp_path, monkeypatch, capsys):
    assert gpu.main(["--out", str(tmp_path), "--minutes", "0.1"]) == 0
    assert "the same command goes on with what is missing" in capsys.readouterr().out


def test_an_unknown_workload_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="Unknown workload 'toys'; there are toy"):
        gpu.main(["--out", str(tmp_path), "--only", "toys"])


@pytest.mark.parametrize(
    ("status", "out", "err", "note"),
    [
        (0, "...\n33 passed, 8 skipped in 3s\n", "", "33 passed, 8 skipped in 3s"),
        (1, "FAILED tests/x\n1 failed, 32 passed in 3s\n", "",
         "FAILED: 1 failed, 32 passed in 3s; FAILED tests/x"),
        (0, "41 skipped in 3s\n", "", "FAILED: 41 skipped in 3s"),
        (5, "no tests ran in 3s\n", "", "FAILED: no tests ran in 3s"),
        (4, "", "Error\nModuleNotFoundError: hypothesis\n",
         "FAILED: ModuleNotFoundError: hypothesis"),
        (139, "", "", "FAILED: exit status 139"),
    ],
)  # fmt: skip
def test_what_pytest_says_is_a_failure_unless_something_passed(status, out, err, note):
    assert gpu._verdict(status, out, err) == note


def test_the_dry_run_needs_nothing_but_the_checkout():
    part = json.dumps(["peaks", "", 0, "float32", "", 60])
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--part", part]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=gpu.ROOT, capture_output=True, text=True, env=plain)
    assert json.loads(done.stdout)["note"] == "dry run", done.stderr


def test_a_part_runs_in_a_process_of_its_own():
    part = json.dumps(["step", "toy", 4, "float32", "NumPy", 60])
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--part", part]
    done = subprocess.run(command, cwd=gpu.ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ms"] > 0
