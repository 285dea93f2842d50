"""Commands for the results of a run: ``sample``, ``evaluate`` and ``doctor``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minigan.cli.arguments import (
    OUTPUT,
    RUN,
    SAMPLES,
    Commands,
    Parser,
    add_command,
    add_picture,
    add_quiet,
    add_run,
    add_trust,
    check_picture,
    check_text,
    conclude,
    open_run,
    replaced,
    replaces,
    say,
)

GRID = Path("grid.png")
"""The image file of samples, if no other is given."""


def sample(options: argparse.Namespace) -> None:
    """Draw new samples to an image file, or a file of sounds, films or text."""
    from minigan.runs import drawing

    run = open_run(options)
    if run.recipe.makes_text:
        return _write_lines(options, run)
    heard = run.recipe.media is not None and options.output.suffix.lower() == run.recipe.media
    check_picture(options.output, run.recipe.media, figure=run.recipe.makes == "points")
    replaced = replaces(options.output)
    classes = len(run.classes) if options.label is None else 0
    number, columns = drawing.layout(classes, options.number or drawing.GRID)
    if options.number is not None:
        number, columns = options.number, columns if number == options.number else None
    drawing.require_few(number, run.recipe.sample_shape)
    samples = run.sample(
        number,
        seed=options.seed,
        device=options.device,
        which=options.checkpoint,
        truncation=options.truncation,
        label=options.label,
    )
    if heard:
        run.recipe.save(options.output, samples)
    elif run.recipe.makes_images:
        from minigan.plots import save_grid

        save_grid(options.output, run.recipe.pictures(samples), columns=columns)
    else:
        _draw_points(options, run.load_data(), samples)
    conclude(options, f"{number} samples in {options.output}{replaced}")
    return None


def _write_lines(options: argparse.Namespace, run: Any) -> None:
    """Write lines of text to a file, or print them if no file was asked for."""
    from minigan.files import written_whole
    from minigan.runs import drawing

    named = options.output != GRID
    number = drawing.LINES if options.number is None else options.number
    if named:
        check_text(options.output)
    lines = run.recipe.read(
        run.sample(
            number, seed=options.seed, device=options.device,
            which=options.checkpoint, truncation=options.truncation, label=options.label,
        )
    )  # fmt: skip
    if not named:
        print("\n".join(lines))
        return
    replaced = replaces(options.output)
    with written_whole(options.output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    conclude(options, f"{len(lines)} samples in {options.output}{replaced}")


def _draw_points(options: argparse.Namespace, law: Any, samples: Any) -> None:
    """Draw 2-D samples over as many points of the distribution that they should follow."""
    import numpy

    from minigan.plots import points_figure, save_figure

    (x0, x1), (y0, y1) = law.limits
    real = law.sample(len(samples), numpy.random.default_rng(options.seed))
    save_figure(points_figure(real, samples, limits=(x0, x1, y0, y1)), options.output)


def evaluate(options: argparse.Namespace) -> None:
    """Print a table of metrics."""
    from minigan.runs.evaluation import evaluate

    run = open_run(options)
    written: list[Path] = []
    before = {path for path in run.folder.glob("*") if path.is_file()}
    table = evaluate(
        run,
        count=options.number,
        seed=options.seed,
        which=options.checkpoint,
        device=options.device,
        data_dir=options.data_dir,
        say=say(options),
        wrote=written.append,
    )
    print(table.text())
    if written:
        names = ", ".join(path.name for path in written)
        say(options)(f"Kept in {run.folder}: {names}{replaced(len(before & {*written}))}")


def doctor(options: argparse.Namespace) -> None:
    """Print a diagnosis, and draw the numbers that it is based on."""
    from minigan.runs import doctor

    run = open_run(options)
    if options.output is not None:
        check_picture(options.output)
    print(doctor.report(run))
    path = options.output or run.folder / "doctor.png"
    replaced = replaces(path)
    say(options)(f"The numbers are drawn in {doctor.draw(run, path)}{replaced}")


# ---------------------------------------------------------------- arguments


def add_commands(commands: Commands) -> None:
    """Add ``minigan sample``, ``minigan evaluate`` and ``minigan doctor``."""
    _add_sample(commands)
    _add_evaluate(commands)
    _add_doctor(commands)


def _add_sample(commands: Commands) -> None:
    parser = add_command(commands, "sample", sample, "draw new samples from a trained run")
    add_quiet(parser)
    add_run(parser)
    add_picture(parser, GRID.name)
    samples = parser.section(SAMPLES)
    samples.add_argument("-n", "--number", type=int, help="number of samples (default: about 64)")
    _add_device(parser)
    samples.add_argument(
        "--truncation",
        type=float,
        metavar="BOUND",
        help="keep latents within BOUND, or move styles to that share of the distance from their "
        "mean (stylegan, such as 0.7): better but less varied samples",
    )


def _add_evaluate(commands: Commands) -> None:
    parser = add_command(
        commands, "evaluate", evaluate, "score a run's samples, each number beside its floor"
    )
    add_quiet(parser)
    add_run(parser)
    parser.section(SAMPLES).add_argument(
        "-n", "--number", type=int, default=10_000, help="samples to score (default: 10000)"
    )
    _add_device(parser)
    parser.section(RUN).add_argument(
        "--data-dir", metavar="DIR", help="folder with the files of MNIST or Fashion-MNIST"
    )


def _add_doctor(commands: Commands) -> None:
    parser = add_command(
        commands, "doctor", doctor, "diagnose a run in words, and draw its numbers"
    )
    add_quiet(parser)
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder of a run, finished or in progress"
    )
    parser.section(OUTPUT).add_argument(
        "-o", "--output", type=Path, help="image file (default: RUN/doctor.png)"
    )
    add_trust(parser)


def _add_device(parser: Parser) -> None:
    parser.section("device").add_argument(
        "--device", default="cpu", help="auto, cpu or cuda (default: cpu)"
    )
