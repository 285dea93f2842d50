"""Pages with the derivation beside the code, written from the source: ``docs/beside``.

`docs/conf.py` writes them in every build, so that they can't go stale: on the left the docstring of
a layer, a loss, a game or an optimizer, on the right what it computes; on a phone one below the
other.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minigan import gan, losses, nn, optim
from minigan.gan.base import BaseGame
from minigan.optim.optimizer import Optimizer

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = DOCS / "beside"
METHODS = (
    "forward", "backward", "double_backward", "update", "discriminator_step", "generator_step",
    "play", "step",
)  # fmt: skip


def sections() -> dict[str, dict[str, Any]]:
    """Return what has a page: by section, the public name and the object."""
    return {
        "Layers": _classes(nn, nn.Layer),
        "Losses": _public(losses, inspect.isfunction),
        "Games": _classes(gan, BaseGame),
        "Optimizers": _classes(optim, Optimizer),
    }


def _classes(module: Any, base: type) -> dict[str, Any]:
    return _public(module, lambda thing: inspect.isclass(thing) and issubclass(thing, base))


def _public(module: Any, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    short = module.__name__.rpartition(".")[2]
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    found = {f"{short}.{name}": getattr(module, name) for name in sorted(names)}
    return {
        name: thing
        for name, thing in found.items()
        if wanted(thing) and thing.__module__.startswith(module.__name__) and any(sources(thing))
    }


def sources(thing: Any) -> Iterator[tuple[Path, str]]:
    """Yield the file and the qualified name of each function on the right side of a page."""
    functions = [thing] if inspect.isfunction(thing) else _methods(thing)
    for function in functions:
        yield Path(inspect.getsourcefile(function) or ""), function.__qualname__


def _methods(cls: type) -> list[Any]:
    """The class's methods as they are where it inherits them, without those that only refuse."""
    found = []
    for name in METHODS:
        owner = next((c for c in cls.__mro__ if name in vars(c)), None)
        if owner not in (None, object, nn.Layer, BaseGame, Optimizer):
            found.append(inspect.unwrap(vars(owner)[name]))
    return [function for function in found if inspect.isfunction(function)]


def shown_in(name: str) -> list[str]:
    """Return links to the tutorials that show the source of an object."""
    links = []
    for path in sorted((ROOT / "tutorials").glob("[0-9][0-9]-*.md")):
        calls = re.findall(r"^show\((.*?)\)$", path.read_text(encoding="utf-8"), re.M | re.S)
        if any(re.search(rf"\b{re.escape(name)}\b", call) for call in calls):
            links.append(f"[{int(path.name[:2])}](../../tutorials/{path.name})")
    return links


def pages() -> dict[tuple[str, str], tuple[str, str]]:
    """Return the public name and the page of each object, by its file and its name there."""
    found = {}
    for things in sections().values():
        for name, thing in things.items():
            file = Path(inspect.getsourcefile(thing) or "").relative_to(ROOT).as_posix()
            found[file, thing.__name__] = name, f"beside/{_file(name).removesuffix('.md')}"
    return found


def page(name: str, thing: Any) -> str:
    """Return the page of one object."""
    kind = "autofunction" if inspect.isfunction(thing) else "autoclass"
    lines = [f"# {name}", ""]
    if links := shown_in(name):
        lines += [f"Explained in tutorial {', '.join(links)}.", ""]
    lines += ["::::{grid}", ":gutter: 3", ":class-container: beside", ""]
    lines += [":::{grid-item}", ":columns: 12 12 12 5", "", "```{eval-rst}"]
    lines += [f".. {kind}:: {thing.__module__}.{thing.__name__}", "   :no-index:"]
    if kind == "autoclass":
        lines += ["   :no-members:"]
    lines += ["```", ":::", "", ":::{grid-item}", ":columns: 12 12 12 7", ""]
    for path, qualified in sources(thing):
        file = path.relative_to(ROOT).as_posix()
        lines += [f"```{{literalinclude}} ../../{file}", f":pyobject: {qualified}", ":dedent:"]
        lines += [f":caption: {file}", "```", ""]
    return "\n".join([*lines, ":::", "::::", ""])


def write_pages() -> None:
    """Write all pages and their index; unchanged files keep their date, others are removed."""
    PAGES.mkdir(exist_ok=True)
    lines = [
        "# The derivation beside the code",
        "",
        "For each layer, loss, game and optimizer: what it computes and why on the left, the code "
        "on the right. Written from the source by every build of this site.",
        "",
    ]
    names = []
    for title, things in sections().items():
        links = [f"[`{name}`]({_file(name)})" for name in things]
        lines += [f"## {title}", "", " · ".join(links), ""]
        for name, thing in things.items():
            _write(PAGES / _file(name), page(name, thing))
            names.append(name)
    tree = ["```{toctree}", ":hidden:", "", *(_file(n).removesuffix(".md") for n in names), "```"]
    _write(PAGES / "index.md", "\n".join([*lines, *tree, ""]))
    for old in PAGES.glob("*.md"):
        if old.name not in {"index.md", *map(_file, names)}:
            old.unlink()


def _file(name: str) -> str:
    return name.replace(".", "-").lower() + ".md"


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages()
