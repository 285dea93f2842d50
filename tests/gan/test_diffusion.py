"""Diffusion: the net's gradient as a whole, the noise it is shown, and the way back from it."""

import dataclasses

import numpy
import pytest
from whole_games import Still, checked, moved

from minigan import data, gan, nn, optim, recipes
from minigan.gan.diffusion import without_noise
from minigan.recipes import ddpm_digits
from minigan.runs import doctor, resuming, training
from minigan.runs.evaluation import evaluate
from minigan.runs.folder import open_run

RECIPE = recipes.get("ddpm-digits")


def model(seed=0, optimizer=Still, dtype="float64", **options):
    rng = numpy.random.default_rng(seed)
    net = nn.Sequential(
        nn.ConcatenateLabels(20, features=3, rng=rng),
        nn.Conv2d(4, 6, kernel_size=3, padding=1, rng=rng), nn.GroupNorm(2, 6), nn.SiLU(),
        nn.Conv2d(6, 1, kernel_size=3, padding=1, rng=rng),
    ).astype(dtype)  # fmt: skip
    return gan.Diffusion(
        net, optimizer(net, lr=0.1), shape=(4, 4, 1), levels=20, **{"passes": 5} | options
    )


def drawn(diffusion, seed=1, n=6):
    rng = numpy.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 4, 4, 1)).astype("float32")
    noisy, t, noise = diffusion.draw(iter([(x, None)]), rng)
    return x, noisy, t, noise


@pytest.mark.parametrize("seed", range(3))
def test_gradient_as_a_whole(seed):
    diffusion = model(seed)
    _, noisy, t, noise = drawn(diffusion, seed)
    noisy, noise = noisy.astype("float64"), noise.astype("float64")

    def loss():
        guess = diffusion.denoiser.forward((noisy, t), train=True)[0]
        return sum(((g - e) ** 2).mean() for g, e in zip(guess, noise, strict=True)) / len(noise)

    assert diffusion.play(noisy, t, noise)["noise_left"] == pytest.approx(loss())
    checked(loss, diffusion.denoiser, seed)


def test_gradient_of_the_recipes_own_net():
    """Its zeros would hide all else, so all weights are drawn first."""
    net = ddpm_digits.unet(numpy.random.default_rng(0), width=8).astype("float64")
    rng = numpy.random.default_rng(1)
    net.flat().value[...] += 0.1 * rng.standard_normal(net.flat().value.shape)
    diffusion = gan.Diffusion(net, Still(net, lr=0.1), shape=(16, 16, 1))
    noisy, noise = rng.standard_normal((2, 3, 16, 16, 1))
    t = numpy.array([0, 5, 999])
    diffusion.play(noisy, t, noise)
    checked(
        lambda: ((net.forward((noisy, t), train=True)[0] - noise) ** 2).mean(), net, 0, rel=1e-4
    )


def test_the_net_moves():
    diffusion = model(optimizer=optim.SGD, dtype="float32")
    round_ = drawn(diffusion)[1:]
    assert moved(diffusion, lambda: diffusion.play(*round_)) == {"denoiser"}


def test_the_noise_is_that_of_the_paper():
    diffusion = model()
    # Fifty times as large as with the paper's 1,000 levels, and below 1.
    beta = [min(50 * (1e-4 + (0.02 - 1e-4) * t / 19), 0.999) for t in range(20)]
    x, noisy, t, noise = drawn(diffusion)
    for i, level in enumerate(t):
        kept = numpy.prod([1 - b for b in beta[: level + 1]])
        expected = kept**0.5 * x[i] + (1 - kept) ** 0.5 * noise[i]
        numpy.testing.assert_allclose(noisy[i], expected, rtol=1e-5, atol=1e-6)
    assert (noisy.dtype, noise.dtype) == ("float32", "float32")


def test_whoever_knows_the_noise_gets_the_picture_back():
    diffusion = model()
    x, noisy, t, noise = drawn(diffusion)
    for i, level in enumerate(t):
        now, then = diffusion.kept[level], diffusion.kept[level // 2]
        between = without_noise(noisy[i], noise[i], now, then)
        expected = then**0.5 * x[i] + (1 - then) ** 0.5 * noise[i]
        numpy.testing.assert_allclose(between, expected, rtol=1e-4, atol=1e-5)
        numpy.testing.assert_allclose(without_noise(noisy[i], noise[i], now, 1.0), x[i], atol=1e-4)


class Knows(nn.Layer):
    """Guesses the noise in pictures that are all the same one."""

    def __init__(self, picture, kept):
        self.picture, self.kept = picture, kept
        self.unused = nn.Parameter(numpy.zeros(1, "float32"))

    def forward(self, x, *, train=True):
        noisy, t = x
        kept = self.kept[t].reshape(-1, 1, 1, 1)
        return ((noisy - kept**0.5 * self.picture) / (1 - kept) ** 0.5).astype("float32"), None


def test_samples_pass_through_the_levels_from_noise_to_a_picture():
    diffusion = model()
    picture = numpy.linspace(-1, 1, 16, dtype="float32").reshape(1, 4, 4, 1)
    diffusion.denoiser = Knows(picture, diffusion.kept)
    inputs = diffusion.inputs(3, numpy.random.default_rng(0))
    assert inputs.shape == (3, 16)
    samples = diffusion.sample(inputs)
    numpy.testing.assert_allclose(samples, numpy.repeat(picture, 3, axis=0), atol=1e-4)


def test_samples_are_of_the_averaged_net_unless_told_otherwise():
    diffusion = model(optimizer=optim.SGD, dtype="float32")
    inputs = diffusion.inputs(3, numpy.random.default_rng(0))
    last, known = diffusion.sample(inputs), diffusion.denoiser.flat().value.copy()
    diffusion.average = optim.ExponentialMovingAverage(diffusion.denoiser, decay=0.5)
    diffusion.average.net.flat().value[...] *= 0.5
    numpy.testing.assert_array_equal(diffusion.sample(inputs, averaged=False), last)
    averaged = diffusion.sample(inputs)
    assert abs(averaged - last).max() > 1e-3
    diffusion.denoiser.flat().value[...] = diffusion.average.net.flat().value
    numpy.testing.assert_array_equal(diffusion.sample(inputs, averaged=False), averaged)
    assert not numpy.array_equal(diffusion.denoiser.flat().value, known)


def test_average_and_scheduler_go_on_where_a_saved_run_stopped():
    def trainer():
        diffusion = model(optimizer=optim.SGD, dtype="float32")
        linear = optim.schedules.parse("linear")
        diffusion.scheduler = optim.Scheduler(diffusion.optimizer, linear, steps=8)
        diffusion.average = optim.ExponentialMovingAverage(diffusion.denoiser, decay=0.5)
        images = numpy.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), "uint8")
        source = data.Batches(data.Dataset("noise", images), 4, numpy.random.default_rng(1))
        return gan.Trainer(diffusion, source, rng=numpy.random.default_rng(2))

    whole, first, second = (trainer() for _ in range(3))
    whole.run(5)
    first.run(3)
    second.load_state(*first.state())
    second.run(5)
    arrays, meta = whole.state()
    assert {"scheduler/t", "average/t"} <= arrays.keys()
    again, same = second.state()
    assert same == meta
    for name, array in arrays.items():
        numpy.testing.assert_array_equal(again[name], array, err_msg=name)
    assert second.game.optimizer.lr == whole.game.optimizer.lr < 0.1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="passes through 1 to 20 levels, got 21 passes"):
        model(passes=21)
    for changes in ({"objective": "hinge"}, {"penalties": ["r1"]}, {"discriminator_steps": 2}):
        with pytest.raises(ValueError, match="'ddpm-digits' has no discriminator"):
            RECIPE.check(RECIPE.settings.changed(**changes))


# ---------------------------------------------------------------- runs


def test_a_run_is_drawn_sampled_scored_and_diagnosed(tmp_path, classifiers):
    quick = dataclasses.replace(RECIPE, passes=3)
    run = training.train(quick, out=tmp_path / "run", steps=4, batch_size=4, progress=False)
    opened = open_run(run, recipe=quick)
    samples = opened.sample(3, seed=1)
    assert samples.shape == (3, 16, 16, 1)
    assert abs(samples).max() <= 1
    assert "too early to say" in doctor.report(opened)
    header = (run / "metrics.csv").read_text().splitlines()[0]
    assert header.startswith("step,noise_left,")
    assert (run / "losses.png").exists()
    table = evaluate(opened, count=20, cache_dir=classifiers)
    assert table["sliced Wasserstein x1000, 16 px"].value > 0
    resuming.resume(run, recipe=quick, steps=5, progress=False)
    assert opened.step == 5
