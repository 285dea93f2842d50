"""Which recipe files may run: those that were trained, or were trusted, on this machine.

Opening a run of a recipe file executes the copy of it in the run's folder, with all that the user
may do. So the hashes of files that ran here are kept, and a file that is not among them runs only
if the user says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from minigan.recipes import Recipe
from minigan.recipes.files import RecipeError, RecipeFile

Trust = bool | Callable[[str], bool]
"""Whether to run a file that is unknown on this machine, or a function that asks the user."""


class UntrustedRecipe(RecipeError):
    """The run has a recipe file that never ran on this machine, and nobody said that it may."""


def store() -> Path:
    """Return the file of known hashes: in the user's data folder, or ``MINIGAN_TRUSTED``."""
    import platformdirs

    given = os.environ.get("MINIGAN_TRUSTED")
    return Path(given) if given else platformdirs.user_data_path("minigan") / "trusted-recipes.txt"


def is_known(file: RecipeFile) -> bool:
    """Return whether a file with these very bytes has run on this machine."""
    try:
        lines = store().read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return file.sha256 in {line.partition(" ")[0] for line in lines}


def remember(file: RecipeFile) -> None:
    """Note that a file has run on this machine; without a place to write, it will be asked again.

    Only the hash is kept, and the file's name for readers of the list.
    """
    if is_known(file):
        return
    with suppress(OSError):
        store().parent.mkdir(parents=True, exist_ok=True)
        with store().open("a", encoding="utf-8") as list_of_hashes:
            list_of_hashes.write(f"{file.sha256} {file.path.name!a}\n")


def load(file: RecipeFile, *, trust: Trust = False) -> Recipe:
    """Run the recipe file of a run, if it is known or `trust` allows it.

    Raises
    ------
    UntrustedRecipe
        If it may not run.
    RecipeError
        If it can't be used.
    """
    if not is_known(file) and not _allowed(file, trust):
        raise UntrustedRecipe(
            f"{file.path} has never run on this machine (SHA-256 {file.sha256[:12]}...), and "
            "opening this run would run it as a program, with all that you may do; read it, and "
            "if you trust it, add --trust (in Python, trust=True)."
        )
    recipe = file.load()
    remember(file)
    return recipe


def _allowed(file: RecipeFile, trust: Trust) -> bool:
    question = (
        f"This run was made elsewhere, or its recipe was changed: opening it runs {file.path} as a "
        "program, with all that you may do. Have you read it, and do you trust it?"
    )
    return trust(question) if callable(trust) else trust
