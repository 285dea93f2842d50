"""Check a release: ``python .github/check_release.py v1.2.3 --notes notes.md``.

The tag must be ``v`` and the version, which stands in three files; CHANGELOG.md must have a dated
entry for it, which is written to the file of notes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Return 0, or 1 and say what doesn't agree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tag")
    parser.add_argument("--notes", type=Path, help="write the entry of CHANGELOG.md here")
    options = parser.parse_args()
    wanted = options.tag.removeprefix("v")
    problems = [] if options.tag.startswith("v") else [f"The tag {options.tag} has no v in front."]
    problems += [
        f"{place} says {version}, but the tag is {options.tag}; make them agree."
        for place, version in versions().items()
        if version != wanted
    ]
    entry = changelog_entry(wanted)
    if entry is None:
        problems.append(
            f"CHANGELOG.md has no entry '## {wanted} (YYYY-MM-DD)' with text below it; write one."
        )
    elif options.notes is not None:
        options.notes.write_text(entry, encoding="utf-8")
    print("\n".join(problems) or f"{options.tag} can be released.")
    return 1 if problems else 0


def versions() -> dict[str, str]:
    """Return the version that each file gives."""
    project = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    return {
        "minigan/__init__.py": first(r'^__version__ = "(.+)"$', read("minigan/__init__.py")),
        "pyproject.toml": project,
        "CITATION.cff": first(r"^version: (.+)$", read("CITATION.cff")),
    }


def changelog_entry(version: str) -> str | None:
    """Return what CHANGELOG.md says of a version that has a date, or None."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n"
    parts = re.split(heading, read("CHANGELOG.md"), maxsplit=1, flags=re.MULTILINE)
    if len(parts) == 1:
        return None
    entry = re.split(r"^## ", parts[1], maxsplit=1, flags=re.MULTILINE)[0].strip()
    return f"{entry}\n" if entry else None


def first(pattern: str, text: str) -> str:
    """Return the first match's group, or "nothing"."""
    match = re.search(pattern, text, flags=re.MULTILINE)
    return "nothing" if match is None else match[1]


def read(name: str) -> str:
    """Return a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
