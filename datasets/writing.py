"""What the scripts here share: how they write files, call programs, and end when they can't go on.

A file is written whole or not at all, and never over another one unasked.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy


def arguments(about: str) -> argparse.ArgumentParser:
    """Return what reads the command line, with what all scripts have."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    return parser


def positive(word: str) -> int:
    """Read a number above zero from the command line."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} isn't above zero")
    return number


def targets(folder: Path, *names: str, force: bool) -> list[Path]:
    """Return the files to write, in a folder that exists then; end if one is there already."""
    paths = [folder / f"{name}.npz" for name in names]
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        sys.exit(f"There is already {', '.join(there)}; name another folder, or give --force.")
    make(folder)
    return paths


def make(folder: Path) -> None:
    """Make a folder, if it isn't there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        sys.exit(f"{folder} can't be made as a folder ({reason}); name another one.")


def save(path: Path, **arrays: numpy.ndarray) -> None:
    """Write arrays to a file beside, which takes the place of `path` when it is whole."""
    beside = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    try:
        with beside.open("wb") as file:
            numpy.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        sys.exit(f"{path} can't be written ({error.strerror}).")
    finally:
        beside.unlink(missing_ok=True)


def call(*command: str | Path, cwd: Path, install: str, check: bool = True) -> int:
    """Call a program and return its status; end if it is missing, or fails where that matters."""
    try:
        status = subprocess.run(command, cwd=cwd).returncode
    except FileNotFoundError:
        sys.exit(f"This needs the program {command[0]}, which isn't here; {install}.")
    if check and status:
        sys.exit(f"{command[0]} ended with status {status}; what it said is above.")
    return status
