"""``minigan train``: train a recipe, or resume a run that stopped."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigan.cli.arguments import (
    RUN,
    Commands,
    Parser,
    add_command,
    add_quiet,
    add_trust,
    say,
    trust,
)
from minigan.cli.errors import ending_together, sentence

if TYPE_CHECKING:
    from minigan.ranks import Ranks

START = ("seed", "out", "epochs", "data", "data_dir", "init")
"""Options that define a run, besides its settings."""
PLACES = ("data", "data_dir")
"""Those of them that may be given again, for data that have moved."""
DEVICE = ("device", "cuda_graph", "precision", "local_batchnorm")
KEPT = ("checkpoint_every", "keep", "best", "frames", "tensorboard")


def train(options: argparse.Namespace) -> int:
    """Train or resume, on one rank or several."""
    from minigan import ranks

    if _starts_others(options):
        from minigan.runs import launching

        return launching.launch(options.ranks, options.arguments, resume=_how_to_go_on(options))
    world = ranks.world()
    from minigan.runs.launching import on_the_roll

    with ending_together(world, options.traceback), on_the_roll(world):
        if options.ranks not in (None, world.size) and not options.show_config:
            raise ValueError(
                f"--ranks {options.ranks} was given to {world.size} ranks; leave it out where "
                "mpiexec says how many there are."
            )
        return int(world.broadcast(_train(options, world)))


MOST_RANKS = 1000
"""Of those that are started here; a launcher of one's own may start more."""


def _starts_others(options: argparse.Namespace) -> bool:
    """Return whether this process only starts the ranks."""
    from minigan import ranks

    count = 1 if options.ranks is None else options.ranks
    if count < 1:
        raise ValueError(f"--ranks must be at least 1, got {count}.")
    if count > MOST_RANKS:
        raise ValueError(f"--ranks must be at most {MOST_RANKS:,}, got {count}.")
    return count > 1 and not options.show_config and not ranks.started_by_a_launcher()


def _how_to_go_on(options: argparse.Namespace) -> str:
    run = options.resume or options.out or "RUN"
    return (
        f"go on from the newest checkpoint with `minigan train --resume {run} --ranks "
        f"{options.ranks}`."
    )


def _train(options: argparse.Namespace, world: Ranks) -> int:
    """Train or resume, and say where the results are; or print the configuration."""
    from minigan.runs import configuration, resuming, training

    settings = _settings(options)
    common = _given(options, DEVICE) | _given(options, KEPT)
    told: dict[str, Any] = {"ranks": world, "progress": not options.quiet, "say": say(options)}
    if world.rank:
        told |= {"progress": False, "say": lambda words: None}
    if options.resume is not None:
        if options.show_config:
            raise ValueError(
                "--show-config prints the configuration of a new run; that of RUN is in "
                "RUN/config.json, so leave out --resume or --show-config."
            )
        _refuse_beside_resume(options, settings, resuming.CHANGEABLE)
        places = _start(options, PLACES) | {"trust": trust(options)}
        return _conclude(
            options, resuming.resume(options.resume, **places, **settings, **common, **told), world
        )
    arguments = _configured(options) | _start(options, ("recipe", *START)) | settings | common
    if "steps" in settings and options.epochs is None:
        arguments.pop("epochs", None)
    if "name" not in arguments:
        raise ValueError(
            "No recipe was given; `minigan recipes` lists them, and `minigan train digits` is a "
            "good start."
        )
    if options.show_config:
        if world.rank == 0:
            print(configuration.in_force(**arguments), end="")
        return 0
    return _conclude(options, training.train(**arguments, **told), world)


def _configured(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the configuration file says; options on the command line replace it."""
    from minigan.runs import configuration

    if options.config is None:
        return {}
    named = options.recipe is not None
    return configuration.read(options.config, trust=trust(options), named=named)


def _start(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the options that define a run, as the library calls them."""
    called = {"recipe": "name", "data": "data_name"}
    return {called.get(name, name): value for name, value in _given(options, names).items()}


def _given(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the options that were given, so that all defaults are defined by the library."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings = _given(options, options.settings)
    if settings.get("penalties") == ["none"]:
        settings["penalties"] = ()
    if options.lr is not None:
        settings = {"lr_generator": options.lr, "lr_discriminator": options.lr} | settings
    return settings | dict(options.set or ())


def _refuse_beside_resume(
    options: argparse.Namespace, settings: dict[str, Any], changeable: Iterable[str]
) -> None:
    if options.recipe is not None:
        raise ValueError(
            "Both a recipe and --resume were given, but a run knows its recipe; leave one out."
        )
    fixed = [name for name in _given(options, (*START, "config")) if name not in PLACES]
    fixed += [name for name in settings if name not in changeable]
    if fixed:
        flag = options.settings.get(fixed[0], f"--{fixed[0].replace('_', '-')}")
        raise ValueError(
            f"{flag} can't be changed together with --resume, since that would make it a different "
            "run; leave it out, or start a new run."
        )


def _conclude(options: argparse.Namespace, folder: Path, world: Ranks) -> int:
    if world.rank:
        return 0
    from minigan.runs.folder import open_run

    run = open_run(folder, trust=options.trust)
    if run.step < run.settings.steps:
        say(options)(
            f"Stopped at step {run.step:,} of {run.settings.steps:,}, with everything saved; "
            f"continue with `minigan train --resume {folder}`."
        )
        return 130
    film = "" if run.config.watching["frames"] == 0 else f" and {folder / 'training.gif'}"
    say(options)(f"Done. Look at {folder / 'samples.png'}, {folder / 'losses.png'}{film}")
    return 0


# ---------------------------------------------------------------- arguments


def add_commands(commands: Commands) -> None:
    """Add ``minigan train``."""
    parser = add_command(
        commands,
        "train",
        train,
        "train a recipe",
        "Train a recipe, or resume a run that stopped. `minigan train RECIPE --help` shows the "
        "recipe's own defaults.",
    )
    parser.enrich = _enrich
    add_quiet(parser)
    add_trust(parser)
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="a name, see `minigan recipes`, or a file of your own: FILE.py or FILE.py:NAME",
    )
    _add_run(parser)
    _add_settings(parser)
    _add_device(parser)
    _add_kept(parser)


def _add_run(parser: Parser) -> None:
    group = parser.section(RUN)
    group.add_argument("--resume", type=Path, metavar="RUN", help="continue a run that stopped")
    group.add_argument("--seed", type=int, help="determines everything random (default: 0)")
    group.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the results (default: runs/RECIPE)"
    )
    group.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="another data set, or a file or folder of images or points; with --resume: where the "
        "run's data are now",
    )
    group.add_argument(
        "--init", type=Path, metavar="RUN", help="start from the weights of a run, where they fit"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="read all this from a TOML file or config.json"
    )
    group.add_argument(
        "--show-config", action="store_true", help="print the configuration in force, and stop"
    )
    group.add_argument(
        "--data-dir", metavar="DIR", help="folder with the files of MNIST or Fashion-MNIST"
    )


def _add_settings(parser: Parser) -> None:
    """Add the options that replace settings of the recipe, each named after its setting."""
    group = parser.add_argument_group("settings, in place of the recipe's own")
    length = group.add_mutually_exclusive_group()
    flags: dict[str, str] = {}

    def setting(flag: str, help: str, *, to: Any = group, **how: Any) -> None:
        flags[to.add_argument(flag, help=help, **how).dest] = flag

    setting("--steps", "rounds of the game", to=length, type=int)
    length.add_argument("--epochs", type=int, help="passes over the data")
    setting("--batch-size", "samples in a batch", type=int)
    group.add_argument("--lr", type=float, help="learning rate of both players")
    setting("--lr-generator", "learning rate of the generator", type=float)
    setting("--lr-discriminator", "learning rate of the discriminator", type=float)
    setting("--beta1", "Adam's first decay rate", type=float)
    setting("--beta2", "Adam's second decay rate", type=float)
    setting("--objective", "the pair of losses: {objectives}")
    setting("--smoothing", "one-sided label smoothing", type=float)
    setting("--discriminator-steps", "discriminator steps per round", type=int, metavar="K")
    setting(
        "--average",
        "moving average of the generator's weights; 0: none",
        type=float,
        metavar="DECAY",
    )
    setting("--optimizer", "adam, rmsprop or sgd")
    setting(
        "--schedule",
        "how the learning rates change: constant, linear, linear:0.5 (over the second half of the "
        "run), cosine, warmup:STEPS, or a warmup and another: warmup:STEPS+cosine",
    )
    setting(
        "--penalty",
        "regularise D, or both players (may be repeated): {penalties}; none for no regularisation",
        dest="penalties",
        action="append",
        metavar="NAME[:STRENGTH]",
    )
    _add_pictures(parser, setting)
    _add_labels(parser, setting)
    parser.set_defaults(settings=flags)
    parser.add_argument_group("settings of a recipe of your own").add_argument(
        "--set",
        type=_own_setting,
        action="append",
        metavar="NAME=VALUE",
        help="any setting of the recipe, such as one of your own (may be repeated)",
    )


def _add_pictures(parser: Parser, setting: Callable[..., None]) -> None:
    group = parser.add_argument_group("settings of recipes for pictures of any size, such as dcgan")
    setting("--image-size", "height and width: 16, 32, 64 or 128", to=group, type=int, metavar="N")
    setting("--width", "channels of the largest map in each net", to=group, type=int, metavar="N")
    setting("--grey", "grey pictures", to=group, dest="channels", action="store_const", const=1)
    how = argparse.BooleanOptionalAction
    setting("--flip", "mirror pictures at random, left to right", to=group, action=how)
    setting("--crop", "crop at random, by up to N pixels", to=group, type=int, metavar="N")


def _add_labels(parser: Parser, setting: Callable[..., None]) -> None:
    group = parser.add_argument_group(
        "settings of recipes that may use labels: mnist and wavegan-digits"
    )
    how = argparse.BooleanOptionalAction
    setting("--conditional", "tell G the class, and D which it should be", to=group, action=how)


def _own_setting(text: str) -> tuple[str, Any]:
    """Parse ``NAME=VALUE``; a value that isn't a Python literal is text."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} isn't a setting, such as depth=3")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
    if parsed is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} would leave {name} as it is; leave it out, or give another value, such as 0 "
            "or ()"
        )
    return name, parsed


def _enrich(parser: Parser, options: argparse.Namespace) -> None:
    """Complete the help: all objectives and penalties, and the defaults of the recipe."""
    from minigan.gan import OBJECTIVES, WAYS

    lists = {"objectives": ", ".join(OBJECTIVES), "penalties": ", ".join(WAYS)}
    recipe = getattr(options, "recipe", None)
    own = _defaults(parser, recipe) if recipe else {}
    for action in parser._actions:
        if action.help and "{" in action.help:
            action.help = action.help.format(**lists)
        if action.dest in own and action.help:
            default = _as_typed(action, own.pop(action.dest))
            action.help = f"{action.help} (default: {default})".replace("%", "%%")
    if own:
        more = ", ".join(f"{name}={value}" for name, value in own.items())
        parser.epilog = f"Other settings of this recipe, for --set: {more}."


def _as_typed(action: argparse.Action, default: str) -> str:
    """A switch such as --grey is on or off, whatever the value that it stands for."""
    if action.nargs != 0:
        return default
    on = ("True", "1") if action.const is None else (str(action.const),)
    return "on" if default in on else "off"


def _defaults(parser: Parser, recipe: str) -> dict[str, str]:
    """Return the recipe's settings, and its data, as text by the names of the options."""
    from minigan.runs.training import find

    try:
        found, _ = find(recipe)
    except ValueError as error:
        parser.error(sentence(error))
    parser.description = f"{found.name}: {found.title} ({found.source}); {found.duration}."
    values = {**found.settings.shown(), "data": found.data}
    lists = {n: ", ".join(map(str, v)) or "none" for n, v in values.items() if isinstance(v, tuple)}
    return {name: str(value) for name, value in values.items()} | lists


def _add_device(parser: Parser) -> None:
    group = parser.add_argument_group(
        "device",
        "On the CPU there is a thread for each core, or as many as the environment variable "
        "MINIGAN_THREADS says. On a machine that others use at the same time, one is often much "
        "faster than several, which wait for each other.",
    )
    group.add_argument(
        "--device", help="auto, cpu or cuda (default: auto; with --resume: as before)"
    )
    group.add_argument(
        "--cuda-graph",
        action=argparse.BooleanOptionalAction,
        help="on a GPU, record a round into a CUDA graph and replay it (default: where possible)",
    )
    group.add_argument(
        "--ranks",
        type=int,
        metavar="N",
        help="train on N processes of this machine, each with its share of every batch (needs MPI; "
        "on several machines: mpiexec)",
    )
    group.add_argument(
        "--local-batchnorm",
        action="store_true",
        default=None,
        help="with several ranks: batch norm by each rank's own share of the batch",
    )
    group.add_argument(
        "--precision", help="precision of matrix products on a GPU: float32 (default) or tf32"
    )


def _add_kept(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--checkpoint-every", type=int, metavar="N", help="steps between checkpoints"
    )
    group.add_argument("--keep", type=int, metavar="K", help="checkpoints to keep (default: 3)")
    group.add_argument(
        "--best",
        metavar="MEASURE",
        help="also keep the best checkpoint, by sliced-wasserstein, high-quality (of points) or "
        "divergence (of text); with --resume, none stops keeping it",
    )
    group.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="write event files for TensorBoard",
    )
    group.add_argument(
        "--frames", type=int, metavar="N", help="frames of the GIF (default: about 50; 0: none)"
    )
