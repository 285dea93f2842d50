"""The race of objectives: resumable, chosen on a seed of its own, and tested for a difference."""

import itertools
from types import SimpleNamespace

import numpy
import pytest

from benchmarks.quality import jobs, race, stacked
from minigan import data, gan


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Noise in the place of MNIST, files in a folder of the test, a clock that counts calls."""
    rng = numpy.random.default_rng(0)
    images = rng.uniform(-1, 1, (80, 28, 28, 1)).astype("float32")
    part = data.Dataset("noise", images)
    monkeypatch.setattr(race, "_split", lambda: (part, part))
    monkeypatch.setattr(race, "measure", lambda trainer, seed: {"lenet_fd": 1.0})
    monkeypatch.setattr(race, "CASES", {"non-saturating": {}, "hinge": {"objective": "hinge"}})
    monkeypatch.setattr(race, "BASE", race.BASE.changed(batch_size=4))
    monkeypatch.setattr(race, "SECONDS", 6.0)
    monkeypatch.setattr(race, "SEARCH_SECONDS", 3.0)
    monkeypatch.setattr(jobs, "RESULTS", tmp_path)
    monkeypatch.setattr(jobs, "UNFINISHED", tmp_path / "unfinished")
    calls = itertools.count()
    monkeypatch.setattr(race.time, "process_time", lambda: float(next(calls)))
    return tmp_path


def test_every_case_is_searched_and_then_raced(small):
    race.run([0, 1], "", 1e6, say=lambda words: None)
    searched, raced = jobs.rows(race.SEARCH), jobs.rows(race.RACE)
    assert len(searched) == 2 * len(race.FACTORS)
    assert {row["seed"] for row in searched} == {str(race.SEARCH_SEED)}
    assert [(row["case"], row["seed"]) for row in raced] == [
        ("non-saturating", "0"), ("hinge", "0"), ("non-saturating", "1"), ("hinge", "1"),
    ]  # fmt: skip
    assert all(row["processor"] and float(row["wall_seconds"]) >= 0 for row in raced)
    before = (small / "race.csv").read_text()
    race.run([0, 1], "", 1e6, say=lambda words: None)
    assert (small / "race.csv").read_text() == before


def test_a_training_that_is_cut_goes_on(small):
    whole = race.build({}, 0, 1.0)
    spent = race._train(whole, jobs.Unfinished("whole"), 6.0, float("inf"))
    assert spent["cpu_seconds"] == 6
    cut, rounds = race.build({}, 0, 1.0), whole.step
    for _ in range(3):
        cut.train_step()
    waiting = jobs.Unfinished("cut")
    waiting.save(cut, jobs.Passed(3.0, 1.0))
    again = race.build({}, 0, 1.0)
    spent = race._train(again, waiting, 6.0, float("inf"))
    assert spent["cpu_seconds"] == 6
    assert spent["wall_seconds"] >= 1
    assert 3 < again.step <= rounds
    late = jobs.Unfinished("late")
    assert race._train(race.build({}, 0, 1.0), late, 6.0, -1.0) is None
    assert late.path.is_file()


def test_the_seed_of_the_search_is_not_raced():
    with pytest.raises(SystemExit, match="chooses the rates"):
        race.run([race.SEARCH_SEED], "", 1.0)


def test_the_best_rate_is_that_of_the_smallest_distance(small):
    for factor, distance in ((0.25, 9.0), (1.0, 3.0), (4.0, 80.0)):
        jobs.append(race.SEARCH, {"case": "hinge", "factor": factor, "lenet_fd": distance})
    assert race.best("hinge") == 1.0


def test_the_test_finds_differences_that_there_are_and_no_others():
    rng = numpy.random.default_rng(0)
    alike = [list(numpy.exp(rng.normal(3, 0.1, 3))) for _ in range(5)]
    other = [*alike[:4], list(numpy.exp(rng.normal(4, 0.1, 3)))]
    assert race.chance(alike, draws=500) > 0.05
    assert race.chance(other, draws=500) < 0.01
    diverged = [[*alike[0][:2], 6000.0], *other[1:]]
    assert race.chance(diverged, draws=500) < 0.05


def test_new_columns_leave_earlier_rows_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "RESULTS", tmp_path)
    jobs.append("x", {"a": 1, "b": 2})
    jobs.append("x", {"a": 3, "b": 4})
    jobs.append("x", {"b": 5, "c": 6})
    assert (tmp_path / "x.csv").read_text() == "a,b,c\n1,2,\n3,4,\n,5,6\n"


def test_the_whole_protocol_of_stacked_mnist_plays_a_round(monkeypatch):
    rng = numpy.random.default_rng(0)
    images = rng.uniform(-1, 1, (130, 28, 28, 3)).astype("float32")
    monkeypatch.setattr(stacked.data, "stacked_mnist", lambda: data.Dataset("noise", images))
    trainer = stacked.build_whole(2, 0)
    trainer.train_step()
    moved = [trainer.game.generator_optimizer.t, trainer.game.discriminator_optimizer.t]
    assert moved == [2, 1]
    assert trainer.game.sample(trainer.game.latent.sample(2, rng)).shape == (2, 28, 28, 3)


@pytest.mark.parametrize(("filled", "spread"), [(0.5, 0.0), (numpy.nan, numpy.nan)])
def test_a_collapse_of_stacked_mnist_is_told_from_a_divergence(monkeypatch, filled, spread):
    game = SimpleNamespace(
        latent=gan.Latent(4), sample=lambda z: numpy.full((len(z), 28, 28, 3), filled, "float32")
    )
    judge = SimpleNamespace(classify=lambda images: numpy.full(len(images), 7), accuracy=0.99)
    monkeypatch.setattr(stacked, "classifier", lambda: judge)
    row = stacked.measure(SimpleNamespace(game=game), 0, 5)
    assert row["modes"] == 1
    assert row["spread"] == pytest.approx(spread, nan_ok=True)


def test_long_jobs_are_done_only_when_asked_for():
    found = {job.case: job.long for job in stacked.jobs([0])}
    assert found == {
        "DCGAN": False, "packing of 2": False, "ours": True,
        "DCGAN, whole": True, "packing of 2, whole": True,
    }  # fmt: skip
