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
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy

from benchmarks import saving

ONE_THREAD = {"MINIGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write digests; return 1 if they differ from those given with ``--before``, 2 if some are
    missing.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    from minigan import recipes

    for name in options.recipe or ():
        try:
            recipes.get(name)
        except ValueError as error:
            parser.error(str(error))
    before = None if options.before is None else _read(options.before, parser)
    if not options.output.parent.is_dir():
        parser.error(f"there is no folder {options.output.parent}; create it first")
    found: dict[str, dict[str, str]] = {}
    failed = []
    for name, fast in itertools.product(options.recipe or recipes.names(), options.fast):
        case = f"{name}, {fast}"
        try:
            found[case] = digests(name, fast, options.steps, options.data_dir)
        except subprocess.CalledProcessError:  # it has said why
            print(f"{case}: left out, it can't be trained.", file=sys.stderr)
            failed.append(case)
            continue
        print(f"{case:<28}", *found[case].values(), flush=True)
        saving.write(options.output, json.dumps(found, indent=1) + "\n")
    changed = [] if before is None else [case for case in found if before.get(case) != found[case]]
    if before is not None:
        print(f"{len(found) - len(changed)} as before; changed: {'; '.join(changed) or 'none'}")
    return 2 if failed else int(bool(changed))


def _read(path: Path, parser: argparse.ArgumentParser) -> dict[str, dict[str, str]]:
    try:
        before: dict[str, dict[str, str]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{path} can't be read ({error}); give a file that this command has written")
    return before


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
