"""``python -m benchmarks gpu``: the training steps on a GPU, against PyTorch, NumPy and what the
chip allows.

One command of under ten minutes, and nothing is lost if it ends early: each part is a process of
its own (a kernel that fails spoils only its own context), its result is printed and written at
once, a part that fails or runs out of time is recorded with the reason, and the rest goes on. The
most telling comparisons come first; a second run adds what is missing (how long ``torch.compile``
takes to try out kernels, nobody can say beforehand).

Equal precision is compared with equal precision: strict float32 with strict float32, TF32 with
TF32. (PyTorch by itself allows TF32 in convolutions, but not in matrix products.) The floor beside
each row is what no program that stores activations can beat: floating-point operations over the
measured peak of cuBLAS at that precision, and bytes over the measured peak of a copy, whichever is
longer.

``--dry-run`` does the same without a GPU, on the array class of the tests that refuses what CuPy
refuses: it shows that the command works, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from benchmarks.workloads import WORKLOADS, nets
from minigan import backend, gan, nn, optim

ROOT = Path(__file__).parents[1]
FIELDS = (
    "kind",
    "workload",
    "batch",
    "precision",
    "contestant",
    "ms",
    "images_per_s",
    "floor_ms",
    "note",
)
CASES = (
    ("toy", 256),
    ("mnist-mlp", 64),
    ("mnist-dcgan", 64),
    ("dc64", 64),
    ("dc64", 128),
    ("dc64", 512),
)
TELLING = (("toy", 256), ("dc64", 128))
"""Cases that are measured first: a net that is bound by launches, and one that is bound by
arithmetic.
"""
PRECISIONS = ("float32", "tf32")


class Part(NamedTuple):
    """One process: what it measures, and how long it may take."""

    kind: str
    workload: str = ""
    batch: int = 0
    precision: str = ""
    contestant: str = ""
    seconds: int = 60

    def key(self) -> tuple[str, ...]:
        return self.kind, self.workload, str(self.batch), self.precision, self.contestant


def parts() -> list[Part]:
    """What is measured, the most telling first; compiling costs PyTorch minutes, so most of that
    comes last.
    """
    first = [(*case, p) for p in PRECISIONS for case in TELLING]
    later = [(*case, p) for p in PRECISIONS for case in CASES if case not in TELLING]

    def measured(cases: list[tuple[str, int, str]]) -> list[Part]:
        of_each = [
            Part("step", *case, name)
            for case in cases
            for name in ("minigan graph", "PyTorch eager", "minigan")
        ]
        return [*of_each, *[Part("step", *case, "NumPy") for case in cases if case[2] == "float32"]]

    def compiled(cases: list[tuple[str, int, str]]) -> list[Part]:
        return [Part("step", *case, "PyTorch compiled", 150) for case in cases]

    return [
        Part("parity", seconds=240),
        *[Part("peaks", precision=p, seconds=60) for p in PRECISIONS],
        *measured(first),
        *compiled(first),
        *measured(later),
        *compiled(later),
    ]


# ---------------------------------------------------------------- one part, in its own process


def run_part(part: Part, *, dry: bool) -> dict[str, Any]:
    """Measure one part; returns fields of the table."""
    if part.kind == "parity":
        return _parity(dry)
    if part.kind == "peaks":
        return _peaks(part.precision, dry)
    if part.contestant.startswith("PyTorch"):
        return _torch(part)
    ops = backend.get("cpu") if part.contestant == "NumPy" else _device(part.precision, dry)
    step = GameStep(part, ops, graph=part.contestant == "minigan graph")
    timer = HostTimer if part.contestant == "NumPy" else (lambda: DeviceTimer(ops.xp.cuda))
    warm_up = 1 if part.contestant == "NumPy" else 4
    return _row(
        part, *_measure(step, timer, warm_up=warm_up, seconds=0.0 if dry else 2.0), note=step.note()
    )


class GameStep:
    """One D step and one G step of `minigan.gan` per call, on random data: latents drawn and sent
    each time.
    """

    def __init__(self, part: Part, ops: Any, *, graph: bool) -> None:
        workload = WORKLOADS[part.workload]
        rng = numpy.random.default_rng(0)
        g, d = (net.to(ops) for net in nets(workload.name, rng))
        adams = [optim.Adam(net, lr=2e-4, betas=(0.5, 0.999)) for net in (g, d)]
        self.game = gan.Game(g, d, *adams)
        self.shape = (part.batch, workload.z_size)
        self.rng, self.ops, self.graph = rng, ops, graph
        real = rng.uniform(-1, 1, (part.batch, *workload.sample_shape)).astype("float32")
        self.real = ops.asarray(real)
        self._play: Callable[..., Any] = self._round
        if graph:
            from minigan.backend.cuda import StepGraph

            self._play = StepGraph(ops, self._round, optimizers=adams)

    def __call__(self) -> None:
        self._play(
            **{
                name: self.rng.standard_normal(self.shape, dtype="float32")
                for name in ("z_d", "z_g")
            }
        )

    def _round(self, z_d: Any, z_g: Any) -> dict[str, Any]:
        z_d, z_g = self.ops.asarray(z_d), self.ops.asarray(z_g)
        return self.game.discriminator_step(self.real, z_d) | self.game.generator_step(z_g)

    def note(self) -> str:
        """Say whether the graph was really recorded."""
        return ("recorded" if self._play.recorded else "NOT RECORDED") if self.graph else ""  # type: ignore[attr-defined]


class DeviceTimer:
    """Milliseconds between two points of the GPU's queue."""

    def __init__(self, cuda: Any) -> None:
        self.cuda, self.start, self.stop = cuda, cuda.Event(), cuda.Event()

    def __enter__(self) -> DeviceTimer:
        self.start.record()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop.record()
        self.stop.synchronize()
        self.ms = self.cuda.get_elapsed_time(self.start, self.stop)


class HostTimer:
    """Milliseconds by the clock."""

    def __enter__(self) -> HostTimer:
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.ms = 1e3 * (time.perf_counter() - self.begin)


def _measure(
    step: Callable[[], Any], timer: Callable[[], Any], *, warm_up: int, seconds: float
) -> tuple[float, int]:
    """Median milliseconds of a step, and how many samples: each of as many steps as take 20 ms, for
    `seconds`.
    """
    for _ in range(warm_up):
        step()
    with timer() as first:
        step()
    each = max(1, min(200, round(20 / max(first.ms, 1e-3)))) if seconds else 1
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or (time.perf_counter() < end and len(samples) < 200):
        with timer() as one:
            for _ in range(each):
                step()
        samples.append(one.ms / each)
        if time.perf_counter() > end + 30:
            break
    return statistics.median(samples), len(samples)


def _row(part: Part, ms: float, samples: int, *, note: str = "") -> dict[str, Any]:
    return {
        "ms": ms,
        "images_per_s": 1e3 * part.batch / ms,
        "note": f"{note} median of {samples}".strip(),
    }


def _torch(part: Part) -> dict[str, Any]:
    from benchmarks.rivals import torch_gpu

    compiled = part.contestant == "PyTorch compiled"
    step = torch_gpu.Step(
        WORKLOADS[part.workload], batch=part.batch, precision=part.precision, compiled=compiled
    )
    return _row(
        part,
        *_measure(step, torch_gpu.Timer, warm_up=10, seconds=2.0),
        note=torch_gpu.torch.__version__,
    )


def _parity(dry: bool) -> dict[str, Any]:
    """Run the tests of the device, with two recipes instead of all: ``pytest -m gpu`` takes its
    time by itself.
    """
    target = "tests/backend/test_kernels.py" if dry else "tests/gpu"
    options = [
        "-k",
        "leaky_relu" if dry else "not (every_recipe or 100_steps) or ring or mnist-dcgan",
    ]
    # Warnings of another version of CuPy's or NumPy's are no failures of the device.
    command = [sys.executable, "-m", "pytest", target, "-q", "-p", "no:cacheprovider"]
    command += ["-W", "default", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {"note": _verdict(done.returncode, done.stdout, done.stderr)}


def _verdict(status: int, out: str, err: str) -> str:
    """What pytest says in the end, with the tests that failed; "FAILED" first unless all is well
    and something passed.
    """
    last = [line for text in (err, out) for line in text.strip().splitlines()[-1:]]
    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    words = "; ".join([last[-1] if last else f"exit status {status}", *failed])
    return words if status == 0 and " passed" in words else f"FAILED: {words}"


def _peaks(precision: str, dry: bool) -> dict[str, Any]:
    """Measure TFLOP/s of a large square product and GB/s of a large copy."""
    ops = _device(precision, dry)
    n, count = (64, 10_000) if dry else (8192, 2**28)
    a = ops.xp.ones((n, n), "float32")
    x, y = ops.xp.ones(count, "float32"), ops.xp.empty(count, "float32")

    def copy() -> None:
        y[...] = x

    gemm_ms, _ = _measure(
        lambda: ops.matmul(a, a),
        lambda: DeviceTimer(ops.xp.cuda),
        warm_up=3,
        seconds=0 if dry else 3,
    )
    copy_ms, _ = _measure(
        copy, lambda: DeviceTimer(ops.xp.cuda), warm_up=3, seconds=0 if dry else 1
    )
    return {
        "tflops": 2e-9 * n**3 / gemm_ms,
        "gb_per_s": 8e-6 * count / copy_ms,
        "note": _machine(ops),
    }


def _machine(ops: Any) -> str:
    """Name the chip and the versions, where there is one."""
    runtime = getattr(ops.xp.cuda, "runtime", None)
    if runtime is None:
        return "dry run"
    name = runtime.getDeviceProperties(0)["name"].decode()
    return f"{name}; CuPy {ops.xp.__version__}; CUDA {runtime.runtimeGetVersion()}; driver {runtime.driverGetVersion()}"


def _device(precision: str, dry: bool) -> Any:
    if dry:
        sys.path.insert(0, str(ROOT / "tests" / "helpers"))
        from strict_cuda import strict_cuda

        return strict_cuda(fast=True)
    ops: Any = backend.get("cuda")
    ops.precision = precision
    return ops


# ---------------------------------------------------------------- the floor


def work(name: str, batch: int) -> tuple[float, float]:
    """Floating-point operations and bytes of one D step and one G step.

    A product of a layer counts once forward, once for the weights' gradient and once for the
    input's, where each is needed. Bytes: every layer reads its input and writes its output forward,
    and reads two arrays and writes one backward, in float32; every parameter is read by each
    product, and Adam moves seven numbers for each.
    """
    workload = WORKLOADS[name]
    g, d = nets(name, numpy.random.default_rng(0))
    g_all, g_first, g_moved = _costs(g, (batch, workload.z_size))
    d_all, d_first, d_moved = _costs(d, (batch, *workload.sample_shape))
    # G: forward twice, backward once, without the gradient of z. D: forward three times; backward
    # twice for its weights, without the gradient of the images, and once for G, without the
    # weights'.
    products = g_all * 2 + (2 * g_all - g_first) + d_all * 3 + 2 * (2 * d_all - d_first) + d_all
    parameters = sum(p.size for net in (g, d) for p in net.parameters().values())
    moved = g_moved * (2 + 1.5) + d_moved * (3 + 3 * 1.5) + parameters * (7 + 6)
    return 2.0 * products, 4.0 * moved


def _costs(net: nn.Layer, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Multiply-adds of all layers, of the first that has any, and numbers read and written
    forward.
    """
    products: list[int] = []
    moved = 0
    for _, layer in net.children():
        out = layer.output_shape(shape)
        products.append(layer.multiply_adds(shape))
        if not isinstance(layer, (nn.Flatten, nn.Reshape)):
            moved += math.prod(shape) + math.prod(out)
        shape = out
    return sum(products), next((p for p in products if p), 0), moved


def floor_ms(name: str, batch: int, tflops: float, gb_per_s: float) -> float:
    """The longer of arithmetic and memory traffic at the measured peaks, in milliseconds."""
    operations, moved = work(name, batch)
    return max(operations / (tflops * 1e9), moved / (gb_per_s * 1e6))


# ---------------------------------------------------------------- all parts


def main(arguments: list[str] | None = None) -> int:
    """Measure everything that isn't in the table yet; print it, write ``gpu.csv`` and
    ``gpu.png``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the results"
    )
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="stop starting parts after this (default 9)"
    )
    parser.add_argument(
        "--only", default="", help="workloads to measure, with commas between (default all)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="measure anew what is in the table already"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="without a GPU, to see that the command works"
    )
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        print(json.dumps(run_part(Part(*json.loads(options.part)), dry=options.dry_run)))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(
        options.out / ("gpu-dry-run.csv" if options.dry_run else "gpu.csv"), fresh=options.fresh
    )
    begin = time.monotonic()
    for part in _wanted(options.only, table, dry=options.dry_run):
        left = 60 * options.minutes - (time.monotonic() - begin)
        if left < 10:
            print(
                f"The {options.minutes:g} minutes are over; the same command goes on with what is "
                "missing."
            )
            break
        table.add(part, _in_own_process(part, min(part.seconds, left), dry=options.dry_run))
    draw(table.rows, table.path.with_suffix(".png"))
    print("\n" + summary(table.rows))
    table.path.with_suffix(".md").write_text(report(table.rows))
    print(f"\nWritten: {table.path}, and .md and .png beside it")
    return int(any(row["note"].startswith("FAILED") for row in table.rows))


def _wanted(only: str, table: Table, *, dry: bool) -> Iterator[Part]:
    names = [name for name in only.split(",") if name]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise SystemExit(f"Unknown workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}.")
    for part in parts():
        if (names and part.workload and part.workload not in names) or table.has(part):
            continue
        if dry and (part.contestant.startswith("PyTorch") or part.batch > 256):
            continue
        yield part


def _in_own_process(part: Part, seconds: float, *, dry: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", json.dumps(list(part))]
    command += ["--dry-run"] if dry else []
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace").strip().splitlines()[-1:]
        return {"note": ": ".join([f"FAILED: not done within {seconds:.0f} s", *said])}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"note": f"FAILED: {lines[-1]}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


class Table:
    """The rows so far, in a CSV file that is written anew after each part."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if path.exists() and not fresh:
            with path.open(newline="") as file:
                self.rows = [
                    row for row in csv.DictReader(file) if not row["note"].startswith("FAILED")
                ]

    def has(self, part: Part) -> bool:
        return any(self._key(row) == part.key() for row in self.rows)

    def add(self, part: Part, result: dict[str, Any]) -> None:
        """Add a result, print it, and save all."""
        row = dict.fromkeys(FIELDS, "") | dict(zip(FIELDS, part.key(), strict=False))
        if part.kind == "peaks" and "tflops" in result:
            row["note"] = (
                f"{result['tflops']:.6g} TFLOP/s; {result['gb_per_s']:.6g} GB/s; {result['note']}"
            )
        else:
            row |= {
                name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in result.items()
            }
            row["floor_ms"] = self._floor(part)
        self.rows.append(row)
        words = [
            w for w in (*part.key(), row["ms"] and f"{row['ms']} ms", row["note"]) if w and w != "0"
        ]
        print("  ".join(words), flush=True)
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def _floor(self, part: Part) -> str:
        peaks = [
            r["note"]
            for r in self.rows
            if r["kind"] == "peaks" and r["precision"] == part.precision
        ]
        if (
            part.kind != "step"
            or part.contestant == "NumPy"
            or not peaks
            or "TFLOP" not in peaks[-1]
        ):
            return ""
        tflops, gb_per_s = (float(words.split()[0]) for words in peaks[-1].split(";")[:2])
        return f"{floor_ms(part.workload, part.batch, tflops, gb_per_s):.4g}"

    @staticmethod
    def _key(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in FIELDS[:5])


def ratio(rows: list[dict[str, str]], row: dict[str, str], rival: str) -> float:
    """How many times as fast as `rival` a row is, at the same precision; NaN where either is
    missing.
    """
    same = ("workload", "batch", "precision")
    theirs = [
        float(r["ms"])
        for r in rows
        if r["contestant"] == rival and r["ms"] and all(r[k] == row[k] for k in same)
    ]
    return theirs[0] / float(row["ms"]) if theirs and row["ms"] else math.nan


def sorted_steps(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of training steps, contestants of one case together."""
    steps = [row for row in rows if row["kind"] == "step"]
    return sorted(
        steps, key=lambda r: (r["precision"], r["workload"], int(r["batch"]), r["contestant"])
    )


def cells(rows: list[dict[str, str]], row: dict[str, str]) -> list[str]:
    """Images/s, times PyTorch eager, times PyTorch compiled, times the floor: a dash where one is
    missing.
    """
    speed = f"{float(row['images_per_s']):,.0f}" if row["ms"] else row["note"][:40]
    floor = float(row["ms"]) / float(row["floor_ms"]) if row["floor_ms"] and row["ms"] else math.nan
    ratios = [*(ratio(rows, row, rival) for rival in ("PyTorch eager", "PyTorch compiled")), floor]
    return [speed, *("-" if math.isnan(r) else f"{r:.2f}" for r in ratios)]


def summary(rows: list[dict[str, str]]) -> str:
    """The table as text: images/s, how many times PyTorch at the same precision, how many times the
    floor.
    """
    lines = [
        f"{'workload':12} {'batch':>5} {'precision':9} {'contestant':17} {'images/s':>12} "
        f"{'x eager':>8} "
        f"{'x compiled':>10} {'x floor':>8}"
    ]
    for row in sorted_steps(rows):
        speed, eager, compiled, floor = cells(rows, row)
        lines.append(
            f"{row['workload']:12} {row['batch']:>5} {row['precision']:9} {row['contestant']:17} "
            f"{speed:>12} "
            f"{eager:>8} {compiled:>10} {floor:>8}"
        )
    return "\n".join(lines)


def report(rows: list[dict[str, str]]) -> str:
    """The same as a page, with the command, the machine, and the peaks."""
    notes = [f"- {r['kind']} {r['precision']}: {r['note']}" for r in rows if r["kind"] != "step"]
    lines = [
        "# Training steps on a GPU",
        "",
        "`python -m benchmarks gpu`, again until nothing is missing",
        "",
        *notes,
        "",
        "Images/s: from the median over samples timed by CUDA events (NumPy: by the clock). *To "
        "eager* and *to "
        "compiled*: how many times as fast as PyTorch at the same precision. *To floor*: time "
        "over the least that the "
        "measured peaks allow.",
        "",
        "| workload | batch | precision | contestant | images/s | to eager | to compiled | to "
        "floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted_steps(rows):
        named = [row[k] for k in ("workload", "batch", "precision", "contestant")]
        lines.append(f"| {' | '.join([*named, *cells(rows, row)])} |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Bars of images per second for each workload, one picture per precision."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = [row for row in rows if row["kind"] == "step" and row["ms"]]
    if not steps:
        return
    figure, axes = pyplot.subplots(
        1, len(PRECISIONS), figsize=(13, 5.4), sharey=True, squeeze=False, layout="constrained"
    )
    contestants = sorted({row["contestant"] for row in steps})
    labels = [f"{name}\n{batch}" for name, batch in CASES]
    wide = 0.8 / len(contestants)
    for axis, precision in zip(axes[0], PRECISIONS, strict=True):
        here = [row for row in steps if row["precision"] == precision]
        for index, contestant in enumerate(contestants):
            speeds = {
                f"{r['workload']}\n{r['batch']}": float(r["images_per_s"])
                for r in here
                if r["contestant"] == contestant
            }
            places = numpy.arange(len(labels)) + (index - len(contestants) / 2 + 0.5) * wide
            axis.bar(
                places, [speeds.get(label, math.nan) for label in labels], wide, label=contestant
            )
        floors = {
            f"{r['workload']}\n{r['batch']}": 1e3 * float(r["batch"]) / float(r["floor_ms"])
            for r in here
            if r["floor_ms"]
        }
        places = [labels.index(label) for label in floors]
        axis.hlines(
            list(floors.values()),
            [i - 0.4 for i in places],
            [i + 0.4 for i in places],
            "black",
            label="roofline",
        )
        axis.set(title=precision, xticks=range(len(labels)), xticklabels=labels, yscale="log")
    axes[0][0].set_ylabel("images per second of training")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
