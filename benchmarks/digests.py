"""Do all recipes still learn the same, to the bit? Digests of short runs, to be compared before and
after a change.

Each recipe is trained for some steps from seed 0, on one thread, in a process of its own; a digest
of its weights and one of its ``metrics.csv`` are written to a JSON file. A second file is compared
with it:

    python -m benchmarks digests -o before.json --data-dir DIR
    python -m benchmarks digests -o after.json --data-dir DIR --before before.json

Digests depend on the processor and on the versions of NumPy and Numba, so both files must be from
one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy

ONE_THREAD = {"MINIGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write digests; return 1 if they differ from those given with ``--before``."""
    options = _parser().parse_args(arguments)
    from minigan import recipes

    found = {}
    for name in options.recipe or recipes.names():
        for fast in options.fast:
            found[f"{name}, {fast}"] = digests(name, fast, options.steps, options.data_dir)
            print(f"{name + ', ' + fast:<28}", *found[f"{name}, {fast}"].values(), flush=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    if options.before is None:
        return 0
    before = json.loads(options.before.read_text())
    changed = [name for name, digest in found.items() if before.get(name) != digest]
    print(f"{len(found) - len(changed)} as before; changed: {'; '.join(changed) or 'none'}")
    return int(bool(changed))


def digests(recipe: str, fast: str, steps: int, data_dir: str | None) -> dict[str, str]:
    """Train a recipe, with ``MINIGAN_FAST`` as given; return digests of its weights and of its
    metrics.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        command = [
            sys.executable,
            "-m",
            "minigan",
            "train",
            recipe,
            "--steps",
            str(steps),
            "--seed",
            "0",
            "--frames",
            "0",
            "--out",
            str(run),
            "--quiet",
        ]
        command += ["--data-dir", data_dir] if data_dir else []
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD | {"MINIGAN_FAST": fast})
        return {
            "weights": _of_arrays(run / "model.safetensors"),
            "metrics": _of(run.joinpath("metrics.csv").read_bytes()),
        }


def _of_arrays(path: Path) -> str:
    from minigan import checkpoint

    arrays, _ = checkpoint.load(path)
    return _of(
        b"".join(
            name.encode() + numpy.ascontiguousarray(a).tobytes()
            for name, a in sorted(arrays.items())
        )
    )


def _of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks digests", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--recipe", nargs="+", metavar="NAME", help="which (default: all)")
    parser.add_argument(
        "--fast", nargs="+", default=["0", "1"], help="values of MINIGAN_FAST (default: 0 1)"
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument(
        "--data-dir", metavar="DIR", help="folder with the files of MNIST and Fashion-MNIST"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("digests.json"))
    parser.add_argument("--before", type=Path, help="an earlier output to compare with")
    return parser
