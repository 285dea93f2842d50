"""The command line: arguments, and nothing else.

Each file adds the commands of one family to the parser. A command imports what it needs only when
it runs, so that ``minigan --version``, ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import minigan
from minigan.cli import bench, gradcheck, latent, recipes, results, train
from minigan.cli.arguments import Parser
from minigan.cli.errors import sentence

FAMILIES = (train, recipes, results, latent, gradcheck, bench)
"""In the order in which ``minigan --help`` lists their commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        Those after ``minigan``; from the command line if None.

    Returns
    -------
    int
        The exit status: 0; 1 if a check failed; 2 if the user made a mistake, which is told in one
        sentence; 130 if the user interrupted the command.
    """
    options = build_parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except (ValueError, TypeError, OSError, ArithmeticError) as error:
        if options.traceback:
            raise
        print(f"minigan: {sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minigan: interrupted.", file=sys.stderr)
        return 130


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="minigan", description="A GAN engine whose every derivative is written by hand."
    )
    parser.add_argument("--version", action="version", version=f"minigan {minigan.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for family in FAMILIES:
        family.add_commands(commands)
    return parser
