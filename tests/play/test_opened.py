"""A run on disk in the page: its checkpoints, its samples and its latent space."""

from dataclasses import replace

import numpy
import pytest

from minigan.play.engine import Engine
from minigan.play.opened import NOT_HERE, OpenedRun, checkpoints
from minigan.play.setup import Setup
from minigan.runs import pretrained
from minigan.runs.folder import CHECKPOINTS, MODEL, open_run
from minigan.runs.training import train


def trained(folder, name, *, steps=6, **how):
    train(name, out=folder, steps=steps, batch_size=16, checkpoint_every=2, keep=9, frames=0,
          progress=False, **how)  # fmt: skip
    return open_run(folder)


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("points") / "run", "parabola")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("digits") / "run", "cgan-digits", steps=4)


def test_the_newest_checkpoint_is_shown_first_and_is_the_trained_model(points):
    state = OpenedRun(points)
    assert [step for step, _ in state.checkpoints] == [1, 2, 4, 6]
    assert state.steps == 6
    assert state.over
    expected = points.game().sample(state.scene.z)
    numpy.testing.assert_array_equal(state.frame()["fake"], expected)


@pytest.mark.parametrize(("name", "made"), [("seqgan-lite", "text"), ("wavegan-tones", "sounds")])
def test_a_run_that_the_page_cannot_show_is_refused(name, made, tmp_path):
    run = trained(tmp_path / "run", name, steps=1)
    with pytest.raises(ValueError, match=f"shows points and pictures, but '{name}' makes {made}"):
        OpenedRun(run)


def test_a_run_s_own_choices_are_told_though_they_cannot_be_chosen(tmp_path):
    start = OpenedRun(trained(tmp_path / "run", "vae", steps=1)).start()
    assert start["others"] == {"objective": "elbo"}
    assert (start["setup"]["data"], start["setup"]["batch_size"]) == ("digits", 16)
    assert OpenedRun(open_run("pretrained:mnist")).start()["others"]["data"] == "mnist"


def test_playing_goes_through_the_checkpoints(points):
    state = OpenedRun(points)
    state.restart()
    seen = [state.frame()["fake"]]
    while not state.over:
        state.step()
        seen.append(state.frame()["fake"])
    state.step()
    assert state.steps == 6
    assert len(seen) == 4
    assert not numpy.array_equal(seen[0], seen[1])
    numpy.testing.assert_array_equal(seen[1], points.game("2").sample(state.scene.z))


def test_a_page_is_told_of_the_run_and_its_curves(points):
    state = OpenedRun(points)
    start, frame = state.start(), state.frame()
    assert start["run"] == {"name": "run", "steps": [1, 2, 4, 6], "pretrained": None}
    assert (start["kind"], start["link"], start["recipe"]) == ("plane", "", "parabola")
    assert (frame["checkpoint"], frame["step"], frame["over"]) == (3, 6, True)
    assert len(state.history.curves()) > 0
    assert numpy.isfinite(frame["report"]["loss_d"])


def test_a_run_is_only_looked_at(points):
    state = OpenedRun(points)
    for ask in (
        lambda: state.step("generator"), state.slow, lambda: state.export("recipe"),
        lambda: state.become(Setup()),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=NOT_HERE):
            ask()
    with pytest.raises(ValueError, match="has 4 checkpoints, got number 5"):
        state.show(4)
    assert state.steps == 6


def test_the_pictures_are_the_run_s_and_have_latents_classes_and_neighbours(digits):
    state = OpenedRun(digits)
    start = state.start()
    assert start["classes"] == {label: str(label) for label in range(10)}
    assert start["labels"] == sorted(start["labels"])
    pictures = state.frame()["pictures"]
    assert pictures.shape[1:] == (16, 16, 1)
    found = state.scene.explore(start["z"][:1], start["labels"][0])
    assert found["nearest"].shape == (1, 16, 16, 1)
    # One picture at a time is multiplied in another order than many.
    assert abs(found["pictures"][0].astype(int) - pictures[0]).max() <= 1


def test_classes_have_the_names_that_the_run_keeps(digits):
    named = replace(digits, config=replace(digits.config, class_names=tuple("abcdefghij")))
    assert OpenedRun(named).start()["classes"][2] == "c"


def test_a_run_without_its_data_can_be_looked_at(digits, monkeypatch):
    def gone(*_):
        raise ValueError("gone")

    monkeypatch.setattr("minigan.runs.folder.sources.load", gone)
    state = OpenedRun(digits)
    assert "nearest" not in state.scene.explore(state.start()["z"][:1])


@pytest.mark.parametrize("name", pretrained.names())
def test_pretrained_weights_are_looked_at_like_a_run(name):
    state = OpenedRun(open_run(f"{pretrained.PREFIX}{name}"))
    assert state.over
    assert len(state.checkpoints) == 1
    assert state.frame()["pictures"].std() > 10
    assert state.history.curves().shape == (0, 6)


def test_a_run_without_checkpoints_or_metrics(tmp_path):
    run = trained(tmp_path / "run", "parabola", steps=2)
    (run.folder / "metrics.csv").unlink()
    assert OpenedRun(run).frame()["report"] == {}
    (run.folder / MODEL).unlink()
    for path in (run.folder / CHECKPOINTS).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        checkpoints(run)


def test_a_damaged_checkpoint_leaves_the_one_before(tmp_path):
    run = trained(tmp_path / "run", "parabola", steps=4)
    state = OpenedRun(run)
    (run.folder / CHECKPOINTS / "step-00000001.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="step-00000001"):
        state.show(0)
    assert state.steps == 4
    state.at = -1  # so that it is the next one
    engine = Engine(state)
    engine.play(playing=True)
    engine._play()
    assert not engine.playing
    assert "step-00000001" in state.frame()["trouble"]


def test_what_was_wrong_with_a_checkpoint_is_forgotten_at_the_next_that_is_shown(tmp_path):
    run = trained(tmp_path / "run", "parabola", steps=4)
    state = OpenedRun(run)
    state.show(0)
    path = run.folder / CHECKPOINTS / "step-00000002.safetensors"
    content = path.read_bytes()
    path.write_bytes(b"nothing")
    engine = Engine(state)
    engine.play(playing=True)
    engine._play()
    assert (state.steps, state.over) == (1, True)
    path.write_bytes(content)
    state.show(1)
    assert state.frame()["trouble"] is None
    assert (state.steps, state.over) == (2, False)


def test_every_turn_of_the_discriminator_is_counted(tmp_path):
    run = trained(tmp_path / "run", "parabola", steps=2, discriminator_steps=3)
    assert OpenedRun(run).turns == {"discriminator": 6, "generator": 2}


def test_an_engine_plays_a_run_to_its_end(points):
    state = OpenedRun(points)
    state.restart()
    engine = Engine(state)
    engine.play(playing=True)
    while engine.playing:
        engine._play()
    assert state.over
    engine.play(playing=True)
    assert not engine.playing
