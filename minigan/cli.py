"""The command line: argument handling and nothing else."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import minigan

CHANGEABLE = ("steps", "lr_generator", "lr_discriminator")
"""The settings that may change in the middle of a run."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One sentence and where to read more, instead of the whole usage.
        self.exit(2, f"minigan: {message.rstrip('.')}; see `{self.prog} --help`.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 (a check failed) or 2 (a user's mistake, told in one sentence)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    forwarded = _forwarded(arguments)
    if forwarded is not None:
        return forwarded
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except (ValueError, TypeError, OSError, ArithmeticError) as error:
        if options.traceback:
            raise
        print(f"minigan: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minigan: interrupted.", file=sys.stderr)
        return 130


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        what = error.filename or "A file"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return (
                f"{what} can't be written: {error.strerror.lower()}; what was written before is "
                "whole, so "
                f"make room and go on with --resume."
            )
        return f"{what} can't be used: {error.strerror.lower()}."
    return f"{str(error).rstrip('.')}."


def _forwarded(arguments: list[str]) -> int | None:
    """Hand over commands that parse their own arguments."""
    if arguments[:1] == ["gradcheck"]:
        from minigan.gradcheck import main as gradcheck

        return gradcheck(arguments[1:])
    if arguments[:1] == ["bench"]:
        from minigan.runs.bench import main as bench

        return bench(arguments[1:])
    return None


# ---------------------------------------------------------------- commands


def _train(options: argparse.Namespace) -> int:
    from minigan.runs import resuming, training
    from minigan.runs.folder import open_run

    say = _say(options)
    common: dict[str, Any] = {
        "progress": not options.quiet,
        "say": say,
        "checkpoint_every": options.checkpoint_every,
        "keep": options.keep,
        "frames": options.frames,
        "best": options.best,
        "device": options.device,
        "tensorboard": options.tensorboard,
    }
    if options.resume is not None:
        _refuse_beside_resume(options)
        changed = {name: _settings(options)[name] for name in CHANGEABLE}
        folder = resuming.resume(
            options.resume,
            cuda_graph=options.cuda_graph,
            precision=options.precision,
            **changed,
            **common,
        )
    else:
        if options.recipe is None:
            raise ValueError(
                "Which recipe? `minigan recipes` lists them; `minigan train digits` is a good "
                "first."
            )
        common |= {
            "seed": options.seed or 0,
            "device": options.device or "auto",
            "cuda_graph": bool(options.cuda_graph),
            "precision": options.precision or "float32",
        }
        folder = training.train(
            options.recipe,
            out=options.out,
            data_name=options.data,
            data_dir=options.data_dir,
            epochs=options.epochs,
            **common,
            **_settings(options),
        )
    run = open_run(folder)
    if run.step < run.settings.steps:
        say(
            f"Stopped at step {run.step:,} of {run.settings.steps:,}, with everything written; go "
            "on with "
            f"`minigan train --resume {folder}`."
        )
        return 130
    film = "" if run.config.watching["frames"] == 0 else f" and {folder / 'training.gif'}"
    say(f"Done. Look at {folder / 'samples.png'}, {folder / 'losses.png'}{film}")
    return 0


def _refuse_beside_resume(options: argparse.Namespace) -> None:
    if options.recipe is not None:
        raise ValueError("Give either a recipe or --resume RUN, not both: a run knows its recipe.")
    fixed = {name: getattr(options, name) for name in ("epochs", "seed", "out", "data", "data_dir")}
    fixed |= {name: value for name, value in _settings(options).items() if name not in CHANGEABLE}
    for name, value in fixed.items():
        if value is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} can't be changed beside --resume: the run would no "
                "longer be the one "
                f"that it continues; leave it out, or train anew."
            )


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    names = (
        "steps",
        "batch_size",
        "lr_generator",
        "lr_discriminator",
        "beta1",
        "beta2",
        "objective",
        "smoothing",
        "discriminator_steps",
        "average",
        "optimizer",
        "penalties",
    )
    settings = {name: getattr(options, name) for name in names}
    if settings["penalties"] == ["none"]:
        settings["penalties"] = ()
    for player in ("lr_generator", "lr_discriminator"):
        settings[player] = options.lr if settings[player] is None else settings[player]
    return settings


def _recipes(options: argparse.Namespace) -> None:
    from minigan import recipes

    for name in recipes.names():
        recipe = recipes.get(name)
        print(f"{name:<13} {recipe.title}")
        print(
            f"{'':<13} data: {recipe.data}; {recipe.settings.steps:,} steps of "
            f"{recipe.settings.batch_size}; "
            f"{recipe.duration}"
        )
        print(f"{'':<13} from: {recipe.source}\n")


def _sample(options: argparse.Namespace) -> None:
    from minigan.runs import drawing
    from minigan.runs.folder import open_run

    run = open_run(options.run)
    _check_target(options.output)
    classes = run.recipe.classes if options.label is None else 0
    number, columns = drawing.layout(classes, options.number or drawing.GRID)
    if options.number is not None:
        number, columns = options.number, columns if number == options.number else None
    samples = run.sample(number, seed=options.seed, device=options.device, which=options.checkpoint,
                         truncation=options.truncation, label=options.label)  # fmt: skip
    if run.recipe.makes_images:
        from minigan.plots import save_grid

        save_grid(options.output, samples, columns=columns)
    else:
        from minigan import data
        from minigan.plots import points_figure, save_figure

        law = data.distribution(run.config.data)
        (x0, x1), (y0, y1) = law.limits
        real = law.sample(number, _rng(options.seed))
        save_figure(points_figure(real, samples, limits=(x0, x1, y0, y1)), options.output)
    print(f"{number} samples in {options.output}")


def _evaluate(options: argparse.Namespace) -> None:
    from minigan.runs.evaluation import evaluate
    from minigan.runs.folder import open_run

    run = open_run(options.run)
    table = evaluate(
        run,
        count=options.number,
        seed=options.seed,
        which=options.checkpoint,
        device=options.device,
        data_dir=options.data_dir,
        say=_say(options),
    )
    print(table.text())


def _doctor(options: argparse.Namespace) -> None:
    from minigan.runs import doctor
    from minigan.runs.folder import open_run

    run = open_run(options.run)
    if options.output is not None:
        _check_target(options.output)
    print(doctor.report(run))
    _say(options)(f"The numbers are drawn in {doctor.draw(run, options.output)}")


def _interpolate(options: argparse.Namespace) -> None:
    from minigan.runs import exploring

    run = _explored(options)
    picture, film = exploring.interpolate(
        run,
        options.output,
        kind=options.kind,
        rows=options.rows,
        steps=options.steps,
        seed=options.seed,
        label=options.label,
        which=options.checkpoint,
    )
    print(f"Walks in {picture}, a round trip in {film}")


def _arithmetic(options: argparse.Namespace) -> None:
    from minigan.runs import exploring

    run = _explored(options)
    exploring.arithmetic(
        run,
        options.output,
        a=options.a,
        b=options.b,
        c=options.c,
        seed=options.seed,
        label=options.label,
        which=options.checkpoint,
    )
    print(
        "Rows: a, b, c (last in each: their mean) and a - b + c with its neighbours, in "
        f"{options.output}"
    )


def _latent(options: argparse.Namespace) -> None:
    from minigan.runs import exploring

    run = _explored(options)
    if options.sweep is None:
        order = exploring.strongest(
            run, exploring.sampler(run, which=options.checkpoint, label=options.label), 8
        )
        law = run.recipe.latent
        print(f"Latents have {law.size} coordinates ({law.kind}); those that change samples most: "
              f"{', '.join(map(str, order))}; --sweep draws them")  # fmt: skip
        return
    rows = exploring.sweep(
        run,
        options.output,
        coordinates=options.sweep or None,
        reach=options.reach,
        steps=options.steps,
        seed=options.seed,
        label=options.label,
        which=options.checkpoint,
    )
    print(f"Coordinates {', '.join(map(str, rows))}, one a row, in {options.output}")


def _explored(options: argparse.Namespace) -> Any:
    from minigan.runs.folder import open_run

    _check_target(options.output)
    return open_run(options.run)


def _check_target(path: Path) -> None:
    """Refuse a bad output path before the work, not after it."""
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{path} can't be written; give the name of a picture in a folder that exists."
        )
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf", ".svg"):
        raise ValueError(f"{path} has no ending that says which kind of picture it is; use .png.")


def _rng(seed: int) -> Any:
    import numpy

    return numpy.random.default_rng(seed)


def _say(options: argparse.Namespace) -> Any:
    return (lambda words: None) if options.quiet else (lambda words: print(words, file=sys.stderr))


# ---------------------------------------------------------------- arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="minigan", description="A GAN engine whose every derivative is written by hand."
    )
    parser.add_argument("--version", action="version", version=f"minigan {minigan.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)

    recipes = _command(commands, "recipes", _recipes, "list what can be trained")
    recipes.set_defaults(quiet=False)

    sample = _command(commands, "sample", _sample, "draw new samples from a trained run")
    _add_run(sample, output="grid.png", label=True)
    sample.add_argument("-n", "--number", type=int, help="how many (default: about 64)")
    sample.add_argument("--device", default="cpu", help="auto, cpu or cuda (default: cpu)")
    sample.add_argument(
        "--truncation", type=float, metavar="BOUND", help="keep latents within: surer, less varied"
    )
    _add_exploring(commands)

    for name, words in (("gradcheck", "check every layer's gradient, or your own layer's"),
                        ("bench", "images per second of each recipe on this machine")):  # fmt: skip
        commands.add_parser(name, help=words, add_help=False)
    return parser


def _add_exploring(commands: Any) -> None:
    evaluate = _command(
        commands, "evaluate", _evaluate, "score a run's samples, each number beside its floor"
    )
    _add_run(evaluate, output=None)
    evaluate.add_argument(
        "-n", "--number", type=int, default=10_000, help="samples to score (default: 10000)"
    )
    evaluate.add_argument("--device", default="cpu", help="auto, cpu or cuda (default: cpu)")
    evaluate.add_argument(
        "--data-dir", metavar="DIR", help="folder with the files of MNIST or Fashion-MNIST"
    )

    doctor = _command(
        commands, "doctor", _doctor, "is this run normal? say so in words, and draw its numbers"
    )
    doctor.add_argument(
        "run", type=Path, metavar="RUN", help="folder of a run, finished or under way"
    )
    doctor.add_argument("-o", "--output", type=Path, help="picture (default: RUN/doctor.png)")

    walks = _command(
        commands,
        "interpolate",
        _interpolate,
        "walk between latents: a strip for each pair, and a GIF",
    )
    _add_run(walks, output="interpolate.png", label=True)
    walks.add_argument("--kind", help="spherical, linear or both (default: what suits the latents)")
    walks.add_argument("--rows", type=int, default=4, help="walks (default: 4)")
    walks.add_argument("--steps", type=int, default=10, help="samples on each (default: 10)")

    sums = _command(
        commands, "arithmetic", _arithmetic, "add and subtract averaged latents: a - b + c"
    )
    _add_run(sums, output="arithmetic.png", label=True)
    for name, default in (("a", "0,1,2"), ("b", "3,4,5"), ("c", "6,7,8")):
        sums.add_argument(
            f"-{name}",
            f"--{name}",
            type=_numbers,
            default=_numbers(default),
            metavar="I,J,...",
            help=f"samples, as `minigan sample` numbers them from 0 (default: {default})",
        )

    latent = _command(commands, "latent", _latent, "what do single coordinates of the latents do?")
    _add_run(latent, output="sweep.png", label=True)
    latent.add_argument(
        "--sweep",
        type=_numbers,
        nargs="?",
        const=(),
        metavar="I,J,...",
        help="draw these coordinates from low to high (without numbers: the strongest)",
    )
    latent.add_argument(
        "--reach", type=float, default=2.5, help="how far, both ways (default: 2.5)"
    )
    latent.add_argument("--steps", type=int, default=9, help="values (default: 9)")


def _add_run(parser: argparse.ArgumentParser, *, output: str | None, label: bool = False) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--checkpoint", metavar="WHICH", help="best, a step or a file (default: the end of the run)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents (default: 0)")
    if output is not None:
        parser.add_argument(
            "-o", "--output", type=Path, default=Path(output), help=f"picture (default: {output})"
        )
    if label:
        parser.add_argument("--label", type=int, help="the condition, for recipes that have labels")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of whole numbers, such as 0,3,5"
        ) from None


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", _train, "train a recipe")
    train.add_argument("recipe", nargs="?", metavar="RECIPE", help="see `minigan recipes`")
    train.add_argument("--resume", type=Path, metavar="RUN", help="continue a run that stopped")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="rounds of the game")
    length.add_argument("--epochs", type=int, help="passes over the data")
    train.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    train.add_argument("--batch-size", type=int, help="samples in a batch")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the results (default: runs/RECIPE)"
    )
    train.add_argument(
        "--device", help="auto, cpu or cuda (default: auto; with --resume: as before)"
    )
    train.add_argument(
        "--cuda-graph",
        action="store_true",
        default=None,
        help="record a round into a CUDA graph and replay it",
    )
    train.add_argument("--precision", help="of products on a GPU: float32 (the default) or tf32")
    train.add_argument(
        "--data", metavar="NAME|PATH", help="another data set, IDX file or folder of images"
    )
    train.add_argument(
        "--data-dir", metavar="DIR", help="folder with the files of MNIST or Fashion-MNIST"
    )
    train.add_argument("--lr", type=float, help="learning rate of both players")
    train.add_argument("--lr-generator", type=float, help="learning rate of the generator")
    train.add_argument("--lr-discriminator", type=float, help="learning rate of the discriminator")
    train.add_argument("--beta1", type=float, help="Adam's first decay rate")
    train.add_argument("--beta2", type=float, help="Adam's second decay rate")
    train.add_argument(
        "--objective", help="the pair of losses: non-saturating, saturating, least-squares, ..."
    )
    train.add_argument("--smoothing", type=float, help="one-sided label smoothing")
    train.add_argument(
        "--discriminator-steps", type=int, metavar="K", help="discriminator steps per round"
    )
    train.add_argument(
        "--average", type=float, metavar="DECAY", help="average of the generator's weights; 0: none"
    )
    train.add_argument("--optimizer", help="adam, rmsprop or sgd")
    train.add_argument(
        "--penalty",
        dest="penalties",
        action="append",
        metavar="NAME[:STRENGTH]",
        help=(
            "keep the discriminator tame, may be repeated: gradient-penalty, r1, spectral-norm, "
            "packing, ...; none"
        ),
    )
    train.add_argument(
        "--checkpoint-every", type=int, metavar="N", help="steps between checkpoints"
    )
    train.add_argument("--keep", type=int, metavar="K", help="checkpoints that stay (default: 3)")
    train.add_argument(
        "--best",
        metavar="MEASURE",
        help="keep the best checkpoint too: by sliced-wasserstein or high-quality",
    )
    train.add_argument(
        "--tensorboard", action="store_true", default=None, help="write event files for TensorBoard"
    )
    train.add_argument(
        "--frames", type=int, metavar="N", help="pictures in the film (default: about 50; 0: none)"
    )


def _command(commands: Any, name: str, function: Any, words: str) -> argparse.ArgumentParser:
    sentence = words[0].upper() + words[1:] + ("" if words.endswith("?") else ".")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=sentence)
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


if __name__ == "__main__":
    sys.exit(main())
