"""``python -m benchmarks gpu``: the training steps on a GPU, against PyTorch, NumPy and what the
chip allows.

Nothing is lost if it ends early: each result is printed and written at once, and the same command
again measures what is missing. All cases of one contestant at one precision share a process, as a
start costs seconds. If it dies (a kernel that fails spoils its context) or a case takes too long,
that case is recorded with the reason, and another process goes on with the rest. The contestants
that matter most come first, and of each the most telling cases.

``torch.compile`` tries out kernels for a long time. So before anything is timed, beside the tests,
several processes compile all its cases into a cache that the timed process finds in its
environment. Steps whose penalty differentiates twice can't be compiled (PyTorch doesn't support
it); they have no row "PyTorch compiled". NumPy leaves out batch 512.

Equal precision is compared with equal precision: strict float32 with strict float32, TF32 with
TF32. (PyTorch by itself allows TF32 in convolutions, but not in matrix products.) The floor beside
each row is what no program that stores activations can beat: floating-point operations over the
measured peak of cuBLAS at that precision, and bytes over the measured peak of a copy, whichever is
longer.

``--profile dc64:128:tf32`` lists the kernels of a step instead.

``--dry-run`` does the same without a GPU, on the array class of the tests that refuses what CuPy
refuses, with batches of 2: it shows that the command works, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import math
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy

from benchmarks.gpu_cases import CONTESTANTS, PRECISIONS, Part, differentiates_twice, parts
from benchmarks.gpu_profile import profile_page, profiled
from benchmarks.gpu_table import Table, draw, report, summary
from benchmarks.workloads import WORKLOADS, Workload, nets
from minigan import backend, gan, nn, optim

ROOT = Path(__file__).parents[1]
START_SECONDS = 40
"""What the first case of a process may take beside its own time, for imports and for kernels."""
DRY_BATCH = 2

# ---------------------------------------------------------------- one part, in another process


def run_part(part: Part, *, dry: bool, seconds: float = 1.0) -> dict[str, Any]:
    """Measure one part, for about so many seconds; returns fields of the table."""
    seconds = 0.0 if dry else seconds
    if part.kind == "parity":
        return _parity(dry)
    if part.kind == "peaks":
        return _peaks(part.precision, dry=dry, seconds=seconds)
    if dry:
        part = part._replace(batch=min(part.batch, DRY_BATCH))
    if part.contestant.startswith("PyTorch"):
        return _torch(part, dry=dry, seconds=seconds)
    step = _minigan(part, dry=dry)
    on_host = part.contestant == "NumPy"
    timer = HostTimer if on_host else (lambda: DeviceTimer(step.ops.xp.cuda))
    # The first steps compile kernels; a graph is recorded in the fourth, and then replayed.
    warm_up = (4 if step.graph else 0) if dry else 1 if on_host else 5
    measured = _measure(step, timer, warm_up=warm_up, seconds=seconds)
    return _row(part, *measured, note=step.note())


def _minigan(part: Part, *, dry: bool) -> GameStep:
    ops = backend.get("cpu") if part.contestant == "NumPy" else _device(part.precision, dry)
    kind = GameStep if WORKLOADS[part.workload].trains else SamplingStep
    return kind(part, ops, graph=part.contestant == "minigan graph")


class GameStep:
    """A round of minigan's own game per call, one D step and one G step, on random data: latents
    drawn and sent each time.

    It is built as `benchmarks.workloads.Step` is, but on a device and, with `graph`, recorded.
    """

    inputs: tuple[str, ...] = ("z_d", "z_g")

    def __init__(self, part: Part, ops: Any, *, graph: bool) -> None:
        workload = WORKLOADS[part.workload]
        self.rng, self.ops, self.graph = numpy.random.default_rng(0), ops, graph
        self.shape = (part.batch, workload.z_size)
        self._build(workload)
        # The round is bound to the reals, which lie on the device and don't change: they aren't
        # copied at each step.
        self._play: Callable[..., Any] = self._round
        if graph:
            self._play = ops.record(self._round, optimizers=self._optimizers(), kind=self._kind)

    def _build(self, workload: Workload) -> None:
        g, d = nets(workload.name, self.rng)
        taming = gan.tame(d, workload.tame, rng=numpy.random.default_rng(1))
        g, d = g.to(self.ops), taming.discriminator.to(self.ops)
        self.game = gan.Game(
            g,
            d,
            *(optim.Adam(net, lr=2e-4, betas=(0.5, 0.999)) for net in (g, d)),
            objective=gan.objective(workload.objective),
            penalties=taming.penalties,
        )
        real = self.rng.uniform(-1, 1, (self.shape[0], *workload.sample_shape))
        self.real = self.ops.asarray(real.astype("float32"))

    def _optimizers(self) -> list[Any]:
        return list(self.game.optimizers().values())

    def _kind(self) -> Any:
        return self.game.kind()

    def __call__(self) -> None:
        drawn = (self.rng.standard_normal(self.shape, dtype="float32") for _ in self.inputs)
        self._play(**dict(zip(self.inputs, drawn, strict=True)))

    def _round(self, z_d: Any, z_g: Any) -> dict[str, Any]:
        z_d, z_g = self.ops.asarray(z_d), self.ops.asarray(z_g)
        return self.game.play([(self.real, z_d, None)], z_g)

    def note(self) -> str:
        """Say whether the graph was really recorded."""
        return ("recorded" if self._play.recorded else "NOT RECORDED") if self.graph else ""  # type: ignore[attr-defined]


class SamplingStep(GameStep):
    """A batch of samples per call, G in evaluation mode."""

    inputs = ("z",)

    def _build(self, workload: Workload) -> None:
        self.g = nets(workload.name, self.rng)[0].to(self.ops)

    def _optimizers(self) -> list[Any]:
        return []

    def _kind(self) -> Any:
        return None

    def _round(self, z: Any) -> dict[str, Any]:  # type: ignore[override]
        # What is recorded reports numbers; the first of the samples is as good as any.
        return {"sample": self.g(self.ops.asarray(z)).reshape(-1)[0]}


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
    `seconds`; of a step that takes longer than that, one step is all.
    """
    for _ in range(warm_up):
        step()
    gc.collect()
    with timer() as first:
        step()
    if first.ms > 1e3 * seconds:
        return first.ms, 1
    each = max(1, min(200, round(20 / max(first.ms, 1e-3))))
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or (time.perf_counter() < end and len(samples) < 200):
        with timer() as one:
            for _ in range(each):
                step()
        samples.append(one.ms / each)
    return statistics.median(samples), len(samples)


def _row(part: Part, ms: float, samples: int, *, note: str = "") -> dict[str, Any]:
    return {
        "ms": ms,
        "images_per_s": 1e3 * part.batch / ms,
        "note": f"{note} median of {samples}".strip(),
    }


def _torch(part: Part, *, dry: bool, seconds: float) -> dict[str, Any]:
    from benchmarks.rivals import torch_gpu

    step, took = _torch_step(part, dry=dry)
    timer = HostTimer if dry else torch_gpu.Timer
    note = torch_gpu.torch.__version__
    if part.contestant == "PyTorch compiled":
        note += f", {torch_gpu.MODE}; first step after {took:.1f} s;"
    return _row(part, *_measure(step, timer, warm_up=0 if dry else 6, seconds=seconds), note=note)


def _torch_step(part: Part, *, dry: bool) -> tuple[Callable[[], Any], float]:
    """Build PyTorch's step and make it once; returns it and the seconds that took."""
    from benchmarks.rivals import torch_gpu

    begin = time.perf_counter()
    step = torch_gpu.make(
        WORKLOADS[part.workload],
        batch=part.batch,
        precision=part.precision,
        compiled=part.contestant == "PyTorch compiled",
        device="cpu" if dry else "cuda",
    )
    step()
    return step, time.perf_counter() - begin


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


def _peaks(precision: str, *, dry: bool, seconds: float) -> dict[str, Any]:
    """Measure TFLOP/s of a large square product and GB/s of a large copy."""
    ops = _device(precision, dry)
    n, count = (64, 10_000) if dry else (8192, 2**28)
    a = ops.xp.ones((n, n), "float32")
    x, y = ops.xp.ones(count, "float32"), ops.xp.empty(count, "float32")
    # Random numbers: a chip may multiply ones faster than what nets are made of.
    a[...] = ops.asarray(numpy.random.default_rng(0).standard_normal((n, n), dtype="float32"))

    def copy() -> None:
        y[...] = x

    def median_ms(step: Callable[[], Any]) -> float:
        return _measure(step, lambda: DeviceTimer(ops.xp.cuda), warm_up=3, seconds=seconds)[0]

    return {
        "tflops": 2e-9 * n**3 / median_ms(lambda: ops.matmul(a, a)),
        "gb_per_s": 8e-6 * count / median_ms(copy),
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
    """Floating-point operations and bytes of one D step and one G step, or of one batch of samples.

    A product of a layer counts once forward, once for the weights' gradient and once for the
    input's, where each is needed. Bytes: every layer reads its input and writes its output forward,
    and reads two arrays and writes one backward, in float32; every parameter is read by each
    product, and Adam moves seven numbers for each.

    Penalties count as they are usually computed: a pass forward (R1 uses that of the reals), one
    back to the images, and for the derivative of that a pass from the images on, with a product
    for the weights of each layer. Left out, as they are small: the second derivative of layer norm,
    and the power iterations of spectral norm.
    """
    workload = WORKLOADS[name]
    g, d = nets(name, numpy.random.default_rng(0))
    g_all, g_first, g_moved = _costs(g, (batch, workload.z_size))
    if not workload.trains:
        return 2.0 * g_all, 4.0 * (g_moved + _size(g))
    d_all, d_first, d_moved = _costs(d, (batch, *workload.sample_shape))
    # G: forward twice, backward once, without the gradient of z. D: forward three times; backward
    # twice for its weights, without the gradient of the images, and once for G, without the
    # weights'.
    products = g_all * 2 + (2 * g_all - g_first) + d_all * 3 + 2 * (2 * d_all - d_first) + d_all
    moved = g_moved * (2 + 1.5) + d_moved * (3 + 3 * 1.5) + (_size(g) + _size(d)) * (7 + 6)
    if differentiates_twice(workload):
        forward = 0 if workload.tame[0].startswith("r1") else 1
        products += d_all * (forward + 3)
        moved += d_moved * (forward + 1.5 + 1.5)
    return 2.0 * products, 4.0 * moved


def _size(net: nn.Layer) -> int:
    return sum(p.size for p in net.parameters().values())


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


# ---------------------------------------------------------------- other processes


class Child:
    """A process that measures parts one after the other, and says a line of JSON for each."""

    def __init__(self, some: Sequence[Part], options: Sequence[str], env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.gpu", "--parts", json.dumps(some), *options]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in `end`
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # so that compilers it has started end with it
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def answer(self, seconds: float) -> dict[str, Any]:
        """Return the next part's result; raises TimeoutError, or EOFError with what went wrong."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise EOFError(self._last_words())
        result: dict[str, Any] = json.loads(line)
        if "failed" in result:
            raise EOFError(result["failed"])
        return result

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()[-1:] if status > 0 else []
        return said[0] if said else f"exit status {status}"

    def end(self) -> None:
        _end(self._process)
        self._reader.join(5)
        self._errors.close()


def _end(process: subprocess.Popen[Any]) -> None:
    """End a process that has a session of its own, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answer_for(some: list[Part], *, dry: bool, seconds: float) -> None:
    """Measure parts and say the result of each; the first that fails ends the process, whose device
    may be spoiled.
    """
    # The real standard output is for answers; what libraries print must not get among them.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for part in some:
            try:
                result = run_part(part, dry=dry, seconds=seconds)
            except Exception as error:  # whatever it is, it becomes a row of the table
                first = str(error).strip().partition("\n")[0]
                answers.write(json.dumps({"failed": f"{type(error).__name__}: {first}"}) + "\n")
                return
            answers.write(json.dumps(result) + "\n")
            answers.flush()


def measured(
    some: Sequence[Part], options: Sequence[str], env: dict[str, str], *, end: float
) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Measure parts in one process, or in another where one fails, until the clock says `end`."""
    rest = list(some)
    while rest and time.monotonic() < end:
        child, extra = Child(rest, options, env), START_SECONDS
        try:
            while rest:
                limit, left = rest[0].seconds + extra, end - time.monotonic()
                try:
                    result = child.answer(max(0.0, min(limit, left)))
                except EOFError as error:
                    yield rest.pop(0), {"note": f"FAILED: {error}"}
                    break
                except TimeoutError:
                    if left <= limit:  # all time is over, for which the part can't help
                        return
                    yield rest.pop(0), {"note": f"FAILED: not done within {limit} s"}
                    break
                yield rest.pop(0), result
                extra = 0
        finally:
            child.end()


class Compilation:
    """``torch.compile`` at work on all cases that will be timed, several at a time, while something
    else goes on.

    Each case is a process that makes three steps; what it compiles, it leaves in Inductor's cache.

    Parameters
    ----------
    some
        The parts; those of other contestants are passed over.
    env
        The environment that names the cache.
    seconds
        What isn't compiled by then is left to the process that times it.
    """

    def __init__(self, some: Iterable[Part], env: dict[str, str], *, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        workers = max(1, min(8, (os.cpu_count() or 1) // 2))
        self._env = env | {"TORCHINDUCTOR_COMPILE_THREADS": "2"}  # there are several compilers
        self._pool = ThreadPoolExecutor(workers)
        self._running: set[subprocess.Popen[Any]] = set()
        compiled = [part for part in some if part.contestant == "PyTorch compiled"]
        self._jobs = [self._pool.submit(self._compile, part) for part in compiled]

    def _compile(self, part: Part) -> bool:
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        command = [sys.executable, "-m", "benchmarks.gpu", "--compile", json.dumps(part)]
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=ROOT, env=self._env, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
        self._running.add(process)
        try:
            return process.wait(left) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)
            self._running.discard(process)

    def wait(self) -> None:
        """Wait until all is compiled or the time is over; say how far it came."""
        if not self._jobs:
            return
        done = sum(job.result() for job in self._jobs)
        print(
            f"compiled  {done} of {len(self._jobs)} cases of torch.compile beforehand", flush=True
        )
        self._jobs = []

    def end(self) -> None:
        """End what is still at work."""
        self._end = 0.0
        for process in list(self._running):
            _end(process)
        self._pool.shutdown(cancel_futures=True)


def _compile_case(part: Part) -> None:
    from benchmarks.rivals import torch_gpu

    step, _ = _torch_step(part, dry=False)
    step()
    step()
    torch_gpu.torch.cuda.synchronize()


def _environment(folder: str, mode: str) -> dict[str, str]:
    """The environment of all processes: how and where Inductor keeps what it has compiled."""
    cache = {
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
        "TORCHINDUCTOR_AUTOGRAD_CACHE": "1",
    }
    return cache | dict(os.environ) | {"MINIGAN_TORCH_COMPILE_MODE": mode}


# ---------------------------------------------------------------- all parts


def main(arguments: list[str] | None = None) -> int:
    """Measure everything that isn't in the table yet; print it, write ``gpu.csv`` and
    ``gpu.png``.
    """
    options = _parser().parse_args(arguments)
    if options.parts:
        some = [Part(*part) for part in json.loads(options.parts)]
        _answer_for(some, dry=options.dry_run, seconds=options.seconds)
        return 0
    if options.compile:
        _compile_case(Part(*json.loads(options.compile)))
        return 0
    if options.profile:
        return _profile_all(options.profile, options.out / "gpu-profile.md")
    chosen = list(_wanted(options))
    if not any(part.kind == "step" for part in chosen):
        raise SystemExit(
            f"{options.contestants} can't play {options.only or 'any workload'} here (a penalty that "
            "differentiates twice is never compiled, and in a dry run nothing is); choose others."
        )
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table(
        options.out / ("gpu-dry-run.csv" if options.dry_run else "gpu.csv"),
        fresh=options.fresh,
        floor=floor_ms,
    )
    wanted = [part for part in chosen if not table.has(part)]
    if not _measure_all(wanted, table, options):
        print(
            f"The {options.minutes:g} minutes are over; the same command goes on with what is "
            "missing."
        )
    draw(table.rows, table.path.with_suffix(".png"))
    print("\n" + summary(table.rows))
    table.path.with_suffix(".md").write_text(report(table.rows))
    print(f"\nWritten: {table.path}, and .md and .png beside it")
    return int(any(row["note"].startswith("FAILED") for row in table.rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the results")
    add("--minutes", type=float, default=9.0, help="stop measuring after this (default 9)")
    add("--seconds", type=float, default=1.0, help="how long each case is timed (default 1)")
    add("--compile-seconds", type=float, default=150.0, metavar="S",
        help="how long torch.compile may work before anything is timed (default 150)")  # fmt: skip
    add("--compile-mode", default="max-autotune", metavar="MODE",
        help="mode of torch.compile (default max-autotune, which tries out kernels for minutes; "
        "reduce-overhead keeps the library's and records CUDA graphs as well; what is in the table "
        "already is measured in another mode only with --fresh)")  # fmt: skip
    add("--only", default="", help="workloads to measure, with commas between (default all)")
    add("--contestants", default="", help=f"with commas between (default {','.join(CONTESTANTS)})")
    add("--no-parity", action="store_true", help="leave out the tests of the device")
    add("--fresh", action="store_true", help="measure anew what is in the table already")
    add("--dry-run", action="store_true", help="without a GPU, to see that the command works")
    add("--profile", nargs="+", metavar="WORKLOAD:BATCH:PRECISION[:CONTESTANT]",
        help="list the kernels of a step instead, and append them to gpu-profile.md")  # fmt: skip
    add("--parts", help=argparse.SUPPRESS)
    add("--compile", help=argparse.SUPPRESS)
    return parser


def _wanted(options: argparse.Namespace) -> Iterator[Part]:
    workloads = _named(options.only, WORKLOADS, "workload")
    contestants = _named(options.contestants, CONTESTANTS, "contestant")
    for part in parts():
        if part.kind == "parity" and options.no_parity:
            continue
        if part.kind == "step" and not (
            part.workload in workloads and part.contestant in contestants
        ):
            continue
        if not options.dry_run or _runs_dry(part):
            yield part


def _named(words: str, known: Iterable[str], what: str) -> list[str]:
    """The names in a list with commas between; all, if it is empty."""
    names = [name.strip() for name in words.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"Unknown {what} {unknown[0]!r}; there are {', '.join(known)}.")
    return names or list(known)


def _runs_dry(part: Part) -> bool:
    """One batch size and one precision are enough, as a dry run treats all alike; nothing is
    compiled.
    """
    if part.contestant == "PyTorch eager" and importlib.util.find_spec("torch") is None:
        return False
    if part.kind == "step" and WORKLOADS[part.workload].batch != part.batch:
        return False
    return part.contestant != "PyTorch compiled" and (part.kind, part.precision) != ("step", "tf32")


def _measure_all(wanted: list[Part], table: Table, options: argparse.Namespace) -> bool:
    """Add to the table what is measured; tell whether there was time for everything."""
    end = time.monotonic() + 60 * options.minutes
    flags = ["--seconds", str(options.seconds), *(["--dry-run"] if options.dry_run else [])]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = _environment(folder, options.compile_mode)
        seconds = min(options.compile_seconds, 60 * options.minutes)
        compilation = Compilation(wanted, env, seconds=seconds)
        try:
            for some in _together(wanted):
                if some[0].kind != "parity":
                    compilation.wait()
                left = end - time.monotonic()
                if left < 10:
                    return False
                for part, result in measured(some, flags, env, end=end):
                    table.add(part, result)
        finally:
            compilation.end()
    return all(table.has(part) for part in wanted)


def _together(wanted: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts that share a process, in their order: all peaks, or a contestant at one precision."""
    for _, some in itertools.groupby(
        wanted, lambda p: (p.kind, p.contestant, p.contestant and p.precision)
    ):
        yield list(some)


# ---------------------------------------------------------------- the profile of a step


def profile_case(words: str) -> Part:
    """Read ``WORKLOAD:BATCH:PRECISION[:CONTESTANT]``; the contestant is minigan's graph unless it
    is named.
    """
    name, batch, precision, contestant, *more = [*words.split(":"), "", "", "", ""][:5]
    contestant = contestant or "minigan graph"
    known = name in WORKLOADS and precision in PRECISIONS and contestant in CONTESTANTS
    if any(more) or not known or contestant == "NumPy" or not batch.isdecimal():
        raise SystemExit(
            f"A profile is asked for as WORKLOAD:BATCH:PRECISION[:CONTESTANT], got {words!r}; for "
            "example dc64:128:tf32:PyTorch eager."
        )
    return Part("step", name, int(batch), precision, contestant)


def _profile_all(cases: list[str], path: Path) -> int:
    some = [profile_case(words) for words in cases]
    _need_devices(some)
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in some:
        page = _profile(part)
        print(page, flush=True)
        with path.open("a") as file:
            file.write(page + "\n")
    return 0


def _need_devices(some: Iterable[Part]) -> None:
    """End with a sentence where something can't be profiled."""
    try:
        import torch

        there = torch.cuda.is_available()
    except ModuleNotFoundError:
        there = False
    if not there:
        raise SystemExit(
            "A profile needs PyTorch for CUDA and a GPU that it can use, as its profiler sees what "
            "CuPy launches, too; install it, and call this on a machine with a GPU."
        )
    if any(part.contestant.startswith("minigan") for part in some):
        try:
            backend.get("cuda")
        except ValueError as error:
            raise SystemExit(str(error)) from None


def _profile(part: Part, *, steps: int = 5) -> str:
    """Record what the device does, with PyTorch's profiler: it sees what CuPy launches, too."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.zeros(1, device="cuda")  # the profiler sees the context that PyTorch has opened
    if part.contestant.startswith("PyTorch"):
        step, _ = _torch_step(part, dry=False)
    else:
        step = _minigan(part, dry=False)
    for _ in range(8):
        step()
    torch.cuda.synchronize()  # of the whole device
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        wall_ms = 1e3 * (time.perf_counter() - begin) / steps
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    title = f"{part.workload}, batch {part.batch}, {part.precision}, {part.contestant}"
    return profile_page(title, wall_ms, profiled(events, steps=steps))


if __name__ == "__main__":
    sys.exit(main())
