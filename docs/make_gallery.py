"""Train recipes, time them, and write the gallery: ``python docs/make_gallery.py [NAME ...]``.

Each recipe runs as `minigan train` would run it, in a process of its own. The pictures go to
``docs/images/gallery``, what was measured to ``docs/gallery.json``; the page ``docs/gallery.md``, of
thumbnails, and a page for each recipe in ``docs/gallery`` are written from these, so that recipes
can be run one at a time. With ``--keep FOLDER`` and ``--used``, runs that exist already are used. Recipes whose data isn't on this
machine (``MINIGAN_DATA``) can be trained on other data (``--data``); the page then says so. Times
are processor times of one thread, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from minigan import data, recipes
from minigan.recipes import Recipe
from minigan.runs import drawing

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "images" / "gallery"
RECORD = DOCS / "gallery.json"
PAGES = DOCS / "gallery"
LARGEST = 1_000_000
"""Bytes of a film, above which it's made smaller: the repository is cloned by everybody."""
SOUNDS = DOCS / "_static" / "sounds"
NARROWEST = 400
"""Pixels of a film that isn't made narrower."""
HEARD = 16
"""Sounds that a page plays."""
KINDS = {
    "": "samples.png",
    "-losses": "losses.png",
    "-film": "training.gif",
    "-moving": "samples.gif",
}
"""What is kept of a run: the end of the name, and the file in the run's folder."""


ONE_THREAD = dict.fromkeys(
    ("MINIGAN_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


def measure(name: str, extra: list[str], out: Path) -> dict[str, object]:
    """Train one recipe into the folder `out`, score it, and keep its pictures."""
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
    judge = [sys.executable, "-m", "minigan", "evaluate", str(out)]
    subprocess.run(judge, check=True, env=os.environ | ONE_THREAD)
    return collect(name, out, extra) | {"processor_seconds": round(seconds)}


def collect(name: str, out: Path, extra: list[str]) -> dict[str, object]:
    """Keep the pictures of a run: samples, curves and film; and its scores, if it was evaluated."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    config = json.loads((out / "config.json").read_text())
    settings = config["settings"]
    # A run may be older than what draws its curves today.
    drawing.draw_losses(out, recipes.get(name), settings["objective"])
    for kind, file in KINDS.items():
        if (out / file).exists():
            kept = PICTURES / f"{name}{kind}{Path(file).suffix}"
            kept.write_bytes((out / file).read_bytes())
            make_smaller(kept)
    if (out / "samples.wav").exists():
        keep_sounds(name, out / "samples.wav")
    return {
        "steps": settings["steps"],
        "batch_size": settings["batch_size"],
        "data": config["data"],
        "command": " ".join(["minigan train", name, "--seed 0", *extra]),
        "machine": f"{platform.system()}, NumPy {config['versions']['numpy']}",
        "scores": scores(out / "evaluation.csv"),
    }


def make_smaller(path: Path) -> None:
    """Halve the size of a film, and its number of frames, until it's small enough."""
    while path.suffix == ".gif" and path.stat().st_size > LARGEST:
        with Image.open(path) as film:
            (width, height), duration = film.size, 2 * film.info["duration"]
            half = (width // 2, height // 2) if width > NARROWEST else film.size
            kept = range(0, film.n_frames, 2)  # type: ignore[attr-defined]
            frames = [nth(film, n).resize(half, Image.Resampling.BOX) for n in kept]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=duration, loop=0)


def nth(film: Image.Image, number: int) -> Image.Image:
    """Return a frame of a film."""
    film.seek(number)
    return film.convert("RGB")


def keep_sounds(name: str, path: Path) -> None:
    """Keep the first sounds of a file for the recipe's page."""
    waves, rate = data.read_wav(path)
    each = recipes.get(name).sample_shape[0] + round(data.GAP * rate)
    SOUNDS.mkdir(parents=True, exist_ok=True)
    data.write_wav(SOUNDS / f"{name}.wav", waves[: HEARD * each, 0], rate=rate)


def scores(path: Path) -> list[list[str]]:
    """Read what `minigan evaluate` wrote: metric, value, floor, better."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row[:4] for row in csv.reader(file)][1:]


def processor_seconds() -> float:
    """Return the processor time of all processes that this one has waited for; always 0 on
    Windows.
    """
    times = os.times()
    return times.children_user + times.children_system


def write_page(record: dict[str, dict[str, object]]) -> None:
    """Write ``gallery.md``, thumbnails in the recipes' own order, and the page behind each."""
    PAGES.mkdir(exist_ok=True)
    shown = [name for name in recipes.names() if name in record]
    for name in shown:
        (PAGES / f"{name}.md").write_text(recipe_page(name, record[name]))
    lines = [*HEAD, "::::{grid} 2 3 4 4", ":gutter: 3", ""]
    for name in shown:
        lines += [
            f":::{{grid-item-card}} {name}",
            f":link: gallery/{name}",
            ":link-type: doc",
            f":img-top: images/gallery/{name}.png",
            recipes.get(name).title,
            ":::",
            "",
        ]
    lines += ["::::", "", "```{toctree}", ":hidden:", "", *(f"gallery/{n}" for n in shown), "```"]
    missing = ", ".join(f"`{name}`" for name in recipes.names() if name not in record)
    if missing:
        lines += ["", f"There are more recipes: {missing}. `minigan recipes` describes each."]
    (DOCS / "gallery.md").write_text("\n".join(lines) + "\n")


HEAD = [
    "# Gallery",
    "",
    "What the recipes make. Behind each picture are the command that made it, the film of its",
    "training, the curves, its scores, and how long it took. The samples aren't selected: seed 0,",
    "fixed latent vectors. This page is written by `python docs/make_gallery.py`.",
    "",
]


def recipe_page(name: str, facts: dict[str, object]) -> str:
    """Return the page of a recipe."""
    recipe = recipes.get(name)
    lines = [
        f"# {name}",
        "",
        f"{recipe.title[0].upper()}{recipe.title[1:]}. {recipe.source}.",
        "",
        f"```console\n$ {facts['command']}\n```",
        "",
        f"{length(recipe, facts)}{cost(recipe, facts)} ({facts['machine']}).",
        "",
    ]
    if "credit" in facts:
        lines += [f"{facts['credit']}", ""]
    elif facts["data"] != recipe.data:
        lines += [
            f"Trained on {facts['data']} instead of {recipe.data}, the recipe's own data.",
            "",
        ]
    if (SOUNDS / f"{name}.wav").exists():
        lines += [f'<audio controls src="../_static/sounds/{name}.wav"></audio>', ""]
    shown = {
        "": "samples", "-moving": "moving samples", "-film": "the training",
        "-losses": "the curves",
    }  # fmt: skip
    for kind, words in shown.items():
        suffix = Path(KINDS[kind]).suffix
        if (PICTURES / f"{name}{kind}{suffix}").exists():
            picture = f"../images/gallery/{name}{kind}{suffix}"
            # HTML, which code hosts show too.
            lines += [f'<img src="{picture}" alt="{words} of {name}" width="500px">', ""]
    found = facts.get("scores")
    if isinstance(found, list) and found:
        lines += ["| metric | samples | floor | better |", "|---|---|---|---|"]
        lines += [f"| {m} | {float(v):.4g} | {float(f):.4g} | {b} |" for m, v, f, b in found] + [""]
    return "\n".join(lines)


def length(recipe: Recipe, facts: dict[str, object]) -> str:
    """Say how long a recipe was trained, and whether that is as long as it is meant to be."""
    words = f"{facts['steps']:,} steps of {facts['batch_size']} samples"
    whole = recipe.settings.steps
    return words if facts["steps"] == whole else f"{words} (of the recipe's {whole:,})"


def cost(recipe: Recipe, facts: dict[str, object]) -> str:
    """Say what a run took; the older records have the time by the clock instead."""
    if "processor_seconds" in facts:
        return f" in {facts['processor_seconds']} s of processor time"
    return f" in {facts['seconds']} s" if "seconds" in facts else f"; {recipe.duration}"


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
    parser.add_argument(
        "--used", action="store_true", help="the runs are in --keep already: don't train them again"
    )
    parser.add_argument("--credit", help="where the data came from, and whose they are")
    options = parser.parse_args()
    extra = [] if options.steps is None else ["--steps", str(options.steps)]
    extra += [] if options.data is None else ["--data", options.data]
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            out = (options.keep or Path(folder)) / name
            facts = collect(name, out, extra) if options.used else measure(name, extra, out)
        facts |= {} if options.credit is None else {"credit": options.credit}
        facts = read_record().get(name, {}) | facts if options.used else facts
        print(f"{name}{cost(recipes.get(name), facts)}", flush=True)
        RECORD.write_text(json.dumps(read_record() | {name: facts}, indent=1) + "\n")
    write_page(read_record())
    return 0


def read_record() -> dict[str, dict[str, object]]:
    """Read what was measured so far."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


if __name__ == "__main__":
    raise SystemExit(main())
