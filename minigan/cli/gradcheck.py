"""``minigan gradcheck``: the library's gradients, or those of a layer in a file of your own."""

from __future__ import annotations

import argparse
from typing import Any

from minigan.cli.arguments import Commands, a_seed, add_command


def gradcheck(options: argparse.Namespace) -> int:
    """Check gradients and print a table; the status is 0 if all are correct, 1 if not."""
    return _check_library(options) if options.layer is None else _check_layer(options)


def _check_library(options: argparse.Namespace) -> int:
    from minigan.gradcheck import check_library, library_table

    reports = check_library(options.seed, **_thoroughness(options))
    print(library_table(reports))
    return 0 if all(report.ok for report in reports.values()) else 1


def _check_layer(options: argparse.Namespace) -> int:
    from minigan.gradcheck import GradientError
    from minigan.gradcheck.command import check_file
    from minigan.gradcheck.runner import Limits

    try:
        report = check_file(
            options.layer, options.input, arguments=options.args, labels=options.labels,
            seed=options.seed, train=not options.eval, constants=options.constant,
            limits=Limits(seconds=options.time_limit), **_thoroughness(options),
        )  # fmt: skip
    except GradientError as error:
        print(error)
        return 1
    print(report)
    return 0


def _thoroughness(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "tolerance": options.tolerance,
        "samples": options.samples,
        "directions": options.directions,
    }


def add_commands(commands: Commands) -> None:
    """Add ``minigan gradcheck``."""
    parser = add_command(
        commands,
        "gradcheck",
        gradcheck,
        "check the gradient of every layer, or of your own layer",
        "Compare gradients with finite differences: those of all layers and losses of the library, "
        "or those of a layer in a file of your own.",
    )
    parser.add_argument(
        "layer",
        nargs="?",
        metavar="FILE.py:NAME",
        help="a class, an instance, a function that returns a layer, or the NAME of NAME_forward "
        "and NAME_backward",
    )
    layer, how = parser.section("a layer of your own"), parser.section("how thoroughly")
    layer.add_argument(
        "--input",
        action="append",
        metavar="4,8,8,3",
        help="shape of the input, batch first, channels last; once more for each array that a "
        "pair of functions takes",
    )
    layer.add_argument(
        "--args",
        type=str,
        default="",
        metavar="'3, 5, stride=2'",
        help="arguments of the constructor",
    )
    layer.add_argument(
        "--labels", type=int, metavar="K", help="the input holds integers from 0 to K - 1"
    )
    layer.add_argument(
        "--eval", action="store_true", help="check evaluation mode instead of training mode"
    )
    layer.add_argument(
        "--constant",
        action="append",
        default=[],
        metavar="NAME",
        help="an array that moves the output but isn't learnt",
    )
    how.add_argument(
        "--time-limit",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long one call of forward or backward may take (default: 20)",
    )
    how.add_argument("--seed", type=a_seed, default=0, help="random seed (default: 0)")
    how.add_argument(
        "--tolerance", type=float, default=1e-6, help="largest relative error (default: 1e-6)"
    )
    how.add_argument(
        "--samples", type=int, default=100, help="entries checked per array (default: 100)"
    )
    how.add_argument(
        "--directions",
        type=int,
        metavar="N",
        help="check N random directions instead of entries, for large nets",
    )
