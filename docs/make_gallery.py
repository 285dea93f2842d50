"""Train recipes, time them, and write the gallery: ``python docs/make_gallery.py [NAME ...]``.

Each recipe runs as `minigan train` would run it, in a process of its own. The pictures go to
``docs/images/gallery``, what was measured to ``docs/gallery.json``; the page ``docs/gallery.md`` is
written from these, so that recipes can be run one at a time. Recipes whose data isn't on this
machine (``MINIGAN_DATA``) can be trained on other data (``--data``); the page then says so. Times
are processor times of one thread, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from minigan import recipes
from minigan.recipes import Recipe

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "images" / "gallery"
RECORD = DOCS / "gallery.json"


ONE_THREAD = dict.fromkeys(
    ("MINIGAN_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


def measure(name: str, extra: list[str], out: Path) -> dict[str, object]:
    """Train one recipe into the folder `out` and keep its picture."""
    command = [
        sys.executable,
        "-m",
        "minigan",
        "train",
        name,
        "--quiet",
        "--seed",
        "0",
        "--out",
        str(out),
        *extra,
    ]
    before = processor_seconds()
    subprocess.run(command, check=True, env=os.environ | ONE_THREAD)
    seconds = processor_seconds() - before
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes((out / "samples.png").read_bytes())
    config = json.loads((out / "config.json").read_text())
    settings = config["settings"]
    return {
        "processor_seconds": round(seconds),
        "steps": settings["steps"],
        "batch_size": settings["batch_size"],
        "data": config["data"],
        "command": " ".join(["minigan train", name, "--seed 0", *extra]),
        "machine": f"{platform.system()}, NumPy {config['versions']['numpy']}",
    }


def processor_seconds() -> float:
    """Return the processor time of all processes that this one has waited for; always 0 on
    Windows.
    """
    times = os.times()
    return times.children_user + times.children_system


def write_page(record: dict[str, dict[str, object]]) -> None:
    """Write ``gallery.md``: a section per recipe, in the recipes' own order."""
    lines = [
        "# Gallery",
        "",
        "What the recipes make, each with the one command that made it and the time that it took.",
        "The samples aren't selected: seed 0, fixed latent vectors. Times are from a single run on",
        "a machine that did other work as well: processor time of one thread, or wall-clock time,",
        "which is an upper bound. This page is written by `python docs/make_gallery.py`.",
        "",
    ]
    for name in recipes.names():
        if name not in record:
            continue
        recipe, facts = recipes.get(name), record[name]
        lines += [
            f"## {name}",
            "",
            f"{recipe.title[0].upper()}{recipe.title[1:]}. {recipe.source}.",
            "",
            f"```console\n$ {facts['command']}\n```",
            "",
            f"```{{image}} images/gallery/{name}.png\n:alt: samples of {name}\n:width: 420px\n```",
            "",
            f"{length(recipe, facts)} in {cost(facts)} ({facts['machine']}).",
            "",
        ]
        if facts["data"] != recipe.data:
            lines += [
                f"Trained on {facts['data']} instead of {recipe.data}, the recipe's own data.",
                "",
            ]
    missing = [name for name in recipes.names() if name not in record]
    if missing:
        lines += [
            "## Not shown here",
            "",
            "There are more recipes: "
            + ", ".join(f"`{name}`" for name in missing)
            + ". `minigan recipes` describes each.",
            "",
        ]
    (DOCS / "gallery.md").write_text("\n".join(lines))


def length(recipe: Recipe, facts: dict[str, object]) -> str:
    """Say how long a recipe was trained, and whether that is as long as it is meant to be."""
    words = f"{facts['steps']:,} steps of {facts['batch_size']} samples"
    whole = recipe.settings.steps
    return words if facts["steps"] == whole else f"{words} (of the recipe's {whole:,})"


def cost(facts: dict[str, object]) -> str:
    """Say what a run took; the older records have the time by the clock instead."""
    return (
        f"{facts['processor_seconds']} s of processor time"
        if "processor_seconds" in facts
        else f"{facts['seconds']} s"
    )


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help="recipes to run; without any, only the page is written"
    )
    parser.add_argument("--steps", type=int, help="rounds, instead of the recipe's own number")
    parser.add_argument("--data", help="other data than the recipe's own")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the runs, which are thrown away otherwise"
    )
    options = parser.parse_args()
    extra = [] if options.steps is None else ["--steps", str(options.steps)]
    extra += [] if options.data is None else ["--data", options.data]
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            facts = measure(name, extra, (options.keep or Path(folder)) / name)
        print(f"{name}: {facts['processor_seconds']} s of processor time", flush=True)
        RECORD.write_text(json.dumps(read_record() | {name: facts}, indent=1) + "\n")
    write_page(read_record())
    return 0


def read_record() -> dict[str, dict[str, object]]:
    """Read what was measured so far."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


if __name__ == "__main__":
    raise SystemExit(main())
