"""Configuration files: all that ``minigan train`` can be told, in a file to keep, diff and send.

A file is TOML, as ``minigan train --show-config`` prints it, or a run's ``config.json``:

.. code-block:: toml

    recipe = "dcgan"            # or a recipe file: "my_recipe.py", "my_recipe.py:NAME"
    data = "my_pictures/"
    seed = 0

    [settings]
    image_size = 64
    steps = 20000

    [watching]
    checkpoint_every = 1000

    [computing]
    precision = "float32"

Everything but ``recipe`` may be left out. Paths are relative to where the command runs.
"""

from __future__ import annotations

import codecs
import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minigan.recipes import files
from minigan.recipes.files import RecipeFile
from minigan.runs import trust as trusting
from minigan.runs.folder import CONFIG, read_config, recipe_file
from minigan.runs.training import changed, find
from minigan.runs.watching import choose_watching

TOP = ("recipe", "seed", "device", "data", "data_dir", "init", "out", "epochs")
"""What is told outside the tables, by the names in a file."""
COMPUTING = ("cuda_graph", "precision", "local_batchnorm")
TABLES = ("settings", "watching", "computing")
KINDS: Mapping[str, tuple[type, str]] = {
    **dict.fromkeys(("recipe", "device", "data", "data_dir", "init", "out"), (str, "text")),
    **dict.fromkeys(("seed", "epochs"), (int, "a whole number")),
}
SWITCHES = {"computing": ("cuda_graph", "local_batchnorm"), "watching": ("tensorboard",)}
"""What else than a setting must be what."""
RECORDED = (
    "engine", "notes", "versions", "recipe_file", "fingerprint", "classes", "class_names",
)  # fmt: skip
"""What a ``config.json`` says besides; it describes the run, and isn't told again."""


def read(
    path: str | os.PathLike[str], *, trust: trusting.Trust = False, named: bool = False
) -> dict[str, Any]:
    """Read a configuration file as the arguments of `minigan.runs.training.train`.

    Parameters
    ----------
    path
        A TOML file, a run's ``config.json``, or the folder of a run.
    trust
        Whether the recipe file of a run may be executed, see `minigan.runs.folder.open_run`.
    named
        Whether the recipe is named elsewhere, so that the file's doesn't matter.

    Raises
    ------
    ValueError
        If there is no such file, or it says something that `train` doesn't know.
    """
    path = Path(path)
    path = path / CONFIG if path.is_dir() else path
    told = _parsed(path)
    _check(path, told)
    arguments = {name: told[name] for name in TOP if told.get(name) is not None}
    for table in TABLES:
        arguments |= {k: v for k, v in told.get(table, {}).items() if v is not None}
    if named:
        arguments.pop("recipe", None)
    elif told.get("recipe_file"):
        arguments["recipe"] = _copy(path.parent, trust)
    elif path.name == CONFIG and files.is_file(told.get("recipe") or ""):
        raise ValueError(
            f"{path} names the recipe file {told['recipe']!r}, but a run has a copy of its own; "
            "name the file on the command line if it may run."
        )
    for old, new in (("recipe", "name"), ("data", "data_name")):
        if old in arguments:
            arguments[new] = arguments.pop(old)
    return arguments


def _parsed(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"There is no configuration file {path}; `--show-config` prints one.")
    try:
        text = path.read_text(encoding=_encoding(path))
        told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} can't be read: {error}; mend that place.") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path} holds no table; give a file such as --show-config prints.")
    return told


def _encoding(path: Path) -> str:
    """Return how a file is encoded: UTF-8, with a mark or without, or UTF-16 with one.

    The latter is what ``>`` writes in PowerShell.
    """
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _check(path: Path, told: Mapping[str, Any]) -> None:
    known = [*TOP, *TABLES, *(RECORDED if path.suffix == ".json" else ())]
    for name in told:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{path} has an unknown entry {name!r}; {hint}There are {', '.join(TOP)} and the "
                f"tables {', '.join(TABLES)}."
            )
    for table in TABLES:
        if not isinstance(told.get(table, {}), dict):
            raise ValueError(f"{table!r} in {path} must be a table: [{table}].")
    for name, (kind, words) in KINDS.items():
        value = told.get(name)
        wrong = not isinstance(value, kind) or isinstance(value, bool)
        if value is not None and wrong:
            raise ValueError(f"{name} in {path} must be {words}, got {value!r}.")
    for table, switches in SWITCHES.items():
        for name in switches:
            value = told.get(table, {}).get(name)
            if value is not None and not isinstance(value, bool):
                raise ValueError(f"{name} in {path} must be true or false, got {value!r}.")
    strange = [n for n in told.get("computing", {}) if n not in COMPUTING]
    strange += [n for n in told.get("watching", {}) if n not in choose_watching({})]
    if strange:
        raise ValueError(f"{path} has an unknown entry {strange[0]!r}; leave it out.")


def _copy(folder: Path, trust: trusting.Trust) -> RecipeFile:
    """The recipe file of a run, which its config.json belongs to; refused unless trusted."""
    file = recipe_file(folder, read_config(folder))
    trusting.load(file, trust=trust)
    return file


# ---------------------------------------------------------------- the other way round


def in_force(
    name: Any,
    *,
    seed: int = 0,
    device: str = "auto",
    data_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    init: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    cuda_graph: bool | None = None,
    precision: str = "float32",
    local_batchnorm: bool = False,
    **more: Any,
) -> str:
    """Return, as TOML, all that a training with these arguments would be told, defaults included.

    Parameters
    ----------
    name, seed, device, data_name, data_dir, init, out, epochs
        As for `minigan.runs.training.train`.
    cuda_graph, precision, local_batchnorm, more
        As there, too.
    """
    recipe, file = find(name)
    watched = {key: more.pop(key, None) for key in choose_watching({})}
    settings = asdict(changed(recipe, more))
    if epochs is not None:
        del settings["steps"]  # it depends on how many samples there are
    place = f"{file.path}:{file.variable}" if file else recipe.name
    told = {
        "recipe": place, "data": data_name or recipe.data, "data_dir": data_dir, "seed": seed,
        "device": device, "init": init, "out": out, "epochs": epochs, "settings": settings,
        "watching": choose_watching({}, **watched),
        "computing": {
            "cuda_graph": cuda_graph, "precision": precision, "local_batchnorm": local_batchnorm,
        },
    }  # fmt: skip
    return toml(told)


def toml(told: Mapping[str, Any]) -> str:
    """Write a configuration as TOML; what is None is left out.

    Parameters
    ----------
    told
        Text, numbers, booleans and lists of these by name, and dictionaries of such.
    """
    tables = {name: value for name, value in told.items() if isinstance(value, Mapping)}
    lines = _lines({name: value for name, value in told.items() if name not in tables})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(entries: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in entries.items() if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    # TOML's strings have the escapes of JSON's; DEL needs one that JSON doesn't write.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
