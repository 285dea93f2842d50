"""The playground without a browser: a game that one can step through, look at and change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy

from minigan import backend, gan, optim
from minigan.play import slow
from minigan.play.film import Film
from minigan.play.history import History
from minigan.play.recipe import SETTINGS, as_python, as_recipe_file, nearest_setup, recipe_of
from minigan.play.scenes import Frame, Scene, scene_of, settings_for
from minigan.play.setup import DIRAC, LIVE, Setup
from minigan.recipes import Recipe
from minigan.runs.rehearsal import rehearse

TURNS = ("round", "discriminator", "generator")
IN_TURNS = (gan.Game.play, gan.LazyGame.play)
"""Rounds that are steps of D, then a step of G."""


class PlaygroundState:
    """A game of the playground. It reads and writes no files, and knows nothing of a browser.

    Parameters
    ----------
    setup
        All choices.
    recipe
        A recipe to play instead of the nets and data chosen; its settings are those of the setup.

    Attributes
    ----------
    setup, recipe
        As given, or as changed since.
    others
        What of a recipe isn't a choice here, by name: data of its own.
    scene
        What is shown, with the trainer of the game.
    turns
        How many steps D and G have taken.
    trouble
        Why the game can't go on, if it can't: a loss or weight isn't finite.

    Raises
    ------
    ValueError
        If the choices don't fit together.
    """

    def __init__(self, setup: Setup | None = None, *, recipe: Recipe | None = None) -> None:
        self.setup = Setup() if setup is None else setup
        self.recipe = recipe
        self._begin()

    def _begin(self) -> None:
        played = self.recipe
        if played is None and self.setup.data != DIRAC:
            played = recipe_of(self.setup)
        settings = settings_for(self.setup, played)
        if played is not None:
            played.check(settings)
        self.scene: Scene = scene_of(self.setup, played, settings)
        with numpy.errstate(all="ignore"):
            rehearse(self.scene.trainer)  # what doesn't fit together shows in the first round
        self.others = {} if self.recipe is None else nearest_setup(self.recipe, settings)[1]
        self.history, self.film = History(), Film()
        self.film.add(0, self._scene_frame())
        self.turns = {"discriminator": 0, "generator": 0}
        self.trouble: str | None = None
        self._report: dict[str, float] = {}
        self._findings: list[gan.Finding] = []

    # ------------------------------------------------------------ playing

    @property
    def trainer(self) -> gan.Trainer:
        """The trainer of the game."""
        return self.scene.trainer

    @property
    def game(self) -> gan.Game:
        """The game."""
        game: Any = self.trainer.game
        return game

    @property
    def steps(self) -> int:
        """Rounds played so far."""
        return self.trainer.step

    @property
    def over(self) -> bool:
        """Whether the game can't go on."""
        return self.trouble is not None

    def step(self, turn: str = "round") -> dict[str, float]:
        """Play one round, or let only D or only G take a step.

        Parameters
        ----------
        turn
            ``"round"``, ``"discriminator"`` or ``"generator"``.

        Returns
        -------
        dict
            Losses and other quantities; empty if the game can't go on.

        Raises
        ------
        ValueError
            If there is no such turn.
        """
        if turn not in TURNS:
            raise ValueError(f"A turn is one of {', '.join(TURNS)}; got {turn!r}.")
        if self.trouble:
            return {}
        with numpy.errstate(all="ignore"):  # a critic that explodes is to be seen, not printed
            report = self._round() if turn == "round" else self._turn(turn)
            self._note(report, whole=turn == "round")
        return self._report

    def _round(self) -> dict[str, Any]:
        report = self.trainer.train_step()
        self._count_round()
        return report

    def _count_round(self) -> None:
        self.turns["discriminator"] += self._discriminator_steps
        self.turns["generator"] += 1

    @property
    def _discriminator_steps(self) -> int:
        return int(getattr(self.game, "discriminator_steps", 1))

    def _turn(self, turn: str) -> dict[str, Any]:
        """One player's step, on a batch of its own."""
        game = self._two_players()
        batches, z = game.draw(self.trainer.source, self.trainer.rng)
        real, latents, labels = batches[-1]
        if turn == "discriminator":
            report = game.discriminator_step(real, latents, labels)
        else:
            report = game.generator_step(z, real, labels)
        self.turns[turn] += 1
        return report

    def _two_players(self) -> gan.Game:
        if type(self.trainer.game).play not in IN_TURNS:
            raise ValueError(
                "The turns of this game can't be taken one by one; play whole rounds of it."
            )
        return self.game

    def slow(self) -> list[Frame]:
        """Play one round, and return ten frames that show how, see `minigan.play.slow`.

        Raises
        ------
        ValueError
            If the game isn't one between two chains of layers; nothing is played then.
        """
        if self.trouble:
            raise ValueError(self.trouble)
        with numpy.errstate(all="ignore"):
            frames, report = slow.motion(self.scene, self._two_players())
            self._count_round()
            self._note(report, whole=True)
        return frames

    def _note(self, report: Mapping[str, Any], *, whole: bool) -> None:
        self.scene.after_step()
        read = backend.get("cpu").to_numbers([dict(report)])[0]
        self._report = self._report | read
        bad = next((name for name, value in read.items() if not math.isfinite(value)), None)
        if bad is not None:
            self.trouble = f"At step {self.steps:,}, {bad} is {read[bad]}: the numbers exploded."
        elif whole:
            self._remember()

    def _remember(self) -> None:
        """Add to the curves and to the film what is due."""
        if self.history.due(self.steps):
            self._measure()
        if self.film.due(self.steps):
            self.film.add(self.steps, self._scene_frame())

    def _measure(self) -> None:
        gauge = self.scene.gauges is not None and self.history.gauged(self.steps)
        measured: dict[str, float] = {}
        if gauge and self._finite():
            measured = self.scene.gauges(self.trainer)
        self.history.add(self.steps, self._report, measured)
        if gauge:
            settings = self.setup
            self._findings = self.history.findings(settings.objective, settings.smoothing)

    def _finite(self) -> bool:
        """Whether all weights are; the gauges need samples that are numbers."""
        flats = (net.flat().value for net in self.game.players().values())
        if all(bool(numpy.isfinite(flat).all()) for flat in flats):
            return True
        self.trouble = f"At step {self.steps:,}, a weight isn't finite: the numbers exploded."
        return False

    # ------------------------------------------------------------ looking

    def start(self) -> Frame:
        """Return what stays the same during the game, with all choices."""
        return {
            "kind": self.scene.kind, "setup": self.setup.as_dict(), "others": self.others,
            "link": self.setup.link(),
            "recipe": self.recipe.name if self.recipe else None,
            "nets": described(self.game), **self.scene.start(),
        }  # fmt: skip

    def frame(self) -> Frame:
        """Return what is to be seen now: arrays and numbers by name."""
        seen = self._scene_frame()
        found = [{"name": f.name, "title": f.title, "evidence": f.evidence, "advice": f.advice}
                 for f in self._findings]  # fmt: skip
        return {
            "step": self.steps, "turns": dict(self.turns), "report": _plain(self._report),
            "probabilistic": self._probabilistic, "findings": found,
            "early": self.steps < gan.EARLIEST, "over": self.over, "trouble": self.trouble, **seen,
        }  # fmt: skip

    def _scene_frame(self) -> Frame:
        with numpy.errstate(all="ignore"):
            return self.scene.frame()

    def filmed(self) -> list[tuple[int, Frame]]:
        """Return the steps and frames of the game so far, as `minigan.play.film.gif` takes them."""
        kept = self.film.frames
        return kept if kept[-1][0] == self.steps else [*kept, (self.steps, self._scene_frame())]

    @property
    def _probabilistic(self) -> bool:
        """Whether D's outputs have probabilities, which then are reported."""
        game = self.game
        return isinstance(game, gan.Game) and game.objective.probabilistic

    def probe(self, x: float, y: float) -> Frame:
        """Return the numbers at a place of the picture."""
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"A place needs two finite numbers, got {x} and {y}.")
        with numpy.errstate(all="ignore"):
            return _plain(self.scene.probe(x, y))

    # ------------------------------------------------------------ changing

    def set(self, **changes: Any) -> bool:
        """Change choices; a new game begins, unless all of them can change in the middle of one.

        Returns
        -------
        bool
            Whether a new game has begun.

        Raises
        ------
        ValueError, TypeError
            If a value isn't possible, or the choices don't fit together; the game is as it was.
        """
        return self.become(self.setup.changed(changes))

    def become(self, setup: Setup, *, keep_recipe: bool = True) -> bool:
        """Change to another setup, see `set`; or leave the recipe, too, if one is played."""
        if self.recipe is not None and not keep_recipe:
            self._restart(setup, None)
            return True
        new, old = setup.as_dict(), self.setup.as_dict()
        changed = [name for name in new if new[name] != old[name]]
        if self.recipe is not None:
            _require_settings(self.recipe, changed)
        live = changed and all(name in LIVE for name in changed)
        if live and isinstance(self.trainer.game, gan.Game):
            self._adjust(setup)
            return False
        self._restart(setup, self.recipe)
        return True

    def restart(self) -> None:
        """Begin the same game again."""
        self._restart(self.setup, self.recipe)

    def _restart(self, setup: Setup, recipe: Recipe | None) -> None:
        before = dict(vars(self))
        self.setup, self.recipe = setup, recipe
        try:
            self._begin()
        except BaseException:
            vars(self).update(before)
            raise

    def _adjust(self, setup: Setup) -> None:
        game = self._two_players()
        game.objective = gan.objective(setup.objective, smoothing=setup.smoothing)
        game.discriminator_steps = setup.discriminator_steps
        self._set_rates(setup)
        for optimizer in game.optimizers().values():
            if isinstance(optimizer, optim.Adam):
                optimizer.betas = setup.beta1, setup.beta2
        self.setup = setup
        self.scene.adjust(setup)

    def _set_rates(self, setup: Setup) -> None:
        pace = self.game.pace()
        pace |= {"generator_optimizer": setup.lr_generator,
                 "discriminator_optimizer": setup.lr_discriminator}  # fmt: skip
        self.game.set_pace(pace)

    # ------------------------------------------------------------ taking it elsewhere

    def export(self, kind: str) -> str:
        """Return the game as text: ``"recipe"`` for a recipe file, ``"python"`` for a script.

        Raises
        ------
        ValueError
            If there is no such kind, or the game can't be written down.
        """
        if self.recipe is not None:
            raise ValueError(f"This game is the recipe {self.recipe.name!r} already.")
        writers = {"recipe": as_recipe_file, "python": as_python}
        if kind not in writers:
            raise ValueError(f"There is no export {kind!r}; there are {', '.join(writers)}.")
        return writers[kind](self.setup)


def _require_settings(recipe: Recipe, changed: list[str]) -> None:
    """Refuse to change what a recipe has decided."""
    own = [name for name in changed if name not in (*SETTINGS, "seed")]
    if own:
        raise ValueError(
            f"{own[0]} can't be changed, since this game is the recipe {recipe.name!r}; choose a "
            "preset first."
        )


def described(game: gan.BaseGame) -> dict[str, list[str]]:
    """Return the layers of each player in words."""
    return {name: _layers(net) for name, net in game.players().items()}


def _layers(net: Any) -> list[str]:
    return [repr(layer) for layer in net] if hasattr(net, "__iter__") else [repr(net)]


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that JSON can hold: what isn't finite becomes None."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in numbers.items()}  # fmt: skip
