"""``minigan translate``: pictures of one kind become pictures of another."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigan.cli.arguments import (
    OUTPUT,
    SAMPLES,
    Commands,
    add_command,
    add_quiet,
    add_run,
    check_picture,
    conclude,
    open_run,
    replaces,
    say,
)


def translate(options: argparse.Namespace) -> None:
    """Translate a picture, or those in a folder."""
    from minigan.runs import translating

    folder = options.picture.is_dir()
    output = options.output or Path("translated" if folder else "translated.png")
    if not folder:
        check_picture(output, figure=False)
    names = [f"{path.stem}.png" for path in options.picture.iterdir()] if folder else []
    replaced = replaces(*(output / name for name in names)) if folder else replaces(output)
    count = translating.translate(
        open_run(options),
        options.picture,
        output,
        back=options.back,
        seed=options.seed,
        which=options.checkpoint,
        device=options.device,
        say=say(options),
    )
    words = f"{count} translated to {output}" if folder else f"Translated to {output}"
    conclude(options, f"{words}{replaced}")


def add_commands(commands: Commands) -> None:
    """Add ``minigan translate``."""
    parser = add_command(
        commands, "translate", translate, "translate a picture with a run of pix2pix or cyclegan"
    )
    add_quiet(parser)
    add_run(parser)
    parser.add_argument(
        "picture", type=Path, metavar="PICTURE", help="a picture, or a folder of pictures"
    )
    parser.section(OUTPUT).add_argument(
        "-o",
        "--output",
        type=Path,
        help="image file, or folder for a folder (default: translated.png, translated)",
    )
    parser.section(SAMPLES).add_argument(
        "--back", action="store_true", help="the other way (cyclegan)"
    )
    parser.section("device").add_argument(
        "--device", default="cpu", help="auto, cpu or cuda (default: cpu)"
    )
