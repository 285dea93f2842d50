"""``minigan bench``: how fast each recipe trains on this machine."""

from __future__ import annotations

import argparse

from minigan.cli.arguments import Commands, add_command


def bench(options: argparse.Namespace) -> None:
    """Time recipes, and print a table."""
    from minigan.runs import bench

    bench.run(
        options.recipe,
        seconds=options.seconds,
        device=options.device,
        cuda_graph=options.cuda_graph,
    )


def add_commands(commands: Commands) -> None:
    """Add ``minigan bench``."""
    parser = add_command(
        commands,
        "bench",
        bench,
        "measure the training speed of each recipe on this machine",
        "Time whole training rounds of each recipe on this machine, on the CPU and, if there is "
        "one, on a GPU. Takes about a minute.",
    )
    parser.add_argument(
        "--recipe", nargs="+", metavar="NAME", help="see `minigan recipes` (default: all)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, help="time per recipe and device (default: 2)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu or cuda (default: auto, all available)"
    )
    parser.add_argument(
        "--cuda-graph",
        action=argparse.BooleanOptionalAction,
        help="on a GPU, record a round and replay it (default: where possible)",
    )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds, such as 2") from None
