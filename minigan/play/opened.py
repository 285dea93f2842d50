"""A run on disk in the place of a game: what is played are its checkpoints."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from minigan import gan
from minigan.play.history import History
from minigan.play.recipe import nearest_setup
from minigan.play.scenes import Frame, Pictures, Plane, Scene, require_shown
from minigan.play.setup import Setup
from minigan.play.state import PlaygroundState, described
from minigan.runs import doctor, drawing
from minigan.runs.assembly import Streams
from minigan.runs.folder import CHECKPOINTS, METRICS, Run

NOT_HERE = "A run on disk is only looked at; choose a preset to play a game."


class OpenedRun(PlaygroundState):
    """A run that one can look at as at a game: each checkpoint is a round.

    Parameters
    ----------
    run
        The run. Without its data, no sample has a nearest real picture.

    Attributes
    ----------
    checkpoints
        The step of each, and how `Run.game` calls it; the last is the run's newest.
    at
        The one that is shown.

    Raises
    ------
    ValueError
        If the run has none yet, one is damaged, or the game isn't one that can be shown.
    """

    def __init__(self, run: Run) -> None:
        require_shown(run.recipe)
        self.run, self.checkpoints = run, checkpoints(run)
        self.recipe = run.recipe
        self.setup, self.others = nearest_setup(run.recipe, run.settings)
        self.history = History.of(_table(run))
        self._findings: list[gan.Finding] = []
        with suppress(ValueError):
            self._findings = doctor.examine(run)[0]
        self.at = len(self.checkpoints) - 1
        self.trouble: str | None = None
        self.scene = _scene(run, self._game(self.at))
        self._note_step()

    @property
    def name(self) -> str:
        """The run's name: that of its folder, or ``pretrained:NAME``."""
        return self.run.place if self.run.weights else self.run.folder.name

    def _game(self, index: int) -> gan.BaseGame:
        return self.run.game(self.checkpoints[index][1])

    @property
    def game(self) -> Any:
        """The game at the checkpoint that is shown."""
        return self.scene.game

    @property
    def steps(self) -> int:
        """The step at which the checkpoint was saved."""
        return self.checkpoints[self.at][0]

    @property
    def over(self) -> bool:
        """Whether it is the last checkpoint, or the next one can't be read."""
        return self.trouble is not None or self.at == len(self.checkpoints) - 1

    def show(self, index: int) -> None:
        """Show a checkpoint.

        Raises
        ------
        ValueError
            If there is none of that number, or it is damaged; the one before is still shown.
        """
        if not 0 <= index < len(self.checkpoints):
            raise ValueError(
                f"The run has {len(self.checkpoints)} checkpoints, got number {index + 1}."
            )
        self.scene.game = self._game(index)
        self.at, self.trouble = index, None
        self._note_step()

    def _note_step(self) -> None:
        self._report = self.history.at(self.steps)
        rounds = getattr(self.game, "discriminator_steps", 1)
        self.turns = {"discriminator": self.steps * rounds, "generator": self.steps}

    def step(self, turn: str = "round") -> dict[str, float]:
        """Show the next checkpoint, if there is one."""
        if turn != "round":
            raise ValueError(NOT_HERE)
        if not self.over:
            self.show(self.at + 1)
        return self._report

    def slow(self) -> list[Frame]:
        """Refuse: nothing is trained here."""
        raise ValueError(NOT_HERE)

    def restart(self) -> None:
        """Show the first checkpoint."""
        self.show(0)

    def become(self, setup: Setup, *, keep_recipe: bool = True) -> bool:
        """Refuse: a run stays what it is."""
        raise ValueError(NOT_HERE)

    def start(self) -> Frame:
        """Return what stays the same for all checkpoints."""
        steps = [step for step, _ in self.checkpoints]
        return {
            "kind": self.scene.kind, "setup": self.setup.as_dict(), "others": self.others,
            "link": "",
            "recipe": self.run.recipe.name, "nets": described(self.game),
            "run": {"name": self.name, "steps": steps, "pretrained": self._pretrained},
            **self.scene.start(),
        }  # fmt: skip

    @property
    def _pretrained(self) -> str | None:
        return self.run.weights.stem if self.run.weights else None

    def frame(self) -> Frame:
        """Return what is to be seen at this checkpoint."""
        return super().frame() | {"checkpoint": self.at}

    def filmed(self) -> list[tuple[int, Frame]]:
        """Return the checkpoint that is shown alone; the run's folder has a film of its own."""
        return [(self.steps, self._scene_frame())]

    def export(self, kind: str) -> str:
        """Refuse: the folder holds all that there is."""
        raise ValueError(NOT_HERE)


def checkpoints(run: Run) -> list[tuple[int, str | None]]:
    """Return the step of each checkpoint, oldest first, and how `Run.game` calls it.

    Raises
    ------
    ValueError
        If there is none yet.
    """
    paths = gan.list_checkpoints(run.folder / CHECKPOINTS)
    found: dict[int, str | None] = {
        int(path.stem.removeprefix("step-")): str(path) for path in paths
    }
    if run.step:  # its end, or the middle where its training was stopped
        found[run.step] = None
    if not found:
        raise ValueError(
            f"{run.folder} has no checkpoint yet; wait for one, or train with a smaller "
            "--checkpoint-every."
        )
    return sorted(found.items(), key=lambda pair: pair[0])


def _table(run: Run) -> dict[str, Any]:
    from minigan.plots import read_metrics

    with suppress(ValueError):
        return read_metrics(run.folder / METRICS)
    return {}


def _scene(run: Run, game: gan.BaseGame) -> Scene:
    """The scene of a run: the samples are those of its own pictures."""
    if not run.recipe.makes_images:
        return Plane(game, run.load_data(), run.config.seed)
    streams, samples = Streams.seeded(run.config.seed), _samples(run)
    count = max(drawing.GRID, drawing.POINTS)
    fixed = game.inputs(count, streams.fixed, run.load_data)
    return Pictures(game, fixed, samples, run.classes, run.config.class_names)


def _samples(run: Run) -> Any:
    """The real pictures, or None if they have gone."""
    with suppress(ValueError, OSError):
        return run.load_data()
    return None
