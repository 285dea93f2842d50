"""``python -m benchmarks crossover`` as far as it goes without a GPU."""

import csv
import json
import sys
import time

import pytest

from benchmarks import crossover, gpu
from benchmarks.crossover import CONTESTANTS, CPU, GPU, GRAPH, Case


@pytest.mark.parametrize(
    ("case", "workload"), [(Case("MLP", 128, 256), "toy"), (Case("DCGAN", 64, 64), "mnist-dcgan")]
)
def test_multiply_adds_are_those_of_the_workload_with_the_same_nets(case, workload):
    assert 2 * crossover.multiply_adds(case) == gpu.work(workload, case.batch)[0]


def test_no_case_is_measured_twice():
    found = crossover.cases()
    assert len(set(found)) == len(found) == 4 * 5 + 3 * 3


class Clock:
    """A timer by which each step takes `each` ms; what is around the steps costs nothing."""

    def __init__(self, each):
        self.each, self.steps, self.samples = each, 0, []

    def step(self):
        self.steps += 1

    def __enter__(self):
        self.before = self.steps
        return self

    def __exit__(self, *exception):
        self.samples.append(self.steps - self.before)
        self.ms = self.each * self.samples[-1]


@pytest.mark.parametrize(("ms", "each"), [(0.01, 200), (4, 5), (1000, 1)])
def test_short_steps_are_measured_many_at_a_time(ms, each):
    clock = Clock(ms)
    median, count = crossover.measure(clock.step, lambda: clock, warm_up=2, seconds=0)
    assert (median, count) == (pytest.approx(ms), 3)
    assert clock.samples == [1, each, each, each]
    assert clock.steps == 2 + sum(clock.samples)


def test_slow_steps_are_measured_once():
    clock = Clock(crossover.SLOW_MS + 1)
    assert crossover.measure(clock.step, lambda: clock, warm_up=1, seconds=9) == (1501, 1)
    assert clock.steps == 2


def test_the_dry_run_writes_everything(tmp_path, capsys):
    assert crossover.main(["--dry-run", "--out", str(tmp_path)]) == 0
    with (tmp_path / "crossover-dry-run.csv").open() as file:
        rows = list(csv.DictReader(file))
    dry = crossover.cases(dry=True)
    assert [r["contestant"] for r in rows] == [name for name in CONTESTANTS for _ in dry]
    assert all(float(r["ms"]) > 0 and r["note"] == "median of 3" for r in rows)
    page = (tmp_path / "crossover-dry-run.md").read_text()
    assert page.startswith("# From which size on a GPU pays\n\n`python -m benchmarks crossover")
    assert "- GPU graph runs on: dry run\n" in page
    assert "NumPy" in rows[-1]["runs_on"]
    assert rows[-1]["runs_on"] in page
    assert (tmp_path / "crossover-dry-run.png").stat().st_size > 10_000
    assert "DCGAN, GPU graph: " in capsys.readouterr().out


def test_a_contestant_that_ends_early_leaves_the_reason(tmp_path, monkeypatch, capsys):
    def results(command, end):
        name = command[command.index("--contestant") + 1]
        if name == GPU:
            yield {"note": "ValueError: no device"}
            return
        for case in crossover.cases(dry=True):
            yield {"case": list(case), "runs_on": name, "ms": 2.0, "note": "median of 3"}
        yield {"note": "exit status 0"}

    monkeypatch.setattr(crossover, "_results", results)
    assert crossover.main(["--dry-run", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.count("FAILED: ValueError: no device") == 2
    assert "MLP, GPU: not measured." in out
    assert (
        "| MLP | 8 | 4 | 4.2 k | 2 | - | 2 | - | 1 |"
        in (tmp_path / "crossover-dry-run.md").read_text()
    )


def test_results_come_as_they_are_printed_and_then_the_end():
    code = "import json, sys; print(json.dumps({'ms': 1})); sys.exit('it broke')"
    ended = crossover._results([sys.executable, "-c", code], time.monotonic() + 60)
    assert list(ended) == [{"ms": 1}, {"note": "it broke"}]
    begin = time.monotonic()
    slow = "import time; print('{}', flush=True); time.sleep(60)"
    stopped = list(crossover._results([sys.executable, "-c", slow], begin + 2))
    assert stopped[-1] == {"note": "the time was over"}
    assert time.monotonic() - begin < 30


def test_a_case_that_fails_leaves_the_others_be(monkeypatch, capsys):
    def measured(case, *_, **__):
        if case.family == "MLP":
            raise MemoryError("too large")
        return {"ms": 1.0, "note": ""}

    monkeypatch.setattr(crossover, "_measured", measured)
    crossover.compete(CPU, "float32", dry=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["note"] == "FAILED: MemoryError: too large"
    assert second["ms"] == 1


def _rows(gains):
    """Rows of MLPs, of which the GPU is `gains` times as fast, the smallest first."""
    found = sorted((c for c in crossover.cases() if c.family == "MLP"), key=crossover.multiply_adds)
    return [
        crossover._row(name, case, "float32", {"ms": ms, "note": ""})
        for case, gain in zip(found, gains, strict=False)
        for name, ms in ((CPU, 6.0), (GPU, 6.0 / gain))
    ]


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([0.5, 0.8, 2, 3], "always faster from 3.2 M multiply-adds a round on (width 128, batch"),
        ([2, 0.5, 3], "batch 16), and in 1 of 2 smaller cases; 2 times as fast in the smallest"),
        ([2, 4], "faster than the CPU in all 2 cases; 2 times as fast in the smallest case, 4 t"),
        ([0.5, 0.25], "slower than the CPU in all 2 cases; 0.5 times as fast in the smallest ca"),
        ([0.5, 2, 0.5], "faster in 1 of 3 cases, but not in the largest; "),
    ],
)
def test_where_the_gpu_begins_to_pay_is_said_in_words(gains, words):
    said, no_graph = crossover.verdicts(_rows(gains))
    assert said.startswith("MLP, GPU: ")
    assert words in said
    assert no_graph == f"MLP, {GRAPH}: not measured."


def test_nothing_is_drawn_where_nothing_can_be_compared(tmp_path):
    crossover.draw(_rows([])[:1], tmp_path / "none.png")
    row = crossover._row(CPU, Case("MLP", 8, 4), "float32", {"ms": 2.0, "note": ""})
    crossover.draw([row], tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
