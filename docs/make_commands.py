"""The pages of the command line, written from the parser: ``docs/commands``.

`docs/conf.py` writes them in every build. The pictures come from the examples themselves, which
``python docs/build.py`` runs when the library has changed (``python docs/make_commands.py`` does it
alone); without pictures, the pages are complete but for these.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from minigan.cli import build_parser

DOCS = Path(__file__).resolve().parent
PAGES = DOCS / "commands"
PICTURES = PAGES / "pictures"

EXAMPLES: dict[str, list[tuple[str, str]]] = {
    "train": [
        ("minigan train digits", "a small GAN; the results are in `runs/digits`"),
        ("minigan train digits --steps 500 --seed 1 --out tries/a", "shorter, elsewhere"),
        ("minigan train dcgan --data my_pictures/ --image-size 64", "your own pictures"),
        ("minigan train my_recipe.py", "a recipe of your own"),
        ("minigan train --resume runs/digits", "continue a run that stopped, bit for bit"),
        ("minigan train dcgan --init runs/dcgan --data others/", "start from trained weights"),
        ("minigan train digits --show-config > run.toml", "write down everything in force"),
        ("minigan train mnist-dcgan --ranks 4", "four processes share each batch (extra `mpi`)"),
        ("minigan train --config run.toml --seed 2", "and train by it, with one change"),
    ],
    "recipes": [("minigan recipes", "all recipes, with their data and how long they take")],
    "recipe": [("minigan recipe new tiny-cats", "writes tiny_cats.py")],
    "runs": [
        ("minigan runs", "the runs in `runs`: how they differ, and how they did"),
        ("minigan runs runs/a runs/b -o both.png", "two runs, with their samples"),
        ("minigan runs --json", "for other programs"),
    ],
    "sample": [
        ("minigan sample runs/digits -n 100 -o grid.png", "a hundred new samples"),
        ("minigan sample runs/digits --truncation 1.5 --seed 7", "fewer surprises"),
        ("minigan sample runs/cgan-digits --label 7", "sevens only"),
        ("minigan sample pretrained:avatars", "from weights that come with the package"),
        ("minigan sample runs/textgan -o lines.txt", "text; without a file it is printed"),
        ("minigan sample runs/wavegan-tones -n 8 -o out.wav", "sounds, one after the other"),
    ],
    "evaluate": [("minigan evaluate runs/digits -n 2000", "each score beside its floor")],
    "doctor": [("minigan doctor runs/digits", "is this run normal?")],
    "interpolate": [("minigan interpolate runs/digits --rows 3", "three walks, and a GIF")],
    "arithmetic": [("minigan arithmetic runs/digits -a 0,1 -b 2,3 -c 4,5", "a - b + c")],
    "latent": [
        ("minigan latent runs/digits", "which coordinates change samples most"),
        ("minigan latent runs/digits --sweep", "and what they do"),
        ("minigan latent runs/stylegan --directions 6 --levels 0", "directions, coarse styles"),
        ("minigan latent runs/stylegan --attribute 3", "towards the hair colour of class 3"),
    ],
    "mix": [("minigan mix runs/stylegan -o mix.png", "the shape of one, the colours of another")],
    "project": [
        ("minigan project runs/stylegan face.png -o projected.png", "a face of your own"),
        ("minigan project runs/cgan-digits seven.png --label 7", "of a conditional recipe"),
    ],
    "translate": [
        ("minigan translate runs/pix2pix picture.png -o out.png", "one picture"),
        ("minigan translate runs/cyclegan faces/ --back -o without/", "a folder, the other way"),
    ],
    "play": [
        ("minigan play", "opens the page; Ctrl-C ends it"),
        ("minigan play --preset collapse", "a game that fails on purpose"),
        ("minigan play --recipe my_recipe.py", "a recipe of your own"),
        ("minigan play runs/digits", "samples, checkpoints and latents of a run"),
        ("minigan play pretrained:digits", "the same of weights that come with the package"),
    ],
    "export": [
        ("minigan export runs/digits -o g.onnx", "the generator as an ONNX graph"),
        ("minigan export runs/digits --torch -o generator", "as a PyTorch module"),
    ],
    "gradcheck": [
        ("minigan gradcheck", "every layer and loss of the library"),
        ("minigan gradcheck my_layer.py:MyLayer --input 4,8,8,3", "a layer of your own"),
    ],
    "learn": [
        ("minigan learn start exercises", "lays out a file for each exercise"),
        ("minigan learn check ex02_linear", "right, or what is wrong with it"),
        ("minigan learn check", "the first exercise that is not solved"),
        ("minigan learn hint linear", "one more hint"),
        ("minigan learn status", "the map of the course"),
        ("minigan learn train ring", "after exercise 9: on your own layers"),
        ("minigan learn export week2 --exercises linear sgd --seed 7", "for teachers: a class set"),
        ("minigan learn grade handed_in --set week2/minigan-set.json --json", "and its marks"),
    ],
    "bench": [("minigan bench --recipe digits ring", "the speed of two recipes here")],
    "completion": [('eval "$(minigan completion bash)"', "for the current shell")],
}
"""Command -> examples, each with a few words."""

SHOWN: dict[str, list[str]] = {
    "sample": ["runs/digits", "-n", "40"],
    "interpolate": ["runs/digits", "--rows", "3"],
    "arithmetic": ["runs/digits", "-a", "0,1", "-b", "2,3", "-c", "4,5"],
    "latent": ["runs/digits", "--sweep"],
    "doctor": ["runs/digits"],
    "runs": ["runs"],
}
"""Command -> arguments with which its picture is made."""


def write_pages() -> None:
    """Write a page for each command, and their index; unchanged files keep their date."""
    PAGES.mkdir(exist_ok=True)
    commands = parsers()
    for name, parser in commands.items():
        _write(PAGES / f"{name}.md", page(name, parser))
    listed = "\n".join(
        f"| [`minigan {name}`]({name}.md) | {summary} |" for name, summary in summaries().items()
    )
    tree = "\n".join(["```{toctree}", ":hidden:", "", *commands, "```"])
    head = "# The command line\n\nEvery command explains itself with `--help`; these pages say the same, with examples."
    _write(PAGES / "index.md", f"{head}\n\n| | |\n|---|---|\n{listed}\n\n{tree}\n")


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command, enriched as for its help."""
    found = dict(_commands().choices)
    for parser in found.values():
        if parser.enrich is not None:
            parser.enrich(parser, argparse.Namespace())
    return found


def summaries() -> dict[str, str]:
    """Return a line about each command."""
    return {action.dest: str(action.help) for action in _commands()._choices_actions}


def _commands() -> argparse._SubParsersAction:
    parser = build_parser()
    return next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))


def page(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the page of a command."""
    lines = [f"# minigan {name}", "", str(parser.description), ""]
    lines += ["```bash", *example_lines(name), "```", ""]
    if (PICTURES / f"{name}.png").exists():
        shown = " ".join(["minigan", name, *SHOWN[name]])
        lines += [f"```{{figure}} pictures/{name}.png", ":width: 70%", "", f"`{shown}`", "```", ""]
    for group in parser._action_groups:
        lines += table(group)
    for inner in parser._actions:
        if isinstance(inner, argparse._SubParsersAction):
            lines += subcommands(name, inner)
    return "\n".join(lines)


def example_lines(name: str) -> list[str]:
    """Return the examples of a command, each below what it does."""
    pairs = [[f"# {words}", command, ""] for command, words in EXAMPLES[name]]
    return [line for pair in pairs for line in pair][:-1]


def subcommands(name: str, inner: argparse._SubParsersAction) -> list[str]:
    """Return a section for each subcommand of a command."""
    lines = []
    for word, parser in inner.choices.items():
        lines += [f"## minigan {name} {word}", "", str(parser.description), ""]
        for group in parser._action_groups:
            lines += [line.replace("## ", "### ", 1) for line in table(group)]
    return lines


def table(group: argparse._ArgumentGroup) -> list[str]:
    """Return the options of a group as a table."""
    hidden = (argparse._SubParsersAction,)
    actions = [
        a for a in group._group_actions if a.help != argparse.SUPPRESS and not isinstance(a, hidden)
    ]
    if not actions:
        return []
    title = str(group.title).replace("positional arguments", "arguments")
    rows = [f"| `{spelt(a)}` | {str(a.help or '').replace('|', chr(92) + '|')} |" for a in actions]
    return [f"## {title[0].upper()}{title[1:]}", "", "| | |", "|---|---|", *rows, ""]


def spelt(action: argparse.Action) -> str:
    """Return an option as it is written, with the name of its value."""
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    value = "" if action.nargs == 0 or (action.const is not None and not value) else str(value)
    if not action.option_strings:
        return str(action.metavar or action.dest)
    return f"{', '.join(action.option_strings)} {value}".strip().replace("|", "\\|")


# ---------------------------------------------------------------- the pictures


def draw_pictures(steps: int = 600) -> None:
    """Run the examples that draw a picture."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with _folder(DOCS / "_build" / "examples") as here:
        _minigan(here, "train", "digits", "--steps", str(steps), "--frames", "0", "--quiet")
        _minigan(here, "train", "digits", "--steps", str(steps // 4), "--frames", "0", "--quiet")
        for name, arguments in SHOWN.items():
            _minigan(here, name, *arguments, "--quiet", "-o", str(PICTURES / f"{name}.png"))


def _minigan(here: Path, *arguments: str) -> None:
    path = os.pathsep.join([str(DOCS.parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-m", "minigan", *arguments],
        check=True, cwd=here, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    draw_pictures()
    write_pages()
