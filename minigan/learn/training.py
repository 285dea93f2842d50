"""The reward: train the ring, or the digits, on the reader's own layers."""

from __future__ import annotations

import importlib.util
import os
import time
import traceback
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from minigan import optim, plots, recipes
from minigan.data import digits, ring, ring_centres
from minigan.gradcheck.load import import_file
from minigan.learn import own
from minigan.learn.course import DIGITS, RING, exercise
from minigan.learn.folder import SOLVED, Folder
from minigan.learn.language import Speaker
from minigan.metrics import mode_report

SLOW = 300.0
"""Seconds beyond which a run is announced with its length."""
MUCH_SLOWER = 4.0
"""This many times the library's time needs a reason."""
FRAMES = 40


@dataclass(frozen=True)
class Plan:
    """What a reward trains, and how.

    Attributes
    ----------
    recipe
        Whose nets it takes.
    after
        The exercise that it is the reward for.
    steps, batch_size, lr_g, lr_d, average
        As in `minigan.recipes.Settings`.
    """

    recipe: str
    after: int
    steps: int
    batch_size: int
    lr_g: float
    lr_d: float
    average: float


PLANS = {
    "ring": Plan("ring", RING, 3000, 256, 1e-3, 1e-3, 0.99),
    "digits": Plan("digits", DIGITS, 1500, 64, 1e-3, 5e-4, 0.99),
}


class Training:
    """A run under way.

    Parameters
    ----------
    folder
        Where the reader's files are.
    plan
        What to train.
    seed
        Determines everything random.
    codes
        The reader's solved exercises; those of the folder if None.
    """

    def __init__(
        self, folder: Folder, plan: Plan, seed: int = 0, codes: own.Codes | None = None
    ) -> None:
        self.plan, self.codes = plan, solved(folder) if codes is None else codes
        self.rng = numpy.random.default_rng(seed)
        recipe = recipes.get(plan.recipe)
        self.latent: Any = recipe.latent
        build: Any = recipe.networks
        nets = build(self.rng, numpy.random.default_rng([seed, 1]))
        (g, whose_g), (d, whose_d) = (own.rebuilt(net, self.codes) for net in nets)
        self.whose = whose_g | whose_d
        self.optimizers = (
            own.adam(g, self.codes, plan.lr_g, 0.5),
            own.adam(d, self.codes, plan.lr_d, 0.5),
        )
        self.generator, self.discriminator = g, d
        self.players = own.Player(g, self.optimizers[0]), own.Player(d, self.optimizers[1])
        self.average = optim.ExponentialMovingAverage(g, decay=plan.average, warmup=9)
        self.steps = (
            self._step("d_step", "discriminator_step"),
            self._step("g_step", "generator_step"),
        )
        self.data = _data(plan.recipe)
        self.losses: list[tuple[float, float]] = []
        self._name_the_rest()

    def _step(self, word: str, name: str) -> Callable[..., Any]:
        """Return the reader's step, with the reader's loss in it, or the course's."""
        module = self.codes.get(word) or _fresh(word)
        loss = own.loss(self.codes)
        if loss is not None and hasattr(module, "bce_with_logits"):
            module.bce_with_logits = loss
        return getattr(module, name)

    def _name_the_rest(self) -> None:
        for word, what in (
            ("bce", "the cross entropy"),
            ("adam", "Adam"),
            ("d_step", "the step of D"),
            ("g_step", "the step of G"),
        ):
            self.whose[what] = "yours" if word in self.codes else "the library's"

    def round(self, size: int | None = None) -> None:
        """Play one round: a step of D, a step of G."""
        n = size or self.plan.batch_size
        g, d = self.players
        fake, _ = g.forward(self.z(n))
        loss_d = self.steps[0](d, self.optimizers[1], self.data(n, self.rng), fake)
        loss_g = self.steps[1](g, d, self.optimizers[0], self.z(n))
        self.average.update()
        self.losses.append((float(loss_d), float(loss_g)))

    def z(self, n: int) -> Any:
        """Draw latents."""
        return self.latent.sample(n, self.rng)

    def samples(self, z: Any) -> Any:
        """Return what the averaged generator makes."""
        return self.average.net.forward(z, train=False)[0]


def solved(folder: Folder) -> dict[str, Any]:
    """Import the files that are solved."""
    codes = {}
    for each in folder.exercises():
        if folder.state(each) == SOLVED:
            with chdir(os.curdir):  # which the file may change
                codes[each.name] = import_file(folder.file(each))
    return codes


def _fresh(word: str) -> Any:
    """Import the course's solution once more, for this run alone."""
    known: Any = exercise(word).solution
    spec = importlib.util.find_spec(known.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _data(name: str) -> Callable[[int, numpy.random.Generator], Any]:
    if name == "ring":
        return lambda n, rng: ring(n, rng=rng)
    images = digits().images
    return lambda n, rng: images[rng.choice(len(images), n, replace=False)]


def train(
    folder: Folder,
    what: str,
    out: Path,
    say: Speaker,
    tell: Callable[[str], None],
    *,
    steps: int | None = None,
    seed: int = 0,
) -> None:
    """Train, draw pictures, and say whose each piece was.

    Parameters
    ----------
    folder
        Where the reader's files are.
    what
        ``"ring"`` or ``"digits"``.
    out
        Folder for the pictures.
    say, tell
        Translates, and prints.
    steps, seed
        The number of rounds; determines everything random.

    Raises
    ------
    ValueError
        If nothing is solved yet that it would train on, or the reader's code raises.
    """
    try:
        _train(folder, what, out, say, tell, steps, seed)
    except Exception as error:
        raise _blamed(error, folder) from error


def _blamed(error: Exception, folder: Folder) -> Exception:
    """Name the reader's line where an error came from; return others as they are."""
    known = {folder.file(e).resolve(): folder.file(e) for e in folder.exercises()}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = known.get(Path(frame.filename).resolve())
        if path is not None:
            return ValueError(
                f"{path}, line {frame.lineno}, in {frame.name}: {type(error).__name__}: {error}; "
                "training calls it with other sizes than the check does, in float32."
            )
    return error


def _train(
    folder: Folder,
    what: str,
    out: Path,
    say: Speaker,
    tell: Callable[[str], None],
    steps: int | None,
    seed: int,
) -> None:
    plan = PLANS[what]
    run = Training(folder, plan, seed)
    if "yours" not in run.whose.values():
        raise ValueError(
            "Nothing that this trains on is solved yet; `minigan learn next` says what to write "
            "first."
        )
    for piece, whose in run.whose.items():
        tell(f"  {say(piece):<22} {say(whose)}")
    count = steps or plan.steps
    announce(Training(folder, plan, seed), Training(folder, plan, seed, codes={}), count, say, tell)
    out.mkdir(parents=True, exist_ok=True)
    film, z = plots.Animation(maximum=FRAMES), run.z(1000 if what == "ring" else 64)
    try:
        for step in range(count):
            run.round()
            if (step + 1) % max(count // FRAMES, 1) == 0:
                film.add(_picture(what, run, z))
                tell(
                    say(
                        "step {step} of {all}: loss of D {d}, of G {g}",
                        step=step + 1,
                        all=count,
                        d=f"{run.losses[-1][0]:.3f}",
                        g=f"{run.losses[-1][1]:.3f}",
                    )
                )
    except KeyboardInterrupt:
        tell(say("Stopped after {step} steps.", step=len(run.losses)))
    _conclude(what, run, z, film, out, say, tell)


def announce(
    trial: Training, library: Training, count: int, say: Speaker, tell: Callable[[str], None]
) -> None:
    """Say how long it will take, if that is long: a convolution may be written as loops.

    Parameters
    ----------
    trial
        A run to measure; it is thrown away, so that no measurement changes what is trained.
    library
        The same on the library's layers alone.
    count
        The number of steps.
    say, tell
        Translates, and prints.
    """
    per_step = _per_step(trial, count)
    if per_step * count <= SLOW:
        return
    values = {"seconds": f"{per_step:.2f}", "count": count, "minutes": round(per_step * count / 60)}
    times = per_step / max(_per_step(library, count), 1e-9)
    if times < MUCH_SLOWER:
        tell(
            say(
                "A step takes {seconds} s on this machine, so {count} steps will take about "
                "{minutes} minutes; take fewer with --steps. Ctrl-C stops, and draws what there "
                "is.",
                **values,
            )
        )
        return
    tell(
        say(
            "A step takes {seconds} s, so {count} steps will take about {minutes} minutes, {times} "
            "times as long as on the library's layers. A convolution written as loops over samples "
            "and pixels is the usual reason; loop over the positions of the kernel instead, or "
            "take fewer with --steps. Ctrl-C stops, and draws what there is.",
            **values,
            times=round(times),
        )
    )


def _per_step(trial: Training, count: int) -> float:
    """Estimate the seconds of a step from two small ones: loops take as long per sample."""
    full = trial.plan.batch_size
    trial.round(2)  # the first is slower than all others
    few, more = _seconds(trial, 2), _seconds(trial, 8)
    per_step = more + max(more - few, 0.0) / 6 * (full - 8)
    if per_step < 5 and per_step * count > SLOW:
        per_step = _seconds(trial, full)
    return per_step


def _seconds(trial: Training, size: int) -> float:
    start = time.perf_counter()
    trial.round(size)
    return time.perf_counter() - start


def _picture(what: str, run: Training, z: Any) -> Any:
    if what == "digits":
        return plots.image_grid(run.samples(z), columns=8)
    real = run.data(1000, numpy.random.default_rng(0))
    return plots.figure_to_array(plots.points_figure(real, run.samples(z), limits=(-3, 3)))


def _conclude(
    what: str, run: Training, z: Any, film: Any, out: Path, say: Speaker, tell: Any
) -> None:
    from PIL import Image

    picture = _picture(what, run, z)
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(
        out / "samples.png"
    )
    if len(film):
        film.save(out / "training.gif")
    d, g = numpy.array(run.losses).T
    rows = {"step": numpy.arange(1.0, len(d) + 1), "loss_d": 2 * d, "loss_g": g}
    plots.save_figure(plots.losses_figure(rows), out / "losses.png")
    if what == "ring":
        report = mode_report(run.samples(run.z(2000)), ring_centres(), 0.02, sigmas=10)
        tell(say("{modes} of 8 modes found.", modes=report.covered))
    tell(
        say(
            "Made by your own code: {pictures}.",
            pictures=", ".join(str(out / n) for n in ("samples.png", "losses.png", "training.gif")),
        )
    )
