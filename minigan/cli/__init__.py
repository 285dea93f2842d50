"""The command line: parsing arguments and calling the library.

Each file adds one group of commands to the parser. A command imports what it needs only when it
runs, so that ``minigan --version``, ``--help`` and errors in the options appear at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import minigan
from minigan.cli import (
    bench,
    completion,
    export,
    gradcheck,
    latent,
    learn,
    play,
    recipes,
    results,
    runs,
    train,
    translate,
)
from minigan.cli.arguments import Parser
from minigan.cli.errors import ending

FAMILIES = (
    train, recipes, runs, results, translate, latent, export, gradcheck, learn, play, bench,
    completion,
)  # fmt: skip
"""The groups of commands, in the order of ``minigan --help``."""
HELLO = """minigan trains GANs, with every derivative written by hand. Three commands to begin with:

  minigan train digits     a small GAN on handwritten digits, about a minute
  minigan recipes          what else can be trained
  minigan --help           all commands; `minigan COMMAND --help` explains one"""
"""What ``minigan`` says when it is told nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        The arguments after ``minigan``; those of the process if None.

    Returns
    -------
    int
        The exit status: 0 for success; 1 if a check failed; 2 for an error, which is printed in one
        sentence; 70 for a mistake in minigan itself; 130 if the user interrupted the command.
    """
    _prepare()
    options = build_parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    if options.command is None:
        print(HELLO)
        return 0
    try:
        status = int(options.command(options) or 0)
        sys.stdout.flush()
        return status
    except (
        BrokenPipeError
    ):  # whoever read the output has seen enough, as in `minigan recipes | head`
        _silence(sys.stdout, sys.stderr)
        return 128 + 13
    except KeyboardInterrupt:
        print("minigan: interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if options.traceback:
            raise
        status, words = ending(error)
        print(f"minigan: {words}", file=sys.stderr)
        return status


def _prepare() -> None:
    """Make the process fit for every command, whatever it was started with."""
    # A notebook's choice, which may not be installed here: figures are drawn without one.
    os.environ.pop("MPLBACKEND", None)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end
        # A terminal or a file may know fewer characters than are printed, such as Greek letters.
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _silence(*streams: Any) -> None:
    """Let what is still to be written to a stream go nowhere, without an error at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())


class _Wide(argparse.HelpFormatter):
    """Leaves room for the indentation of the commands, which argparse doesn't count."""

    def add_argument(self, action: argparse.Action) -> None:
        self._indent()
        super().add_argument(action)
        self._dedent()


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="minigan",
        description="A GAN engine whose every derivative is written by hand.",
        formatter_class=_Wide,
    )
    parser.add_argument("--version", action="version", version=f"minigan {minigan.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.type = str  # it takes the arguments of the command, too, which may be empty for some
    parser.set_defaults(command=None, whole=parser)
    for family in FAMILIES:
        family.add_commands(commands)
    return parser
