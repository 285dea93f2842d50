"""Commands that explore a run's latent space: ``interpolate``, ``arithmetic`` and ``latent``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from minigan.cli.arguments import (
    Commands,
    Parser,
    add_command,
    add_picture,
    add_quiet,
    add_run,
    check_picture,
    conclude,
    open_run,
    replaces,
    whole_numbers,
)

if TYPE_CHECKING:
    from minigan.runs.folder import Run

STRONGEST = 8
"""Number of coordinates that ``minigan latent`` lists."""


def interpolate(options: argparse.Namespace) -> None:
    """Draw walks between pairs of latents."""
    from minigan.runs import exploring

    replaced = replaces(options.output)
    picture, film = exploring.interpolate(
        _open(options),
        options.output,
        kind=options.kind,
        rows=options.rows,
        steps=options.steps,
        **_latents(options),
    )
    conclude(options, f"Walks in {picture}, an animated round trip in {film}{replaced}")


def arithmetic(options: argparse.Namespace) -> None:
    """Draw the samples of a - b + c."""
    from minigan.runs import exploring

    replaced = replaces(options.output)
    exploring.arithmetic(
        _open(options), options.output, a=options.a, b=options.b, c=options.c, **_latents(options)
    )
    conclude(
        options,
        "Rows: a, b, c (each with the sample of its mean last), and a - b + c with its neighbours, "
        f"in {options.output}{replaced}",
    )


def latent(options: argparse.Namespace) -> None:
    """Draw samples while one coordinate changes, or list the coordinates with most effect."""
    from minigan.runs import exploring

    run = _open(options)
    if options.sweep is None:
        _name_strongest(run, options)
        return
    replaced = replaces(options.output)
    rows = exploring.sweep(
        run,
        options.output,
        coordinates=options.sweep or None,
        reach=options.reach,
        steps=options.steps,
        **_latents(options),
    )
    conclude(
        options,
        f"Coordinates {', '.join(map(str, rows))}, one per row, in {options.output}{replaced}",
    )


def _name_strongest(run: Run, options: argparse.Namespace) -> None:
    from minigan.runs import exploring

    sampler = exploring.sampler(run, which=options.checkpoint, label=options.label)
    order = exploring.strongest(run, sampler, STRONGEST)
    law = run.recipe.latent
    assert law is not None  # checked by strongest()
    print(
        f"Latents have {law.size} coordinates ({law.kind}); those that change samples most are "
        f"{', '.join(map(str, order))}; --sweep draws them"
    )


def _open(options: argparse.Namespace) -> Run:
    check_picture(options.output)
    return open_run(options)


def _latents(options: argparse.Namespace) -> dict[str, Any]:
    return {"seed": options.seed, "label": options.label, "which": options.checkpoint}


# ---------------------------------------------------------------- arguments


def add_commands(commands: Commands) -> None:
    """Add ``minigan interpolate``, ``minigan arithmetic`` and ``minigan latent``."""
    _add_interpolate(commands)
    _add_arithmetic(commands)
    _add_latent(commands)


def _add_interpolate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "interpolate",
        interpolate,
        "draw walks between latents: a strip for each pair, and a GIF",
    )
    _add_run_and_picture(parser, "interpolate.png")
    walks = parser.section("the walks")
    walks.add_argument("--kind", help="spherical, linear or both (default: what suits the latents)")
    walks.add_argument("--rows", type=int, default=4, help="number of walks (default: 4)")
    walks.add_argument("--steps", type=int, default=10, help="samples per walk (default: 10)")


def _add_arithmetic(commands: Commands) -> None:
    parser = add_command(
        commands, "arithmetic", arithmetic, "add and subtract mean latents: a - b + c"
    )
    _add_run_and_picture(parser, "arithmetic.png")
    for name, default in (("a", "0,1,2"), ("b", "3,4,5"), ("c", "6,7,8")):
        parser.section("the sum").add_argument(
            f"-{name}",
            f"--{name}",
            type=whole_numbers,
            default=whole_numbers(default),
            metavar="I,J,...",
            help=f"indices of samples, in the order of `minigan sample` (default: {default})",
        )


def _add_latent(commands: Commands) -> None:
    parser = add_command(
        commands, "latent", latent, "show what single coordinates of the latents do"
    )
    _add_run_and_picture(parser, "sweep.png")
    sweep = parser.section("the sweep")
    sweep.add_argument(
        "--sweep", type=whole_numbers, nargs="?", const=(), metavar="I,J,...",
        help="vary these coordinates (without numbers: the strongest)",
    )  # fmt: skip
    sweep.add_argument(
        "--reach", type=float, default=2.5, help="vary from -REACH to REACH (default: 2.5)"
    )
    sweep.add_argument("--steps", type=int, default=9, help="number of values (default: 9)")


def _add_run_and_picture(parser: Parser, name: str) -> None:
    add_quiet(parser)
    add_run(parser)
    add_picture(parser, name)
