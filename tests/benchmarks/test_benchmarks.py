"""The benchmarks: that both sides compute the same, that the harness counts right; no time is
asserted.
"""

import contextlib
import copy
import csv
import datetime
import importlib.metadata
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest

from benchmarks import (
    checks,
    contestant,
    cpu,
    harness,
    machine,
    memory,
    placement,
    profile,
    report,
    roofline,
    scaling,
    set_ups,
    workloads,
)
from benchmarks.__main__ import COMMANDS
from benchmarks.harness import Block, Entry, Race
from minigan import backend, interop, nn, recipes

SMALL = {"batch": "4", "threads": "1"}
COMPILES = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not COMPILES, reason="Numba isn't installed")


# ---------------------------------------------------------------- the same mathematics


TRAINED = [name for name, workload in workloads.WORKLOADS.items() if workload.trains]
SAMPLED = [name for name in workloads.WORKLOADS if name not in TRAINED]


@pytest.fixture
def torch_step():
    """PyTorch's side in float64."""
    torch = pytest.importorskip("torch")
    from benchmarks.rivals import torch_step

    torch.set_default_dtype(torch.float64)
    yield torch_step
    torch.set_default_dtype(torch.float32)


def tensor(images):
    """A batch of ours as PyTorch has it."""
    import torch

    return torch.from_numpy(numpy.moveaxis(images, -1, 1).copy() if images.ndim == 4 else images)


def same_weights(ours, theirs, *, shape):
    """Give PyTorch's net our weights, and neither any dropout: both draw their own masks."""
    import torch

    for _, layer in ours.layers():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        if isinstance(layer, nn.SpectralNorm):
            layer.iterate(1000)  # then one iteration more or less makes no difference
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    state = interop.to_torch(ours, input_shape=shape)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})


def steps(torch_step, name, monkeypatch, **options):
    """Both sides of a workload, with the same weights, reals, latents and places of a penalty."""
    workload, batch = workloads.find(name), 2
    ours = workloads.Step(workload, batch=batch, dtype="float64")
    theirs = torch_step.Step(workload, batch=batch, **options)
    same_weights(ours.g, theirs.g, shape=(workload.z_size,))
    same_weights(ours.d, theirs.d, shape=workload.sample_shape)
    theirs.real = tensor(ours.real)
    latents = list(numpy.random.default_rng(1).standard_normal((2, batch, workload.z_size)))
    tensors = [tensor(z) for z in latents]
    alpha = copy.deepcopy(ours.chance).random((batch,))
    monkeypatch.setattr(ours, "noise", lambda: latents.pop(0))
    monkeypatch.setattr(theirs, "noise", lambda: tensors.pop(0))
    monkeypatch.setattr(theirs, "alpha", lambda: tensor(alpha).reshape(-1, 1, 1, 1))
    return ours, theirs


def assert_same_gradients(ours, theirs, *, shape):
    gradients = {name: p.grad for name, p in ours.parameters().items()}
    assert max(abs(g).max() for g in gradients.values()) > 0
    # Gradients lie as weights do: they travel through the same conversion, in the place of weights.
    ours.load_state_dict(ours.state_dict() | gradients)
    converted = interop.to_torch(ours, input_shape=shape)
    for key, p in theirs.named_parameters():
        scale = abs(converted[key]).max()
        numpy.testing.assert_allclose(
            p.grad.numpy(), converted[key], rtol=0, atol=1e-7 * scale + 1e-12
        )


@pytest.mark.parametrize("name", [*TRAINED, "dcgan-16-8"])
def test_pytorch_and_minigan_take_the_same_step(name, torch_step, monkeypatch):
    """Same weights, reals and latents, in float64: same losses, and all gradients of both players
    equal.
    """
    ours, theirs = steps(torch_step, name, monkeypatch)
    loss = ours()
    assert theirs() == pytest.approx(loss, rel=1e-9)
    workload = workloads.find(name)
    assert_same_gradients(ours.g, theirs.g, shape=(workload.z_size,))
    assert_same_gradients(ours.d, theirs.d, shape=workload.sample_shape)


@pytest.mark.parametrize("name", ["toy", "mnist-dcgan", "wgan-gp", "hinge-sn", "r1"])
@pytest.mark.parametrize("adam", ["foreach", "fused"])
def test_other_set_ups_of_pytorch_take_the_same_step(name, adam, torch_step, monkeypatch):
    options = {"adam": adam, "together": name != "r1", "inference": True, "channels_last": True}
    ours, theirs = steps(torch_step, name, monkeypatch, **options)
    loss = ours()
    assert theirs() == pytest.approx(loss, rel=1e-9)
    workload = workloads.find(name)
    assert_same_gradients(ours.g, theirs.g, shape=(workload.z_size,))
    assert_same_gradients(ours.d, theirs.d, shape=workload.sample_shape)


@pytest.mark.parametrize("name", SAMPLED)
def test_pytorch_and_minigan_make_the_same_samples(name, torch_step, monkeypatch):
    workload = workloads.find(name)
    ours = workloads.Sampling(workload, batch=2, dtype="float64")
    theirs = torch_step.Sampling(workload, batch=2, channels_last=True)
    same_weights(ours.g, theirs.g, shape=(workload.z_size,))
    z = numpy.random.default_rng(1).standard_normal((2, workload.z_size))
    monkeypatch.setattr(ours, "noise", lambda: z)
    monkeypatch.setattr(theirs, "noise", lambda: tensor(z))
    made = ours()
    assert made.shape == (2, *workload.sample_shape)
    numpy.testing.assert_allclose(theirs().numpy(), numpy.moveaxis(made, -1, 1), atol=1e-12)


def test_nets_of_digits_are_those_of_the_recipe():
    rng = numpy.random.default_rng(0)
    ours, recipe = workloads.nets("digits", rng), recipes.get("digits").networks(rng, rng)
    assert [*map(repr, ours)] == [*map(repr, recipe)]
    assert workloads.find("digits").z_size == recipes.get("digits").latent.size


# ---------------------------------------------------------------- the race


def computing(env):
    """What computes in a contestant's process: the class of its backend."""
    code = "import numpy, minigan.backend; print(type(minigan.backend.of(numpy.zeros(1))).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=harness.environment(env), capture_output=True, text=True
    )
    return done.stdout.strip() or done.stderr.splitlines()[-1]


READABLE = computing(set_ups.READABLE) == "Reference"
needs_readable = pytest.mark.skipif(not READABLE, reason="no MINIGAN_FAST=reference here")


def test_each_minigan_computes_as_its_name_says():
    entries = {entry.name: entry for entry in set_ups.minigan_entries()}
    assert list(entries) == [set_ups.MINIGAN, set_ups.AGAIN, set_ups.FAST, set_ups.FAST_AGAIN]
    assert all(entries[one].env == entries[twin].env for one, twin in set_ups.TWINS.items())
    assert computing(entries[set_ups.MINIGAN].env) == "CpuBackend"
    said = computing(entries[set_ups.FAST].env)
    assert said == "CompiledBackend" if COMPILES else "install minigan[fast]" in said


@needs_readable
def test_the_readable_variant_takes_the_same_step(monkeypatch):
    losses = {}
    for name, env in {"fast": {"MINIGAN_FAST": "0"}, "readable": set_ups.READABLE}.items():
        code = "from benchmarks import workloads; print(workloads.make('toy', {'batch': '4'})())"
        done = subprocess.run(
            [sys.executable, "-c", code], env=harness.environment(env), capture_output=True
        )
        losses[name] = float(done.stdout)
    assert losses["fast"] == pytest.approx(losses["readable"], rel=1e-5)


def test_who_needs_numba_and_has_none_is_missing_with_the_reason(tmp_path):
    """A package of that name that can't be imported stands before the real one."""
    (tmp_path / "numba.py").write_text("raise ImportError('no such luck')")
    fast = {entry.name: entry for entry in set_ups.minigan_entries()}[set_ups.FAST]
    env = {**fast.env, "PYTHONPATH": str(tmp_path)}
    with Race("toy", [harness.Entry(set_ups.FAST, fast.module, SMALL, env)], warm=1) as race:
        assert not race.running
        assert "no such luck" in race.failed[set_ups.FAST]
        assert "install minigan[fast]" in race.failed[set_ups.FAST]


def test_a_race_times_each_in_each_round():
    entries = [
        Entry(n, "benchmarks.workloads", SMALL, set_ups.BACKENDS[set_ups.MINIGAN])
        for n in ("one", "two")
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


def test_what_a_library_is_told_is_not_inherited(monkeypatch):
    told = ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MALLOC_TOP_PAD_")
    for name in told:
        monkeypatch.setenv(name, "7")
    seen = {}
    monkeypatch.setattr(harness.subprocess, "Popen", lambda *_, **options: seen.update(options))
    harness.Contestant(Entry("x", "y", env={"EXTRA": "1"}), "toy")
    assert not set(told) & set(seen["env"])
    assert seen["env"]["EXTRA"] == "1"


def test_a_contestant_obeys():
    spec = {"module": "benchmarks.workloads", "workload": "toy", "options": SMALL, "warm": 1}
    answers = io.StringIO()
    contestant.serve(spec, io.StringIO("run 3\nrun 1\nkernel\n"), answers)
    ready, *runs, kernel = map(json.loads, answers.getvalue().splitlines())
    assert ready["ready"]
    assert [len(run["seconds"]) for run in runs] == [3, 1]
    assert all(run["wait"] >= 0 for run in runs)
    assert kernel["kernel"]


def test_the_kernel_of_openblas_is_found_without_threadpoolctl(monkeypatch):
    found = contestant.openblas_kernel()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert contestant.openblas_kernel() in (found, "unknown")


def looks(*cpus_and_times):
    """Looks at two threads: of each, processor, seconds on it, and seconds of waiting."""
    return [
        {str(i): placement.Thread(*thread) for i, thread in enumerate(look)}
        for look in cpus_and_times
    ]


def test_two_threads_on_one_core_are_noticed(monkeypatch):
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    begin = ((0, 0.0, 0.0), (1, 0.0, 0.0))
    apart = placement.between(looks(begin, ((0, 1.0, 0.0), (1, 0.9, 0.01))), 1.0)
    assert apart == (((0, 1),), pytest.approx(0.01), False)
    assert not apart.spoilt
    together = placement.between(looks(begin, ((1, 0.5, 0.0), (1, 0.5, 0.0))), 1.0)
    assert together.cpus == ((1, 1),)
    assert together.shared
    assert together.spoilt
    # Only at one of two looks, or a thread that hardly ran: nothing is wrong.
    moved = looks(begin, ((1, 0.5, 0.0), (1, 0.5, 0.0)), ((0, 1.0, 0.0), (1, 1.0, 0.0)))
    assert not placement.between(moved, 1.0).shared
    assert not placement.between(looks(begin, ((1, 1.0, 0.0), (1, 0.01, 0.0))), 1.0).shared
    # On a busy machine they wait for a core, wherever they are.
    assert placement.between(looks(begin, ((0, 0.8, 0.2), (1, 0.9, 0.1))), 1.0).spoilt


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_threads_are_read_from_the_system():
    before = placement.threads()
    assert str(threading.get_native_id()) in before
    sum(range(3_000_000))
    after = placement.threads()[str(threading.get_native_id())]
    assert after.ran > before[str(threading.get_native_id())].ran
    assert 0 <= after.cpu < (os.cpu_count() or 1)
    assert placement.threads(Path("/no/such/folder")) == {}


def race_of(monkeypatch, spoilt):
    """A race of one, whose blocks are spoilt or not, in this order."""
    race = Race("any", [])
    race.running = {"a": None}
    fates = iter(spoilt)
    monkeypatch.setattr(race, "_steps", lambda *_: 1)
    monkeypatch.setattr(
        race,
        "_block",
        lambda name, steps, number: (
            Block(name, number, 1.0),
            placement.Placement((), 0.0, next(fates)),
        ),
    )
    monkeypatch.setattr(race, "keep", lambda names: None)
    return race


def test_a_round_in_which_threads_shared_a_core_is_repeated(monkeypatch):
    blocks = race_of(monkeypatch, [False, True, False, False]).blocks(3)
    assert [b.note for b in blocks] == ["", "repeated: a", "", ""]
    assert [b.round for b in blocks] == [0, 1, 1, 2]
    # Who always does so isn't excused for ever.
    blocks = race_of(monkeypatch, [True] * 4).blocks(2)
    assert [b.note for b in blocks] == ["repeated: a"] * 2 + ["", ""]
    assert len(race_of(monkeypatch, [True] * 2).blocks(2, repeats=0)) == 2


def test_the_load_of_a_busy_machine_begins_and_ends():
    with harness.Load(2) as load:
        running = list(load._running)
        assert len(running) == 2
        assert all(one.poll() is None for one in running)
    assert all(one.poll() is not None for one in running)


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


def blocks(times):
    return [Block(name, i, ms) for name, values in times.items() for i, ms in enumerate(values)]


def results(tmp_path):
    table = report.Results(tmp_path, append=False)
    slow, slower = "PyTorch (2 threads)", "PyTorch (1 thread)"
    one, again = set_ups.MINIGAN, set_ups.AGAIN
    for scale in (1.0, 1.5):
        times = {one: [2.0, 2.2, 2.0], again: [2.0, 2.1, 2.1], slow: [4.0 * scale] * 3}
        if scale > 1:  # in the second run alone
            times |= {set_ups.FAST: [1.0, 1.0, 1.1], set_ups.FAST_AGAIN: [1.1, 1.1, 1.0]}
        times |= {slower: [9.0] * 3, f"{slow}{set_ups.SECOND}": [3.0] * 3, "DeZero": [20.0]}
        table.add("toy", blocks(times | {checks.YARDSTICK: [5.0]}), {"x": "no such library"})
    return table


def test_the_rival_is_the_best_pytorch_of_each_run(tmp_path):
    table = results(tmp_path)
    assert table.runs("toy") == [1, 2]
    assert [table.rival("toy", run) for run in (1, 2)] == ["PyTorch (2 threads)"] * 2
    assert table.against_rival("toy", set_ups.MINIGAN) == pytest.approx([2, 3])
    assert table.against_rival("toy", "DeZero") == pytest.approx([0.2, 0.3])
    assert table.floor("toy", set_ups.MINIGAN) == pytest.approx([1.05, 1.05])


def test_pytorch_with_minigan_s_allocator_is_a_rival_too(tmp_path):
    table = report.Results(tmp_path, append=False)
    usual, *_ = map(set_ups.entry, set_ups.star("toy"))
    assert usual.env == set_ups.KEEP_MEMORY
    times = {set_ups.MINIGAN: [2.0], usual.name: [3.0], "PyTorch (2 threads)": [4.0]}
    table.add("toy", blocks(times), {})
    assert table.rival("toy", 1) == usual.name


def test_compiled_loops_are_compared_in_the_runs_that_they_took_part_in(tmp_path):
    table = results(tmp_path)
    assert table.against_rival("toy", set_ups.FAST) == pytest.approx([6])
    assert table.floor("toy", set_ups.FAST) == pytest.approx([1.1])
    assert table.pooled("toy", set_ups.FAST) == pytest.approx((5.45, 6), abs=0.01)
    low, high = table.pooled("toy", set_ups.MINIGAN)
    assert 2 - 0.2 < low < high <= 3


def test_results_are_written_and_added_to(tmp_path):
    heading = machine.heading("Steps", "python -m benchmarks cpu", machine.facts({"torch": "9.9"}))
    text = results(tmp_path).save(heading)
    alone, fast = (
        [c.strip() for c in line.split("|")]
        for line in text.splitlines()
        if line.startswith("| toy: ")
    )
    assert alone[2:8] == ["256", "minigan", "2.00", "5.00", "**2.50**", "2.00 .. 3.00 (2)"]
    assert alone[9] == "1.05 .. 1.05"
    assert fast[2:8] == ["256", "minigan[fast]", "1.00", "6.00", "**6.00**", "6.00 .. 6.00 (1)"]
    assert fast[9] == "1.10 .. 1.10"
    assert "| toy | DeZero | 20.0 | 20.0 .. 20.0 | 12,800 | 10.00 | 20.00 |" in text
    assert "yardstick" not in text
    assert all(words in text for words in ("torch: 9.9", "# Steps", "`python -m benchmarks cpu`"))
    assert f"- measured: {datetime.date.today()}" in text
    assert machine.processor() in text
    assert "- x on toy: no such library" in text
    assert (tmp_path / "cpu.png").stat().st_size > 10_000
    again = report.Results(tmp_path, append=True)
    assert again.ms("toy", set_ups.MINIGAN) == [2.0, 2.2, 2.0] * 2
    again.add("toy", blocks({set_ups.MINIGAN: [1.0]}), {})
    assert again.runs("toy") == [1, 2, 3]


def test_rows_of_an_earlier_version_are_not_mixed_with_new_ones(tmp_path):
    (tmp_path / "cpu.csv").write_text("run,workload,contestant,round,ms\n1,toy,minigan,0,1.5\n")
    assert report.Results(tmp_path, append=True).rows == []


def test_runs_without_compiled_loops_make_the_same_tables(tmp_path):
    table = report.Results(tmp_path, append=False)
    times = {set_ups.MINIGAN: [2.0], "PyTorch (2 threads)": [4.0]}
    table.add("toy", blocks(times), {set_ups.FAST: "no Numba"})
    text = table.save("# Steps")
    assert "| toy | PyTorch (2 threads) | 4.00 | 4.00 .. 4.00 | 64,000 | 2.00 | - |" in text
    assert "minigan[fast] on toy: no Numba" in text
    assert sum(line.startswith("| toy: ") for line in text.splitlines()) == 1


def test_rounds_and_runs_that_do_not_count_are_kept_and_named(tmp_path):
    table = report.Results(tmp_path, append=False)
    table.add(
        "toy", [Block("minigan", 0, 9.0, note="repeated: minigan"), Block("minigan", 0, 2.0)], {}
    )
    table.add("toy", blocks({"minigan": [8.0]}), {}, reason="it was slow")
    assert table.ms("toy", "minigan") == [2.0]
    assert table.fastest("toy") == {"minigan": 2.0}
    text = table.save("# Steps")
    assert "- toy, run 2: it was slow" in text
    assert "- 1 for minigan" in text
    assert len((tmp_path / "cpu.csv").read_text().splitlines()) == 1 + 3
    table.add("toy", blocks({"minigan": [2.0]}), {})
    assert table.runs("toy") == [1, 3]


# ---------------------------------------------------------------- what disturbs a race


def test_who_is_slow_for_a_while_is_noticed():
    assert checks.reason({"a": [1.0, 1.1, 1.0], "b": [2.0, 2.1, 9.0]}, {}, {}) == ""
    assert checks.reason({"a": [1.0, 1.1], "b": [2.0, 8.0, 9.0]}, {}, {}).startswith("b was slowed")


def test_who_is_slow_all_the_time_is_noticed():
    """A median near its own minimum says nothing then: the twin, earlier runs and a yardstick do."""
    times = {"a": [4.0, 4.1], "a, again": [1.0, 1.1], checks.YARDSTICK: [3.0, 3.1]}
    twins = cpu.twins(list(times))
    assert twins == {"a": "a, again"}
    assert checks.reason(times, twins, {}).startswith(
        "a was slow all the time: 4.00 times its twin"
    )
    assert checks.reason(times, {}, {"a": 2.0}).startswith(
        "a was slow all the time: 2.00 times its"
    )
    assert checks.reason(times, {}, {checks.YARDSTICK: 2.0}).startswith("the machine was slow")
    assert checks.reason(times, {}, {checks.YARDSTICK: 2.9, "a": 3.9}) == ""


def test_a_disturbed_race_is_run_once_more(tmp_path, monkeypatch, capsys):
    outcomes = iter([[1.0, 2.0, 2.0], [1.0, 1.0, 1.0]])

    def compare(*_, **__):
        return cpu.Outcome(blocks({set_ups.MINIGAN: next(outcomes)}), {set_ups.FAST: "why"}, {})

    monkeypatch.setattr(cpu, "compare", compare)
    assert cpu.main(["--workload", "toy", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Not counted: minigan was slowed" in said
    assert "Not taking part: minigan[fast]: why" in said
    assert report.Results(tmp_path, append=True).ms("toy", set_ups.MINIGAN) == [1.0] * 3


def test_on_a_busy_machine_all_count_and_have_a_table_of_their_own(tmp_path, monkeypatch, capsys):
    seen = []

    def compare(_, plan, **__):
        seen.append(plan.watch)
        return cpu.Outcome(blocks({set_ups.MINIGAN: [1.0, 2.0, 2.0]}), {}, {}, "SkylakeX")

    monkeypatch.setattr(cpu, "compare", compare)
    monkeypatch.setattr(cpu, "Load", lambda count: contextlib.nullcontext(seen.append(count)))
    assert cpu.main(["--workload", "toy", "--busy", "2", "--out", str(tmp_path)]) == 0
    assert seen == [2, False]
    text = (tmp_path / "cpu-busy-2.md").read_text()
    assert "a busy CPU" in text
    assert "- other processes computing: 2" in text
    assert "- OpenBLAS kernel: SkylakeX" in text
    assert "`python -m benchmarks cpu --workload toy --busy 2`" in text


# ---------------------------------------------------------------- PyTorch's set-ups


def test_every_dial_of_pytorch_is_turned(monkeypatch):
    monkeypatch.setattr(set_ups.cores, "cores", lambda: 2)
    names = [entry.name for entry in set_ups.chosen("mnist-dcgan", "all")]
    assert len(set(names)) == len(names) == 2 * 2 * 3 * 2 * 2 * 2
    usual = [entry.name for entry in set_ups.chosen("mnist-dcgan", "usual")]
    assert usual[0] == "PyTorch (channels_last, 2 threads, fused Adam, memory kept)"
    assert len(usual) == 7
    assert set(usual) < set(names)
    some = set_ups.chosen("dc64", "nchw, inference")
    assert some
    assert all("nchw" in e.name and "inference mode" in e.name for e in some)
    assert not any("together" in e.name for e in set_ups.chosen("dc64", "all"))
    assert any("1 thread" in e.name for e in set_ups.chosen("toy", "usual"))
    assert any("1 thread" in e.name for e in set_ups.chosen("dc64", "usual", alone=True))
    assert not any("1 thread" in e.name for e in set_ups.chosen("dc64", "usual"))
    assert any("compiled" in e.name for e in set_ups.chosen("toy", "usual", compiled=True))
    assert not any("Adam" in e.name for e in set_ups.chosen("sampling-28", "all"))


def test_the_best_of_all_dials_is_tried_too(monkeypatch):
    monkeypatch.setattr(set_ups.cores, "cores", lambda: 2)
    entries = set_ups.chosen("mnist-dcgan", "usual")
    ms = {e.name: 5.0 for e in entries}
    assert set_ups.combined(entries, ms) is None
    for e in entries:
        ms[e.name] -= e.options["layout"] == "nchw" or e.options["fakes"] == "inference"
    best = set_ups.combined(entries, ms)
    assert best.name == "PyTorch (nchw, 2 threads, fused Adam, inference mode, memory kept)"
    assert set_ups.combined([], {}) is None


def test_quick_comparison_from_the_command_line(tmp_path, monkeypatch, capsys):
    entry = Entry(set_ups.MINIGAN, "benchmarks.workloads", SMALL)
    monkeypatch.setattr(set_ups, "chosen", lambda *_, **__: [])
    monkeypatch.setattr(set_ups, "minigan_entries", lambda: [entry])
    monkeypatch.setattr(set_ups, "PEERS", {})
    monkeypatch.setattr(checks, "reason", lambda *_: "")
    options = ["--quick", "--workload", "toy", "sampling-digits", "--rounds", "1"]
    options += ["--out", str(tmp_path), "--peers", "/of/a/user/python"]
    assert cpu.main(options) == 0
    said = capsys.readouterr().out
    assert "| toy | minigan |" in said
    assert "| sampling-digits | minigan |" in said
    assert "--peers peers/bin/python" in said
    assert "/of/a/user" not in said
    assert str(tmp_path) not in said
    rows = report.Results(tmp_path, append=True).rows
    assert {row["contestant"] for row in rows} == {set_ups.MINIGAN, checks.YARDSTICK}


def test_set_ups_that_no_workload_has_are_refused_before_anything_runs(tmp_path, capsys):
    options = ["--quick", "--out", str(tmp_path), "--workload", "toy", "--set-ups", "nchw"]
    with pytest.raises(SystemExit) as ended:
        cpu.main(options)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "no set-up of PyTorch for toy has 'nchw' in its name; give 'usual', 'all' or" in said
    assert "fused Adam, memory kept" in said
    assert list(tmp_path.iterdir()) == []


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


def shares(parts):
    return dict.fromkeys(parts, 1.0) | {"step": float(len(parts)), "system": 0.0, "faults": 0.0}


def test_profile_of_a_step(tmp_path, monkeypatch, capsys):
    real = profile.apart

    def apart(workload, name, **options):
        there = READABLE or name != "reference"
        return real(workload, name, **options) if there else shares(profile.PARTS)

    monkeypatch.setattr(profile, "apart", apart)
    assert profile.main(["--workload", "toy", "--seconds", "0.01", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "profile.md").read_text()
    assert "`python -m benchmarks profile --workload toy --seconds 0.01`" in text
    table = text[text.index("| |") :]
    names = ["toy, before", "toy, after", *["toy, compiled"] * COMPILES]
    assert [cell.strip() for cell in table.splitlines()[0].split("|")[2:-1]] == names
    rows = [line.split("|")[2:-1] for line in table.split("| **step")[0].splitlines()[2:]]
    for column in zip(*rows, strict=True):
        parts = [float(cell.strip(" %")) for cell in column if cell.strip() != "-"]
        assert sum(parts) == pytest.approx(100, abs=0.5)
    assert table.strip() in capsys.readouterr().out


def test_profile_without_numba_has_no_column_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(profile, "apart", lambda *_, **__: shares(profile.PARTS))
    monkeypatch.setattr(profile.importlib.util, "find_spec", lambda _: None)
    assert profile.main(["--workload", "toy", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "compiled" not in said.out
    assert "isn't installed" in said.err


def test_every_primitive_of_a_step_has_a_part_in_the_profile():
    moving = {
        "asarray",
        "number",
        "to_numpy",
        "to_numbers",
        "set_threads",
        "set_precision",
        "describe",
        "record",
        "sum_over_ranks",
        "zero",
    }  # the last is the optimizer's, see instrument
    drawing_and_resizing = {
        "draw",
        "upsample",
        "upsample_grad",
        "interpolate",
        "decimate",
        "shrink",
        "average_pool",
        "average_pool_grad",
        "max_pool",
        "max_pool_grad",
        "max_pool_take",
    }  # random numbers are "rest"; no workload resizes
    primitives = {name for name in vars(backend.Reference) if not name.startswith("_")}
    computing = {name for name in primitives if callable(getattr(backend.Reference, name))}
    assert computing - moving - drawing_and_resizing <= set(profile.METHODS)
    assert set(profile.METHODS.values()) <= set(profile.PARTS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("reference", marks=needs_readable),
        "numpy",
        pytest.param("compiled", marks=needs_numba),
    ],
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
def test_roofline_says_what_computes(numpy_alone, tmp_path):
    flags = ["--workload", "toy", "--batch", "4", "--seconds", "0.0001", "--out", str(tmp_path)]
    flags += ["--numpy"] * numpy_alone
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "roofline", *flags],
        env=harness.environment({}),
        cwd=harness.ROOT,
        capture_output=True,
        text=True,
    )
    head = done.stdout.splitlines()[0]
    assert head.startswith("Computed by: ")
    assert ("NumPy" in head.split(",")[0]) is (numpy_alone or not COMPILES)
    written = "roofline-numpy.md" if numpy_alone else "roofline.md"
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_scaling_varies_one_thing_at_a_time(tmp_path, monkeypatch):
    times = {"minigan": [2.0, 2.0], "minigan[fast]": [1.0, 1.0]} | {
        "PyTorch (nchw)": [3.0, 3.0],
        "PyTorch (x)": [4.0] * 2,
    }
    monkeypatch.setattr(scaling, "race", lambda *_, **__: times)
    monkeypatch.setattr(scaling.importlib.util, "find_spec", lambda _: True)
    assert scaling.main(["--out", str(tmp_path)]) == 0
    text = (tmp_path / "scaling.md").read_text()
    assert machine.processor() in text
    table = text[text.index("| varied") :].splitlines()[2:]
    assert len(table) == len(scaling.CASES)
    ours = "2.0 | 1.50 | 1.50 .. 1.50 | 1.0 | 3.00 | 3.00 .. 3.00 |"
    assert table[0] == f"| batch | 16 | 32 | 64 | 3.0 | nchw | {ours} {datetime.date.today()} |"
    fields, first, *_ = (tmp_path / "scaling.csv").read_text().splitlines()
    assert fields.count(",") == first.count(",") == len(scaling.FIELDS)
    del times["minigan[fast]"]
    assert scaling.cells(times)[-6:] == ("2.0", "1.50", "1.50 .. 1.50", "-", "-", "-")


def test_memory_is_net_of_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "torch_entries", lambda *_, **__: [])
    assert memory.main(["--workload", "toy", "--out", str(tmp_path)]) == 0
    lines = (tmp_path / "memory.csv").read_text().splitlines()[1:]
    rows = {name: values for _, name, *values, _ in csv.reader(lines)}
    assert list(rows) == [
        "minigan",
        *([memory.COMPILING, set_ups.FAST] * COMPILES),
        *(["minigan, reference backend"] * READABLE),
    ]
    for values in rows.values():
        peak, imports, net = map(float, values)
        assert net == pytest.approx(peak - imports, abs=0.2)
        assert 0 < net < 1000
    assert float(rows["minigan"][2]) < 50
    if (
        COMPILES
    ):  # Numba's import isn't net, and the second finds on the disk what the first compiled
        assert float(rows[set_ups.FAST][1]) > float(rows["minigan"][1]) + 20
        assert float(rows[set_ups.FAST][2]) < float(rows[memory.COMPILING][2])


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


def test_results_are_kept_for_each_kind_of_processor():
    names = {
        "Intel(R) Xeon(R) Processor (family 6 model 167) 2 cores": "intel-xeon-processor-family-6-model-167-2-cores",
        "Intel(R) Core(TM) i7 CPU @ 2.60GHz (family 6 model 1)": "intel-core-i7-cpu-family-6-model-1",
        "AMD EPYC 9575F 64-Core Processor": "amd-epyc-9575f-64-core-processor",
    }
    assert {words: machine.slug(words) for words in names} == names
    assert machine.folder().parent == machine.RESULTS


def test_layers_are_timed_beside_pytorchs():
    pytest.importorskip("torch")
    from benchmarks import layers

    small = [case._replace(shape=(2, *case.shape[1:])) for case in layers.CASES]
    times = layers.measure(turns=1, cases=small)
    assert len(times) == len(layers.CASES)
    assert all(len(row) == 4 and min(row) > 0 for row in times)


def test_the_table_of_layers_has_all_versions_and_pytorchs_best(tmp_path, monkeypatch, capsys):
    from benchmarks import layers

    times = {"readable": [[8.0, 2.0, 9.0, 3.0]], "NumPy": [[4.0, 1.0, 6.0, 6.0]]}
    monkeypatch.setattr(layers, "apart", lambda variant, turns, names: times[variant])
    flags = ["--variants", "readable", "NumPy", "--only", "GroupNorm", "--out", str(tmp_path)]
    assert layers.main(flags) == 0
    text = (tmp_path / "layers.md").read_text()
    assert text.splitlines()[-2:] == [
        "| GroupNorm | forward | 1.00 | 8.00 | 0.12 | 4.00 | 0.25 |",
        "| GroupNorm | backward | 3.00 | 9.00 | 0.33 | 6.00 | 0.50 |",
    ]
    with pytest.raises(SystemExit):
        layers.main(["--only", "GroupNorm", "GroupNom"])
    assert "begins with 'GroupNom'; there are Linear; Conv2d, k" in capsys.readouterr().err


def test_without_pytorch_layers_have_no_rival(monkeypatch, capsys):
    from benchmarks import layers

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="compared with PyTorch's; install it"):
        layers.measure(turns=1)
    monkeypatch.setattr(layers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        layers.main(["--variants", "NumPy"])
    assert "compared with PyTorch's; install it" in capsys.readouterr().err
