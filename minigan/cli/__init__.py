"""The command line: parsing arguments and calling the library.

Each file adds one group of commands to the parser. A command imports what it needs only when it
runs, so that ``minigan --version``, ``--help`` and errors in the options appear at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import minigan
from minigan.cli import bench, gradcheck, latent, recipes, results, train
from minigan.cli.arguments import Parser
from minigan.cli.errors import is_expected, report, sentence

FAMILIES = (train, recipes, results, latent, gradcheck, bench)
"""The groups of commands, in the order of ``minigan --help``."""
MISTAKE = 70
"""Exit status if minigan itself is at fault: EX_SOFTWARE of sysexits.h."""


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
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a file may know fewer characters than are printed, such as Greek letters.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = build_parser().parse_args(arguments)
    try:
        status = int(options.command(options) or 0)
        sys.stdout.flush()
        return status
    except (
        BrokenPipeError
    ):  # whoever read the output has seen enough, as in `minigan recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except KeyboardInterrupt:
        print("minigan: interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if options.traceback:
            raise
        expected = is_expected(error)
        print(f"minigan: {sentence(error) if expected else report(error)}", file=sys.stderr)
        return 2 if expected else MISTAKE


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="minigan", description="A GAN engine whose every derivative is written by hand."
    )
    parser.add_argument("--version", action="version", version=f"minigan {minigan.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.type = str  # it takes the arguments of the command, too, which may be empty for some
    for family in FAMILIES:
        family.add_commands(commands)
    return parser
