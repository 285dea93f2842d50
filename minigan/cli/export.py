"""``minigan export``: a trained net for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigan.cli.arguments import (
    A_RUN,
    OUTPUT,
    RUN,
    Commands,
    add_checkpoint,
    add_command,
    add_quiet,
    add_trust,
    conclude,
    open_run,
    replaces,
)


def export(options: argparse.Namespace) -> None:
    """Write a net of a run as an ONNX graph, or as a PyTorch module with its weights."""
    from minigan.runs.exporting import export_run

    name = "d" if options.discriminator else "g"
    path = options.output or Path(f"{name}.py" if options.torch else f"{name}.onnx")
    replaced = replaces(path, *([path.with_suffix(".safetensors")] if options.torch else []))
    files = export_run(
        open_run(options),
        path,
        which=options.checkpoint,
        discriminator=options.discriminator,
        torch=options.torch,
    )
    conclude(options, f"written: {', '.join(map(str, files))}{replaced}")


def add_commands(commands: Commands) -> None:
    """Add ``minigan export``."""
    parser = add_command(
        commands,
        "export",
        export,
        "write a trained net for ONNX or PyTorch",
        "Write the generator of a run as an ONNX graph, which takes batches of any size, channels "
        "last (needs minigan[onnx]), or as a PyTorch module with its weights.",
    )
    add_quiet(parser)
    add_trust(parser)
    parser.add_argument("run", type=Path, metavar="RUN", help=A_RUN)
    add_checkpoint(parser)
    output = parser.section(OUTPUT)
    output.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file to write (default: g.onnx or g.py)"
    )
    parser.section(RUN).add_argument(
        "--discriminator", action="store_true", help="the discriminator instead of the generator"
    )
    output.add_argument(
        "--torch", action="store_true", help="a Python file and a state_dict for PyTorch instead"
    )
