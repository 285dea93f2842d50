"""Commands that explore a run's latent space: ``interpolate``, ``arithmetic``, ``latent``, ``mix``
and ``project``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
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
    say,
    whole_numbers,
)

if TYPE_CHECKING:
    from minigan.runs.folder import Run

STRONGEST = 8
"""Number of coordinates that ``minigan latent`` lists."""
REACH, VALUES = 2.5, 9
"""How far it moves, and in how many values."""


def interpolate(options: argparse.Namespace) -> None:
    """Draw walks between pairs of latents."""
    from minigan.runs import exploring

    replaced = replaces(options.output, options.output.with_suffix(".gif"))
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

    replaced, run = replaces(options.output), _open(options)
    exploring.arithmetic(
        run, options.output, a=options.a, b=options.b, c=options.c, **_latents(options)
    )
    label = run.classes[0] if run.classes and options.label is None else options.label
    of = "" if label is None else f", all of label {label}"
    conclude(
        options,
        "Rows: a, b, c (each with the sample of its mean last), and a - b + c with its neighbours"
        f"{of}, in {options.output}{replaced}",
    )


def latent(options: argparse.Namespace) -> None:
    """Draw samples while one coordinate changes, or list the coordinates with most effect."""
    from minigan.runs import exploring

    _require_used(options)
    options.reach = REACH if options.reach is None else options.reach
    options.steps = VALUES if options.steps is None else options.steps
    run = _open(options)
    if options.directions is not None or options.attribute is not None:
        _draw_directions(run, options)
        return
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


def _require_used(options: argparse.Namespace) -> None:
    """Refuse options of ``minigan latent`` that nothing would come of."""
    moves = options.directions is not None or options.attribute is not None
    if options.levels is not None and not moves:
        raise ValueError(
            "--levels needs a direction to move along; add --directions or --attribute, or leave "
            "it out."
        )
    for name in ("reach", "steps"):
        if getattr(options, name) is not None and not moves and options.sweep is None:
            raise ValueError(
                f"--{name} needs something to draw; add --sweep, --directions or --attribute, or "
                "leave it out."
            )


def _draw_directions(run: Run, options: argparse.Namespace) -> None:
    from minigan.runs import directions

    if options.sweep is not None:
        raise ValueError("--sweep moves along coordinates; leave it out, or --directions.")
    replaced = replaces(options.output)
    found = directions.draw_directions(
        run,
        options.output,
        count=STRONGEST if options.directions is None else options.directions,
        attribute=options.attribute,
        levels=options.levels,
        reach=options.reach,
        steps=options.steps,
        say=say(options),
        **_latents(options),
    )
    one = f"The direction of class {options.attribute}, from {found} samples"
    words = f"{found} directions" if options.attribute is None else one
    conclude(options, f"{words}, one per row, in {options.output}{replaced}")


def mix(options: argparse.Namespace) -> None:
    """Draw a grid of samples whose coarse and fine styles come from different ones."""
    from minigan.runs import exploring

    replaced = replaces(options.output)
    exploring.mix(
        _open(options),
        options.output,
        rows=options.rows,
        columns=options.columns,
        level=options.level,
        truncation=options.truncation,
        seed=options.seed,
        which=options.checkpoint,
    )
    conclude(
        options,
        "Coarse features of the first column, fine ones of the first row, in "
        f"{options.output}{replaced}",
    )


def project(options: argparse.Namespace) -> None:
    """Find the latents of a picture, and draw their sample beside it."""
    from minigan.runs import projecting

    check_picture(options.output, figure=False)
    points = options.output.with_suffix(".npy")
    replaced = replaces(options.output, points)
    found = projecting.project(
        open_run(options),
        options.picture,
        options.output,
        steps=options.steps,
        lr=options.lr,
        say=say(options),
        **_latents(options),
    )
    conclude(
        options,
        f"The picture, the nearest sample ({found.before:.3f} away) and its projection "
        f"({found.distance:.3f}) in {options.output}, the latents in {points}{replaced}",
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
    run = open_run(options)
    check_picture(options.output, figure=run.recipe.makes == "points")
    return run


def _latents(options: argparse.Namespace) -> dict[str, Any]:
    return {"seed": options.seed, "label": options.label, "which": options.checkpoint}


# ---------------------------------------------------------------- arguments


def add_commands(commands: Commands) -> None:
    """Add all five."""
    _add_interpolate(commands)
    _add_arithmetic(commands)
    _add_latent(commands)
    _add_mix(commands)
    _add_project(commands)


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
            help="indices of samples, in the order of `minigan sample`, all of one class "
            f"(default: {default})",
        )


def _add_latent(commands: Commands) -> None:
    parser = add_command(
        commands, "latent", latent, "show what coordinates and directions of the latents do"
    )
    _add_run_and_picture(parser, "sweep.png")
    sweep = parser.section("the sweep")
    sweep.add_argument(
        "--sweep", type=whole_numbers, nargs="?", const=(), metavar="I,J,...",
        help="vary these coordinates (without numbers: the strongest)",
    )  # fmt: skip
    moves = parser.section("directions")
    moves.add_argument(
        "--directions", type=int, nargs="?", const=STRONGEST, metavar="N",
        help=f"move along the N directions that the weights prefer (without N: {STRONGEST})",
    )  # fmt: skip
    moves.add_argument(
        "--attribute", metavar="CLASS",
        help="move along the direction of a class of the data, a number or a name, found with a "
        "classifier",
    )  # fmt: skip
    moves.add_argument(
        "--levels", type=whole_numbers, metavar="I,J,...",
        help="the resolutions whose styles move, from 0 (stylegan; default: all)",
    )  # fmt: skip
    sweep.add_argument("--reach", type=float, help=f"vary from -REACH to REACH (default: {REACH})")
    sweep.add_argument("--steps", type=int, help=f"number of values (default: {VALUES})")


def _add_mix(commands: Commands) -> None:
    parser = add_command(
        commands, "mix", mix, "draw samples with the coarse styles of one and the fine of another"
    )
    add_quiet(parser)
    add_run(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("mix.png"), help="image file (default: mix.png)"
    )
    grid = parser.section("the grid")
    grid.add_argument("--rows", type=int, default=5, help="coarse styles (default: 5)")
    grid.add_argument("--columns", type=int, default=7, help="fine styles (default: 7)")
    grid.add_argument(
        "--level", type=int, help="first resolution that is fine, from 1 (default: half of them)"
    )
    grid.add_argument(
        "--truncation", type=float, default=1.0, metavar="PSI",
        help="draw styles towards their mean; 1: not (default: 1)",
    )  # fmt: skip


def _add_project(commands: Commands) -> None:
    parser = add_command(
        commands, "project", project, "find the latents whose sample is closest to a picture"
    )
    add_quiet(parser)
    add_run(parser)
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="the picture")
    add_picture(parser, "projected.png")
    search = parser.section("the search")
    search.add_argument("--steps", type=int, default=300, help="steps of Adam (default: 300)")
    search.add_argument("--lr", type=float, default=0.05, help="its learning rate (default: 0.05)")


def _add_run_and_picture(parser: Parser, name: str) -> None:
    add_quiet(parser)
    add_run(parser)
    add_picture(parser, name)
