"""Progressive growing: when nets grow, each player's gradient as a whole, who moves, and runs."""

import itertools

import numpy
import pytest
from killed_runs import check_that_it_resumes
from PIL import Image

from minigan import backend, checkpoint, gan, nn, optim, recipes
from minigan.gan import penalties
from minigan.gan.progressive import Growth, coarsened
from minigan.plots import read_metrics
from minigan.recipes import progressive
from minigan.runs import doctor, resuming, training
from minigan.runs.folder import open_run

RECIPE = recipes.get("progressive")
LEVELS = [0.0, 0.3, 1.0, 1.6, 2.0]
"""How far nets of three levels may have grown: alone, fading in, and in between."""


class Still(optim.SGD):
    """An optimizer that doesn't move."""

    def step(self):
        pass


def game(grown=0.0, optimizer=Still, phase=4, **options):
    rng = numpy.random.default_rng(0)
    nets = [
        make(rng, size=16, width=2, channels=3).astype("float64")
        for make in (progressive.generator, progressive.discriminator)
    ]
    for net in nets:
        net.grown[...] = grown
    movers = [optimizer(net, lr=0.1) for net in nets]
    growth = Growth(3, phase)
    return gan.ProgressiveGame(*nets, *movers, latent=gan.Latent(64), growth=growth, **options)


def batch(seed=1, n=4):
    rng = numpy.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, 16, 16, 3)), rng.standard_normal((n, 64))


def checked(loss, flat, seed):
    """Compare the gradient with slopes of the loss along random directions of all weights."""
    rng, h = numpy.random.default_rng(seed), 1e-7
    for _ in range(3):
        v, begin = rng.standard_normal(flat.value.shape), flat.value.copy()
        slopes = []
        for sign in (1, -1):
            flat.value[...] = begin + sign * h * v
            slopes.append(sign * loss())
        flat.value[...] = begin
        assert sum(slopes) / (2 * h) == pytest.approx(flat.grad @ v, rel=2e-5, abs=1e-7)


def penalty(D, real, gamma):
    """R1 by the gradient of D that its own backward map gives."""
    logits, cache = D.forward(real, train=True)
    g = D.backward(numpy.ones_like(logits), cache, param_grads=False)
    return gamma / 2 * (g * g).sum() / len(real)


@pytest.mark.parametrize("grown", LEVELS)
@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_gradient_of_the_discriminator_as_a_whole(grown, gamma):
    model = game(grown, penalties=[lambda D, r, f: penalties.r1(D, r, gamma=gamma)])
    real, z = batch()
    objective = gan.objective("non-saturating")

    def loss():
        fake = model.generator.forward(z, train=True)[0]
        logits = (model.discriminator.forward(x, train=True)[0] for x in (real, fake))
        return objective.discriminator(*logits)[0] + penalty(model.discriminator, real, gamma)

    before = model.generator_optimizer.flat.value.copy()
    report = model.discriminator_step(real, z)
    assert report["loss_d"] + report["penalty"] == pytest.approx(loss())
    assert not model.generator_optimizer.flat.grad.any()
    numpy.testing.assert_array_equal(model.generator_optimizer.flat.value, before)
    checked(loss, model.discriminator_optimizer.flat, 3)


@pytest.mark.parametrize("grown", LEVELS)
def test_gradient_of_the_generator_as_a_whole(grown):
    model = game(grown)
    real, z = batch()

    def loss():
        logits = model.discriminator.forward(model.generator.forward(z, train=True)[0], train=True)
        return gan.objective("non-saturating").generator(logits[0], None)[0]

    report = model.generator_step(z, real)
    assert report["loss_g"] == pytest.approx(loss())
    assert not model.discriminator_optimizer.flat.grad.any()
    checked(loss, model.generator_optimizer.flat, 3)


@pytest.mark.parametrize("grown", LEVELS)
def test_only_the_levels_so_far_have_gradients(grown):
    model = game(grown)
    model.discriminator_step(*batch())
    model.generator_step(batch()[1])
    for net in (model.generator, model.discriminator):
        for index in range(3):
            moved = any(p.grad.any() for p in net.blocks[index].parameters().values())
            assert moved == (index <= net.level), (net, index)
            seen = any(p.grad.any() for p in net.colours[index].parameters().values())
            fading = index == net.level - 1 and net.share < 1
            assert seen == (index == net.level or fading), (net, index)


def test_a_level_that_has_faded_in_is_the_net_without_the_old_path():
    """And at the start of its fading it is the net of the level below, larger."""
    model, (x, z) = game(), batch()
    G, D = model.generator, model.discriminator
    for level in (0, 1):
        G.grown[...] = D.grown[...] = level
        coarse = coarsened(x, G.shrinks, 1)
        images, logits = G(z), D(coarse)
        G.grown[...] = D.grown[...] = level + 1e-9
        numpy.testing.assert_allclose(G(z), images, atol=1e-7)
        numpy.testing.assert_allclose(D(coarse), logits, atol=1e-7)


def test_images_have_the_coarseness_of_their_level():
    model, (_, z) = game(), batch()
    for grown, factor in ((0, 4), (1, 2), (2, 1)):
        model.generator.grown[...] = grown
        images = model.generator(z)
        assert images.shape == (4, 16, 16, 3)
        numpy.testing.assert_allclose(coarsened(images, factor, 1), images, atol=1e-12)
        if factor < 4:
            assert abs(coarsened(images, 2 * factor, 1) - images).max() > 1e-3


def test_reals_are_as_coarse_as_fakes():
    x = batch()[0]
    squares = x.reshape(4, 4, 4, 4, 4, 3).mean(axis=(2, 4)).repeat(4, axis=1).repeat(4, axis=2)
    numpy.testing.assert_allclose(coarsened(x, 4, 1), squares)
    halves = x.reshape(4, 8, 2, 8, 2, 3).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    numpy.testing.assert_allclose(coarsened(x, 2, 0.3), 0.3 * halves + 0.7 * squares)
    assert coarsened(x, 1, 1) is x


def test_phases():
    growth = Growth(3, 10)
    grown = []
    for growth.rounds in range(60):
        grown.append(growth.grown)
    assert grown[:11] == [0] * 11
    assert grown[11:20] == pytest.approx([0.1 * i for i in range(1, 10)])
    assert grown[20:31] == [1] * 11
    assert grown[31:40] == pytest.approx([1 + 0.1 * i for i in range(1, 10)])
    assert grown[40:] == [2] * 20


def test_a_new_level_begins_with_new_moments():
    model, rng = game(optimizer=optim.Adam, phase=2), numpy.random.default_rng(0)
    source = itertools.cycle([(batch()[0], None)])
    levels, counts = [], []
    for _ in range(9):
        levels.append(model.generator.level)
        model.play(*model.draw(source, rng))
        model.end_round()
        counts.append(model.generator_optimizer.t)
    assert levels == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert counts == [1, 2, 0, 1, 2, 3, 0, 1, 2]
    assert model.discriminator.grown == model.generator.grown == 2


def test_the_average_warms_up_anew_with_a_new_level():
    model, rng = game(optimizer=optim.Adam, phase=2), numpy.random.default_rng(0)
    model.average = optim.ExponentialMovingAverage(model.generator, decay=0.9, warmup=4)
    source = itertools.cycle([(batch()[0], None)])
    same = []
    for _ in range(8):
        model.play(*model.draw(source, rng))
        model.end_round()
        average, last = (net.flat().value for net in (model.average.net, model.generator))
        same.append(numpy.allclose(average, last, rtol=0, atol=1e-6))
    assert same == [True, False, True, False, False, False, True, False]  # at levels 0, 1 and 2


def test_nets_that_do_not_grow_alike_are_refused():
    model = game()
    model.growth.levels = 4
    with pytest.raises(ValueError, match="two nets that grow by 4 levels, got \\[3, 3\\]"):
        model.check()


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize("way", ["packing", "minibatch-stddev", "spectral-norm"])
def test_what_would_build_the_discriminator_anew_is_refused(way):
    with pytest.raises(ValueError, match=f"{way} can't be used with 'progressive'"):
        RECIPE.check(RECIPE.settings.changed(penalties=(way,)))


def test_a_share_of_the_run_is_needed():
    with pytest.raises(ValueError, match="growing must be a share from 0 to 1"):
        RECIPE.settings.changed(growing=1.5)


def test_penalties_that_come_before_d_go_with_growing(tmp_path):
    run = learn(tmp_path / "run", penalties=("augment", "gradient-penalty"), frames=0)
    table = read_metrics(run / "metrics.csv")
    assert (table["penalty"] > 0).all()
    arrays = checkpoint.load(run / "checkpoints/step-00000008.safetensors")[0]
    grown = {name: float(a) for name, a in arrays.items() if name.endswith("grown")}
    assert grown.keys() == {"generator/grown", "discriminator/1.grown", "average/net.grown"}
    assert set(grown.values()) == {2}


def gradient_of_d(*ways):
    """That of the first step of the recipe's game, tamed in these ways, and its report."""
    settings = RECIPE.settings.changed(penalties=ways, width=2)
    rngs = [numpy.random.default_rng(seed) for seed in (0, 1)]
    model = RECIPE.fitted(settings).game(settings, weights=rngs[0], noise=rngs[1])
    real, z = (x.astype("float32") for x in batch())
    report = model.discriminator_step(real, z)
    return model.discriminator_optimizer.flat.grad.copy(), report


def test_each_penalty_adds_to_the_gradient():
    plain, report = gradient_of_d()
    assert "penalty" not in report
    for ways in (("augment",), ("gradient-penalty",), ("augment", "gradient-penalty")):
        tamed, report = gradient_of_d(*ways)
        assert ("penalty" in report) == ("gradient-penalty" in ways)
        assert abs(tamed - plain).max() > 1e-2 * abs(plain).max(), ways


def learn(out, **options):
    given = {
        "steps": 8, "batch_size": 4, "frames": 8, "checkpoint_every": 3, "average": 0.5, "width": 2,
        "growing": 1.0,
    }  # fmt: skip
    return training.train("progressive", out=out, device="cpu", progress=False, **given | options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("progressive") / "whole")


def test_it_resumes_bit_for_bit_while_it_grows(whole, tmp_path):
    ours = check_that_it_resumes(learn, whole, tmp_path / "killed", killed_after=7)
    assert ours["growth/rounds"] == 8


def test_a_run_that_is_made_longer_grows_as_it_began(whole, tmp_path):
    import shutil

    shutil.copytree(whole, tmp_path / "longer")
    resuming.resume(tmp_path / "longer", progress=False, steps=12)
    arrays = checkpoint.load(tmp_path / "longer/checkpoints/step-00000012.safetensors")[0]
    assert arrays["growth/phase"] == 2
    assert arrays["generator/grown"] == 2


def test_the_film_grows_and_samples_have_their_full_size(whole):
    with Image.open(whole / "samples.png") as picture:
        assert picture.mode == "RGB"
    run = open_run(whole)
    samples = run.sample(5, seed=1)
    assert samples.shape == (5, 16, 16, 3)
    assert abs(coarsened(samples, 2, 1) - samples).max() > 1e-3
    early = open_run(whole).sample(5, seed=1, which="3")
    assert abs(coarsened(early, 2, 1) - early).max() < 1e-5
    assert "too early to say" in doctor.report(run)


def test_nets_may_be_grown_from_the_start():
    settings = RECIPE.settings.changed(growing=0.0, average=0.9)
    rng = numpy.random.default_rng(0)
    model = RECIPE.fitted(settings).game(settings, weights=rng, noise=rng)
    assert [net.level for net in (model.generator, model.discriminator, model.sampler)] == [2] * 3
    model.end_round()
    assert model.generator.grown == 2


def test_32_pixels_have_a_level_more():
    settings = RECIPE.settings.changed(image_size=32)
    recipe = RECIPE.fitted(settings)
    rng = numpy.random.default_rng(0)
    model = recipe.game(settings, weights=rng, noise=rng)
    assert model.growth.levels == 4
    model.generator.grown[...] = model.discriminator.grown[...] = 3
    assert model.discriminator(model.generator(numpy.ones((4, 64), "float32"))).shape == (4, 1)


def test_a_net_keeps_its_growth_when_it_moves():
    net = game(1.6).generator
    ops = backend.get("cpu")
    assert net.astype("float32").to(ops).level == 2
    other = game().generator
    other.load_state_dict(net.state_dict())
    assert other.share == pytest.approx(0.6)
    assert isinstance(net, nn.Layer)
