"""``python -m benchmarks pretrained NAME ...``: train the weights that come with the package.

Each is a recipe, seed 0, as ``minigan train`` trains it. The run stays
in ``runs/``, and its nets replace ``minigan/runs/weights/NAME.safetensors``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minigan.runs import packing, pretrained
from minigan.runs.face import open_run, train

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("digits", {}),
    "avatars": ("progressive", {}),
    "mnist": ("mnist", {}),
}
"""The recipe of each, and the settings that differ from the recipe's own."""


def main(arguments: list[str]) -> int:
    """Train and pack the weights that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pretrained", description=__doc__)
    parser.add_argument("names", nargs="+", choices=CASES, metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the runs are kept")
    options = parser.parse_args(arguments)
    for name in options.names:
        recipe, changes = CASES[name]
        run = train(recipe, seed=0, out=options.out / f"pretrained-{name}", frames=0, **changes)
        path = pretrained.WEIGHTS / f"{name}.safetensors"
        packing.pack(open_run(run.folder), path)
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0
