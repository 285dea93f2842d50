"""``python -m benchmarks crossover``: from which net and batch size on does a GPU pay?

Small nets and large ones, of linear layers and of convolutions, each with small batches and large
ones: a round of the game (one step of D, one of G) on the processor, on the GPU, and on the GPU
with the round recorded as a graph. Latents are drawn on the host and sent in every round; the real
batch is there already.

Each contestant is a process of its own that measures all cases, the small ones first. Each time is
written to ``crossover.csv`` as soon as it is known.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gc
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from benchmarks import gpu, machine
from minigan import backend, gan, nn, optim
from minigan.recipes.nets import dcgan_discriminator, dcgan_generator

CPU, GPU, GRAPH = "CPU", "GPU", "GPU graph"
CONTESTANTS = (GRAPH, GPU, CPU)
"""In the order in which they are measured: those that are most likely to fail come first."""
FIELDS = (
    "contestant",
    "family",
    "width",
    "batch",
    "multiply_adds",
    "precision",
    "ms",
    "note",
    "runs_on",
)
FAMILIES = {
    "MLP": "2-D points, G and D with two hidden layers as wide",
    "DCGAN": "28x28 pixels, D's convolutions as wide and twice as wide, G's mirror them",
}
TITLE = "From which size on a GPU pays"
SLOW_MS = 1500
"""A round that takes longer is measured once."""

Row = dict[str, str]


class Case(NamedTuple):
    """Two nets and a batch size."""

    family: str
    width: int
    batch: int

    def latents(self) -> tuple[int, ...]:
        return self.batch, 2 if self.family == "MLP" else 100

    def samples(self) -> tuple[int, ...]:
        return (self.batch, 2) if self.family == "MLP" else (self.batch, 28, 28, 1)

    def nets(self) -> tuple[nn.Sequential, nn.Sequential]:
        """Build G and D."""
        rng = numpy.random.default_rng(0)
        w = self.width
        if self.family == "MLP":
            return _mlp(2, w, w, 2, rng=rng), _mlp(2, w, w, 1, rng=rng)
        g = dcgan_generator(rng, inputs=100, side=7, width=2 * w)
        return g, dcgan_discriminator(rng, side=7, width=w)


@functools.cache
def multiply_adds(case: Case) -> int:
    """Count those of a round, as `benchmarks.gpu.work` does.

    G runs forward twice and backward once, without the gradient of z. D runs forward three times,
    backward twice for its weights, and once for G.
    """
    g, d = case.nets()
    g_all, d_all = g.multiply_adds(case.latents()), d.multiply_adds(case.samples())
    g_first = next(iter(g)).multiply_adds(case.latents())
    d_first = next(iter(d)).multiply_adds(case.samples())
    return 2 * g_all + (2 * g_all - g_first) + 3 * d_all + 2 * (2 * d_all - d_first) + d_all


def _mlp(*sizes: int, rng: numpy.random.Generator) -> nn.Sequential:
    layers: list[nn.Layer] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after, rng=rng), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def cases(*, dry: bool = False) -> list[Case]:
    """What is measured; with `dry` only to see that it works."""
    if dry:
        return [Case("MLP", 8, 4), Case("DCGAN", 2, 2)]
    sweep = {
        "MLP": ((32, 128, 512, 2048), (16, 64, 256, 1024, 4096)),
        "DCGAN": ((8, 32, 128), (16, 64, 256)),
    }
    return [Case(name, w, n) for name, (widths, ns) in sweep.items() for w in widths for n in ns]


# ---------------------------------------------------------------- a contestant, in its own process


class Round:
    """A step of D and one of G per call."""

    def __init__(self, case: Case, ops: Any, *, graph: bool) -> None:
        g, d = (net.to(ops) for net in case.nets())
        g_adam, d_adam = (optim.Adam(net, lr=2e-4, betas=(0.5, 0.999)) for net in (g, d))
        self.game = gan.Game(g, d, g_adam, d_adam)
        self.ops, self.shape = ops, case.latents()
        self.rng = numpy.random.default_rng(0)
        self.real = ops.asarray(self.rng.uniform(-1, 1, case.samples()).astype("float32"))
        self._play: Callable[..., Any] = self._round
        if graph:
            self._play = ops.record(self._round, optimizers=[g_adam, d_adam])

    def __call__(self) -> None:
        z_d, z_g = (self.rng.standard_normal(self.shape, dtype="float32") for _ in range(2))
        self._play(z_d, z_g)

    def _round(self, z_d: Any, z_g: Any) -> dict[str, Any]:
        z_d, z_g = self.ops.asarray(z_d), self.ops.asarray(z_g)
        return self.game.discriminator_step(self.real, z_d) | self.game.generator_step(z_g)

    def note(self) -> str:
        """Say so if there should be a graph and is none."""
        return "" if getattr(self._play, "recorded", True) else "NOT RECORDED, "


def compete(contestant: str, precision: str, *, dry: bool) -> None:
    """Measure all cases, and print each as a line of JSON."""
    ops: Any = backend.get("cpu") if contestant == CPU else gpu._device(precision, dry)
    runs_on = _about(ops) if contestant == CPU else gpu._machine(ops)
    for case in cases(dry=dry):
        try:
            result = _measured(case, ops, contestant, seconds=0.0 if dry else 0.4)
        except Exception as error:  # the other cases may fit into memory
            result = {"note": f"FAILED: {type(error).__name__}: {error}"}
        print(json.dumps({"case": case, "runs_on": runs_on, **result}), flush=True)
        gc.collect()  # a round and its graph refer to each other, and hold memory of the device


def _about(ops: Any) -> str:
    return f"{machine.processor()}; {ops.describe()}; {ops.threads} threads"


def _measured(case: Case, ops: Any, contestant: str, *, seconds: float) -> dict[str, Any]:
    step = Round(case, ops, graph=contestant == GRAPH)
    if contestant == CPU:
        ms, count = measure(step, gpu.HostTimer, warm_up=1, seconds=seconds)
    else:
        # A graph is recorded in the fourth round.
        ms, count = measure(step, lambda: gpu.DeviceTimer(ops.xp.cuda), warm_up=5, seconds=seconds)
    return {"ms": ms, "note": f"{step.note()}median of {count}"}


def measure(
    step: Callable[[], Any], timer: Callable[[], Any], *, warm_up: int, seconds: float
) -> tuple[float, int]:
    """Median milliseconds of a step, and of how many samples: each of as many steps as take 20 ms,
    for `seconds` and at least three; one if a step is slow.
    """

    def sample(steps: int) -> float:
        with timer() as one:
            for _ in range(steps):
                step()
        return float(one.ms) / steps

    for _ in range(warm_up):
        step()
    first = sample(1)
    if first > SLOW_MS:
        return first, 1
    each = max(1, min(200, round(20 / max(first, 1e-3))))
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or time.perf_counter() < end:
        samples.append(sample(each))
    return statistics.median(samples), len(samples)


# ---------------------------------------------------------------- all contestants


def main(arguments: list[str] | None = None) -> int:
    """Measure everything, print it, write ``crossover.csv``, ``.md`` and ``.png``."""
    options = _options(arguments)
    if options.contestant:
        compete(options.contestant, options.precision, dry=options.dry_run)
        return 0
    about = machine.facts() | machine.today()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / ("crossover-dry-run.csv" if options.dry_run else "crossover.csv")
    rows: list[Row] = []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in _all_rows(options):
            rows.append(row)
            writer.writerow(row)
            file.flush()
            case = f"{row['family']:5} width {row['width']:>4} batch {row['batch']:>4}"
            time_of = f"{row['ms']} ms, " if row["ms"] else ""
            print(f"{row['contestant']:9} {case}  {time_of}{row['note']}", flush=True)
    command = machine.command("crossover", arguments)
    path.with_suffix(".md").write_text(report(rows, machine.heading(TITLE, command, about)))
    draw(rows, path.with_suffix(".png"))
    print("\n" + "\n".join(verdicts(rows)))
    print(f"\nWritten: {path}, and .md and .png beside it")
    return int(any(row["note"].startswith(("FAILED", "NOT")) for row in rows))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks crossover", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=machine.RESULTS, help="folder for the results")
    parser.add_argument("--precision", choices=gpu.PRECISIONS, default="float32", help="the GPU's")
    parser.add_argument(
        "--minutes", type=float, default=4.0, help="stop after this (default 4; it takes about 1)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="without a GPU, to see that the command works"
    )
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _all_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Run one contestant after the other; a case that one owes is a row with the reason."""
    end = time.monotonic() + 60 * options.minutes
    for case in cases(dry=options.dry_run):
        multiply_adds(case)  # which builds the nets: not while a contestant is measured
    for contestant in CONTESTANTS:
        command = ["--contestant", contestant, "--precision", options.precision]
        command += ["--dry-run"] if options.dry_run else []
        owed = cases(dry=options.dry_run)
        why = ""
        for result in _results([sys.executable, "-m", "benchmarks.crossover", *command], end):
            if "case" in result:
                case = Case(*result["case"])
                owed.remove(case)
                yield _row(contestant, case, options.precision, result)
            else:
                why = result["note"]
        for case in owed:
            yield _row(contestant, case, options.precision, {"note": f"FAILED: {why}"})


def _row(contestant: str, case: Case, precision: str, result: dict[str, Any]) -> Row:
    return {
        "contestant": contestant,
        **{name: str(value) for name, value in case._asdict().items()},
        "multiply_adds": str(multiply_adds(case)),
        "precision": "float32" if contestant == CPU else precision,
        "ms": f"{result['ms']:.4g}" if "ms" in result else "",
        "note": result["note"],
        "runs_on": result.get("runs_on", ""),
    }


def _results(command: list[str], end: float) -> Iterator[dict[str, Any]]:
    """Hand on what a process prints, as soon as it does, and last why it ended."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=gpu.ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        timer = threading.Timer(max(0.0, end - time.monotonic()), process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                yield json.loads(line)
            process.wait()
        finally:
            timer.cancel()
            process.kill()
        errors.seek(0)
        said = errors.read().strip().splitlines() or [f"exit status {process.returncode}"]
        yield {"note": "the time was over" if time.monotonic() >= end else said[-1]}


# ---------------------------------------------------------------- what came out


class Point(NamedTuple):
    """A case with the milliseconds of each contestant; NaN where one is missing."""

    case: Case
    multiply_adds: int
    ms: dict[str, float]

    def gain(self, contestant: str) -> float:
        """How many times as fast as the CPU."""
        return self.ms[CPU] / self.ms[contestant]


def points(rows: list[Row]) -> list[Point]:
    """Put the contestants of a case together; by family, those with the fewest multiply-adds first."""
    found: dict[Case, Point] = {}
    for row in rows:
        case = Case(row["family"], int(row["width"]), int(row["batch"]))
        nothing = dict.fromkeys(CONTESTANTS, math.nan)
        point = found.setdefault(case, Point(case, int(row["multiply_adds"]), nothing))
        point.ms[row["contestant"]] = float(row["ms"] or math.nan)
    families = list(FAMILIES)
    return sorted(found.values(), key=lambda p: (families.index(p.case.family), p.multiply_adds))


def verdicts(rows: list[Row]) -> list[str]:
    """Say for each family, and with and without a graph, where the GPU begins to pay."""
    return [
        f"{family}, {contestant}: {_verdict(there, contestant)}"
        for family in FAMILIES
        for contestant in (GPU, GRAPH)
        if (there := [p for p in points(rows) if p.case.family == family])
    ]


def _verdict(there: list[Point], contestant: str) -> str:
    known = [p for p in there if not math.isnan(p.gain(contestant))]
    if not known:
        return "not measured."
    lost = [i for i, p in enumerate(known) if p.gain(contestant) <= 1]
    span = [known[0], known[-1]]
    if len(lost) == len(known):
        return f"slower than the CPU in all {len(known)} cases{_gains(span, contestant)}."
    if not lost:
        return f"faster than the CPU in all {len(known)} cases{_gains(span, contestant)}."
    if lost[-1] == len(known) - 1:
        return (
            f"faster in {len(known) - len(lost)} of {len(known)} cases, but not in the largest"
            f"{_gains(span, contestant)}."
        )
    first = known[lost[-1] + 1]
    early = lost[-1] + 1 - len(lost)
    before = f", and in {early} of {lost[-1] + 1} smaller cases" if early else ""
    return (
        f"always faster from {magnitude(first.multiply_adds)} multiply-adds a round on (width "
        f"{first.case.width}, batch {first.case.batch}){before}{_gains(span, contestant)}."
    )


def _gains(span: list[Point], contestant: str) -> str:
    small, large = (_number(p.gain(contestant)) for p in span)
    return f"; {small} times as fast in the smallest case, {large} times in the largest"


def magnitude(number: float) -> str:
    """Write a large number in two digits.

    >>> magnitude(12_345_678), magnitude(2e11)
    ('12 M', '200 G')
    """
    unit, name = next((u, n) for u, n in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if number >= u)
    return f"{float(f'{number / unit:.2g}'):g} {name}"


def report(rows: list[Row], heading: str) -> str:
    """Return a page: under the heading what each contestant ran on, in words where the GPU pays,
    and the table.
    """
    lines = [
        heading,
        *[f"- {name} runs on: {words}" for name, words in _ran_on(rows).items()],
        f"- precision of the GPU's products: {rows[0]['precision']}",
        "",
        "Milliseconds of a round: one step of D and one of G, with Adam and BCE; latents are drawn on "
        "the host and sent in each round. *GPU graph*: with the round recorded as a CUDA graph. The "
        "last columns say how many times as fast as the CPU.",
        "",
        *[f"- {family}: {words}" for family, words in FAMILIES.items()],
        "",
        *[f"- {words}" for words in verdicts(rows)],
        "",
        "| nets | width | batch | multiply-adds | CPU, ms | GPU, ms | GPU graph, ms | CPU / GPU "
        "| CPU / GPU graph |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for p in points(rows):
        times = [_number(p.ms[name]) for name in (CPU, GPU, GRAPH)]
        gains = [_number(p.gain(name)) for name in (GPU, GRAPH)]
        cells = [*map(str, p.case), magnitude(p.multiply_adds), *times, *gains]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ran_on(rows: list[Row]) -> dict[str, str]:
    return {row["contestant"]: row["runs_on"] for row in rows if row["runs_on"]}


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def draw(rows: list[Row], path: Path) -> None:
    """Draw how many times as fast as the CPU the GPU is, over the multiply-adds of a round."""
    from minigan.plots.style import COLOURS, new_figure, styled

    if all(math.isnan(p.gain(name)) for p in points(rows) for name in (GRAPH, GPU)):
        return
    marks = {GRAPH: (COLOURS["real"], "o"), GPU: (COLOURS["fake"], "^")}
    with styled():
        figure = new_figure(width=11, height=5, layout="constrained")
        panels = figure.subplots(1, len(FAMILIES), sharex=True, sharey=True)
        for axes, family in zip(panels, FAMILIES, strict=True):
            there = [p for p in points(rows) if p.case.family == family]
            for name, (colour, marker) in marks.items():
                axes.scatter(
                    [p.multiply_adds for p in there],
                    [p.gain(name) for p in there],
                    color=colour,
                    marker=marker,
                    s=55,
                    label={GRAPH: "with a graph", GPU: "without"}[name],
                    zorder=3,
                )
            axes.axhline(1, color="black", linestyle="--", zorder=2, label="the GPU pays above")
            axes.set(xscale="log", yscale="log", title=family, xlabel="multiply-adds per round")
        panels[0].set_ylabel("CPU's time / GPU's time")
        panels[0].yaxis.set_major_formatter("{x:g}")
        panels[-1].legend(loc="lower right")
        chip, cpu = (_ran_on(rows).get(name, "").partition(";")[0] for name in (GPU, CPU))
        figure.suptitle(
            f"{chip or 'No GPU'} beside {cpu or 'no CPU'}", fontsize=11, x=0.99, ha="right"
        )
        figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
