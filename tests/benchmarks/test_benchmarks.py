"""The benchmarks: that both sides compute the same, that the harness counts right; no time is
asserted.
"""

import csv
import importlib.metadata
import importlib.util
import io
import json
import os
import subprocess
import sys

import numpy
import pytest

from benchmarks import (
    contestant,
    cpu,
    harness,
    machine,
    memory,
    profile,
    roofline,
    scaling,
    workloads,
)
from benchmarks.__main__ import COMMANDS
from benchmarks.harness import Entry, Race
from minigan import backend, interop, nn
from minigan.runs import bench

SMALL = {"batch": "4", "threads": "1"}
COMPILES = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not COMPILES, reason="Numba isn't installed")


# ---------------------------------------------------------------- the same mathematics


@pytest.mark.parametrize("name", ["toy", "mnist-mlp", "mnist-dcgan", "dc64", "dcgan-16-8"])
def test_pytorch_and_minigan_take_the_same_step(name, monkeypatch):
    """Same weights, reals and latents, in float64: same losses, and all gradients of both players
    equal.
    """
    torch = pytest.importorskip("torch")
    from benchmarks.rivals import torch_step

    workload, batch = workloads.find(name), 2
    ours = workloads.Step(workload, batch=batch, dtype="float64")
    torch.set_default_dtype(torch.float64)
    try:
        theirs = torch_step.Step(
            workload, channels_last=False, fused=False, compiled=False, batch=batch
        )
        shapes = {"g": (workload.z_size,), "d": workload.sample_shape}
        for player, shape in shapes.items():
            for layer in (
                layer
                for _, layer in getattr(ours, player).layers()
                if isinstance(layer, nn.Dropout)
            ):
                layer.p = 0.0  # both draw their own masks
            for module in getattr(theirs, player).modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            state = interop.to_torch(getattr(ours, player), input_shape=shape)
            getattr(theirs, player).load_state_dict(
                {k: torch.from_numpy(v) for k, v in state.items()}
            )
        theirs.real = torch.from_numpy(
            numpy.moveaxis(ours.real, -1, 1).copy() if ours.real.ndim == 4 else ours.real
        )
        latents = numpy.random.default_rng(1).standard_normal((2, batch, workload.z_size))
        queue = list(latents)
        monkeypatch.setattr(ours, "noise", lambda: queue.pop(0))
        loss = ours()
        tensors = [torch.from_numpy(z) for z in latents]
        monkeypatch.setattr(torch, "randn", lambda *_: tensors.pop(0))
        assert theirs() == pytest.approx(loss, rel=1e-9)
        for player, shape in shapes.items():
            net = getattr(ours, player)
            gradients = {name: p.grad for name, p in net.parameters().items()}
            assert max(abs(g).max() for g in gradients.values()) > 0
            # Gradients lie as weights do: they travel through the same conversion, in the place of
            # weights.
            net.load_state_dict(net.state_dict() | gradients)
            converted = interop.to_torch(net, input_shape=shape)
            for key, p in getattr(theirs, player).named_parameters():
                scale = abs(converted[key]).max()
                numpy.testing.assert_allclose(
                    p.grad.numpy(), converted[key], rtol=0, atol=1e-7 * scale + 1e-12
                )
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_reference_backend_can_be_swapped_in(monkeypatch):
    monkeypatch.setattr(workloads.devices, "_cpu", workloads.devices._cpu)
    fast = workloads.make("toy", {"batch": "4"})()
    slow = workloads.make("toy", {"batch": "4", "backend": "reference"})()
    assert type(backend.of(numpy.zeros(1))) is backend.Reference
    assert fast == pytest.approx(slow, rel=1e-5)


# ---------------------------------------------------------------- the race


def computing(entry):
    """What computes in a contestant's process: the class of its backend."""
    code = "import numpy, minigan.backend; print(type(minigan.backend.of(numpy.zeros(1))).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | dict(entry.env),
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def test_each_minigan_computes_as_its_name_says():
    entries = {entry.name: entry for entry in cpu.minigan_entries()}
    assert list(entries) == [cpu.MINIGAN, cpu.AGAIN, cpu.FAST, cpu.FAST_AGAIN]
    assert all(entries[one].env == entries[twin].env for one, twin in cpu.TWINS.items())
    assert computing(entries[cpu.MINIGAN]) == "CpuBackend"
    said = computing(entries[cpu.FAST])
    assert said == "CompiledBackend" if COMPILES else "install minigan[fast]" in said


def test_who_needs_numba_and_has_none_is_missing_with_the_reason(tmp_path):
    """A package of that name that can't be imported stands before the real one."""
    (tmp_path / "numba.py").write_text("raise ImportError('no such luck')")
    fast = {entry.name: entry for entry in cpu.minigan_entries()}[cpu.FAST]
    env = {**fast.env, "PYTHONPATH": str(tmp_path)}
    with Race("toy", [harness.Entry(cpu.FAST, fast.module, SMALL, env)], warm=1) as race:
        assert not race.running
        assert "no such luck" in race.failed[cpu.FAST]
        assert "install minigan[fast]" in race.failed[cpu.FAST]


def test_a_race_times_each_in_each_round():
    entries = [
        Entry(n, "benchmarks.workloads", SMALL, cpu.BACKENDS[cpu.MINIGAN]) for n in ("one", "two")
    ]
    with Race("toy", [*entries, Entry("nobody", "benchmarks.rivals.nobody")], warm=1) as race:
        assert set(race.running) == {"one", "two"}
        assert "nobody" in race.failed["nobody"]
        times = race.times(2, block=0.005)
        used = race.memory()
        processes = [c._process for c in race.running.values()]
    assert {name: len(values) for name, values in times.items()} == {"one": 2, "two": 2}
    assert all(ms > 0 for values in times.values() for ms in values)
    assert all(1 < peak - imports < 50 for peak, imports in used.values())
    assert race.versions["numpy"] == numpy.__version__
    assert all(process.poll() is not None for process in processes)


def test_a_contestant_that_fails_says_why():
    entry = Entry("x", "benchmarks.workloads")
    with (
        harness.Contestant(entry, "no-such-workload") as one,
        pytest.raises(harness.Failed, match="no-such-workload"),
    ):
        one.wait_until_ready()


def test_threads_are_not_inherited(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    seen = {}
    monkeypatch.setattr(harness.subprocess, "Popen", lambda *_, **options: seen.update(options))
    harness.Contestant(Entry("x", "y", env={"EXTRA": "1"}), "toy")
    assert "OMP_NUM_THREADS" not in seen["env"]
    assert seen["env"]["EXTRA"] == "1"


def test_a_contestant_obeys():
    spec = {"module": "benchmarks.workloads", "workload": "toy", "options": SMALL, "warm": 1}
    answers = io.StringIO()
    contestant.serve(spec, io.StringIO("run 3\nrun 1\n"), answers)
    ready, *runs = map(json.loads, answers.getvalue().splitlines())
    assert ready["ready"]
    assert [len(run["seconds"]) for run in runs] == [3, 1]


GREEDY = """
import numpy
IMPORTED = numpy.ones(32 << 17)
def make(workload, options):
    return lambda: numpy.ones(64 << 17)[0]
"""


def test_the_peak_is_what_a_step_holds_at_its_largest_and_not_what_the_imports_hold(tmp_path):
    """Its import keeps 32 MiB, each of its three steps writes to 64 MiB and gives them back."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    (tmp_path / "content.py").write_text(GREEDY.replace("64", "0").replace("[0]", ""))
    place = {"PYTHONPATH": str(tmp_path)}
    entries = [Entry(name, name, env=place) for name in ("greedy", "content")]
    with Race("any", entries, warm=3) as race:
        (peak, imports), (little, _) = (race.memory()[name] for name in ("greedy", "content"))
    assert imports > 32 + 5, "Python and NumPy alone are more than that"
    # A page table and what NumPy allocates at its first use come on top; a kernel's count is
    # batched, see `peak_mib`.
    assert 63 < peak - imports < 72
    assert 63 < peak - little < 72


def test_what_is_only_imported_at_first_use_can_count_as_an_import(tmp_path):
    (tmp_path / "large.py").write_text("import numpy\nHELD = numpy.ones(32 << 17)\n")
    (tmp_path / "late.py").write_text(
        "def make(workload, options):\n    import large\n    return lambda: large.HELD[0]\n"
    )
    place = {"PYTHONPATH": str(tmp_path)}
    entries = [
        Entry("late", "late", env=place),
        Entry("early", "late", env=place, imports=["large"]),
    ]
    with Race("any", entries, warm=1) as race:
        net = {name: peak - imports for name, (peak, imports) in race.memory().items()}
    assert net["late"] > 32
    assert net["early"] < 8


def test_ratios_and_their_intervals():
    fast = [1.0, 1.1, 0.9, 1.0, 5.0]
    slow = [2.0 * ms for ms in fast]
    assert harness.ratio(slow, fast) == 2
    # What disturbs a round disturbs both: the ratio doesn't waver.
    assert harness.interval(slow, fast) == pytest.approx((2, 2))
    low, high = harness.interval([2.0, 3.0, 2.5, 2.0, 3.0], fast)
    assert low < 2.5 < high


# ---------------------------------------------------------------- the tables


def results(tmp_path):
    table = cpu.Results(tmp_path, append=False)
    slow, slower, kept = "PyTorch (2 threads)", "PyTorch (1 thread)", f"PyTorch ({cpu.KEPT})"
    for scale in (1.0, 1.5):
        times = {cpu.MINIGAN: [2.0, 2.2, 2.0], cpu.AGAIN: [2.0, 2.1, 2.1], slow: [4.0 * scale] * 3}
        if scale > 1:  # in the second run alone
            times |= {cpu.FAST: [1.0, 1.0, 1.1], cpu.FAST_AGAIN: [1.1, 1.1, 1.0]}
        table.add(
            "toy",
            times | {slower: [9.0] * 3, kept: [3.0] * 3, "DeZero": [20.0]},
            {"x": "no such library"},
        )
    return table


def test_the_rival_is_the_best_pytorch_of_each_run(tmp_path):
    table = results(tmp_path)
    assert table.runs("toy") == [1, 2]
    assert [table.rival("toy", run) for run in (1, 2)] == ["PyTorch (2 threads)"] * 2
    assert table.against_rival("toy", cpu.MINIGAN) == pytest.approx([2, 3])
    assert table.against_rival("toy", "DeZero") == pytest.approx([0.2, 0.3])
    assert table.floor("toy", cpu.MINIGAN) == pytest.approx([1.05, 1.05])


def test_compiled_loops_are_compared_in_the_runs_that_they_took_part_in(tmp_path):
    table = results(tmp_path)
    assert table.against_rival("toy", cpu.FAST) == pytest.approx([6])
    assert table.floor("toy", cpu.FAST) == pytest.approx([1.1])
    assert table.pooled("toy", cpu.FAST) == pytest.approx((5.45, 6), abs=0.01)
    low, high = table.pooled("toy", cpu.MINIGAN)
    assert 2 - 0.2 < low < high <= 3


def test_results_are_written_and_added_to(tmp_path):
    text = results(tmp_path).save(machine.facts({"torch": "9.9"}), "python -m benchmarks cpu")
    alone, fast = (
        [c.strip() for c in line.split("|")]
        for line in text.splitlines()
        if line.startswith("| toy: ")
    )
    assert alone[2:8] == ["256", "minigan", "2.00", "5.00", "**2.50**", "2.00 .. 3.00 (2)"]
    assert alone[9:11] == ["1.05 .. 1.05", "1.5, aim 2.0"]
    assert fast[2:8] == ["256", "minigan[fast]", "1.00", "6.00", "**6.00**", "6.00 .. 6.00 (1)"]
    assert fast[9:11] == ["1.10 .. 1.10", "1.5, aim 2.0"]
    assert "| toy | DeZero | 20.0 | 12,800 | 10.00 | 20.00 |" in text
    assert "torch: 9.9" in text
    assert "- x on toy: no such library" in text
    assert (tmp_path / "cpu.png").stat().st_size > 10_000
    again = cpu.Results(tmp_path, append=True)
    assert again.ms("toy", cpu.MINIGAN) == [2.0, 2.2, 2.0] * 2
    again.add("toy", {cpu.MINIGAN: [1.0]}, {})
    assert again.runs("toy") == [1, 2, 3]


def test_runs_without_compiled_loops_make_the_same_tables(tmp_path):
    table = cpu.Results(tmp_path, append=False)
    table.add("toy", {cpu.MINIGAN: [2.0], "PyTorch (2 threads)": [4.0]}, {cpu.FAST: "no Numba"})
    text = table.save({}, "python -m benchmarks cpu")
    assert "| toy | PyTorch (2 threads) | 4.00 | 64,000 | 2.00 | - |" in text
    assert "minigan[fast] on toy: no Numba" in text
    assert sum(line.startswith("| toy: ") for line in text.splitlines()) == 1


def test_a_run_that_something_disturbed_is_not_counted(tmp_path, monkeypatch, capsys):
    assert cpu.disturbed({"a": [1.0, 1.1, 1.0], "b": [2.0, 2.1, 9.0]}) is None
    assert cpu.disturbed({"a": [1.0, 1.1, 1.0], "b": [2.0, 8.0, 9.0]}) == "b"
    monkeypatch.setattr(
        cpu, "compare", lambda *_, **__: ({cpu.MINIGAN: [1.0, 2.0, 2.0]}, {cpu.FAST: "why"}, {})
    )
    assert cpu.main(["--workload", "toy", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "Not counted: minigan" in said
    assert "Not taking part: minigan[fast]: why" in said
    assert not (tmp_path / "cpu.csv").exists()


def test_every_set_up_of_pytorch_is_tried(monkeypatch):
    monkeypatch.setattr(cpu.threads, "cores", lambda: 2)
    names = [entry.name for entry in cpu.torch_entries("dc64")]
    assert len(set(names)) == len(names) == 10
    assert sum("compiled" in name for name in names) == 2
    assert "PyTorch (channels_last, 2 threads, fused Adam)" in names
    assert not any("compiled" in entry.name for entry in cpu.torch_entries("dc64", compiled=False))
    assert not any("nchw" in entry.name for entry in cpu.torch_entries("toy"))


def test_quick_comparison_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cpu, "torch_entries", lambda *_, **__: [])
    monkeypatch.setattr(cpu, "disturbed", lambda _: None)
    monkeypatch.setattr(
        cpu, "minigan_entries", lambda: [Entry(cpu.MINIGAN, "benchmarks.workloads", SMALL)]
    )
    options = [
        "--quick",
        "--workload",
        "toy",
        "--rounds",
        "1",
        "--out",
        str(tmp_path),
        "--peers",
        "/of/a/user/python",
    ]
    monkeypatch.setattr(cpu, "PEERS", {})
    assert cpu.main(options) == 0
    said = capsys.readouterr().out
    assert "| toy | minigan |" in said
    assert "--peers peers/bin/python" in said
    assert "/of/a/user" not in said
    assert (tmp_path / "cpu.csv").exists()


# ---------------------------------------------------------------- the other commands


def test_the_clock_gives_time_to_the_innermost(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(profile.time, "perf_counter", lambda: float(next(now)))
    clock = profile.Clock()
    inner = clock.wrap(lambda: None, "unfold")
    outer = clock.wrap(lambda: (inner(), inner()), "fold")
    outer()
    # Each look at the clock is a second: before, between and after the two inner calls outer is at
    # work.
    assert dict(clock.seconds) == {"rest": 1, "fold": 3, "unfold": 2}


def test_products_within_a_transform_are_the_transform():
    clock = profile.Clock()
    multiply = clock.wrap(numpy.matmul, "GEMM")
    clock.wrap(lambda: multiply(numpy.ones((2, 2)), numpy.ones((2, 2))), "Winograd")()
    assert "GEMM" not in clock.seconds
    multiply(numpy.ones(2), numpy.ones((2, 2)))  # a sum
    assert "GEMM" not in clock.seconds
    multiply(numpy.ones((2, 2)), numpy.ones((2, 2)))
    assert clock.seconds["GEMM"] > 0


def test_profile_of_a_step(tmp_path, capsys):
    assert profile.main(["--workload", "toy", "--seconds", "0.01", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "profile.md").read_text()
    names = ["toy, before", "toy, after", *["toy, compiled"] * COMPILES]
    assert [cell.strip() for cell in text.splitlines()[0].split("|")[2:-1]] == names
    rows = [line.split("|")[2:-1] for line in text.split("| **step")[0].splitlines()[2:]]
    for column in zip(*rows, strict=True):
        shares = [float(cell.strip(" %")) for cell in column if cell.strip() != "-"]
        assert sum(shares) == pytest.approx(100, abs=0.5)
    assert text.strip() in capsys.readouterr().out


def test_profile_without_numba_has_no_column_for_it(tmp_path, monkeypatch, capsys):
    shares = dict.fromkeys(profile.PARTS, 1.0) | {"step": 9.0, "system": 0.0, "faults": 0.0}
    monkeypatch.setattr(profile, "apart", lambda *_, **__: shares)
    monkeypatch.setattr(profile.importlib.util, "find_spec", lambda _: None)
    assert profile.main(["--workload", "toy", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "compiled" not in said.out
    assert "isn't installed" in said.err


def test_every_primitive_of_a_step_has_a_part_in_the_profile():
    moving = {
        "asarray",
        "to_numpy",
        "to_numbers",
        "set_threads",
        "set_precision",
        "describe",
        "record",
        "zero",
    }  # the last is the optimizer's, see instrument
    drawing_and_resizing = {
        "draw",
        "upsample",
        "upsample_grad",
    }  # random numbers are "rest"; no workload resizes
    primitives = {name for name in vars(backend.Reference) if not name.startswith("_")}
    computing = {name for name in primitives if callable(getattr(backend.Reference, name))}
    assert computing - moving - drawing_and_resizing <= set(profile.METHODS)
    assert set(profile.METHODS.values()) <= set(profile.PARTS)


@pytest.mark.parametrize(
    "name", ["reference", "numpy", pytest.param("compiled", marks=needs_numba)]
)
def test_every_part_of_a_dcgan_is_found_wherever_a_backend_does_it(name):
    """Its outer convolutions go through patches, the inner one takes Winograd's form where there is
    one.
    """
    found = profile.apart("dcgan-16-64", name, seconds=0.01)
    parts = set(profile.PARTS) - ({"Winograd"} if name == "reference" else set())
    assert all(found[part] > 0 for part in parts)
    assert sum(found[part] for part in profile.PARTS) == pytest.approx(found["step"])


def test_roofline_counts_operations_and_bytes():
    rng = numpy.random.default_rng(0)
    linear, convolution = (
        nn.Linear(3, 5, rng=rng),
        nn.Conv2d(2, 4, kernel_size=4, stride=2, padding=1, rng=rng),
    )
    transposed = nn.ConvTranspose2d(4, 2, kernel_size=4, stride=2, padding=1, rng=rng)
    images, pixels = numpy.zeros((6, 8, 8, 2), "float32"), numpy.zeros((6, 4, 4, 4), "float32")
    assert roofline.operations(linear, numpy.zeros((7, 3)), numpy.zeros((7, 5))) == 2 * 7 * 3 * 5
    assert roofline.operations(convolution, images, pixels) == 2 * 6 * 16 * 4 * 4 * 2 * 4
    assert roofline.operations(transposed, pixels, images) == 2 * 6 * 16 * 4 * 4 * 2 * 4
    rows = roofline.measure("toy", 100.0, 10.0, batch=4, seconds=1e-4)
    assert len(rows) == 2 * 10
    first = rows[0]
    assert first.gflop == pytest.approx(2 * 4 * 2 * 128 / 1e9)
    assert first.mbytes == pytest.approx(4 * (4 * 2 + 4 * 128 + 3 * 128) / 1e6)
    assert first.floor_ms == pytest.approx(1e3 * max(first.gflop / 100, first.mbytes / 1e4))
    assert all(value > 0 for value in roofline.peaks(size=64, mbytes=1, seconds=1e-3))
    assert roofline.table(rows).count("\n") == 2 + len(rows)


@pytest.mark.parametrize("numpy_alone", [True, False])
def test_roofline_says_what_computes(numpy_alone, tmp_path, monkeypatch, capsys):
    installed = backend.get("cpu")
    monkeypatch.setattr(workloads.devices, "_cpu", lambda: installed)
    monkeypatch.setattr(roofline, "peaks", lambda **_: (100.0, 10.0))
    flags = ["--numpy"] * numpy_alone
    arguments = [
        "--workload",
        "toy",
        "--batch",
        "4",
        "--seconds",
        "0.0001",
        "--out",
        str(tmp_path),
        *flags,
    ]
    assert roofline.main(arguments) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert head == f"Computed by: {bench.engine(backend.get('cpu'))}."
    assert ("NumPy" in head.split(",")[0]) is (
        numpy_alone or type(backend.get("cpu")).__name__ == "CpuBackend"
    )
    written = "roofline-numpy.md" if numpy_alone else "roofline.md"
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_scaling_varies_one_thing_at_a_time(tmp_path, monkeypatch):
    times = {"minigan": [2.0, 2.0], "minigan[fast]": [1.0, 1.0]} | {
        "PyTorch (nchw)": [3.0, 3.0],
        "PyTorch (x)": [4.0] * 2,
    }
    monkeypatch.setattr(scaling, "race", lambda *_, **__: times)
    assert scaling.main(["--out", str(tmp_path)]) == 0
    table = (tmp_path / "scaling.md").read_text().splitlines()[2:]
    assert len(table) == len(scaling.CASES)
    ours = "2.0 | 1.50 | 1.50 .. 1.50 | 1.0 | 3.00 | 3.00 .. 3.00 |"
    assert table[0] == f"| batch | 16 | 32 | 64 | 3.0 | nchw | {ours}"
    fields, first, *_ = (tmp_path / "scaling.csv").read_text().splitlines()
    assert fields.count(",") == first.count(",") == len(scaling.FIELDS) - 1
    del times["minigan[fast]"]
    assert scaling.cells(times)[-6:] == ("2.0", "1.50", "1.50 .. 1.50", "-", "-", "-")


def test_memory_is_net_of_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "torch_entries", lambda *_, **__: [])
    assert memory.main(["--workload", "toy", "--out", str(tmp_path)]) == 0
    lines = (tmp_path / "memory.csv").read_text().splitlines()[1:]
    rows = {name: values for _, name, *values in csv.reader(lines)}
    assert list(rows) == [
        "minigan",
        *([memory.COMPILING, cpu.FAST] * COMPILES),
        "minigan, reference backend",
    ]
    for values in rows.values():
        peak, imports, net = map(float, values)
        assert net == pytest.approx(peak - imports, abs=0.2)
        assert 0 < net < 1000
    assert float(rows["minigan"][2]) < 50
    if (
        COMPILES
    ):  # Numba's import isn't net, and the second finds on the disk what the first compiled
        assert float(rows[cpu.FAST][1]) > float(rows["minigan"][1]) + 20
        assert float(rows[cpu.FAST][2]) < float(rows[memory.COMPILING][2])


def test_commands_are_handed_over(monkeypatch, capsys):
    from benchmarks import __main__ as command

    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert command.main() == 2
    said = capsys.readouterr().err
    assert all(name in said for name in COMMANDS)
    monkeypatch.setattr(memory, "main", lambda arguments: len(arguments))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "memory", "--workload", "toy"])
    assert command.main() == 2


def test_facts_name_no_host():
    import platform

    text = str(machine.facts())
    assert numpy.__version__ in text
    try:
        found = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        found = "not installed"
    assert machine.facts()["Numba"] == found
    assert len(platform.node()) < 3 or platform.node() not in text
