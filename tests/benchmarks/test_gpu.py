"""``python -m benchmarks gpu`` as far as it goes without a GPU."""

import csv
import json
import os
import subprocess
import sys
import time
import types

import numpy
import pytest
from strict_cuda import strict_cuda

from benchmarks import gpu, gpu_cases, gpu_table, workloads
from benchmarks.gpu import Part
from benchmarks.workloads import WORKLOADS
from minigan import backend


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


def test_penalties_add_passes_through_d_to_the_work():
    d = 4 * 4 * 14**2 * 64 + 4 * 4 * 64 * 7**2 * 128 + 7 * 7 * 128
    plain, moved = gpu.work("hinge-sn", 64)
    assert gpu.work("r1", 64)[0] == pytest.approx(plain + 2 * 64 * 3 * d)
    assert gpu.work("wgan-gp", 64)[0] == pytest.approx(plain + 2 * 64 * 4 * d)
    assert moved < gpu.work("r1", 64)[1] < gpu.work("wgan-gp", 64)[1]


def test_sampling_is_one_pass_through_g():
    g = 100 * 6272 + 4 * 4 * 128 * 7**2 * 64 + 4 * 4 * 64 * 14**2
    assert gpu.work("sampling-28", 64)[0] == pytest.approx(2 * 64 * g)


def test_the_floor_is_the_longer_of_arithmetic_and_memory():
    operations, moved = gpu.work("dc64", 128)
    assert gpu.floor_ms("dc64", 128, 50, 1e9) == pytest.approx(operations / 50e12 * 1e3)
    assert gpu.floor_ms("dc64", 128, 1e9, 4000) == pytest.approx(moved / 4000e9 * 1e3)


def test_every_workload_has_every_contestant_that_can_take_part():
    steps = {part.key()[1:] for part in gpu.parts() if part.kind == "step"}
    assert {name for name, _ in gpu_cases.CASES} == set(WORKLOADS)
    assert {("dc64", 64), ("dc64", 128), ("dc64", 512)} < set(gpu_cases.CASES)
    for name, batch in gpu_cases.CASES:
        for contestant, precision in gpu_cases.ORDER:
            left_out = {
                "PyTorch compiled": name in ("wgan-gp", "wgan-gp-ln", "r1"),
                "NumPy": batch == 512,
            }.get(contestant, False)
            assert ((name, str(batch), precision, contestant) in steps) != left_out


def test_a_contestant_at_one_precision_shares_a_process_and_begins_with_the_most_telling():
    together = list(gpu._together(gpu.parts()))
    assert [some[0].kind for some in together] == [
        "parity",
        "peaks",
        *["step"] * len(gpu_cases.ORDER),
    ]
    for some, (contestant, precision) in zip(together[2:], gpu_cases.ORDER, strict=True):
        assert {(part.contestant, part.precision) for part in some} == {(contestant, precision)}
        assert [(part.workload, part.batch) for part in some[:2]] == list(gpu_cases.TELLING)
    keys = [part.key() for part in gpu.parts()]
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
    assert gpu_table.cells([other, ours, eager, failed], ours) == ["128,000", "2.50", "-", "-"]
    assert gpu_table.cells([ours, eager, failed], failed) == ["FAILED: no", "-", "-", "-"]


@pytest.mark.parametrize("contestant", ["minigan graph", "minigan", "NumPy"])
@pytest.mark.parametrize("name", ["toy", "sampling-digits"])
def test_a_part_is_measured_on_the_strict_device(name, contestant):
    part = Part("step", name, 2, "float32", contestant)
    result = gpu.run_part(part, dry=True)
    assert result["ms"] > 0
    assert result["images_per_s"] == pytest.approx(2e3 / result["ms"])
    assert result["note"] == (
        "recorded median of 1" if contestant == "minigan graph" else "median of 1"
    )


@pytest.mark.parametrize("name", ["digits", "wgan-gp", "wgan-gp-ln", "hinge-sn", "r1"])
def test_the_game_on_a_device_is_that_of_the_cpu_benchmark(name):
    here = gpu.GameStep(Part("step", name, 4, "float32", "NumPy"), backend.get("cpu"), graph=False)
    there = workloads.Step(WORKLOADS[name], batch=4)
    for step in (here, there):
        step.rng = numpy.random.default_rng(3)
        step()
        step()
    for ours, theirs in zip(
        here.game.players().values(), there.game.players().values(), strict=True
    ):
        for key, p in theirs.parameters().items():
            numpy.testing.assert_array_equal(ours.parameters()[key].value, p.value)


def test_a_recorded_game_with_a_penalty_moves_as_one_that_is_not():
    part = Part("step", "wgan-gp", 2, "float32", "minigan")
    steps = [gpu.GameStep(part, strict_cuda(fast=True), graph=graph) for graph in (False, True)]
    for step in steps:
        for _ in range(5):
            step()
    assert steps[1].note() == "recorded"
    plain, recorded = (step.game.discriminator.parameters() for step in steps)
    for key, p in plain.items():
        numpy.testing.assert_allclose(
            backend.to_numpy(recorded[key].value), backend.to_numpy(p.value), rtol=1e-5, atol=1e-6
        )


def test_a_slow_step_is_made_once_and_a_quick_one_many_times():
    assert gpu._measure(lambda: time.sleep(0.02), gpu.HostTimer, warm_up=0, seconds=0.01)[1] == 1
    ms, samples = gpu._measure(lambda: time.sleep(0.002), gpu.HostTimer, warm_up=0, seconds=0.1)
    assert ms > 1.9
    assert samples >= 3


def test_peaks_are_measured_on_the_strict_device():
    result = gpu.run_part(Part("peaks", precision="tf32"), dry=True)
    assert result["tflops"] > 0
    assert result["gb_per_s"] > 0
    assert result["note"] == "dry run"


class _Child:
    """Stands for a process; what it says or how it fails, `answers` knows."""

    def __init__(self, some, options, env, answers, begun):
        begun.append(list(some))
        self.rest, self.answers = list(some), answers

    def answer(self, seconds):
        answer = self.answers(self.rest.pop(0))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self):
        pass


class _Compilation:
    def __init__(self, some, env, *, seconds):
        self.wait = self.end = lambda: None


def _run(tmp_path, monkeypatch, capsys, answers, *options, begun=None):
    """Run the command with the other processes replaced by what `answers` says."""
    begun = [] if begun is None else begun
    monkeypatch.setattr(gpu, "Child", lambda *args: _Child(*args, answers, begun))
    monkeypatch.setattr(gpu, "Compilation", _Compilation)
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
            return TimeoutError()
        return EOFError("ValueError: out of memory") if part.batch == 512 else _answer(part)

    begun = []
    code, rows, out = _run(tmp_path, monkeypatch, capsys, answers, begun=begun)
    assert code == 1
    assert len(rows) == len(gpu.parts())
    failed = [row for row in rows if row["note"].startswith("FAILED")]
    assert {row["contestant"] for row in failed if row["batch"] != "512"} == {"PyTorch compiled"}
    assert "FAILED: ValueError: out of memory" in out
    assert "FAILED: not done within 130 s" in out
    assert (tmp_path / "gpu.png").stat().st_size > 10_000
    # A failure ends a process, and another goes on with the rest; after the last case, none does.
    eager = [some for some in begun if some[0].contestant == "PyTorch eager"]
    assert [len(some) for some in eager] == [len(gpu_cases.CASES)] * 2
    compiled = [some for some in begun if some[0].contestant == "PyTorch compiled"]
    assert [len(some) for some in compiled] == [*range(len(compiled) // 2, 0, -1)] * 2
    # A second run measures only what failed; then all is well.
    asked = []
    code, rows, _ = _run(
        tmp_path, monkeypatch, capsys, lambda part: asked.append(part) or _answer(part)
    )
    assert code == 0
    assert len(asked) == len(failed)
    assert len(rows) == len(gpu.parts())


def test_a_part_that_all_time_ends_under_is_missing_and_not_failed(tmp_path, monkeypatch, capsys):
    def answers(part):
        return TimeoutError() if part.workload == "dc64" else _answer(part)

    code, rows, out = _run(tmp_path, monkeypatch, capsys, answers, "--minutes", "0.3")
    assert code == 0
    assert rows[-1]["workload"] == "toy"
    assert "the same command goes on with what is missing" in out


def test_contestants_can_be_chosen_and_parity_left_out(tmp_path, monkeypatch, capsys):
    chosen = ("--contestants", "NumPy, minigan graph", "--no-parity", "--only", "r1")
    _, rows, _ = _run(tmp_path, monkeypatch, capsys, _answer, *chosen)
    assert [(row["kind"], row["contestant"]) for row in rows] == [
        ("peaks", ""),
        ("peaks", ""),
        ("step", "minigan graph"),
        ("step", "minigan graph"),
        ("step", "NumPy"),
    ]


def _environment():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_a_process_that_ends_says_why_and_another_goes_on():
    some = [
        Part("step", "toy", 2, "float32", "NumPy"),
        Part("step", "toys", 2, "float32", "NumPy"),
        Part("step", "digits", 2, "float32", "NumPy"),
    ]
    end = time.monotonic() + 100
    results = [r for _, r in gpu.measured(some, ["--dry-run"], _environment(), end=end)]
    assert results[0]["ms"] > 0
    assert results[1] == {"note": "FAILED: KeyError: 'toys'"}
    assert results[2]["ms"] > 0


def test_a_process_that_ends_without_a_word_is_a_failure(monkeypatch):
    monkeypatch.setattr(gpu.sys, "executable", "/bin/false")
    some = [Part("step", "toy", 2, "float32", "NumPy")]
    end = time.monotonic() + 100
    results = [r for _, r in gpu.measured(some, ["--dry-run"], _environment(), end=end)]
    assert results == [{"note": "FAILED: exit status 1"}]


def test_a_process_is_ended_when_time_is_over():
    some = [Part("step", "dc64", 64, "float32", "NumPy")]
    end = time.monotonic() + 0.2
    assert list(gpu.measured(some, [], _environment(), end=end)) == []
    assert time.monotonic() < end + 20


def test_what_is_compiled_beforehand_is_compiled_in_processes_of_its_own(monkeypatch, capsys):
    commands = []

    class Process:
        def __init__(self, command, *, env, **kwargs):
            commands.append((command, env))
            self.pid, self.part = 0, command[-1]

        def wait(self, timeout=None):
            if '"toy"' in self.part:
                return 0
            raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(gpu.subprocess, "Popen", Process)
    monkeypatch.setattr(gpu, "_end", lambda process: None)
    monkeypatch.setattr(gpu.os, "cpu_count", lambda: 2)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)  # PyTorch sets it, once imported
    some = [part for part in gpu.parts() if part.workload in ("toy", "r1", "digits")]
    compilation = gpu.Compilation(some, gpu._environment("here", "max-autotune"), seconds=30)
    compilation.wait()
    compilation.end()
    assert "2 of 4 cases" in capsys.readouterr().out
    assert len(commands) == 4
    assert all(env["TORCHINDUCTOR_CACHE_DIR"] == "here" for _, env in commands)
    assert all(env["MINIGAN_TORCH_COMPILE_MODE"] == "max-autotune" for _, env in commands)
    in_no_time = gpu.Compilation(some, {}, seconds=0)
    in_no_time.wait()
    in_no_time.end()
    assert "0 of 4 cases" in capsys.readouterr().out
    assert len(commands) == 4


# ---------------------------------------------------------------- the profile of a step


def _event(start, duration, name, kind="kernel"):
    return {"ph": "X", "cat": kind, "ts": start, "dur": duration, "name": name}


def test_a_profile_sums_kernels_and_finds_gaps():
    events = [
        _event(3000, 1000, "product"),
        _event(0, 2000, "product"),
        _event(1500, 1000, "sum"),  # beside the first product
        _event(4500, 500, "copy", "gpu_memcpy"),
        _event(0, 9000, "python", "cpu_op"),
        {"ph": "M", "name": "process_name"},
    ]
    profile = gpu.profiled(events, steps=2)
    assert profile[:5] == pytest.approx((2.5, 2.0, 1.0, 0.5, 2.0))
    assert profile.kernels == [("product", 1.5, 1.0), ("sum", 0.5, 0.5), ("copy", 0.25, 0.5)]
    page = gpu.profile_page("toy", 3.0, profile, most=2)
    assert page.startswith("## toy\n\nA step: 3.000 ms by the clock; on the device 2.500 ms")
    assert "| 1.5000 | 66.7 % | 1.0 | `product` |" in page
    assert "copy" not in page


def test_a_profile_without_events_is_empty():
    assert gpu.profiled([], steps=3) == (0, 0, 0, 0, 0, [])
    assert "0 launches" in gpu.profile_page("toy", 1.0, gpu.profiled([], steps=3))


def test_profiles_are_appended_to_a_page(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(gpu, "_need_devices", lambda some: None)
    monkeypatch.setattr(gpu, "_profile", lambda part: asked.append(part) or f"{part.contestant}\n")
    for _ in range(2):
        words = ["toy:256:tf32", "dc64:128:float32:PyTorch eager"]
        assert gpu.main(["--out", str(tmp_path), "--profile", *words]) == 0
    assert [part.key()[1:] for part in asked[:2]] == [
        ("toy", "256", "tf32", "minigan graph"),
        ("dc64", "128", "float32", "PyTorch eager"),
    ]
    assert (tmp_path / "gpu-profile.md").read_text().count("minigan graph") == 2
    assert "PyTorch eager" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    ["toy", "toys:1:tf32", "toy:x:tf32", "toy:1:half", "toy:1:tf32:NumPy", "toy:1:tf32:a:b"],
)
def test_a_profile_that_cannot_be_is_refused(words):
    with pytest.raises(SystemExit, match="WORKLOAD:BATCH:PRECISION"):
        gpu.profile_case(words)


@pytest.mark.parametrize(
    ("contestant", "torch_s", "said"),
    [
        ("PyTorch eager", None, "needs PyTorch for CUDA and a GPU"),
        ("PyTorch eager", False, "needs PyTorch for CUDA and a GPU"),
        ("minigan graph", None, "needs PyTorch for CUDA and a GPU"),
        ("minigan graph", True, "Device 'cuda' cannot be used: no CuPy"),
    ],
)
def test_a_profile_without_a_device_is_refused(contestant, torch_s, said, tmp_path, monkeypatch):
    def get(name):
        raise ValueError("Device 'cuda' cannot be used: no CuPy")

    cuda = types.SimpleNamespace(is_available=lambda: torch_s)
    torch = None if torch_s is None else types.SimpleNamespace(cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(gpu.backend, "get", get)
    with pytest.raises(SystemExit, match=said):
        gpu.main(["--out", str(tmp_path / "out"), "--profile", f"dc64:128:tf32:{contestant}"])
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- the whole command


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
    monkeypatch.setattr(gpu, "Compilation", _Compilation)
    assert gpu.main(["--out", str(tmp_path), "--minutes", "0.1"]) == 0
    assert "the same command goes on with what is missing" in capsys.readouterr().out


def test_an_unknown_workload_or_contestant_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="Unknown workload 'toys'; there are toy"):
        gpu.main(["--out", str(tmp_path), "--only", "toys"])
    with pytest.raises(SystemExit, match="Unknown contestant 'JAX'; there are minigan graph"):
        gpu.main(["--out", str(tmp_path), "--contestants", "JAX"])


def test_contestants_that_can_play_none_of_the_workloads_are_refused(tmp_path):
    compiled = ["--out", str(tmp_path), "--contestants", "PyTorch compiled"]
    for options in (["--only", "wgan-gp"], ["--dry-run"]):
        with pytest.raises(SystemExit, match=r"PyTorch compiled can't play (wgan-gp|any workload)"):
            gpu.main([*compiled, *options])
    assert list(tmp_path.iterdir()) == []


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
    some = json.dumps([["peaks", "", 0, "float32"], ["step", "toy", 4, "float32", "NumPy"]])
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--parts", some]
    done = subprocess.run(command, cwd=gpu.ROOT, capture_output=True, text=True, env=_environment())
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["note"] == "dry run", done.stderr
    assert answers[1]["ms"] > 0
