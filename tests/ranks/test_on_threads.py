"""The arithmetic of several ranks, with threads in their place: it needs no MPI."""

import copy
import dataclasses
import pickle

import numpy
import pytest
import rank_games
from rank_games import on_threads

from minigan import data, gan, nn, optim
from minigan.gan.seqgan import advantage
from minigan.gan.taming import WAYS
from minigan.ranks import ALONE, MPIRanks, SharedGenerator, require_same, whole
from minigan.runs import together
from minigan.runs.folder import Config

ROUNDS = 3
GAMES = [
    "two",
    "two batchnorm",
    "two gradient-penalty",
    "two one-sided-penalty",
    "two r1 r2",
    "two dragan smooth",
    "two vat",
    "two dropout instance-noise",
    "two augment",
    "two spectral-norm",
    "two clip-gradient historical-averaging",
    "two clip-weights",
    "two feature-matching",
    "two minibatch-stddev:2",
    "two packing",
    "two packing minibatch-stddev:2 dropout",
    "two batchnorm virtual-batch-norm:8",
    *(f"two {name}" for name in gan.OBJECTIVES),
    "cyclegan",
    "cyclegan batchnorm",
]
ROUNDED = ("relativistic",)
"""Where, as before batch norm, a bias has no gradient but rounding, of which Adam makes steps."""
REFUSED = {"minibatch-discrimination"}


def test_every_way_of_taming_is_among_the_games_or_refused():
    played = {word.partition(":")[0] for name in GAMES for word in name.split()}
    assert set(WAYS) - played == REFUSED, "give the way an entry in GAMES, or let share refuse it"


@pytest.mark.parametrize("name", GAMES)
def test_two_ranks_compute_what_one_process_computes(name):
    far = on_threads(2, lambda ranks: rank_games.largest_difference(name, ranks, ROUNDS))
    assert max(far) < 1e-9 if name.endswith(ROUNDED) or "batchnorm" in name else max(far) < 1e-12


@pytest.mark.parametrize("name", ["two dropout batchnorm", "cyclegan"])
def test_four_ranks_compute_what_one_process_computes(name):
    far = on_threads(4, lambda ranks: rank_games.largest_difference(name, ranks, ROUNDS))
    assert max(far) < 1e-9


def test_a_game_whose_ranks_sum_nothing_comes_out_otherwise():
    """The comparison above can fail."""

    def far(ranks):
        trainer = rank_games.build("two", ranks)
        for one in trainer.game.optimizers().values():
            one.ranks = ALONE
        trainer.train_step()
        return trainer.game.generator.flat().value.copy()

    first, second = on_threads(2, far)
    assert abs(first - second).max() > 1e-6


def test_the_advantage_of_a_reward_is_that_among_the_rewards_of_all_ranks():
    rewards = numpy.array([[0.5], [0.1], [0.52], [0.9], [0.48], [0.2], [0.5], [0.7]])
    joined = advantage(rewards)
    found = on_threads(2, lambda ranks: advantage(ranks.own(rewards), ranks))
    for rank, own in enumerate(found):
        numpy.testing.assert_allclose(own, joined[rank::2], rtol=1e-12)
        assert abs(own - advantage(rewards[rank::2])).max() > 0.3  # by itself, a rank would err


# ---------------------------------------------------------------- chance


def pair(batch=4, unit=1, rank=1, size=2):
    """A generator, and one that shares what it draws with another rank."""
    alone = numpy.random.default_rng(3)
    shared = SharedGenerator(numpy.random.default_rng(3).bit_generator)
    ranks = MPIRanks(rank_games.Threads(size).of(rank), unit=unit)
    shared.share(ranks, batch)
    return alone, shared


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.standard_normal((n, 3), dtype="float32"),
        lambda rng, n: rng.standard_normal((n, 2, 2), "float32"),
        lambda rng, n: rng.random(n),
        lambda rng, n: rng.random((n, 3), dtype="float32"),
        lambda rng, n: rng.integers(0, 9, n),
        lambda rng, n: rng.integers(9, size=n),
        lambda rng, n: rng.integers(-2, 2, n, endpoint=True),
        lambda rng, n: rng.integers(-2, 2, n, "int64", True),
        lambda rng, n: rng.exponential(size=(n, 2)),
        lambda rng, n: rng.exponential(2.0, n),
        lambda rng, n: rng.poisson(3, n),
        lambda rng, n: rng.laplace(0, 1, (n, 3)),
        lambda rng, n: rng.binomial(5, 0.3, n),
        lambda rng, n: rng.beta(2, 3, size=n),
        lambda rng, n: rng.uniform(-1, 1, (n, 1, 1, 1)),
        lambda rng, n: rng.normal(size=(n, 2)),
        lambda rng, n: rng.gumbel(size=(n, 2)),
    ],
)
def test_a_rank_gets_its_rows_of_what_one_process_draws(draw):
    alone, shared = pair()
    numpy.testing.assert_array_equal(draw(shared, 4), draw(alone, 8)[1::2])
    assert shared.bit_generator.state == alone.bit_generator.state


def test_numbers_and_permutations_are_the_same_on_every_rank():
    alone, shared = pair()
    assert shared.integers(2**40) == alone.integers(2**40)
    assert shared.random() == alone.random()
    numpy.testing.assert_array_equal(shared.permutation(9), alone.permutation(9))
    assert whole(shared).random(4).tolist() == alone.random(4).tolist()


def test_two_batches_one_behind_the_other_are_dealt_out_each_for_itself():
    alone, shared = pair()
    first, second = numpy.split(alone.random(16), 2)
    numpy.testing.assert_array_equal(
        shared.random(8), numpy.concatenate([first[1::2], second[1::2]])
    )


def test_packs_stay_together():
    alone, shared = pair(unit=2)
    numpy.testing.assert_array_equal(shared.random(4), alone.random(8)[[2, 3, 6, 7]])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_a_copy_draws_the_same_and_by_itself(copied):
    _, shared = pair()
    shared.ranks.comm = None  # threads can't be pickled
    shared.random(4)
    twin = copied(shared)
    assert twin.random(4).tolist() == shared.random(4).tolist()


def test_a_generator_that_isnt_shared_draws_as_usual():
    plain = SharedGenerator(numpy.random.default_rng(3).bit_generator)
    wanted = numpy.random.default_rng(3)
    assert plain.random((3, 2)).tolist() == wanted.random((3, 2)).tolist()
    assert plain.integers(5, size=3).tolist() == wanted.integers(5, size=3).tolist()


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("unit", [1, 2])
def test_what_was_dealt_out_is_gathered_in_order(unit):
    rows = numpy.arange(24.0).reshape(12, 2)

    def back(ranks):
        ranks.unit = unit
        return ranks.gather(ranks.own(rows))

    for gathered in on_threads(3, back):
        numpy.testing.assert_array_equal(gathered, rows)


def test_streams_deal_out_rows_and_keep_the_whole_state():
    images = numpy.random.default_rng(0).random((20, 3)).astype("float32")
    alone = data.Batches(images, 4, numpy.random.default_rng(1))
    ranks = MPIRanks(rank_games.Threads(2).of(1))
    dealt = gan.OwnRows(data.Batches(images, 4, numpy.random.default_rng(1)), ranks)
    for _ in range(7):
        numpy.testing.assert_array_equal(next(dealt)[0], next(alone)[0][1::2])
    assert dealt.batch_size == 4
    assert dealt.per_epoch == 5
    state, wanted = dealt.state_dict(), alone.state_dict()
    numpy.testing.assert_array_equal(state.pop("permutation"), wanted.pop("permutation"))
    assert state == wanted
    dealt.load_state_dict(alone.state_dict())
    numpy.testing.assert_array_equal(next(dealt)[0], next(alone)[0][1::2])


def test_points_and_parts_with_labels_are_dealt_out_too():
    ranks = MPIRanks(rank_games.Threads(2).of(0))

    def whole_batches():
        while True:
            yield {"x": numpy.arange(6), "y": None, "few": numpy.arange(2)}

    got = next(gan.OwnRows(whole_batches(), ranks))
    assert (got["x"].tolist(), got["y"], got["few"].tolist()) == ([0, 2, 4], None, [0])


# ---------------------------------------------------------------- what is refused


def refusal(name, batch=8, size=2, change=lambda game: None):
    ranks = MPIRanks(rank_games.Threads(size).of(0))
    trainer = rank_games.build(name, batch=8)
    change(trainer.game)
    with pytest.raises(ValueError) as refused:
        gan.share(trainer.game, ranks, batch=batch)
    return str(refused.value)


def test_batches_that_cant_be_dealt_out_are_refused():
    assert "A batch of 8 can't be dealt out evenly to 3 ranks; choose a multiple of 3" in refusal(
        "two", size=3
    )
    assert "to 2 ranks in packs of 3; choose a multiple of 6" in refusal("two packing:3")
    assert "needs whole groups on each rank, which has 4 samples" in refusal(
        "two minibatch-stddev:3", batch=8
    )


def test_layers_that_compare_all_samples_are_refused():
    said = refusal("two minibatch-discrimination:4")
    assert "MinibatchDiscrimination" in said
    assert "use minibatch-stddev in its place, or a single rank" in said


def test_unknown_layers_that_promise_nothing_are_refused():
    class Mine(nn.Layer):
        pass

    def change(game):
        game.discriminator = nn.Sequential(Mine(), game.discriminator)

    said = refusal("two", change=change)
    assert "Mine may couple the samples of a batch" in said
    assert "class Mine(nn.Layer, samplewise=True)" in said


def test_optimizers_of_another_library_are_refused():
    class Foreign:
        lr = 1.0

        def zero_grad(self):
            pass

        def step(self):
            pass

    said = refusal("two", change=lambda game: setattr(game, "generator_optimizer", Foreign()))
    assert "The generator_optimizer is Foreign, which doesn't average its gradient" in said


def test_generators_that_arent_shared_are_refused():
    assert "draws from a generator of its own" in refusal("two dropout")


def test_noise_beside_a_reference_batch_is_refused():
    def change(game):
        for _, layer in game.generator.layers():
            if isinstance(layer, nn.WithReference):
                layer.net = nn.Sequential(
                    nn.Dropout(0.3, rng=numpy.random.default_rng(0)), layer.net
                )

    assert "changes the batch in which noise is drawn" in refusal(
        "two batchnorm virtual-batch-norm:8", change=change
    )


def test_one_rank_changes_nothing():
    trainer = rank_games.build("two batchnorm")
    assert gan.share(trainer.game, ALONE, batch=7) is ALONE
    assert all("ranks" not in vars(one) for one in trainer.game.optimizers().values())


def test_local_batch_norm_sees_its_own_share():
    def shared(ranks):
        trainer = rank_games.build("two batchnorm")
        gan.share(trainer.game, ranks, batch=8, local_batchnorm=True)
        norms = [n for _, n in trainer.game.generator.layers() if isinstance(n, nn.BatchNorm)]
        return [norm.ranks.size for norm in norms], trainer.game.generator_optimizer.ranks.size

    assert on_threads(2, shared) == [([1], 2)] * 2


# ---------------------------------------------------------------- agreement


def test_what_differs_is_named_on_every_rank():
    def told(ranks):
        with pytest.raises(ValueError) as refused:
            require_same(ranks, {"the seed": 0, "the data": "digits" if ranks.rank < 2 else "kana"})
        return str(refused.value)

    said = on_threads(3, told)
    assert len(set(said)) == 1
    assert "Ranks 0 and 2 differ in the data ('digits' and 'kana')" in said[0]


CONFIG = Config(
    recipe="ring", settings={"steps": 9}, seed=0, device="cpu", data="ring", data_dir=None,
    notes=(), versions={"minigan": "1", "numpy": "2"}, fingerprint="0123",
)  # fmt: skip
OTHERS = {
    "versions": {"versions": {"minigan": "1", "numpy": "2.1"}},
    "the recipe": {"recipe": "parabola"},
    "the seed": {"seed": 1},
    "the data": {"fingerprint": "4567"},
    "the way to compute": {"computing": {"precision": "tf32"}},
    "the setting steps": {"settings": {"steps": 10}},
}


@pytest.mark.parametrize("what", OTHERS)
def test_ranks_with_something_else_are_refused_before_anything_is_made(what):
    def told(ranks):
        config = dataclasses.replace(CONFIG, **OTHERS[what]) if ranks.rank else CONFIG
        with pytest.raises(ValueError) as refused:
            together.agree(ranks, config)
        return str(refused.value)

    said = on_threads(2, told)
    assert said[0] == said[1]
    assert said[0].startswith(f"Ranks 0 and 1 differ in {what} (")
    on_threads(2, lambda ranks: together.agree(ranks, CONFIG))


def test_ranks_with_other_code_are_refused(monkeypatch):
    hashes = iter(["0123", "4567"])
    monkeypatch.setattr(together, "code", lambda: next(hashes))

    def told(ranks):
        with pytest.raises(ValueError, match="differ in the code of minigan"):
            together.agree(ranks, CONFIG)

    on_threads(2, told)


def test_the_hash_of_the_code_depends_on_every_file(tmp_path, monkeypatch):
    monkeypatch.setattr(together.minigan, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "nn").mkdir()
    found = [together.code()]
    for words in ("x = 1", "x = 2"):
        (tmp_path / "nn" / "layer.py").write_text(words)
        found.append(together.code())
    assert len(set(found)) == 3


@pytest.mark.parametrize("what", ["weights", "chance"])
def test_ranks_that_drift_apart_are_found(what):
    def drift(ranks):
        trainer = rank_games.build("two dropout", ranks)
        watch = gan.Agreement(every=2)
        trainer.run(3, [watch])
        if ranks.rank == 1 and what == "weights":
            trainer.game.generator.flat().value[3] += 1e-9
        if ranks.rank == 1 and what == "chance":
            trainer.rng.permutation(3)
        with pytest.raises(ValueError) as refused:
            trainer.run(4, [watch])
        return str(refused.value)

    (said, _) = on_threads(2, drift)
    assert "Ranks 0 and 1 differ in" in said
    assert {"weights": "the weights of the", "chance": "random generators"}[what] in said


def test_all_ranks_stop_where_one_is_asked_to():
    class Asked(gan.Callback):
        def on_step(self, trainer, report):
            self.seen = report

    def stopped(ranks):
        trainer, watch = rank_games.build("two", ranks), Asked()
        real = ranks.any
        trainer.game.ranks.any = lambda flag: real(flag or (ranks.rank == 1 and trainer.step == 2))
        trainer.run(9, [watch])
        return trainer.step, trainer.interrupted, watch.seen

    one, other = on_threads(2, stopped)
    assert one == other
    assert one[:2] == (2, True)


def test_gradients_are_averaged_once_before_a_step():
    def averaged(ranks):
        net = nn.Linear(2, 1, rng=numpy.random.default_rng(0)).astype("float64")
        one = optim.SGD(net, lr=1.0)
        one.ranks = ranks
        one.zero_grad()
        one.flat.grad[...] = ranks.rank
        one.reduce()
        one.reduce()
        gradient = one.flat.grad.copy()
        before = one.flat.value.copy()
        one.step()
        one.flat.grad[...] = 2 * ranks.rank
        one.step()
        return gradient.tolist(), (before - one.flat.value).round(12).tolist()

    assert on_threads(2, averaged) == [([0.5] * 3, [1.5] * 3)] * 2
