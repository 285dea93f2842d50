"""What several ranks cost: measured sums, measured steps, and a model of many.

Run from the root of the repository:

    mpiexec -n 2 python -m benchmarks.ranks sums          # how long a sum over the ranks takes
    python -m benchmarks.ranks steps --rounds 5           # one process and 1, 2, 4 ranks, by turns
    python -m benchmarks.ranks model                      # up to 1,024 GPUs, on paper
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

COUNTS = (1, 2, 4, 8, 16, 64, 256, 1024)
MB = 1e6


# ---------------------------------------------------------------- on paper


@dataclass(frozen=True)
class Link:
    """A network: λ, seconds until a message begins to arrive, and β, bytes per second."""

    name: str
    latency: float
    bandwidth: float


LINKS = (
    Link("10 Gb/s Ethernet", 30e-6, 1.25e9),
    Link("100 Gb/s InfiniBand", 5e-6, 12.5e9),
    Link("NVLink in a machine, 400 Gb/s beyond", 5e-6, 50e9),
)


def ring(n: int, size: float, link: Link) -> float:
    """Seconds for a sum of `size` bytes round a ring: 2 (n - 1) messages of size / n bytes."""
    return 2 * (n - 1) * (link.latency + size / (n * link.bandwidth))


def tree(n: int, size: float, link: Link) -> float:
    """Seconds by halving and doubling: 2 log2 n messages, 2 (n - 1) / n of the bytes."""
    hops = 2 * math.ceil(math.log2(n)) if n > 1 else 0
    return hops * link.latency + 2 * (n - 1) / n * size / link.bandwidth


def step(
    n: int, *, alone: float, sizes: list[float], small: int, drawn: float, link: Link
) -> float:
    """Seconds for a round of a game on n GPUs, each with the batch that one has alone.

    Parameters
    ----------
    n
        How many.
    alone
        Seconds of one without the others.
    sizes
        Bytes of the gradients that are summed in a round.
    small
        Sums of a few numbers: batch norm's, losses, whether to stop.
    drawn
        Seconds that one rank takes to draw the random numbers of its own batch; it draws those of
        all, beside the device.
    link
        The network.
    """
    sums = sum(min(ring(n, size, link), tree(n, size, link)) for size in sizes)
    few = small * tree(n, 4096, link)
    return max(alone + sums + few, n * drawn)


# ---------------------------------------------------------------- measured


def measure_sums() -> None:
    """On each rank: time sums of several sizes, and print medians on the first."""
    import numpy

    from minigan.ranks import world

    ranks = world()
    for size in (8, 4096, 100_000, 1_000_000, 4_000_000, 16_000_000):
        vector = numpy.ones(max(size // 4, 1), "float32")
        times = []
        for _ in range(200 if size < 2e6 else 40):
            ranks.any(False)
            start = time.perf_counter()
            ranks.average(vector)
            times.append(time.perf_counter() - start)
        if ranks.rank == 0:
            median = 1e6 * statistics.median(times)
            print(f"{ranks.size} ranks, {size:>10,} bytes: {median:9.1f} µs", flush=True)


def measure_rounds(recipe: str, batch: int, rounds: int) -> None:
    """On each rank: time rounds of a recipe's game, and print them on the first."""
    from minigan.ranks import world
    from minigan.recipes import get
    from minigan.runs.assembly import assemble

    ranks, found = world(), get(recipe)
    settings = found.settings.changed(batch_size=batch)
    samples = found.load(found.data, None)
    trainer = assemble(found, settings, samples, seed=0, ranks=ranks).trainer
    for _ in range(5):
        trainer.train_step()
    times = []
    for _ in range(rounds):
        ranks.any(False)
        start = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - start)
    if ranks.rank == 0:
        sizes = [one.flat.grad.nbytes for one in trainer.game.optimizers().values()]
        print(json.dumps({"median": statistics.median(times), "bytes": sizes}))


def measure_steps(recipe: str, batch: int, rounds: int, turns: int) -> None:
    """Time one process with two threads and 1, 2 and 4 ranks with one each, by turns."""
    ways = {"1 process, 2 threads": (1, 2), "1 rank": (1, 1), "2 ranks": (2, 1), "4 ranks": (4, 1)}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, (ranks, threads) in ways.items():
            found[way].append(_one_way(ranks, threads, recipe, batch, rounds))
    for way, times in found.items():
        median = statistics.median(times)
        spread = f"{1e3 * min(times):.1f} to {1e3 * max(times):.1f}"
        print(f"{recipe}, batch {batch}, {way:22} {1e3 * median:7.1f} ms a round ({spread})")


def _one_way(ranks: int, threads: int, recipe: str, batch: int, rounds: int) -> float:
    command = [sys.executable, "-m", "benchmarks.ranks", "rounds"]
    command += ["--recipe", recipe, "--batch", str(batch), "--rounds", str(rounds)]
    if ranks > 1:
        command = [mpiexec(), "-n", str(ranks), *command]
    environment = os.environ | {"MINIGAN_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1])["median"])


def mpiexec() -> str:
    """Return the launcher: that beside Python, or that on the path; or leave with a sentence."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None or importlib.util.find_spec("mpi4py") is None:
        sys.exit("Ranks need mpi4py and mpiexec: pip install 'minigan[mpi]' mpich")
    return found


def print_model(alone: float, sizes: list[float], small: int, drawn: float) -> None:
    """Print a table: milliseconds per round, and the share of the time that isn't lost."""
    for link in LINKS:
        print(f"\n{link.name}: λ {1e6 * link.latency:g} µs, β {link.bandwidth / 1e9:g} GB/s")
        print(f"{'GPUs':>6} {'ring':>9} {'tree':>9} {'a round':>9} {'efficiency':>10}")
        for n in COUNTS:
            by_ring = sum(ring(n, size, link) for size in sizes)
            by_tree = sum(tree(n, size, link) for size in sizes)
            whole = step(n, alone=alone, sizes=sizes, small=small, drawn=drawn, link=link)
            print(
                f"{n:>6} {1e3 * by_ring:>9.2f} {1e3 * by_tree:>9.2f} {1e3 * whole:>9.2f} "
                f"{alone / whole:>10.0%}"
            )


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("sums", "rounds", "steps", "model"))
    parser.add_argument("--recipe", default="mnist-dcgan")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--alone", type=float, default=2.3e-3, help="seconds of a round on a GPU")
    parser.add_argument("--bytes", type=float, nargs="+", default=[3.0 * MB, 0.55 * MB])
    parser.add_argument("--small", type=int, default=11, help="sums of a few numbers in a round")
    parser.add_argument("--drawn", type=float, default=0.1e-3, help="seconds to draw a batch")
    asked = parser.parse_args()
    if asked.what == "steps":
        mpiexec()
    if asked.what == "sums":
        measure_sums()
    elif asked.what == "rounds":
        measure_rounds(asked.recipe, asked.batch, asked.rounds)
    elif asked.what == "steps":
        measure_steps(asked.recipe, asked.batch, asked.rounds, asked.turns)
    else:
        print_model(asked.alone, asked.bytes, asked.small, asked.drawn)


if __name__ == "__main__":
    main()
