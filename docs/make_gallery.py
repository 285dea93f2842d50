"""Train recipes, time them, and write the gallery: ``python docs/make_gallery.py [NAME ...]``.

Each recipe runs as `minigan train` would run it, in a process of its own. The pictures go to ``docs/images/gallery``,
what was measured to ``docs/gallery.json``; the page ``docs/gallery.md`` is written from these, so that recipes can be
run one at a time. Recipes whose data isn't on this machine (``MINIGAN_DATA``) are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "images" / "gallery"
RECORD = DOCS / "gallery.json"


def measure(name: str, extra: list[str]) -> dict[str, object]:
    """Train one recipe in a temporary folder and keep its picture."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
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
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes((out / "samples.png").read_bytes())
        config = json.loads((out / "config.json").read_text())
    settings = config["settings"]
    return {
        "seconds": round(seconds),
        "steps": settings["steps"],
        "batch_size": settings["batch_size"],
        "data": config["data"],
        "command": " ".join(["minigan train", name, "--seed 0", *extra]),
        "machine": f"{platform.system()}, {os.cpu_count()} cores, NumPy {config['versions']['numpy']}",
    }


def write_page(record: dict[str, dict[str, object]]) -> None:
    """Write ``gallery.md``: a section per recipe, in the recipes' own order."""
    from minigan import recipes

    lines = ["# Gallery", "", "What the recipes make, each by the one command beside it, with the time that it took.",
             "Written by `python docs/make_gallery.py`; not chosen: seed 0, fixed latents. Each time is of one run,",
             "on a machine that did other work as well; an upper bound.", ""]  # fmt: skip
    for name in recipes.names():
        if name not in record:
            continue
        recipe, facts = recipes.get(name), record[name]
        lines += [f"## {name}", "", f"{recipe.title[0].upper()}{recipe.title[1:]}. {recipe.source}.", "",
                  f"```console\n$ {facts['command']}\n```", "",
                  f"```{{image}} images/gallery/{name}.png\n:alt: samples of {name}\n:width: 420px\n```", "",
                  f"{facts['steps']:,} steps of {facts['batch_size']} samples in {facts['seconds']} s "
                  f"({facts['machine']}).", ""]  # fmt: skip
    missing = [name for name in recipes.names() if name not in record]
    if missing:
        lines += [
            "## Not shown here",
            "",
            "There are more: "
            + ", ".join(f"`{name}`" for name in missing)
            + ". `minigan recipes` says what each is.",
            "",
        ]
    (DOCS / "gallery.md").write_text("\n".join(lines))


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recipes to run; without any, only the page is written anew")
    parser.add_argument("--steps", type=int, help="rounds, instead of the recipe's own number")
    options = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in options.names:
        record[name] = measure(name, [] if options.steps is None else ["--steps", str(options.steps)])
        print(f"{name}: {record[name]['seconds']} s", flush=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    write_page(record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
