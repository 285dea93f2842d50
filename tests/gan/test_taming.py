"""Ways to keep D tame: each alone and together, their place in the step, and what they refuse."""

import copy
import itertools

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import gan, gradcheck, losses, nn, optim
from minigan.gan import penalties
from minigan.gan.taming import WAYS, parse, tame

LATENT, BATCH = 3, 8
IMAGES_ONLY = {"augment"}
SLOPES = ["gradient-penalty", "one-sided-penalty:0.5", "r1", "r2", "dragan"]
CURVED = ["packing", "minibatch-stddev", "spectral-norm", "instance-noise", "clip-gradient"]


def random(seed=0):
    return numpy.random.default_rng(seed)


def critic(kind, rng, activation=nn.LeakyReLU):
    """A critic, and the shape of a sample."""
    if kind == "points":
        layers = [nn.Linear(2, 6, rng=rng), activation(), nn.Linear(6, 5, rng=rng), activation(),
                  nn.Linear(5, 1, rng=rng)]  # fmt: skip
        return nn.Sequential(*layers), (2,)
    layers = [
        nn.Conv2d(2, 3, kernel_size=4, stride=2, padding=1, rng=rng),
        activation(),
        nn.Flatten(),
        nn.Linear(3 * 2 * 3, 1, rng=rng),
    ]
    return nn.Sequential(*layers), (4, 6, 2)


def maker(shape, rng, ways=()):
    """A generator of samples of a shape; with batch norm if it is to be replaced."""
    size = int(numpy.prod(shape))
    norm = [nn.BatchNorm(size)] if any(way.startswith("virtual-batch") for way in ways) else []
    return nn.Sequential(nn.Linear(LATENT, size, rng=rng), *norm, nn.Tanh(), nn.Reshape(*shape))


def tamed_game(ways, *, kind="points", seed=0, dtype="float32", lr=1e-3, activation=nn.LeakyReLU):
    """A game with ways, the generator that they draw from, and a batch."""
    rng, noise = random(seed), random(seed + 1)
    discriminator, shape = critic(kind, rng, activation)
    taming = tame(
        discriminator, ways, rng=noise, generator=maker(shape, rng, ways), latent=gan.Latent(LATENT)
    )
    generator = taming.generator.astype(dtype)
    taming.discriminator.astype(dtype)
    game = gan.Game(
        generator,
        taming.discriminator,
        optim.Adam(generator, lr=lr),
        optim.Adam(taming.discriminator, lr=lr),
        penalties=taming.penalties,
        before_step=taming.before_step,
        after_discriminator_step=taming.after_discriminator_step,
        feature_matching=taming.feature_matching,
        **taming.pulls(generator=generator, discriminator=taming.discriminator),
    )
    real = rng.normal(size=(BATCH, *shape)).astype(dtype)
    return game, noise, real, rng.normal(size=(BATCH, LATENT)).astype(dtype)


@pytest.mark.parametrize("kind", ["points", "images"])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_alone_trains(way, kind):
    if kind == "points" and way in IMAGES_ONLY:
        pytest.skip("augmentation is for images")
    game, _, real, z = tamed_game([way], kind=kind)
    before = [
        {k: a.copy() for k, a in net.state_dict().items()}
        for net in (game.generator, game.discriminator)
    ]
    for _ in range(3):
        report = game.discriminator_step(real, z) | game.generator_step(z, real)
        assert all(numpy.isfinite(value) for value in report.values())
    assert ("penalty" in report) == (way in {s.partition(":")[0] for s in [*SLOPES, "vat"]})
    for net, old in zip((game.generator, game.discriminator), before, strict=True):
        assert any(not numpy.array_equal(a, old[k]) for k, a in net.state_dict().items()), (
            "nothing was learnt"
        )


@pytest.mark.parametrize("kind", ["points", "images"])
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("other", CURVED)
def test_pairs_of_ways_train(slope, other, kind):
    game, _, real, z = tamed_game([slope, other], kind=kind)
    for _ in range(2):
        report = game.discriminator_step(real, z) | game.generator_step(z, real)
    assert all(numpy.isfinite(value) for value in report.values())


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations(["augment", "packing", "spectral-norm", "minibatch-stddev"])),
)
def test_the_order_in_which_ways_are_named_does_not_count(order):
    """Packing widens the first layer and the statistics the last one: both must find a Linear or
    Conv2d there.
    """
    game, _, real, z = tamed_game(order, kind="images")
    names = [type(layer).__name__ for layer in game.discriminator]
    assert names == [
        "Augment",
        "Pack",
        "SpectralNorm",
        "LeakyReLU",
        "Flatten",
        "MinibatchStdDev",
        "SpectralNorm",
    ]
    game.discriminator_step(real, z)


# ---------------------------------------------------------------- the gradient of the whole step


class Still:
    """An optimizer that doesn't move."""

    def __init__(self, net):
        self.net, self.lr = net, 0.0

    def zero_grad(self):
        self.net.zero_grad()

    def step(self):
        pass


def check_discriminator_step(ways, kind, seed, penalty_of):
    game, noise, real, z = tamed_game(
        ways, kind=kind, seed=seed, dtype="float64", activation=nn.Tanh
    )
    game.discriminator_optimizer = Still(game.discriminator)
    for _, layer in game.discriminator.layers():
        if isinstance(layer, nn.SpectralNorm):
            layer.iterate(
                3000
            )  # to the singular vectors themselves, where one more iteration changes nothing
    fake = game.generator(z)
    state = noise.bit_generator.state
    report = game.discriminator_step(real, z)

    def loss():
        noise.bit_generator.state = state
        with nn.frozen_statistics(game.discriminator):
            logits, other, caches = nn.forward_both(
                game.discriminator, real, fake, apart=any(map(taking_reals, game.penalties))
            )
        value = game.objective.discriminator(logits, other)[0]
        return value + penalty_of(game, noise, real, fake, (logits, caches[0]))

    parameters = game.discriminator.parameters()
    given = {name: p.grad.copy() for name, p in parameters.items()}
    assert gradcheck.check_scalar(
        loss, {k: p.value for k, p in parameters.items()}, given, rng=seed, samples=30
    ).ok
    return report


def taking_reals(penalty):
    """Whether a penalty looks at the reals as the loss saw them, with the same noise on them."""
    return getattr(penalty, "takes_reals", False)


def sum_of_penalties(game, noise, real, fake, passed):
    kept = game.discriminator.flat().grad.copy()
    value = sum(
        penalty(game.discriminator, real, fake, *([passed] if taking_reals(penalty) else []))
        for penalty in game.penalties
    )
    game.discriminator.flat().grad[...] = kept
    return value


@pytest.mark.parametrize("kind", ["points", "images"])
@pytest.mark.parametrize(
    "ways",
    [[way] for way in SLOPES]
    + [
        ["r1", "r2"],
        ["gradient-penalty", "spectral-norm"],
        ["r1", "packing"],
        ["dragan", "minibatch-stddev"],
        ["r1:3", "packing:4", "spectral-norm", "instance-noise"],
        ["packing", "spectral-norm"],
        ["dropout"],
    ],
    ids="+".join,
)
@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_discriminator_step_has_the_gradient_of_its_loss_and_penalties(ways, kind, seed):
    check_discriminator_step(ways, kind, seed, sum_of_penalties)


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_discriminator_step_has_the_gradient_of_augmentation(seed):
    check_discriminator_step(["augment", "r1", "packing"], "images", seed, sum_of_penalties)


@pytest.mark.parametrize("kind", ["points", "images"])
def test_discriminator_step_has_the_gradient_of_vat(kind):
    """Its neighbours and its belief at x are constants, so they are computed once here."""
    constants = []

    def penalty_of(game, noise, real, fake, passed):
        D, value = game.discriminator, 0.0
        for index, x in enumerate((real, fake)):
            if len(constants) <= index:
                constants.append(
                    (penalties.adversarial_perturbation(D, x, noise), losses.sigmoid(D(x)))
                )
            r, p = constants[index]
            q = losses.sigmoid(D(x + r))
            value += 0.7 * (p * numpy.log(p / q) + (1 - p) * numpy.log((1 - p) / (1 - q))).mean()
        return value

    report = check_discriminator_step(["vat:0.7"], kind, 5, penalty_of)
    assert report["penalty"] > 0


def test_a_penalty_of_the_wrong_sign_is_caught():
    def wrong(*args):
        return -sum_of_penalties(*args)

    with pytest.raises(gradcheck.GradientError):
        check_discriminator_step(["r1"], "points", 0, wrong)


# ---------------------------------------------------------------- what each one does


def test_weights_stay_in_their_box():
    game, _, real, z = tamed_game(["clip-weights:0.05"])
    assert abs(game.discriminator.flat().value).max() > 0.05
    generator = game.generator.flat().value.copy()
    game.discriminator_step(real, z)
    assert abs(game.discriminator.flat().value).max() <= numpy.float32(0.05)
    assert numpy.array_equal(generator, game.generator.flat().value)


def test_gradients_stay_in_their_ball():
    game, _, real, z = tamed_game(["clip-gradient:0.001"])
    game.discriminator_step(real, z)
    game.generator_step(z)
    for net in (game.discriminator, game.generator):
        norms = [
            numpy.sqrt((p.grad**2).sum(axis=optim.all_but_last(p.shape))).max()
            for p in net.parameters().values()
        ]
        assert max(norms) == pytest.approx(0.001, rel=1e-4)


def test_structure_of_a_tamed_discriminator():
    discriminator, _ = critic("points", random())
    ways = ["instance-noise:0.2", "dropout:0.25", "packing:3", "minibatch-stddev:2"]
    net = tame(discriminator, ways, rng=random()).discriminator
    assert [repr(layer).partition("(")[0] for layer in net] == [
        "InstanceNoise", "Pack", "Linear", "LeakyReLU", "Dropout", "Linear", "LeakyReLU", "Dropout",
        "MinibatchStdDev", "Linear",
    ]  # fmt: skip
    assert net[0].std == 0.2
    assert net[1].m == 3
    assert net[2].in_features == 6
    assert net[-1].in_features == 6
    assert numpy.array_equal(net[-1].weight.value[:-1], discriminator[-1].weight.value)


def test_spectral_norm_reaches_into_containers():
    inner = nn.Residual(nn.Linear(2, 2, rng=random()))
    net = tame(
        nn.Sequential(inner, nn.Linear(2, 1, rng=random())), ["spectral-norm"], rng=random()
    ).discriminator
    assert sum(isinstance(layer, nn.SpectralNorm) for _, layer in net.layers()) == 2


WINDOW = {"kernel_size": 3, "padding": 1}
LEARNT = {
    "Linear": (lambda rng: nn.Linear(6, 6, rng=rng), (2, 6)),
    "Conv1d": (lambda rng: nn.Conv1d(2, 2, **WINDOW, rng=rng), (2, 3, 2)),
    "ConvTranspose1d": (lambda rng: nn.ConvTranspose1d(2, 2, **WINDOW, rng=rng), (2, 3, 2)),
    "Conv2d": (lambda rng: nn.Conv2d(2, 2, **WINDOW, rng=rng), (2, 3, 3, 2)),
    "ConvTranspose2d": (lambda rng: nn.ConvTranspose2d(2, 2, **WINDOW, rng=rng), (2, 3, 3, 2)),
}


@pytest.mark.parametrize(("make", "shape"), LEARNT.values(), ids=LEARNT)
def test_spectral_norm_reaches_every_layer_with_a_weight(make, shape):
    """A weight forty times as large is brought back."""
    layer = make(random())
    layer.weight.value *= 40
    net = tame(nn.Sequential(layer), ["spectral-norm"], rng=random()).discriminator
    x = numpy.ones(shape, "float32")
    assert isinstance(net[0], nn.SpectralNorm)
    assert numpy.linalg.norm(layer(x)) > 5 * numpy.linalg.norm(net(x))


def test_spectral_norm_reaches_the_projection_and_its_vectors():
    """Miyato and Koyama's D: the body, w and V each have a norm of their own."""
    rng = random()
    body = nn.Sequential(nn.Linear(4, 3, rng=rng), nn.LeakyReLU(0.1))
    judge = nn.Projection(body, features=3, classes=2, rng=rng)
    judge.embedding.weight.value[...] = 100 * rng.standard_normal((2, 3))
    judge.weight.value *= 100
    net = tame(judge, ["spectral-norm"], rng=rng, conditional=True).discriminator
    wrapped = [layer for _, layer in net.layers() if isinstance(layer, nn.SpectralNorm)]
    assert len(wrapped) == 3
    for layer in wrapped:
        layer.iterate(100)
    judge.bias.value[...] = 0
    x, labels = rng.standard_normal((8, 4)).astype("float32"), numpy.arange(8) % 2
    assert (abs(net((x, labels))) <= 2.001 * numpy.linalg.norm(x, axis=1, keepdims=True)).all()


@pytest.mark.parametrize(
    "way", [*SLOPES, "vat", "augment", "instance-noise", "spectral-norm", "clip-weights"]
)
def test_ways_with_a_conditional_discriminator(way):
    rng = random(3)
    body = [
        nn.ConcatenateLabels(3),
        nn.Conv2d(5, 4, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(),
        nn.Flatten(),
        nn.Linear(2 * 3 * 4, 1, rng=rng),
    ]
    taming = tame(nn.Sequential(*body), [way], rng=rng, conditional=True)
    generator = nn.Sequential(
        nn.ConcatenateLabels(3), nn.Linear(LATENT + 3, 48, rng=rng), nn.Reshape(4, 6, 2)
    )
    game = gan.Game(
        generator,
        taming.discriminator,
        optim.SGD(generator, lr=0.1),
        optim.SGD(taming.discriminator, lr=0.1),
        penalties=taming.penalties,
        before_step=taming.before_step,
        after_discriminator_step=taming.after_discriminator_step,
    )
    real, z = (
        rng.normal(size=(6, 4, 6, 2)).astype("float32"),
        rng.normal(size=(6, LATENT)).astype("float32"),
    )
    labels = rng.integers(0, 3, 6)
    before = taming.discriminator.flat().value.copy()
    report = game.discriminator_step(real, z, labels) | game.generator_step(z, real, labels)
    assert all(numpy.isfinite(value) for value in report.values())
    assert not numpy.array_equal(before, taming.discriminator.flat().value)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_historical_averaging_pulls_a_player_towards_its_average(name):
    """Its gradient exceeds that of the loss by 2 λ (θ - θ̄); θ̄ is part of the saved state."""
    pulled, _, real, z = tamed_game(["historical-averaging:0.3"], lr=0.1)
    free = tamed_game([])[0]
    arguments = [z] if name == "generator" else [real, z]
    for _ in range(3):
        both = [getattr(game, name).flat() for game in (pulled, free)]
        theta = both[1].value[...] = both[0].value
        theta = theta.copy()
        for game in (pulled, free):
            getattr(game, f"{name}_step")(*arguments)
    pull = pulled.parts()[f"{name}_pull"]
    excess = 0.6 * (theta - pull.average)
    assert pull.t == 3
    assert abs(excess).max() > 0.03
    numpy.testing.assert_allclose(both[0].grad - both[1].grad, excess, rtol=1e-3, atol=1e-6)
    assert f"{name}_pull" not in free.parts()


def test_a_pull_belongs_to_its_own_player():
    D, G = critic("points", random())[0], maker((2,), random())
    optimizers = optim.SGD(G, lr=0.1), optim.SGD(D, lr=0.1)
    pull = optim.HistoricalAverage(D)
    gan.Game(G, D, *optimizers, discriminator_pull=pull)
    with pytest.raises(ValueError, match="pull of the generator is the average of another net"):
        gan.Game(G, D, *optimizers, generator_pull=pull)


@pytest.mark.parametrize("labels", [False, True])
def test_virtual_batch_norm_makes_samples_independent_of_their_batch(labels):
    """In training mode, where batch norm lets each sample depend on all others."""
    rng, classes = random(), 3 * labels
    head = [nn.ConcatenateLabels(classes)] if labels else []
    plain = nn.Sequential(
        *head, nn.Linear(LATENT + classes, 8, rng=rng), nn.BatchNorm(8, eps=1e-3), nn.ReLU(),
        nn.Residual(nn.Linear(8, 8, rng=rng), nn.BatchNorm(8)),
    )  # fmt: skip
    plain[-3].gamma.value[...] = 2
    way, latent, given = ["virtual-batch-norm:6"], gan.Latent(LATENT), copy.deepcopy(plain)
    taming = tame(critic("points", rng)[0], way, rng=rng, generator=given, latent=latent)
    z, kinds = latent.sample(5, rng), numpy.array([0, 1, 2, 0, 1])

    def made(net, some):
        return net.forward((z[some], kinds[some]) if labels else z[some], train=True)[0]

    some, more = slice(0, 2), slice(0, 5)
    assert abs(made(plain, some) - made(plain, more)[some]).max() > 0.1
    net = taming.generator
    numpy.testing.assert_allclose(made(net, some), made(net, more)[some], rtol=1e-4, atol=1e-5)
    found = [layer for _, layer in net.layers() if isinstance(layer, nn.VirtualBatchNorm)]
    assert [layer.eps for layer in found] == [1e-3, 1e-5]
    assert (found[0].gamma.value == 2).all()
    assert not any(isinstance(layer, nn.BatchNorm) for _, layer in net.layers())
    inside = net[1] if labels else net
    assert inside.samples.shape == (6, LATENT + classes)


# ---------------------------------------------------------------- refusals


def test_virtual_batch_norm_says_what_it_needs():
    D, rng, latent = critic("points", random())[0], random(), gan.Latent(LATENT)
    norm = nn.BatchNorm(8)
    learnt = nn.Sequential(nn.ConcatenateLabels(3, features=2), nn.Linear(LATENT + 2, 8), norm)
    for generator, way, words in (
        (None, "virtual-batch-norm", "give G and its Latent"),
        (maker((2,), rng), "virtual-batch-norm", "a generator with batch norm"),
        (learnt, "virtual-batch-norm", "one-hot"),
        (nn.Sequential(norm), "virtual-batch-norm:2.5", "whole number"),
        (nn.Sequential(norm), "virtual-batch-norm:1", "2 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            tame(D, [way], rng=rng, generator=generator, latent=latent)


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        (["gradient-penality"], "did you mean 'gradient-penalty'"),
        (["r1:-1"], "positive number, got '-1'"),
        (["r1:much"], "positive number, got 'much'; write r1:10"),
        (["r1:inf"], "positive number"),
        (["packing:2.5"], "whole number, got 2.5"),
        (["r1", "r1:2"], "names one twice"),
        ("r1", r"got 'r1'; write \('r1',\)"),
    ],
)
def test_refused_ways(ways, words):
    with pytest.raises(ValueError, match=words):
        tame(critic("points", random())[0], ways, rng=random())


CHAINED = ["packing", "dropout", "minibatch-stddev", "minibatch-discrimination", "feature-matching"]


@pytest.mark.parametrize("way", CHAINED)
def test_refused_discriminators(way):
    with pytest.raises(ValueError, match="is a Sequential"):
        tame(nn.Linear(2, 1), [way], rng=random())


def test_refused_ends():
    with pytest.raises(ValueError, match="begins with Linear or Conv2d"):
        tame(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), ["packing"], rng=random())
    with pytest.raises(ValueError, match="ends in a Linear"):
        tame(nn.Sequential(nn.Linear(4, 1), nn.Tanh()), ["minibatch-stddev"], rng=random())
    single = nn.Sequential(nn.Linear(4, 1))
    with pytest.raises(ValueError, match="a discriminator of two layers or more"):
        tame(single, ["feature-matching"], rng=random())
    two = nn.Sequential(nn.Tanh(), *single)
    assert tame(two, ["feature-matching"], rng=random()).feature_matching == 1


@pytest.mark.parametrize(
    ("way", "words"), [("dropout", "this one has none"), ("feature-matching", "holds all of D")]
)
def test_ways_that_a_projection_hides_the_layers_of_are_refused(way, words):
    body = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.2))
    D = nn.Sequential(nn.Beside(nn.Tanh()), nn.Projection(body, features=3, classes=2))
    with pytest.raises(ValueError, match=words):
        tame(D, [way], rng=random(), conditional=True)


@pytest.mark.parametrize("layer", [nn.BatchNorm(5), nn.Dropout(0.5)], ids=repr)
@pytest.mark.parametrize("way", SLOPES)
def test_batch_norm_and_dropout_in_a_penalised_critic_say_why_not(way, layer):
    game, _, real, z = tamed_game([way])
    body = nn.Sequential(nn.Linear(2, 5, rng=random()), layer, nn.Linear(5, 1, rng=random()))
    game.discriminator, game.discriminator_optimizer = body, optim.SGD(body, lr=0.1)
    with pytest.raises(ValueError, match="in a critic with a gradient penalty"):
        game.discriminator_step(real, z)


def test_parse():
    assert parse("r1") == ("r1", 10.0)
    assert parse("packing:4") == ("packing", 4.0)


def _r1_game(seed, reuse):
    rng = numpy.random.default_rng(seed)
    D = nn.Sequential(nn.Linear(2, 8, rng=rng), nn.LeakyReLU(0.2), nn.Linear(8, 1, rng=rng)).astype(
        "float64"
    )
    G = nn.Linear(2, 2, rng=rng).astype("float64")
    taming = tame(D, ["r1:2"], rng=rng)
    penalties = (
        taming.penalties
        if reuse
        else [lambda critic, real, fake: gan.penalties.r1(critic, real, gamma=2.0)]
    )
    return gan.Game(G, D, optim.SGD(G, lr=0.1), optim.SGD(D, lr=0.1), penalties=penalties), rng


def test_r1_takes_over_what_the_step_has_computed_of_the_reals(monkeypatch):
    """The same gradient, and no second forward pass of the reals."""
    weights, passes = [], []
    real_forward = nn.Sequential.forward
    monkeypatch.setattr(
        nn.Sequential,
        "forward",
        lambda self, x, *, train=True: passes.append(len(x)) or real_forward(self, x, train=train),
    )
    for reuse in (True, False):
        game, rng = _r1_game(0, reuse)
        passes.clear()
        game.discriminator_step(rng.standard_normal((6, 2)), rng.standard_normal((6, 2)))
        assert passes == ([6, 6] if reuse else [12, 6])
        weights.append(game.discriminator.flat().value.copy())
    numpy.testing.assert_allclose(weights[0], weights[1], rtol=1e-12)


def test_spectral_norm_sends_both_batches_through_d_at_once():
    rng = numpy.random.default_rng(0)
    D = nn.Sequential(
        nn.spectral_norm(nn.Linear(2, 8, rng=rng), rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(8, 1, rng=rng),
    )
    assert D.samplewise
    u = D[0].u.copy()
    nn.forward_both(D, *rng.standard_normal((2, 5, 2)).astype("float32"))
    once = D[0].u.copy()
    D[0].u[...] = u
    D[0].v[...] = D[0].layer.weight.value @ u / numpy.linalg.norm(D[0].layer.weight.value @ u)
    assert not numpy.array_equal(once, u)


def test_default_strengths():
    """Those of the papers, where they say one."""
    assert {name: way.strength for name, way in WAYS.items()} == {
        "packing": 2, "minibatch-stddev": 4, "minibatch-discrimination": 16, "feature-matching": 1,
        "historical-averaging": 0.001, "virtual-batch-norm": 64, "dropout": 0.3, "spectral-norm": 1,
        "instance-noise": 0.1, "augment": 1, "gradient-penalty": 10, "one-sided-penalty": 10,
        "r1": 10, "r2": 10, "dragan": 10, "vat": 1, "clip-weights": 0.01, "clip-gradient": 1,
    }  # fmt: skip
