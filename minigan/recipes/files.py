"""Recipes in a file of the user's own: ``minigan train my_recipe.py`` or ``my_recipe.py:NAME``.

A recipe is a Python file, and loading it runs it. It is one file: what it imports must be
installed, since a run keeps a copy of that file alone.
"""

from __future__ import annotations

import hashlib
import keyword
import os
import re
import site
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import FrameType, ModuleType

from minigan.recipes.recipe import Recipe

NAME = "RECIPE"
"""The variable that holds the recipe, if no other is named."""
NAMES = r"\w[\w.-]*"
"""What the name of a recipe looks like: it is the name of a folder, too."""
MODULE = "minigan_recipe_"
"""What the names of the modules begin with that recipe files run as."""


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
        module = self._run()
        found = getattr(module, self.variable, None)
        recipe = found
        if callable(found) and not isinstance(found, type):
            with self._located_errors():
                recipe = found()
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
        module = ModuleType(f"{MODULE}{self.sha256[:12]}")
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module
        try:
            with self._located_errors():
                exec(compile(self.source, str(self.path), "exec"), module.__dict__)
        except RecipeError:
            del sys.modules[module.__name__]
            raise
        return module

    @contextmanager
    def _located_errors(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            if isinstance(error, SyntaxError) and error.filename == str(self.path):
                raise RecipeError(f"{self.path}, line {error.lineno}: {error.msg}") from error
            raise RecipeError(f"{line_of(error) or self.path}: {in_words(error)}") from error


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


def line_of(error: BaseException) -> str | None:
    """Return the file and the line of a recipe file that an error went through last.

    None is returned if it went through none.
    """
    frames = frames_since(error)
    return f"{frames[0].filename}, line {frames[0].lineno}" if frames else None


def frames_since(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of a traceback from the last one in a recipe file on; none without one."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [i for i, (frame, _) in enumerate(frames) if _is_of_a_recipe(frame)]
    return traceback.StackSummary.extract(iter(frames[own[-1] :])) if own else []


def _is_of_a_recipe(frame: FrameType) -> bool:
    """Return whether a frame is in a recipe file; methods that a dataclass writes are in none."""
    names = frame.f_globals
    named = str(names.get("__name__")).startswith(MODULE)
    return named and frame.f_code.co_filename == names.get("__file__")


def in_words(error: BaseException) -> str:
    """Say what went wrong in a recipe file, in one line; some types explain themselves."""
    if isinstance(error, ModuleNotFoundError):
        return (
            f"there is no module {error.name!r}; a recipe is one file, so write what it needs "
            "into it, or install the module"
        )
    explained = isinstance(error, (ValueError, TypeError)) and str(error)
    what = str(error) if explained else f"{type(error).__name__}: {error}"
    return " ".join(what.split()).removesuffix(":")


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
        If the name can't be that of a recipe, or is a module's, or the file exists.
    """
    name = name.removesuffix(".py")
    if not re.fullmatch(NAMES, name):
        raise RecipeError(
            f"{name!r} can't be the name of a recipe; use letters, digits, '-' and '_'."
        )
    path = folder / f"{name.replace('-', '_')}.py"
    require_importable(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(name))
    except FileExistsError:
        raise RecipeError(f"{path} exists already; give another name.") from None
    return path


def require_importable(path: Path) -> None:
    """Refuse the name of a new Python file that scripts beside it would import by mistake, or
    couldn't import at all.

    Raises
    ------
    RecipeError
        If it is the name of an installed module, or a keyword.
    """
    name = path.stem
    if keyword.iskeyword(name):
        raise RecipeError(
            f"{path} couldn't be imported, since {name!r} is a word of Python's grammar; choose "
            "another name."
        )
    if name in sys.stdlib_module_names or name in _HIDDEN or _is_installed(name):
        raise RecipeError(
            f"{path} would hide the module {name!r} from all scripts in its folder; choose another "
            "name."
        )


_HIDDEN = ("minigan", "numpy", "torch")
"""Modules that scripts beside a recipe or an exported net import, installed here or not."""


def _is_installed(name: str) -> bool:
    # Not all of sys.path: the folder itself may be on it, with the file that is to be replaced.
    found = PathFinder.find_spec(name, [*site.getsitepackages(), site.getusersitepackages()])
    return found is not None and found.origin is not None
