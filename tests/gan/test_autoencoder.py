"""The variational autoencoder: the gradient of its evidence lower bound as a whole, and that it
learns.
"""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import gan, gradcheck, nn, optim, recipes
from minigan.runs import resuming, training
from minigan.runs.folder import open_run

LATENT = 3


class Still:
    """An optimizer that doesn't move."""

    def __init__(self, net):
        self.net, self.lr = net, 0.0

    def zero_grad(self):
        self.net.zero_grad()

    def step(self):
        pass


def autoencoder(seed=0, optimizer=Still, dtype="float64"):
    rng = numpy.random.default_rng(seed)
    decoder = nn.Sequential(
        nn.Linear(LATENT, 2 * 2 * 3, rng=rng), nn.Tanh(), nn.Reshape(2, 2, 3),
        nn.ConvTranspose2d(3, 2, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
    ).astype(dtype)  # fmt: skip
    encoder = nn.Sequential(
        nn.Conv2d(2, 4, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(16, 2 * LATENT, rng=rng),
    ).astype(dtype)  # fmt: skip
    return gan.VariationalAutoencoder(
        decoder, encoder, optimizer(decoder), optimizer(encoder), noise=0.5
    )


def bound(model, real, epsilon):
    """The loss spelt out sample by sample, with scalar formulas of the paper's appendix B."""
    code = model.discriminator(real)
    total = 0.0
    for x, h, e in zip(real, code, epsilon, strict=True):
        mean, log_variance = h[:LATENT], h[LATENT:]
        y = model.generator((mean + numpy.exp(log_variance) ** 0.5 * e)[None])[0]
        total += ((x - y) ** 2).sum() / (2 * 0.5**2)
        total -= 0.5 * (1 + log_variance - mean**2 - numpy.exp(log_variance)).sum()
    return total / len(real)


@given(seed=st.integers(0, 10_000))
def test_gradient_of_the_whole_bound(seed):
    model = autoencoder(seed)
    rng = numpy.random.default_rng(seed + 1)
    real, epsilon = rng.normal(size=(5, 4, 4, 2)), rng.normal(size=(5, LATENT))
    report = model.step(real, epsilon)
    assert report["loss"] == pytest.approx(bound(model, real, epsilon), rel=1e-12)
    assert report["loss"] == pytest.approx(report["reconstruction"] + report["divergence"])
    both = {
        f"{who}.{name}": p
        for who, net in (("decoder", model.generator), ("encoder", model.discriminator))
        for name, p in net.parameters().items()
    }
    checked = gradcheck.check_scalar(
        lambda: bound(model, real, epsilon),
        {name: p.value for name, p in both.items()},
        {name: p.grad for name, p in both.items()},
        rng=seed,
    )
    assert checked.ok


def test_both_nets_begin_each_step_with_no_gradient_and_get_all_of_theirs():
    model, once = autoencoder(), {}
    rng = numpy.random.default_rng(1)
    real, epsilon = rng.normal(size=(5, 4, 4, 2)), rng.normal(size=(5, LATENT))
    for turn in range(2):
        model.step(real, epsilon)
        for who in ("generator", "discriminator"):
            for name, p in getattr(model, who).parameters().items():
                expected = once.setdefault((who, name), p.grad.copy())
                numpy.testing.assert_array_equal(p.grad, expected)
                assert turn or (p.grad != 0).any(), name


def test_the_gradient_of_the_images_is_not_computed():
    model, asked = autoencoder(), []
    first = model.discriminator[0]
    backward = first.backward
    first.backward = lambda dy, cache, **options: (
        asked.append(options) or backward(dy, cache, **options)
    )
    model.step(numpy.ones((3, 4, 4, 2)), numpy.zeros((3, LATENT)))
    assert asked == [{"param_grads": True, "input_grad": False}]


def test_the_noise_is_three_tenths_by_default():
    model = autoencoder()
    plain = gan.VariationalAutoencoder(
        model.generator, model.discriminator, model.generator_optimizer,
        model.discriminator_optimizer,
    )  # fmt: skip
    real, epsilon = numpy.ones((3, 4, 4, 2)), numpy.zeros((3, LATENT))
    loose, strict = (m.step(real, epsilon)["reconstruction"] for m in (model, plain))
    assert strict == pytest.approx(loose * 0.5**2 / 0.3**2, rel=1e-12)


def test_a_round_has_a_step_for_each_batch_and_ignores_labels_and_z():
    model, seen = autoencoder(), []
    model.step = lambda real, epsilon: seen.append((real, epsilon)) or {"loss": len(seen)}
    assert model.play([("x", "e", None), ("y", "f", 3)], "z") == {"loss": 2}
    assert seen == [("x", "e"), ("y", "f")]


def test_divergence_vanishes_where_the_code_is_the_prior():
    model = autoencoder()
    for p in model.discriminator.parameters().values():
        p.value[...] = 0
    report = model.step(numpy.ones((3, 4, 4, 2)), numpy.zeros((3, LATENT)))
    assert report["divergence"] == 0


def test_a_trainer_runs_it_and_it_learns():
    rng = numpy.random.default_rng(0)
    model = autoencoder(
        optimizer=lambda net: optim.Adam(net, lr=5e-3, betas=(0.9, 0.999)), dtype="float32"
    )
    images = rng.choice([-0.9, 0.9], size=(32, 1, 1, 1)) * numpy.ones((32, 4, 4, 2))

    class Source:
        batch_size = 32

        def __next__(self):
            return images.astype("float32"), None

    trainer = gan.Trainer(model, Source(), latent=gan.Latent(LATENT), rng=rng)
    losses = [float(trainer.train_step()["loss"]) for _ in range(300)]
    assert losses[-1] < 0.2 * losses[0]
    samples = model.generator(gan.Latent(LATENT).sample(200, rng)).mean(axis=(1, 2, 3))
    assert (samples > 0.6).mean() > 0.2, "the two kinds of image that it was shown"
    assert (samples < -0.6).mean() > 0.2


def test_the_recipe_trains_samples_and_goes_on(tmp_path):
    folder = training.train(
        "vae", out=tmp_path / "run", steps=3, batch_size=16, progress=False, frames=1
    )
    assert {"samples.png", "losses.png", "training.gif", "model.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert (folder / "metrics.csv").read_text().startswith("step,loss,reconstruction,divergence")
    resuming.resume(folder, steps=5, progress=False)
    run = open_run(folder)
    assert run.step == 5
    assert run.sample(4).shape == (4, 16, 16, 1)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("vae", {"objective": "hinge"}, "has no discriminator"),
        ("vae", {"penalties": ["r1"]}, "has no discriminator"),
        ("vae", {"smoothing": 0.1}, "has no discriminator"),
        ("vae", {"discriminator_steps": 2}, "has no discriminator"),
        ("ring", {"objective": "elbo"}, "is for autoencoders, but 'ring' is a game"),
    ],
)
def test_settings_that_mean_nothing_here_are_refused(name, changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        training.train(name, out=tmp_path / "run", steps=1, progress=False, **changes)
    assert not (tmp_path / "run").exists()


FROM_LATENTS = [
    name
    for name in recipes.names()
    if recipes.get(name).latent and name != "ddpm-digits"  # no D, and no G of one pass
]
OUTPUTS = {"infogan": 1 + 12, "ssgan-digits": 10}
"""Of D, where they aren't a logit and one for each class."""


@pytest.mark.parametrize("name", FROM_LATENTS)
def test_every_recipe_builds_nets_that_fit_each_other(name):
    recipe = recipes.get(name)
    rng = numpy.random.default_rng(0)
    game = recipe.game(recipe.settings, weights=rng, noise=rng)
    n = 8
    labels = (numpy.arange(n) % recipe.classes,) if recipe.classes else ()
    z = recipe.latent.sample(n, rng)
    samples = game.generator((z, *labels) if labels else z)
    assert samples.shape == (n, *recipe.sample_shape)
    told = labels and not recipe.auxiliary
    logits = game.discriminator((samples, *labels) if told else samples)
    wide = (
        2 * recipe.latent.size
        if isinstance(game, gan.VariationalAutoencoder)
        else 1 + (recipe.classes if recipe.auxiliary else 0)
    )
    assert logits.shape == (n, OUTPUTS.get(name, wide))
