"""Check that a wheel and an sdist hold what they should: ``python .github/check_dist.py dist``.

The wheel must hold every file of the package, and the licences; the sdist everything but what only
the repository needs, so that whoever packages minigan can run the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(folder: Path) -> int:
    """Return 0, or 1 and say what is missing."""
    wheel, sdist = only(folder, "*.whl"), only(folder, "*.tar.gz")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = [
        *absent(wheel, in_wheel(wheel), [n for n in tracked if n.startswith("minigan/")]),
        *absent(sdist, in_sdist(sdist), [n for n in tracked if not n.startswith(".")]),
        *absent(wheel, licences(wheel), project["license-files"]),
    ]
    print("\n".join(missing) or f"{wheel.name} and {sdist.name} hold what they should.")
    return 1 if missing else 0


def only(folder: Path, pattern: str) -> Path:
    """Return the one file that fits."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold one file {pattern}, but holds {len(found)}.")
    return found[0]


def in_wheel(wheel: Path) -> set[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def licences(wheel: Path) -> set[str]:
    """Return the names of the licences in a wheel's metadata, as pyproject.toml gives them."""
    return {name.partition(".dist-info/licenses/")[2] for name in in_wheel(wheel)}


def in_sdist(sdist: Path) -> set[str]:
    """Return the names of the files in an sdist, without its folder."""
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def absent(archive: Path, held: set[str], wanted: list[str]) -> list[str]:
    """Return a sentence for each name that an archive lacks."""
    return [f"{archive.name} lacks {name}." for name in wanted if name not in held]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
