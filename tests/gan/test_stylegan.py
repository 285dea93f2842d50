"""StyleGAN2: its nets, each player's gradient as a whole, mixing, laziness, path length, runs."""

import itertools

import numpy
import pytest
from killed_runs import check_that_it_resumes

from minigan import backend, cli, gan, nn, optim, recipes
from minigan.gan import penalties
from minigan.gan.synthesis import StyleGenerator, Styles, Synthesis
from minigan.runs import doctor, training
from minigan.runs.folder import open_run

RECIPE = recipes.get("stylegan")


class Still(optim.SGD):
    """An optimizer that doesn't move."""

    def step(self):
        pass


def small_generator(seed=0, *, noise=True):
    """Two levels, 4x4 and 8x8, with strong noise."""
    rng = numpy.random.default_rng(seed)

    def styled(inputs, outputs):
        made = nn.ModulatedConv2d(
            inputs, outputs, style_features=5, kernel_size=3, padding=1, rng=rng
        )
        return [made, nn.LearntNoise(rng=numpy.random.default_rng(1)), nn.LeakyReLU(0.2)]

    blocks = [
        nn.Styled(nn.Constant(4, 4, 4, rng=rng), *styled(4, 4)),
        nn.Styled(nn.Upsample(2), *styled(4, 3), *styled(3, 3)),
    ]
    colours = [
        nn.ModulatedConv2d(w, 2, style_features=5, kernel_size=1, demodulate=False, rng=rng)
        for w in (4, 3)
    ]
    mapping = nn.Sequential(
        nn.PixelNorm(), nn.Equalised(nn.Linear(6, 5), lr_multiplier=0.1, rng=rng), nn.LeakyReLU(0.2)
    )
    net = StyleGenerator(mapping, Synthesis(blocks, colours), width=5).astype("float64")
    for name, p in net.parameters().items():
        if name.endswith("strength"):
            p.value[...] = 0.3 if noise else 0
    return net


def game(optimizer=Still, lr=0.1, **options):
    G, rng = small_generator(), numpy.random.default_rng(5)
    D = nn.Sequential(
        nn.Conv2d(2, 3, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
        nn.MinibatchStdDev(2), nn.Flatten(), nn.Linear(64, 1, rng=rng),
    ).astype("float64")  # fmt: skip
    return gan.StyleGame(
        G, D, optimizer(G, lr=lr), optimizer(D, lr=lr), latent=gan.Latent(6),
        noise=numpy.random.default_rng(2), **options,
    )  # fmt: skip


def batch(seed=1, n=4):
    rng = numpy.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, 8, 8, 2)), rng.standard_normal((n, 2, 6))


def begin_again(net):
    """Let the noise be what it was before."""
    for rng in net.generators().values():
        rng.bit_generator.state = numpy.random.default_rng(1).bit_generator.state


def slope(loss, value, v, h=1e-7):
    begin, found = value.copy(), []
    for sign in (1, -1):
        value[...] = begin + sign * h * v
        found.append(sign * loss())
    value[...] = begin
    return sum(found) / (2 * h)


def checked(loss, flat, seed=3, times=4):
    """Compare the gradient with slopes of the loss along random directions of all weights."""
    rng = numpy.random.default_rng(seed)
    for _ in range(times):
        v = rng.standard_normal(flat.value.shape)
        assert slope(loss, flat.value, v) == pytest.approx(flat.grad @ v, rel=2e-5, abs=1e-7)


# ---------------------------------------------------------------- the nets


@pytest.mark.parametrize("form", ["latents", "latents of levels", "styles"])
def test_gradient_of_the_generator_with_respect_to_everything(form):
    G, rng = small_generator(), numpy.random.default_rng(0)
    shape = {"latents": (3, 6), "latents of levels": (3, 2, 6), "styles": (3, 2, 5)}[form]
    x = rng.standard_normal(shape)
    given = Styles(x) if form == "styles" else x
    dy = rng.standard_normal((3, 8, 8, 2))
    flat = optim.SGD(G, lr=1.0).flat

    def loss():
        begin_again(G)
        return (G.forward(given, train=True)[0] * dy).sum()

    begin_again(G)
    y, cache = G.forward(given, train=True)
    assert y.shape == G.output_shape((3, 6))
    dx = G.backward(dy, cache)
    dx = dx.w if form == "styles" else dx
    checked(loss, flat)
    for _ in range(4):
        v = rng.standard_normal(shape)
        assert slope(loss, x, v) == pytest.approx((v * dx).sum(), rel=2e-5, abs=1e-7)


def test_second_derivative_of_the_synthesis():
    """⟨v, dw⟩, differentiated with respect to the weights, to w, and to dy (the tangent)."""
    net, rng = small_generator().synthesis, numpy.random.default_rng(0)
    w, v = rng.standard_normal((2, 3, 2, 5))
    dy = rng.standard_normal((3, 8, 8, 2))
    flat = optim.SGD(net, lr=1.0).flat

    def inner():
        begin_again(net)
        _, cache = net.forward(w, train=True)
        return (v * net.backward(dy, cache, param_grads=False)).sum()

    begin_again(net)
    _, cache = net.forward(w, train=True)
    dw, signals = net.backward_signals(dy, cache)
    numpy.testing.assert_allclose(dw, net.backward(dy, cache, param_grads=False))
    flat.grad[...] = 0
    dx, tangent = net.double_backward(v, signals, cache)
    checked(inner, flat)
    for _ in range(4):
        u = rng.standard_normal(w.shape)
        assert slope(inner, w, u) == pytest.approx((u * dx).sum(), rel=2e-5, abs=1e-7)
    assert (tangent * dy).sum() == pytest.approx(inner())


def test_one_latent_for_all_levels_is_the_latent_alone():
    G, z = small_generator(), numpy.random.default_rng(0).standard_normal((3, 6))
    same = numpy.stack([z, z], axis=1)
    numpy.testing.assert_allclose(G(same), G(z), rtol=1e-12)
    numpy.testing.assert_allclose(G(Styles(G.styles(z)[0])), G(z), rtol=1e-12)


def test_noise_is_for_training_only():
    G, z = small_generator(), numpy.random.default_rng(0).standard_normal((3, 6))
    numpy.testing.assert_array_equal(G(z), G(z))
    assert abs(G.forward(z, train=True)[0] - G(z)).max() > 0.01


def test_the_centre_follows_the_styles_unless_statistics_are_frozen():
    G, z = small_generator(), numpy.random.default_rng(0).standard_normal((3, 2, 6))
    mean = G.styles(z)[0].mean(axis=(0, 1))
    with nn.frozen_statistics(G):
        G.forward(z, train=True)
    G(z)
    assert not G.centre.any()
    G.forward(z, train=True)
    numpy.testing.assert_allclose(G.centre, 0.005 * mean)


def test_shapes_that_do_not_fit_are_refused():
    G = small_generator()
    with pytest.raises(ValueError, match=r"needs latents \(N, latent\) or \(N, 2, latent\)"):
        G.output_shape((3, 4, 4, 2))
    with pytest.raises(ValueError, match=r"needs \(N, 2, width\)"):
        G(numpy.zeros((3, 7, 6)))
    assert G.multiply_adds((1, 6)) > 6 * 5 + 16 * 4 * 4 * 9


# ---------------------------------------------------------------- both players


def test_gradient_of_the_discriminator_as_a_whole():
    model = game(penalties=[lambda D, r, f: penalties.r1(D, r, gamma=3.0)])
    real, z = batch()
    objective = gan.objective("non-saturating")

    def loss():
        begin_again(model.generator)
        D = model.discriminator
        fake = model.generator.forward(z, train=True)[0]
        logits, cache = D.forward(real, train=True)
        g = D.backward(numpy.ones_like(logits), cache, param_grads=False)
        others = D.forward(fake, train=True)[0]
        return objective.discriminator(logits, others)[0] + 1.5 * (g * g).sum() / len(real)

    begin_again(model.generator)
    report = model.discriminator_step(real, z)
    assert report["loss_d"] + report["penalty"] == pytest.approx(loss())
    assert not model.generator_optimizer.flat.grad.any()
    checked(loss, model.discriminator_optimizer.flat)


def test_gradient_of_the_generator_as_a_whole():
    model = game()
    real, z = batch()

    def loss():
        begin_again(model.generator)
        fake = model.generator.forward(z, train=True)[0]
        logits = model.discriminator.forward(fake, train=True)[0]
        return gan.objective("non-saturating").generator(logits, None)[0]

    begin_again(model.generator)
    report = model.generator_step(z, real)
    assert report["loss_g"] == pytest.approx(loss())
    assert not model.discriminator_optimizer.flat.grad.any()
    checked(loss, model.generator_optimizer.flat)


@pytest.mark.parametrize("levels", [False, True])
def test_gradient_of_path_length_regularisation_as_a_whole(levels):
    model, weight, every = game(path_length=2.0, path_lazy=3), 2.0, 3
    G, z = model.generator, batch()[1]
    z = z if levels else z[:, 0].copy()
    G.path[...] = 0.4

    def lengths():
        begin_again(G)
        ws, _ = G.styles(z, train=True)
        _, cache = G.synthesis.forward(ws, train=True)
        e = numpy.random.default_rng(2).standard_normal((4, 8, 8, 2)) / 8
        g = G.synthesis.backward(e, cache, param_grads=False)
        return numpy.sqrt((g * g).sum(axis=2).mean(axis=1))

    mean = 0.4 + 0.01 * (lengths().mean() - 0.4)
    begin_again(G)
    model.generator_optimizer.zero_grad()
    value = model.stretch(z)
    assert G.path == pytest.approx(mean)
    assert value == pytest.approx(weight * ((lengths() - mean) ** 2).mean())
    checked(
        lambda: every * weight * ((lengths() - mean) ** 2).mean(), model.generator_optimizer.flat
    )
    assert model.generator_optimizer.flat.grad.any()


def rounds(model, count, seed=0):
    source = itertools.cycle([(batch()[0], None)])
    rng = numpy.random.default_rng(seed)
    for _ in range(count):
        yield model.play(*model.draw(source, rng))
        model.end_round()


def test_the_penalty_comes_every_kth_round_and_path_length_too():
    penalised, stretched = [], []

    def played():
        return model.generator_optimizer.t

    model = game(
        optim.SGD, lr=1e-3, lazy=3, path_length=1.0, path_lazy=2,
        penalties=[lambda D, r, f: penalised.append(played()) or numpy.zeros(())],
    )  # fmt: skip
    model.stretch = lambda z: stretched.append((played(), len(z)))
    for report in rounds(model, 7):
        assert set(report) == {"loss_d", "d_real", "d_fake", "loss_g"}
    assert penalised == [0, 3, 6]
    assert stretched == [(0, 2), (2, 2), (4, 2), (6, 2)]


def test_everybody_moves_in_a_round_and_only_in_their_own_step():
    model = game(optim.SGD, path_length=1.0)
    before = {name: net.state_dict() for name, net in model.players().items()}
    real, z = batch()
    model.discriminator_step(real, z)
    now = model.generator.state_dict()
    assert all((now[k] == v).all() for k, v in before["generator"].items())
    state = model.discriminator.state_dict()
    model.generator_step(z, real)
    for name, array in model.discriminator.state_dict().items():
        numpy.testing.assert_array_equal(array, state[name])
    for name, net in model.players().items():
        for key, value in net.state_dict().items():
            assert (value != before[name][key]).any(), key


# ---------------------------------------------------------------- mixing and truncation


@pytest.mark.parametrize(("mixing", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_some_samples_have_two_latents_one_above_the_other(mixing, share):
    model, rng = game(mixing=mixing), numpy.random.default_rng(0)
    model.generator.synthesis.blocks *= 2  # four levels
    z = model._mixed(rng.standard_normal((4000, 6)), rng)
    assert z.shape == (4000, 4, 6)
    changes = (z[:, 1:] != z[:, :-1]).any(axis=2)
    assert changes.sum(axis=1).max() <= 1
    assert changes.any(axis=1).mean() == pytest.approx(share, abs=0.03)
    for level in range(3):
        assert changes[:, level].mean() == pytest.approx(share / 3, abs=0.03)


def test_truncation_draws_styles_towards_their_mean():
    model = game()
    G = model.generator
    G.centre[...] = numpy.arange(5)
    draw = numpy.random.default_rng
    whole, half, none = (model.truncated(3, draw(0), psi).w for psi in (1, 0.5, 0))
    numpy.testing.assert_allclose(none, numpy.broadcast_to(G.centre, (3, 2, 5)))
    numpy.testing.assert_allclose(half, (whole + G.centre) / 2, rtol=1e-6)
    z = model.inputs(3, draw(0))
    numpy.testing.assert_allclose(model.sample(Styles(whole)), model.sample(z), rtol=1e-6)
    for psi in (-0.1, 3, float("nan")):
        with pytest.raises(ValueError, match="Truncation must be from 0"):
            model.truncated(3, draw(0), psi)


def test_what_does_not_fit_is_refused():
    G, rng = nn.Linear(6, 2), numpy.random.default_rng(0)
    D = nn.Linear(2, 1, rng=rng)
    with pytest.raises(TypeError, match="needs a StyleGenerator, got Linear"):
        gan.StyleGame(G, D, optim.SGD(G, lr=1), optim.SGD(D, lr=1))
    with pytest.raises(ValueError, match="lazy must be at least 1, got 0"):
        game(lazy=0)


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mixing": 2.0}, "mixing must be a share from 0 to 1"),
        ({"lazy": 0}, "lazy must be a positive integer"),
        ({"path_length": -1.0}, "path_length must be at least 0"),
        ({"half_life": float("nan")}, "half_life must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        RECIPE.settings.changed(**change)


def test_the_average_has_a_half_life_in_images():
    settings = RECIPE.settings.changed(batch_size=40, half_life=80)
    assert settings.averaging == pytest.approx(0.5**0.5)
    assert settings.changed(average=0.3).averaging == 0.3
    assert settings.changed(half_life=0).averaging == 0


def learn(out, **options):
    given = {
        "steps": 8, "batch_size": 4, "frames": 2, "checkpoint_every": 3, "width": 2, "lazy": 3,
        "path_length": 0.5, "schedule": "linear",
    }  # fmt: skip
    return training.train("stylegan", out=out, device="cpu", progress=False, **given | options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("stylegan") / "whole")


def test_it_resumes_bit_for_bit_with_noise_and_laziness(whole, tmp_path):
    ours = check_that_it_resumes(learn, whole, tmp_path / "killed")
    assert ours["generator/path"] > 0


def test_a_run_is_sampled_and_diagnosed(whole, tmp_path, capsys):
    run = open_run(whole)
    whole_styles, narrow = (run.sample(20, seed=1, truncation=psi) for psi in (1.0, 0.2))
    numpy.testing.assert_allclose(whole_styles, run.sample(20, seed=1), atol=1e-6)
    assert narrow.std(axis=0).mean() < 0.5 * whole_styles.std(axis=0).mean()
    assert "too early to say" in doctor.report(run)
    command = ["sample", str(whole), "-o", str(tmp_path / "x.png"), "--truncation"]
    assert cli.main([*command, "0.7"]) == 0
    assert cli.main([*command, "-3"]) == 2
    assert "Truncation must be from 0" in capsys.readouterr().err


def test_a_run_of_32_pixels_has_a_level_more():
    settings = RECIPE.settings.changed(image_size=32)
    rng = numpy.random.default_rng(0)
    model = RECIPE.fitted(settings).game(settings, weights=rng, noise=rng)
    assert model.styled.levels == 4
    assert model.generator(numpy.ones((1, 64), "float32")).shape == (1, 32, 32, 3)


def test_a_generator_moves_with_its_centre():
    net = small_generator()
    net.centre[...] = 3
    net.to(backend.get("cpu")).astype("float32")
    assert net.centre.dtype == "float32"
    other = small_generator(1)
    other.load_state_dict(net.state_dict())
    assert (other.centre == 3).all()
