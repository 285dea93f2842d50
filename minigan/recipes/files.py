"""Recipes in a file of the user's own: ``minigan train my_recipe.py`` or ``my_recipe.py:NAME``.

A recipe is a Python file, and loading it runs it. It is one file: what it imports must be
installed, since a run keeps a copy of that file alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from minigan.recipes.recipe import Recipe

NAME = "RECIPE"
"""The variable that holds the recipe, if no other is named."""
NAMES = r"\w[\w.-]*"
"""What the name of a recipe looks like: it is the name of a folder, too."""


class RecipeError(ValueError):
    """A recipe file that can't be used; the message says where in the file, and what to do."""


@dataclass(frozen=True)
class RecipeFile:
    """The text of a recipe file, read once, so that what runs is what was looked at.

    Attributes
    ----------
    path
        Where it was read.
    source
        Its bytes.
    variable
        The variable that holds the recipe.
    """

    path: Path
    source: bytes
    variable: str = NAME

    @property
    def sha256(self) -> str:
        """The hash of its bytes, in hexadecimal digits."""
        return hashlib.sha256(self.source).hexdigest()

    def load(self) -> Recipe:
        """Run the file and return its recipe.

        Raises
        ------
        RecipeError
            If it raises an error, or has no such recipe.
        """
        found = getattr(self._run(), self.variable, None)
        recipe = found() if callable(found) and not isinstance(found, type) else found
        if not isinstance(recipe, Recipe):
            what = "has no" if found is None else "needs a Recipe named"
            raise RecipeError(
                f"{self.path} {what} {self.variable}; assign a minigan.recipes.Recipe to it, or "
                f"name another variable: {self.path.name}:NAME."
            )
        if not re.fullmatch(NAMES, recipe.name):
            raise RecipeError(
                f"The recipe in {self.path} is named {recipe.name!r}, which can't be the name of a "
                "folder; use letters, digits, '-' and '_'."
            )
        return recipe

    def _run(self) -> ModuleType:
        """Execute the bytes as a module, which classes in the file find under its own name."""
        module = ModuleType(f"minigan_recipe_{self.sha256[:12]}")
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module
        try:
            exec(compile(self.source, str(self.path), "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[module.__name__]
            raise RecipeError(_located(error, self.path)) from error
        return module


def is_file(name: str) -> bool:
    """Return whether a recipe's name is that of a file: ``FILE.py`` or ``FILE.py:NAME``."""
    return re.search(r"\.py(:\w+)?$", name) is not None


def read(place: str) -> RecipeFile:
    """Read a recipe file without running it.

    Parameters
    ----------
    place
        ``FILE.py`` or ``FILE.py:NAME``; NAME is ``RECIPE`` by default. It is a `Recipe`, or a
        function without arguments that returns one.

    Raises
    ------
    RecipeError
        If there is no such file.
    """
    found = re.fullmatch(r"(.*\.py)(?::(\w+))?", place, re.DOTALL)
    path = Path(os.path.expanduser(found[1] if found else place))
    if not path.is_file():
        raise RecipeError(
            f"There is no recipe file {path}; `minigan recipe new NAME` writes one to start from."
        )
    return RecipeFile(path, path.read_bytes(), (found and found[2]) or NAME)


def _located(error: BaseException, path: Path) -> str:
    """Say in one sentence what went wrong, and in which line of the file."""
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}: {error.msg}"
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"{path}, line {own[-1].lineno}" if own else f"{path}"
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{where}: there is no module {error.name!r}; a recipe is one file, so write what it "
            "needs into it, or install the module"
        )
    return f"{where}: {type(error).__name__}: {error}"


# ---------------------------------------------------------------- a file to start from


def template(name: str) -> str:
    """Return the text of a commented recipe file to start from, whose recipe has this name."""
    text = Path(__file__).with_name("template.py").read_text(encoding="utf-8")
    return text.replace("my_recipe", name.replace("-", "_")).replace("my-recipe", name)


def write_new(name: str, folder: Path) -> Path:
    """Write ``NAME.py``, see `template`; return its path.

    Raises
    ------
    RecipeError
        If the name can't be that of a recipe, or the file exists.
    """
    name = name.removesuffix(".py")
    if not re.fullmatch(NAMES, name):
        raise RecipeError(
            f"{name!r} can't be the name of a recipe; use letters, digits, '-' and '_'."
        )
    path = folder / f"{name.replace('-', '_')}.py"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(name))
    except FileExistsError:
        raise RecipeError(f"{path} exists already; give another name.") from None
    return path
