"""The experiments of `benchmarks.quality`: that twins are twins, that jobs may be cut, and tables."""

import dataclasses
import sys
import time

import numpy
import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality import (
    cifar,
    grids,
    jobs,
    minutes,
    pacgan,
    pix2pix,
    rejection,
    stacked,
    tables,
)
from minigan import data, gan, metrics, nn, optim, recipes

CIFAR = tuple(cifar.STEPS)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Tables and unfinished jobs go to a folder of the test's own."""
    monkeypatch.setattr(jobs, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(jobs, "UNFINISHED", tmp_path / "unfinished")
    return tmp_path


def photographs(n=8):
    rng = numpy.random.default_rng(0)
    images = rng.integers(0, 256, (n, 32, 32, 3), "uint8")
    return data.Dataset("cifar10", images, numpy.arange(n) % 10)


def weights(nets):
    return sorted(p.size for net in nets for p in net.parameters().values())


@pytest.mark.parametrize("name", CIFAR)
def test_the_twins_have_weights_of_the_same_sizes(name):
    torch_cifar = pytest.importorskip("benchmarks.rivals.torch_cifar")
    rng = numpy.random.default_rng(0)
    theirs = [p.numel() for net in torch_cifar.NETS[name]() for p in net.parameters()]
    assert sorted(theirs) == weights(recipes.get(name).networks(rng, rng))


@pytest.mark.parametrize("name", CIFAR)
def test_a_twin_goes_on_bit_for_bit(name, results):
    torch_cifar = pytest.importorskip("benchmarks.rivals.torch_cifar")
    settings = recipes.get(name).settings.changed(batch_size=4)
    whole, cut = (torch_cifar.Twin(name, settings, photographs(), seed=seed) for seed in (0, 1))
    whole.train_step()
    cut.load_state(*whole.state())
    state = {}
    for twin in (whole, cut):
        twin.load_state(*(state.setdefault("half", whole.state())))
        twin.train_step()
        state[twin] = twin.sample(numpy.arange(3))
    assert cut.step == 2
    assert state[whole].shape == (3, 32, 32, 3)
    numpy.testing.assert_array_equal(state[whole], state[cut])


def point_game(seed):
    rng = numpy.random.default_rng(seed)
    G, D = nn.Linear(2, 2, rng=rng), nn.Linear(2, 1, rng=rng)
    game = gan.Game(G, D, optim.Adam(G, lr=0.1), optim.Adam(D, lr=0.1), latent=gan.Latent(2))
    points = rng.standard_normal((16, 2)).astype("float32")
    return gan.Trainer(game, data.Batches(points, 4, rng), rng=rng)


def test_a_job_leaves_rates_to_the_game_unless_it_has_a_schedule(results):
    def last(trainer, seed):
        return {"rate": trainer.game.generator_optimizer.lr}

    plain = jobs.Job("plain", 0, 4, point_game, last)
    falling = dataclasses.replace(plain, case="falling", schedule=lambda done: 1 - done)
    assert jobs.run("trial", [plain, falling], budget=60, say=lambda words: None)
    assert [float(row["rate"]) for row in jobs.rows("trial")] == pytest.approx([0.1, 0.025])
    assert jobs.run("trial", [plain, falling], budget=0, say=lambda words: None)
    assert len(jobs.rows("trial")) == 2


def test_a_job_leaves_a_row_at_each_mark_once(results):
    def last(trainer, seed):
        return {"weight": float(trainer.game.generator.weight.value[0, 0])}

    marked = jobs.Job("marked", 0, 4, point_game, last, marks=(1, 3))
    plain = dataclasses.replace(marked, case="plain", steps=3, marks=())
    assert not jobs.run("trial", [marked], budget=-1, say=lambda words: None)
    assert jobs.rows("trial") == []
    assert jobs.run("trial", [marked, plain], budget=60, say=lambda words: None)
    found = [(row["case"], row["steps"]) for row in jobs.rows("trial")]
    assert found == [("marked", "1"), ("marked", "3"), ("marked", "4"), ("plain", "3")]
    marked_at_three, whole = (jobs.rows("trial")[i]["weight"] for i in (1, 3))
    assert marked_at_three == whole  # to be measured changes nothing
    again = dataclasses.replace(marked, steps=5)  # as a job that was cut after a mark
    assert jobs.run("trial", [again], budget=60, say=lambda words: None)
    assert [row["steps"] for row in jobs.rows("trial")] == ["1", "3", "4", "3", "5"]


def test_measuring_takes_no_time_of_a_job(results):
    def slow(trainer, seed):
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        return {}

    marked = jobs.Job("marked", 0, 3, point_game, slow, marks=(1, 2))
    assert jobs.run("trial", [marked], budget=60, say=lambda words: None)
    assert all(float(row["cpu_seconds"]) < 0.3 for row in jobs.rows("trial"))
    assert all(float(row["wall_seconds"]) < 0.3 for row in jobs.rows("trial"))


def test_a_training_is_saved_every_few_minutes_and_after_a_mark(results, monkeypatch):
    def interrupted(trainer, seed):
        if trainer.step == 120:
            raise KeyboardInterrupt
        return {"weight": float(trainer.game.generator.weight.value[0, 0])}

    job = jobs.Job("job", 0, 150, point_game, interrupted, marks=(60, 120))
    monkeypatch.setattr(jobs, "SAVE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        jobs.run("trial", [job], budget=60, say=lambda words: None)
    waiting = jobs.Unfinished("trial-job-0-150")
    trainer = point_game(0)
    waiting.resume(trainer)
    assert trainer.step == 100
    monkeypatch.setattr(jobs, "SAVE_SECONDS", 1e9)
    marked = dataclasses.replace(job, case="marked")
    with pytest.raises(KeyboardInterrupt):
        jobs.run("trial", [marked], budget=60, say=lambda words: None)
    jobs.Unfinished("trial-marked-0-150").resume(trainer)
    assert trainer.step == 60


def test_an_interruption_is_a_sentence(results, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run", stop)
    monkeypatch.setattr(sys, "argv", ["quality", "grids"])
    with pytest.raises(SystemExit, match="the same command goes on"):
        quality.main()


@pytest.mark.parametrize(
    ("experiment", "case"),
    [("grids", "5x5 packing of 2"), ("stacked", "DCGAN, whole"), ("growing", "grown from the start"),
     ("race", "hinge, spectral norm"), ("minutes", "avatars: stylegan")],
)  # fmt: skip
def test_cases_that_there_are_not_are_refused(experiment, case, results, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["quality", experiment, "--only", "nonsense"])
    with pytest.raises(SystemExit) as ended:
        quality.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"no case of {experiment} has 'nonsense' in its name; there are " in said
    assert case in said
    assert not jobs.RESULTS.exists()


def test_whole_nets_may_be_trained_on_a_gpu_and_others_not(results, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(stacked, "build_whole", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(jobs, "run", lambda name, some, **_: [job.build(job.seed) for job in some])
    monkeypatch.setattr(sys, "argv", ["q", "stacked", "--only", "whole", "--seeds", "3"])
    quality.main()
    sys.argv += ["--device", "cuda"]
    quality.main()
    assert asked == [(1, 3, "cpu"), (2, 3, "cpu"), (1, 3, "cuda"), (2, 3, "cuda")]
    monkeypatch.setattr(sys, "argv", ["q", "grids", "--device", "cuda"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "grids is only measured on the CPU" in capsys.readouterr().err


def test_a_case_of_pytorch_without_it_is_refused_with_a_sentence(results, monkeypatch):
    def build(seed):
        import torch

        return torch

    job = jobs.Job("a case of PyTorch", 0, 1, build, lambda trainer, seed: {})
    monkeypatch.setattr(cifar, "jobs", lambda seeds, steps: [job])
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["quality", "cifar"])
    with pytest.raises(SystemExit, match="needs PyTorch; install it"):
        quality.main()


def test_invalid_samples_add_to_the_total_variation_of_a_grid():
    centres = numpy.array([[0.0, 0.0], [5.0, 0.0]])
    points = numpy.array([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0], [2.5, 0.0]])
    report = metrics.mode_report(points, centres, 0.1)
    # Shares ½ and ¼, and ¼ that is no mode: (0 + ¼ + ¼) / 2.
    assert grids.total_variation(report) == pytest.approx(0.25)


def test_packs_are_as_many_as_published():
    law = data.distribution("ring")
    for packing in (1, 2):
        trainer = pacgan.build(law, packing, 0)
        _, z = trainer.game.draw(trainer.source, trainer.rng)
        assert len(z) == 100 * packing
        judged, _ = trainer.game.discriminator.forward(trainer.game.sample(z))
        assert judged.shape == (100, 1)


def test_the_table_of_pix2pix_has_a_row_for_each_case_and_for_mean_and_truth(results):
    for seed in (0, 1):
        for case, l1 in (("faces: L1 alone", 0.1), ("faces: GAN and L1", 0.2)):
            jobs.append("pix2pix", {
                "case": case, "seed": seed, "steps": 4000, "l1": l1 + seed / 10,
                "sharpness": 0.2, "mean_l1": 0.3, "mean_sharpness": 0.05, "true_sharpness": 0.25,
            })  # fmt: skip
    rows = pix2pix.table().splitlines()[2:]
    assert rows == [
        "| faces: L1 alone | 2 | 4,000 | 0.150 ± 0.071 | 0.200 ± 0.000 |",
        "| faces: GAN and L1 | 2 | 4,000 | 0.250 ± 0.071 | 0.200 ± 0.000 |",
        "| faces: the mean picture | | | 0.300 | 0.050 |",
        "| faces: the truth | | | 0 | 0.250 |",
    ]


def test_recipes_train_for_the_same_seconds(results, monkeypatch):
    monkeypatch.setattr(minutes, "SECONDS", 0.5)
    monkeypatch.setattr(minutes, "SAMPLES", 100)
    said = []
    minutes.run([0], "digits: digits", 60, said.append)
    (row,) = jobs.rows("minutes")
    assert (row["case"], row["seed"], float(row["floor"]) > 0) == ("digits: digits", "0", True)
    assert 0.1 < float(row["cpu_seconds"]) < 5
    assert int(row["steps"]) > 1
    minutes.run([0], "digits: digits", 60, said.append)  # it is done
    assert len(said) == 1
    minutes.run([1], "digits: digits", -1, said.append)
    assert "call again" in said[-1]


def test_the_example_of_pytorch_has_its_numbers_of_weights():
    torch_dcgan = pytest.importorskip("benchmarks.rivals.torch_dcgan")
    G, D = torch_dcgan.nets(channels=3)
    counts = [sum(p.numel() for p in net.parameters()) for net in (G, D)]
    assert counts == [3_576_704, 2_765_568]


def test_pytorchs_example_moves_both_players_and_goes_on_bit_for_bit():
    torch_dcgan = pytest.importorskip("benchmarks.rivals.torch_dcgan")
    rng = numpy.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 64, 64, 1), "uint8")
    images = data.Dataset("mnist", pictures, numpy.arange(4))
    whole, cut = (torch_dcgan.Example(images, seed=seed, batch_size=4) for seed in (0, 1))
    before = [p.detach().clone() for net in (whole.g, whole.d) for p in net.parameters()]
    whole.train_step()
    after = [p for net in (whole.g, whole.d) for p in net.parameters()]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))
    state, samples = whole.state(), []
    for twin in (whole, cut):
        twin.load_state(*state)
        samples.append(twin.sample(numpy.arange(100)))
    assert (cut.step, samples[0].shape) == (1, (100, 28, 28, 1))
    numpy.testing.assert_array_equal(*samples)


@pytest.mark.parametrize("case", rejection.SHAPES)
def test_fresh_data_score_as_a_perfect_sampler(case):
    shape = rejection.SHAPES[case]()
    found = rejection.scores(shape, shape.law.sample(10_000, numpy.random.default_rng(1)))
    assert found["valid_percent"] > 98.4
    assert 0.95 < found["spread"] < 1
    assert found.get("modes", 0) == (0 if shape.law.centres is None else len(shape.bones))
    assert found.get("mode_tv", 0) < 0.03


def test_rejection_of_a_short_run_leaves_a_row_and_a_picture(results, monkeypatch):
    monkeypatch.setattr(rejection, "RESULTS", results)
    monkeypatch.setattr(rejection, "SAMPLES", 200)
    monkeypatch.setattr(rejection, "JUDGE_STEPS", 20)
    chosen = [job for job in rejection.jobs([1], steps=3) if job.case in ("spiral", "ring of 8")]
    assert jobs.run("rejection", chosen, budget=60, say=lambda words: None)
    assert (results / "rejection-ring-of-8.png").is_file()
    ring, spiral = jobs.rows("rejection")
    assert (ring["case"], ring["steps"], ring["modes"] != "") == ("ring of 8", "3", True)
    assert 0 < float(spiral["accepted_percent"]) <= 100
    monkeypatch.setattr(tables, "rows", jobs.rows)
    assert "| spiral | 1 | 3 |" in tables.table("rejection")
    monkeypatch.setattr(rejection, "rows", jobs.rows)
    assert len(rejection.draw().axes) == len(rejection.PUBLISHED)


def test_pacgans_cases_leave_a_row_for_each_length(results, monkeypatch):
    monkeypatch.setattr(rejection, "SAMPLES", 200)
    monkeypatch.setattr(rejection, "JUDGE_STEPS", 20)
    for steps in (3, 2):
        chosen = [job for job in pacgan.jobs([1], steps) if job.case.startswith("grid")]
        assert jobs.run("pacgan", chosen, budget=60, say=lambda words: None)
    found = jobs.rows("pacgan")
    assert [row["case"] for row in found] == 2 * ["grid GAN", "grid PacGAN2", "grid rejection"]
    assert all(0 <= float(row["high_quality_percent"]) <= 100 for row in found)
    assert all(float(row["reverse_kl"]) >= 0 and row["of"] == "25" for row in found)
    monkeypatch.setattr(tables, "rows", jobs.rows)
    assert {"| grid GAN | 1 | 2", "| grid GAN | 1 | 3"} <= {
        line[:18] for line in tables.table("pacgan").splitlines()
    }
    monkeypatch.setattr(pacgan, "rows", jobs.rows)
    hits, *_ = pacgan.draw().axes
    assert [len(line.get_xdata()) for line in hits.lines if line.get_marker() == "o"] == [1, 1, 1]
