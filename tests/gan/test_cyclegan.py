"""CycleGAN: each couple's gradient as a whole, who moves, the pool, and runs of its recipe."""

import numpy
import pytest
from killed_runs import check_that_it_resumes
from PIL import Image

from minigan import backend, cli, data, gan, nn, optim, recipes
from minigan.runs import doctor, training
from minigan.runs.evaluation import evaluate
from minigan.runs.folder import open_run

RECIPE = recipes.get("cyclegan")
CPU = backend.get("cpu")
SHAPE = (6, 6, 2)


class Still(optim.SGD):
    """An optimizer that doesn't move."""

    def step(self):
        pass


def nets(seed):
    rng = numpy.random.default_rng(seed)
    G = [
        nn.Sequential(
            nn.Conv2d(2, 3, kernel_size=3, padding=1, rng=rng), nn.InstanceNorm(3), nn.Tanh(),
            nn.Conv2d(3, 2, kernel_size=3, padding=1, rng=rng),
        )
        for _ in "ab"
    ]  # fmt: skip
    D = [
        nn.Sequential(
            nn.Conv2d(2, 3, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
            nn.Conv2d(3, 1, kernel_size=2, rng=rng),
        )
        for _ in "ab"
    ]  # fmt: skip
    return [net.astype("float64") for net in (*G, *D)]


def game(seed=0, optimizer=Still, size=6, **options):
    made = nets(seed)
    movers = optimizer(made[:2], lr=0.1), optimizer(made[2:], lr=0.1)
    pools = [gan.ImagePool(size, SHAPE, CPU) for _ in "ab"]
    for pool in pools:
        pool.held = pool.held.astype("float64")
    return gan.CycleGame(*made, *movers, *pools, **options)


def batch(seed=1, n=3):
    rng = numpy.random.default_rng(seed)
    return data.Pair(rng.standard_normal((n, *SHAPE)), rng.standard_normal((n, *SHAPE)))


def generators_loss(model, a, b):
    """Equations 1 to 3 and the identity loss, spelt out."""
    total = 0.0
    for x, y, there, back, judge in (
        (a, b, model.generator_ab, model.generator_ba, model.discriminator_b),
        (b, a, model.generator_ba, model.generator_ab, model.discriminator_a),
    ):
        fake = there(x)
        total += ((judge(fake) - 1) ** 2).mean()
        total += model.cycle * abs(back(fake) - x).mean()
        total += model.identity * abs(there(y) - y).mean()
    return total


def discriminators_loss(model, reals, fakes):
    total = 0.0
    for judge, real, fake in zip(
        (model.discriminator_a, model.discriminator_b), reals, fakes, strict=True
    ):
        total += (((judge(real) - 1) ** 2).mean() + (judge(fake) ** 2).mean()) / 2
    return total


def checked(loss, flat, seed):
    """Compare the gradient with slopes of the loss along random directions of all weights."""
    rng, h = numpy.random.default_rng(seed), 1e-6
    for _ in range(5):
        v, begin = rng.standard_normal(flat.value.shape), flat.value.copy()
        slopes = []
        for sign in (1, -1):
            flat.value[...] = begin + sign * h * v
            slopes.append(sign * loss())
        flat.value[...] = begin
        assert sum(slopes) / (2 * h) == pytest.approx(flat.grad @ v, rel=2e-5, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [{}, {"cycle": 0.5, "identity": 0.0}])
def test_gradient_of_the_generators_as_a_whole(seed, weights):
    model, (a, b) = game(seed, **weights), batch(seed)
    model.generators_optimizer.zero_grad()
    model.discriminators_optimizer.zero_grad()
    report, fake_a, fake_b = model.generators_loss(a, b)
    numpy.testing.assert_allclose(fake_a, model.generator_ba(b))
    numpy.testing.assert_allclose(fake_b, model.generator_ab(a))
    total = report["loss_g"] + model.cycle * report["cycle"] + model.identity * report["identity"]
    assert total == pytest.approx(generators_loss(model, a, b))
    assert not model.discriminators_optimizer.flat.grad.any()
    checked(lambda: generators_loss(model, a, b), model.generators_optimizer.flat, seed)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_the_discriminators_as_a_whole(seed):
    model, reals, fakes = game(seed), batch(seed), batch(seed + 10)
    model.generators_optimizer.zero_grad()
    model.discriminators_optimizer.zero_grad()
    report = model.discriminators_loss(reals, fakes)
    assert 2 * report["loss_d"] == pytest.approx(discriminators_loss(model, reals, fakes))
    assert not model.generators_optimizer.flat.grad.any()
    checked(
        lambda: discriminators_loss(model, reals, fakes), model.discriminators_optimizer.flat, seed
    )


def swaps(model, n=3):
    rng = numpy.random.default_rng(0)
    return model.pool_a.draw(n, rng), model.pool_b.draw(n, rng)


def test_everybody_moves_in_a_round_and_the_generators_first():
    model, pair = game(optimizer=optim.SGD), batch()
    before = {name: net.state_dict() for name, net in model.players().items()}
    before = {name: {k: v.copy() for k, v in state.items()} for name, state in before.items()}
    fake_b = model.generator_ab(pair.a)
    model.play(pair, *swaps(model))
    for name, net in model.players().items():
        assert any((v != before[name][k]).any() for k, v in net.state_dict().items()), name
    # The discriminators see what the generators made before they moved.
    numpy.testing.assert_allclose(model.pool_b.held[:3], fake_b)


# ---------------------------------------------------------------- the pool


def images(*numbers):
    return numpy.array(numbers, "float32")[:, None, None, None] * numpy.ones(
        (1, 1, 1, 1), "float32"
    )


def numbers(held):
    return held.ravel().tolist()


def test_a_pool_fills_up_and_shows_new_fakes_meanwhile():
    pool, rng = gan.ImagePool(5, (1, 1, 1), CPU), numpy.random.default_rng(0)
    for first in (1, 3):
        fakes = images(first, first + 1)
        assert numbers(pool.exchange(fakes, pool.draw(2, rng))) == [first, first + 1]
        pool.advance()
    assert numbers(pool.held) == [1, 2, 3, 4, 0]
    # One of two fits in; the other may be exchanged for one that was there before.
    shown = pool.exchange(images(5, 6), pool.draw(2, rng))
    pool.advance()
    assert pool.filled == 5
    assert numbers(shown)[0] == 5
    assert numbers(pool.held)[4] == 5
    assert sorted({*numbers(shown), *numbers(pool.held)}) == [1, 2, 3, 4, 5, 6]


def test_a_full_pool_exchanges_half_of_the_fakes_and_loses_none():
    pool, rng = gan.ImagePool(8, (1, 1, 1), CPU), numpy.random.default_rng(0)
    pool.held[...], pool.filled = images(*range(8)), 8
    exchanged = 0
    for step in range(1, 200):
        fakes, before = images(*range(100 * step, 100 * step + 4)), numbers(pool.held)
        shown = pool.exchange(fakes, pool.draw(4, rng))
        pool.advance()
        assert sorted(numbers(shown) + numbers(pool.held)) == sorted(before + numbers(fakes))
        exchanged += sum(x not in numbers(fakes) for x in numbers(shown))
    assert 0.45 < exchanged / (199 * 4) < 0.55


def test_a_pool_that_is_too_small_or_of_another_size_is_refused():
    pool = gan.ImagePool(3, (1, 1, 1), CPU)
    with pytest.raises(ValueError, match="holds 3 images, but a batch has 4"):
        pool.draw(4, numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="resume with the settings that it was made with"):
        pool.load_state_dict(gan.ImagePool(4, (1, 1, 1), CPU).state_dict())
    full = {"held": numpy.ones((3, 1, 1, 1)), "filled": numpy.array(3)}
    for wrong in ({"filled": numpy.array(4)}, {"held": full["held"] * 1j}):
        with pytest.raises((ValueError, TypeError), match=r"this state 4|holds complex128"):
            pool.load_state_dict(full | wrong)
        assert pool.filled == 0
        assert not pool.held.any()
    pool.load_state_dict(full)
    assert (pool.filled, pool.held.min()) == (3, 1)


# ---------------------------------------------------------------- what doesn't fit


def test_what_does_not_fit_is_refused():
    made = nets(0)
    pools = [gan.ImagePool(4, SHAPE, CPU) for _ in "ab"]
    with pytest.raises(ValueError, match="optimizer of the generators updates the parameters of"):
        gan.CycleGame(*made, optim.SGD(made[2:], lr=0.1), optim.SGD(made[:2], lr=0.1), *pools)
    for changes in ({"objective": "hinge"}, {"smoothing": 0.1}):
        with pytest.raises(ValueError, match="least squares for its objective"):
            RECIPE.check(RECIPE.settings.changed(**changes))
    with pytest.raises(ValueError, match="leave out penalties and"):
        RECIPE.check(RECIPE.settings.changed(discriminator_steps=2))
    with pytest.raises(ValueError, match="pass the data to take them from"):
        game().inputs(3, numpy.random.default_rng(0))


# ---------------------------------------------------------------- runs


def learn(out, **options):
    given = {"steps": 8, "batch_size": 2, "frames": 2, "checkpoint_every": 3, "average": 0.5}
    return training.train("cyclegan", out=out, device="cpu", progress=False, **(given | options))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("cyclegan") / "whole")


def test_it_resumes_bit_for_bit_with_pool_and_schedule(whole, tmp_path):
    ours = check_that_it_resumes(learn, whole, tmp_path / "killed")
    assert {"pool_a/held", "pool_b/filled", "scheduler/t"} <= ours.keys()
    assert ours["pool_a/filled"] == 16


def test_a_run_is_drawn_sampled_and_diagnosed(whole):
    with Image.open(whole / "samples.png") as picture:
        width, height = picture.size
    assert width > 3 * height
    run = open_run(whole)
    assert run.sample(5, seed=1).shape == (5, 16, 16, 3)
    assert "too early to say" in doctor.report(run)
    header = (whole / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"loss_d", "loss_g", "cycle", "identity", "moved_g_ab", "moved_d_b"} <= set(header)


def test_it_is_compared_with_the_truth_both_ways(whole):
    table = evaluate(open_run(whole), count=60)
    for way in ("", ", back"):
        assert table.facts[f"L1 of the input left alone{way}"] == pytest.approx(0.082, abs=0.006)
        assert 0 < table[f"L1 distance from the truth{way}"].value < 0.5


def read(path):
    with Image.open(path) as picture:
        return numpy.asarray(picture)


def test_pictures_are_translated_both_ways(whole, tmp_path):
    Image.fromarray(data.avatars().images[0]).save(tmp_path / "face.png")
    command = ["translate", str(whole), str(tmp_path / "face.png"), "-o"]
    assert cli.main([*command, str(tmp_path / "there.png")]) == 0
    assert cli.main([*command, str(tmp_path / "back.png"), "--back"]) == 0
    there, back = (read(tmp_path / f"{way}.png") for way in ("there", "back"))
    assert there.shape == back.shape == (16, 16, 3)
    assert (there != back).any()
