"""``minigan runs``: a table of runs, and how they differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigan.cli.arguments import (
    Commands,
    add_command,
    add_quiet,
    check_picture,
    conclude,
    replaces,
    say,
)


def runs(options: argparse.Namespace) -> None:
    """Print a line for each run; draw their samples, if a file is named."""
    from minigan.runs import comparing

    if options.output is not None:
        check_picture(options.output)
    summaries = []
    for folder in comparing.find(options.places or [Path("runs")]):
        try:
            summaries.append(comparing.summary(folder))
        except (ValueError, OSError) as error:
            say(options)(f"Passing over {folder}: {error}")
    if not summaries:
        raise ValueError("None of these runs can be read; give others.")
    _print(options, summaries)
    if options.output is not None:
        replaced = replaces(options.output)
        comparing.overview(summaries, options.output)
        conclude(options, f"Samples of all runs in {options.output}{replaced}")


def _print(options: argparse.Namespace, summaries: list) -> None:  # type: ignore[type-arg]
    import json

    from minigan.runs import comparing

    print(
        json.dumps(comparing.report(summaries), indent=2)
        if options.json
        else comparing.table(summaries)
    )


def add_commands(commands: Commands) -> None:
    """Add ``minigan runs``."""
    parser = add_command(
        commands,
        "runs",
        runs,
        "list and compare runs",
        "List runs: the settings in which they differ, their last losses, and their scores if they "
        "were evaluated. Nothing is executed, so runs from elsewhere can be looked at.",
    )
    add_quiet(parser)
    parser.add_argument(
        "places", nargs="*", type=Path, metavar="FOLDER",
        help="runs, or folders with runs in them (default: runs)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="also draw the samples of all runs"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
