"""The parser, and the arguments that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

# Subscripted only as a string: at run time the class takes no parameters.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where `add_command` adds one: what ``add_subparsers`` returns."""
Command: TypeAlias = Callable[[argparse.Namespace], int | None]
"""What runs a command; returns its exit status, or None for 0."""

PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one sentence and says where to read more, instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"minigan: {message.rstrip('.')}; see `{self.prog} --help`.\n")


def add_command(
    commands: Commands, name: str, run: Command, summary: str, description: str = ""
) -> Parser:
    """Add a command; return its parser.

    Parameters
    ----------
    commands
        Where to add it.
    name
        Of the command.
    run
        Is called with the options.
    summary
        Stands beside the name in ``minigan --help``.
    description
        Stands at the top of the command's own help; by default the summary, as a sentence.
    """
    sentence = summary[0].upper() + summary[1:] + ("" if summary.endswith("?") else ".")
    parser = commands.add_parser(name, help=summary, description=description or sentence)
    parser.set_defaults(command=run)
    parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    return parser


def add_quiet(parser: Parser) -> None:
    """Add ``--quiet``, which `say` obeys."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_run(parser: Parser) -> None:
    """Add the run that a command looks at: its folder, the checkpoint, the seed of the latents."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--checkpoint", metavar="WHICH", help="best, a step or a file (default: the end of the run)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents (default: 0)")


def add_picture(parser: Parser, name: str) -> None:
    """Add the picture that a command draws of samples, and the label that those may have."""
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(name), help=f"picture (default: {name})"
    )
    parser.add_argument("--label", type=int, help="the condition, for recipes that have labels")


def whole_numbers(text: str) -> tuple[int, ...]:
    """Turn ``"0,3,5"`` into numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of whole numbers, such as 0,3,5"
        ) from None


def check_picture(path: Path) -> None:
    """Refuse a path that no picture can be written to, before the work rather than after it.

    Raises
    ------
    ValueError
        If the folder doesn't exist, or the ending is that of no picture.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{path} can't be written; give the name of a picture in a folder that exists."
        )
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{path} has no ending that says which kind of picture it is; use .png.")


def say(options: argparse.Namespace) -> Callable[[str], None]:
    """Return a function that tells the user what happens, unless ``--quiet`` was given.

    It writes to standard error: what a command prints on standard output is its result.
    """
    return (lambda words: None) if options.quiet else (lambda words: print(words, file=sys.stderr))
