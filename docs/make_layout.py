"""Write the tree of the package, a line for each file, into ``docs/layout.md``.

``python docs/make_layout.py`` replaces what is there between the two marks. The lines are the first
sentences of the files' docstrings, so that there is one place to change them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "layout.md"
BEGIN, END = "<!-- tree -->\n", "<!-- end of the tree -->\n"
END_OF_SENTENCE = re.compile(r"(?<=[.?!])(?<!et al\.)(?<!e\.g\.)(?<!i\.e\.)\s")


def main() -> None:
    """Bring the page up to date."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tree(text), encoding="utf-8")


def with_tree(text: str) -> str:
    """Return the page with the tree as it is now.

    Raises
    ------
    ValueError
        If one of the two marks is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"The page needs the marks {BEGIN.strip()} and {END.strip()}; add them.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tree(ROOT / 'minigan')}{END}{after}"


def tree(package: Path) -> str:
    """Return a Markdown list of a package's files, each with what it is for."""
    lines = [f"**`{package.name}/`** {purpose(package / '__init__.py')}\n"]
    lines += _below(package, 0)
    return "\n".join(lines) + "\n"


def _below(folder: Path, depth: int) -> list[str]:
    lines = []
    files = [
        path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")
    ]
    packages = [path for path in folder.iterdir() if (path / "__init__.py").exists()]
    for path in sorted([*files, *packages], key=lambda path: (path.is_file(), path.name)):
        about = purpose(path / "__init__.py" if path.is_dir() else path)
        name = f"**`{path.name}/`**" if path.is_dir() else f"`{path.name}`"
        lines.append(f"{'  ' * depth}- {name} {about}")
        if path.is_dir():
            lines += _below(path, depth + 1)
    return lines


def purpose(path: Path) -> str:
    """Return the first sentence of a file's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    return END_OF_SENTENCE.split(first)[0]


if __name__ == "__main__":
    main()
