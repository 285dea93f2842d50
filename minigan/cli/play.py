"""``minigan play``: the playground in the browser."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from minigan.cli.arguments import Commands, add_command, add_trust, open_run, say


def play(options: argparse.Namespace) -> None:
    """Serve the playground until Ctrl-C."""
    missing = [name for name in ("starlette", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise ValueError(
            f"The playground needs {' and '.join(missing)}; install them with pip install "
            "'minigan[play]'."
        )
    from minigan.play.serving import serve

    serve(_state(options), port=options.port, browser=not options.no_browser, say=say(options))


def _state(options: argparse.Namespace) -> Any:
    from minigan.play.presets import PRESETS
    from minigan.play.setup import Setup
    from minigan.play.state import PlaygroundState

    if options.run is not None:
        from minigan.play.opened import OpenedRun

        return OpenedRun(open_run(options))
    if options.recipe is not None:
        return _of_recipe(options)
    if options.preset is not None and options.preset not in PRESETS:
        raise ValueError(f"There is no preset {options.preset!r}; there are {', '.join(PRESETS)}.")
    setup = PRESETS[options.preset].setup if options.preset else Setup()
    return PlaygroundState(Setup.from_link(options.link) if options.link else setup)


def _of_recipe(options: argparse.Namespace) -> Any:
    from minigan.play.recipe import setup_of
    from minigan.play.state import PlaygroundState
    from minigan.runs.training import find

    recipe, _ = find(options.recipe)
    return PlaygroundState(setup_of(recipe), recipe=recipe)


def add_commands(commands: Commands) -> None:
    """Add ``minigan play``."""
    parser = add_command(
        commands,
        "play",
        play,
        "watch two networks fight, in the browser",
        "Open a page in which G and D fight: points, D's landscape, every gradient, one iteration "
        "in slow motion. Or look at a run on disk: its samples, checkpoint by checkpoint, and its "
        "latent space. The page is served by this machine to itself, and needs no network. Needs "
        "minigan[play].",
    )
    parser.add_argument(
        "--port", type=int, help="the port to listen on (default: the first free one from 8017)"
    )
    parser.add_argument("--no-browser", action="store_true", help="don't open a browser")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        nargs="?",
        help="look at the run in this folder, or at pretrained:NAME",
    )
    what.add_argument(
        "--recipe", metavar="RECIPE", help="play a recipe: a name, FILE.py or FILE.py:NAME"
    )
    what.add_argument("--preset", metavar="NAME", help="begin with one of the page's presets")
    what.add_argument(
        "--link", metavar="LINK", help="begin with the game of a link, or of its part after the #"
    )
    add_trust(parser)
    parser.add_argument("--quiet", action="store_true", help="don't print the address")
