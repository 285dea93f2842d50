"""The step as a whole: its gradient, who moves, and who doesn't."""

import copy
import gc
import pickle

import numpy
import pytest
from defaults import defaults
from hypothesis import given
from hypothesis import strategies as st

from minigan import gan, gradcheck, nn, optim
from minigan.nn.cache import Cache

LATENT = 5


def image_game(seed=0, objective="non-saturating", optimizer=None, **parts):
    """A small convolutional game in float64, with everything that can go wrong in one: norms,
    biases, strides.
    """
    rng = numpy.random.default_rng(seed)
    generator = nn.Sequential(
        nn.Linear(LATENT, 2 * 2 * 3, rng=rng),
        nn.Reshape(2, 2, 3),
        nn.BatchNorm(3),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(3, 2, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(2, 4, kernel_size=3, stride=2, padding=1, rng=rng),
        nn.BatchNorm(4),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(16, 1, rng=rng),
    )
    for net in (generator, discriminator):
        net.astype("float64")
        for p in net.parameters().values():
            p.value = p.value + rng.normal(0, 0.3, p.shape)  # gamma isn't 1, beta isn't 0
    optimizer = optimizer or (lambda net: optim.Adam(net, lr=1e-3, betas=(0.5, 0.999)))
    return gan.Game(
        generator, discriminator, optimizer(generator), optimizer(discriminator),
        objective=gan.objective(objective), **parts,
    )  # fmt: skip


def batch(seed=1, n=6):
    rng = numpy.random.default_rng(seed)
    return rng.normal(size=(n, 4, 4, 2)), rng.normal(size=(n, LATENT))


def values(net):
    return {name: array.copy() for name, array in net.state_dict().items()}


def same(a, b):
    return all(numpy.array_equal(a[name], b[name]) for name in a)


class Still:
    """An optimizer that doesn't move, so that a step leaves its gradients at the weights they
    belong to.
    """

    def __init__(self, net):
        self.net, self.lr = net, 0.0

    def zero_grad(self):
        self.net.zero_grad()

    def step(self):
        pass


@pytest.mark.parametrize("objective", sorted(gan.OBJECTIVES))
@given(seed=st.integers(0, 1000))
def test_generator_step_has_the_gradient_of_its_loss_through_the_discriminator(objective, seed):
    game = image_game(seed, objective, optimizer=Still)
    real, z = batch(seed + 1)
    game.generator_step(z, real)
    parameters = game.generator.parameters()

    def loss():
        fake = game.generator.forward(z, train=True)[0]
        with nn.frozen_statistics(game.discriminator):
            logits = game.discriminator.forward(fake, train=True)[0]
            real_logits = game.discriminator.forward(real, train=True)[0]
        return game.objective.generator(logits, real_logits)[0]

    report = gradcheck.check_scalar(
        loss,
        {name: p.value for name, p in parameters.items()},
        {name: p.grad for name, p in parameters.items()},
        rng=seed,
    )
    assert report.ok


@pytest.mark.parametrize("objective", sorted(gan.OBJECTIVES))
@given(seed=st.integers(0, 1000))
def test_discriminator_step_has_the_gradient_of_its_loss(objective, seed):
    game = image_game(seed, objective, optimizer=Still)
    real, z = batch(seed + 1)
    game.discriminator_step(real, z)
    parameters = game.discriminator.parameters()
    fake = game.generator.forward(z, train=True)[0]

    def loss():
        forward = game.discriminator.forward
        return game.objective.discriminator(
            forward(real, train=True)[0], forward(fake, train=True)[0]
        )[0]

    report = gradcheck.check_scalar(
        loss,
        {name: p.value for name, p in parameters.items()},
        {name: p.grad for name, p in parameters.items()},
        rng=seed,
    )
    assert report.ok


def test_a_generator_step_that_forgets_the_discriminator_is_caught():
    """The published mistake: the loss's gradient goes straight into G, past the discriminator."""
    game = image_game(objective="wasserstein", optimizer=Still)
    _, z = batch()
    generator = game.generator
    fake, cache = generator.forward(z, train=True)
    generator.backward(numpy.full_like(fake, -1 / len(fake)), cache)

    def loss():
        with nn.frozen_statistics(game.discriminator):
            logits = game.discriminator.forward(generator.forward(z, train=True)[0], train=True)[0]
        return game.objective.generator(logits, None)[0]

    parameters = generator.parameters()
    with pytest.raises(gradcheck.GradientError):
        gradcheck.check_scalar(
            loss,
            {n: p.value for n, p in parameters.items()},
            {n: p.grad for n, p in parameters.items()},
            rng=0,
        )


def test_discriminator_step_moves_the_discriminator_alone():
    game = image_game()
    real, z = batch()
    generator, discriminator = values(game.generator), values(game.discriminator)
    game.generator.flat().grad[...] = 7.0
    game.discriminator_step(real, z)
    assert same(generator, values(game.generator)), (
        "neither weights nor running statistics of G may move"
    )
    assert (game.generator.flat().grad == 7.0).all(), "nor may anything be added to G's gradients"
    moved = values(game.discriminator)
    assert all(not numpy.array_equal(discriminator[name], moved[name]) for name in moved), (
        "all of D moves"
    )


def test_generator_step_moves_the_generator_alone():
    game = image_game()
    _, z = batch()
    generator, discriminator = values(game.generator), values(game.discriminator)
    game.discriminator.flat().grad[...] = 7.0
    game.generator_step(z)
    assert same(discriminator, values(game.discriminator)), (
        "neither weights nor running statistics of D may move"
    )
    assert (game.discriminator.flat().grad == 7.0).all(), (
        "nor may anything be added to D's gradients"
    )
    moved = values(game.generator)
    assert all(not numpy.array_equal(generator[name], moved[name]) for name in moved), (
        "all of G moves"
    )


def test_steps_lower_the_loss_of_the_one_who_moves():
    game = image_game(optimizer=lambda net: optim.SGD(net, lr=1e-3))
    real, z = batch()
    first = game.discriminator_step(real, z)["loss_d"]
    assert game.discriminator_step(real, z)["loss_d"] < first
    first = game.generator_step(z)["loss_g"]
    assert game.generator_step(z)["loss_g"] < first


def test_running_statistics_are_tracked_again_after_a_step():
    game = image_game()
    real, z = batch()
    game.generator_step(z)
    before = game.discriminator.buffers()["1.running_mean"].copy()
    game.discriminator_step(real, z)
    assert not numpy.array_equal(before, game.discriminator.buffers()["1.running_mean"])


def test_hooks_and_penalties_are_called_with_the_player_that_moves():
    calls = []

    def penalty(discriminator, real, fake):
        discriminator.flat().grad[...] += 1.0
        return numpy.float64(3.0)

    game = image_game(
        penalties=(penalty,),
        before_step=lambda net: calls.append(("before", net, net.flat().grad.copy())),
        after_discriminator_step=lambda net: calls.append(("after", net, None)),
    )
    plain = image_game(before_step=lambda net: calls.append(("plain", net, net.flat().grad.copy())))
    real, z = batch()
    report = game.discriminator_step(real, z)
    plain.discriminator_step(real, z)
    game.generator_step(z)
    assert report["penalty"] == 3.0
    assert [what for what, _, _ in calls] == ["before", "after", "plain", "before"]
    assert calls[0][1] is game.discriminator
    assert calls[3][1] is game.generator
    assert numpy.allclose(calls[0][2], calls[2][2] + 1.0), (
        "the penalty's gradient is part of the step"
    )


def test_latents():
    rng = numpy.random.default_rng(0)
    normal, uniform = (
        gan.Latent(3).sample(20_000, rng),
        gan.Latent(3, "uniform").sample(20_000, rng),
    )
    assert normal.dtype == uniform.dtype == numpy.float32
    assert normal.shape == uniform.shape == (20_000, 3)
    assert abs(normal.std() - 1) < 0.02
    assert uniform.min() >= -1
    assert uniform.max() <= 1
    assert abs(uniform.std() - 1 / numpy.sqrt(3)) < 0.01
    with pytest.raises(ValueError, match="at least one"):
        gan.Latent(0)
    with pytest.raises(ValueError, match="Unknown latent distribution"):
        gan.Latent(2, "cauchy")


def test_start_from_given_weights_is_a_copy():
    game = image_game()
    twin = copy.deepcopy(game.generator)
    _, z = batch()
    before = values(twin)
    game.generator_step(z)
    assert same(before, values(twin)), "training the original leaves a copy alone"


# ---------------------------------------------------------------- what a game tells and takes


def linear_game(objective="wasserstein", **parts):
    """G adds 1 to z and D's logit is 3 x - 4 y + 1."""
    generator, discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
    generator.weight.value, generator.bias.value = numpy.eye(2), [1, 1]
    discriminator.weight.value, discriminator.bias.value = numpy.array([[3.0], [-4.0]]), [1.0]
    return gan.Game(
        generator, discriminator, Still(generator), Still(discriminator),
        objective=gan.objective(objective), **parts,
    )  # fmt: skip


POINTS = numpy.array([[0, 0], [1, 0], [0, 1], [1, 1]], "float32")
LOGITS = numpy.array([1.0, 4.0, -3.0, 0.0])


def test_the_landscape_is_the_probability_of_real_or_the_logits_from_0_to_1():
    probabilities = 1 / (1 + numpy.exp(-LOGITS))
    numpy.testing.assert_allclose(linear_game("non-saturating").landscape(POINTS), probabilities)
    numpy.testing.assert_allclose(linear_game().landscape(POINTS), (LOGITS + 3) / 7, rtol=1e-6)
    flat = linear_game()
    flat.discriminator.weight.value[...] = 0
    assert flat.landscape(POINTS).tolist() == [0, 0, 0, 0]


def test_samples_are_pushed_up_the_slope_and_no_gradient_is_left_behind():
    game = linear_game()
    game.discriminator.flat().grad[...] = 7.0
    numpy.testing.assert_allclose(game.push(POINTS), [[3, -4]] * 4)
    assert (game.discriminator.flat().grad == 7.0).all()
    doubt = 1 / (1 + numpy.exp(LOGITS))
    numpy.testing.assert_allclose(
        linear_game("non-saturating").push(POINTS), doubt[:, None] * [[3, -4]], rtol=1e-5
    )
    numpy.testing.assert_allclose(linear_game("relativistic").push(POINTS), [[1.5, -2]] * 4)


def test_reports_hold_the_means_of_what_d_says():
    real, z = POINTS, POINTS - 1  # G makes the same points of z
    report = linear_game("non-saturating").discriminator_step(real, z)
    mean = (1 / (1 + numpy.exp(-LOGITS))).mean()
    assert report.keys() == {"loss_d", "d_real", "d_fake"}
    assert report["d_real"] == pytest.approx(mean, rel=1e-6)
    assert report["d_fake"] == pytest.approx(mean, rel=1e-6)
    report = linear_game().discriminator_step(real[:2], z)
    assert (report["d_real"], report["d_fake"]) == (2.5, 0.5)
    assert report["loss_d"] == -2.0
    assert linear_game().generator_step(z) == {"loss_g": -0.5}


def test_only_the_gradients_that_are_needed_are_computed():
    game, asked = linear_game(), []
    for name in ("generator", "discriminator"):
        net = getattr(game, name)

        def backward(dy, cache, *, name=name, below=net.backward, **wanted):
            asked.append((name, wanted.get("param_grads", True), wanted.get("input_grad", True)))
            return below(dy, cache, **wanted)

        net.backward = backward
    game.discriminator_step(POINTS, POINTS)
    assert asked == [("discriminator", True, False)]
    game.generator_step(POINTS)
    assert asked[1:] == [("discriminator", False, True), ("generator", True, False)]


def test_samples_come_from_the_average_unless_they_should_not():
    game = linear_game()
    game.average = optim.ExponentialMovingAverage(game.generator, decay=0.5)
    game.generator.bias.value = [5, 5]
    assert game.sample(POINTS[:1]).tolist() == [[1, 1]]
    assert game.sample(POINTS[:1], averaged=False).tolist() == [[5, 5]]
    assert game.sampler is game.average.net


def test_many_samples_are_made_in_parts():
    game, sizes = linear_game(), []
    forward = game.generator.forward
    game.generator.forward = lambda x, train=True: sizes.append((len(x), train)) or forward(x)
    z = numpy.arange(1200, dtype="float32").reshape(600, 2)
    numpy.testing.assert_array_equal(game.sample(z), z + 1)
    assert sizes == [(256, False), (256, False), (88, False)]


class Numbered:
    """A source of batches 1, 2, 3, ... of two samples."""

    def __init__(self, labels=None):
        self.count, self.labels = 0, labels

    def __next__(self):
        self.count += 1
        return numpy.full((2, 2), self.count, "float32"), self.labels


@pytest.mark.parametrize("conditional", [False, True])
def test_a_round_draws_for_each_step_of_d_and_once_for_g(conditional):
    labels = numpy.array([1, 0])
    game = linear_game(latent=gan.Latent(2), discriminator_steps=3, conditional=conditional)
    batches, z = game.draw(Numbered(labels), numpy.random.default_rng(0))
    expected = numpy.random.default_rng(0)
    assert [batch.real[0, 0] for batch in batches] == [1, 2, 3]
    for latents in [*(batch.latents for batch in batches), z]:
        numpy.testing.assert_array_equal(latents, gan.Latent(2).sample(2, expected))
    assert all(batch.labels is (labels if conditional else None) for batch in batches)
    assert game.inputs(7, numpy.random.default_rng(0)).shape == (7, 2)


def test_a_game_without_a_latent_says_so():
    game = linear_game()
    with pytest.raises(ValueError, match="no distribution to draw z from"):
        game.draw(Numbered(), numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="no latents to make samples from"):
        game.inputs(3, numpy.random.default_rng(0))
    game = linear_game(latent=gan.Latent(2), conditional=True)
    with pytest.raises(ValueError, match="the data have no labels"):
        game.draw(Numbered(), numpy.random.default_rng(0))


def test_a_round_plays_every_batch_and_then_g():
    game, played = linear_game(), []
    game.discriminator_step = lambda *a: played.append(("d", *a)) or {"loss_d": a[0]}
    game.generator_step = lambda *a: played.append(("g", *a)) or {"loss_g": 0}
    report = game.play([(1, 2, None), (3, 4, 5)], 6)
    assert played == [("d", 1, 2, None), ("d", 3, 4, 5), ("g", 6, 3, 5)]
    assert report == {"loss_d": 3, "loss_g": 0}


def test_the_defaults_are_a_plain_game():
    own = defaults(gan.Game)
    assert own.pop("objective") is not None  # made anew each time
    assert own == {
        "penalties": (), "before_step": None, "after_discriminator_step": None, "auxiliary": 0.0,
        "latent": None, "discriminator_steps": 1, "conditional": False, "average": None,
        "scheduler": None, "feature_matching": 0.0, "generator_pull": None,
        "discriminator_pull": None,
    }  # fmt: skip
    assert linear_game("non-saturating").objective.name == "non-saturating"
    with pytest.raises(ValueError, match="at least one step per round, got 0"):
        linear_game(discriminator_steps=0)


def test_parts_that_are_not_there_are_no_parts():
    game = linear_game()
    four = ["generator", "discriminator", "generator_optimizer", "discriminator_optimizer"]
    assert list(game.parts()) == four
    assert list(game.players()) == ["discriminator", "generator"]
    game.average = optim.ExponentialMovingAverage(game.generator, decay=0.5)
    assert list(game.parts()) == [*four, "average"]


# ---------------------------------------------------------------- copies, and parts that don't belong together


def _with_noise_and_penalty(rng):
    body = [
        nn.Linear(2, 8, rng=rng),
        nn.LeakyReLU(0.2),
        nn.InstanceNoise(0.1, rng=rng),
        nn.Linear(8, 1, rng=rng),
    ]
    taming = gan.tame(nn.Sequential(*body), ["gradient-penalty:1", "clip-weights:5"], rng=rng)
    G, D = (
        nn.Sequential(nn.Linear(2, 8, rng=rng), nn.ReLU(), nn.Linear(8, 2, rng=rng)),
        taming.discriminator,
    )
    return gan.Game(
        G, D, optim.Adam(G, lr=0.01), optim.Adam(D, lr=0.01), objective=gan.objective("hinge"),
        penalties=taming.penalties, after_discriminator_step=taming.after_discriminator_step,
        average=optim.ExponentialMovingAverage(G, decay=0.9),
    )  # fmt: skip


def _a_round(game, rng):
    x, z = rng.standard_normal((2, 16, 2)).astype("float32")
    report = game.discriminator_step(x, z) | game.generator_step(z)
    game.end_round()
    return {name: float(value) for name, value in report.items()}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda game: pickle.loads(pickle.dumps(game))])
def test_a_copy_of_a_game_trains_by_itself_and_as_the_original_would(copied):
    original = _with_noise_and_penalty(numpy.random.default_rng(0))
    _a_round(original, numpy.random.default_rng(1))
    twin = copied(original)
    before = {name: part.state_dict() for name, part in original.parts().items()}
    reports = [_a_round(twin, numpy.random.default_rng(seed)) for seed in (2, 3)]
    for name, state in before.items():
        for key, value in original.parts()[name].state_dict().items():
            numpy.testing.assert_array_equal(value, state[key], err_msg=f"{name} {key}")
    assert [_a_round(original, numpy.random.default_rng(seed)) for seed in (2, 3)] == reports
    for name, part in original.parts().items():
        for key, value in part.state_dict().items():
            numpy.testing.assert_array_equal(twin.parts()[name].state_dict()[key], value)


@pytest.mark.parametrize("name", gan.OBJECTIVES)
def test_objectives_can_be_pickled(name):
    objective = pickle.loads(pickle.dumps(gan.objective(name)))
    logits = numpy.random.default_rng(0).standard_normal((2, 5, 1))
    expected = gan.objective(name).discriminator(*logits)
    for mine, other in zip(objective.discriminator(*logits), expected, strict=True):
        numpy.testing.assert_array_equal(mine, other)


def _players():
    rng = numpy.random.default_rng(0)
    return nn.Linear(2, 2, rng=rng), nn.Linear(2, 1, rng=rng)


def test_an_optimizer_of_the_other_player_is_refused():
    G, D = _players()
    with pytest.raises(
        ValueError, match="The optimizer of the generator updates the parameters of another net"
    ):
        gan.Game(G, D, optim.Adam(D), optim.Adam(G))
    with pytest.raises(ValueError, match="updates the parameters of another net"):
        gan.Game(G, D, optim.Adam([G, D]), optim.Adam(D))


def test_averages_and_schedulers_of_other_nets_are_refused():
    G, D = _players()
    moves = optim.Adam(G), optim.Adam(D)
    for other in (D, copy.deepcopy(G)):
        average = optim.ExponentialMovingAverage(other, decay=0.9)
        with pytest.raises(ValueError, match="follows another net than its generator"):
            gan.Game(G, D, *moves, average=average)
    linear = optim.schedules.parse("linear")
    foreign = optim.Scheduler([moves[0], optim.Adam(nn.Linear(2, 2))], linear, steps=3)
    with pytest.raises(ValueError, match="an optimizer that isn't in the game"):
        gan.Game(G, D, *moves, scheduler=foreign)
    average = optim.ExponentialMovingAverage(G, decay=0.9)
    gan.Game(G, D, *moves, average=average, scheduler=optim.Scheduler(moves[0], linear, steps=3))


def test_an_optimizer_of_a_part_of_its_player_is_welcome():
    G, D = _players()
    deep = nn.Sequential(D, nn.LeakyReLU(), nn.Linear(1, 1))
    gan.Game(G, deep, optim.Adam(G), optim.Adam(deep[2]))


CHANGES = {
    "a layer replaced": lambda net: setattr(net, "head", nn.Linear(2, 2)),
    "a layer added": lambda net: net.more.append(nn.Linear(2, 2)),
    "a layer removed": lambda net: net.more.pop(),
    "a parameter replaced": lambda net: setattr(
        net.head, "weight", nn.Parameter(net.head.weight.value.copy())
    ),
}


class Grown(nn.Layer):
    """A chain that can be changed."""

    def __init__(self):
        self.head, self.more = nn.Linear(2, 2), [nn.Linear(2, 2)]

    def forward(self, x, *, train=True):
        chain = nn.Sequential(self.head, *self.more)
        y, cache = chain.forward(x, train=train)
        return y, nn.Cache(self, y, chain, cache)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        chain, inner = cache.recall(self, dy)
        return chain.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)


@pytest.mark.parametrize("change", CHANGES)
def test_an_optimizer_made_before_its_net_was_complete_is_refused(change):
    words = "The net of this Adam has other parameters than when it was made"
    (_, D), G = _players(), Grown()
    early = optim.Adam(G)
    CHANGES[change](G)
    with pytest.raises(ValueError, match=words):
        gan.Game(G, D, early, optim.Adam(D))
    with pytest.raises(ValueError, match=words):
        early.step()
    gan.Game(G, D, optim.Adam(G), optim.Adam(D))


@pytest.mark.parametrize("change", CHANGES)
def test_a_net_that_changes_while_it_is_trained_is_noticed_soon(change):
    G = Grown()
    optimizer = optim.Adam(G)
    for _ in range(3):
        optimizer.step()
    CHANGES[change](G)
    for _ in range(47):
        optimizer.step()
    with pytest.raises(ValueError, match="make the optimizer after the net is complete"):
        optimizer.step()


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("generator", "G", "The generator is 'G', but must be a net"),
        ("discriminator", None, "The discriminator is None, but must be a net"),
        ("generator_optimizer", None, "The optimizer of the generator is None, which can't update"),
        ("discriminator_optimizer", optim.Adam, "The optimizer of the discriminator is <class"),
        ("discriminator_optimizer", {"lr": 1}, "The optimizer of the discriminator is {'lr': 1}"),
        ("penalties", None, "The penalties of a game are a list of functions, got None"),
        ("penalties", min, "The penalties of a game are a list of functions, got <built-in"),
        ("before_step", 3, r"The before_step of a game is a function \(player\), got 3"),
        ("after_discriminator_step", "clip", "The after_discriminator_step of a game is a fun"),
    ],
)
def test_parts_of_another_kind_are_refused(part, wrong, message):
    G, D = _players()
    parts = {
        "generator": G, "discriminator": D,
        "generator_optimizer": optim.Adam(G), "discriminator_optimizer": optim.Adam(D),
    }  # fmt: skip
    with pytest.raises(TypeError, match=message):
        gan.Game(**(parts | {part: wrong}))


def test_a_string_is_no_objective():
    G, D = _players()
    with pytest.raises(
        TypeError,
        match=r"needs an objective, got 'hinge'; write for example gan.objective\('hinge'\)",
    ):
        gan.Game(G, D, optim.Adam(G), optim.Adam(D), objective="hinge")


def test_a_sigmoid_before_a_loss_on_logits_is_warned_of():
    G, D = _players()
    inner = nn.Sequential(D, nn.Sequential(nn.Sigmoid()))
    with pytest.warns(
        UserWarning, match="ends in a Sigmoid, but the objective 'non-saturating' takes logits"
    ) as told:
        gan.Game(G, inner, optim.Adam(G), optim.Adam(inner))
    assert told[0].filename == __file__
    empty = nn.Sequential(D, nn.Sequential())
    gan.Game(G, empty, optim.Adam(G), optim.Adam(empty))
    gan.Game(G, inner, optim.Adam(G), optim.Adam(inner), objective=gan.objective("least-squares"))


@pytest.mark.parametrize(
    ("last", "objective"),
    [(nn.Sigmoid, "wasserstein"), (nn.Sigmoid, "hinge"), (nn.Sigmoid, "relativistic"),
     (nn.Softmax, "non-saturating"), (nn.Tanh, "saturating"), (nn.ReLU, "wasserstein")],
)  # fmt: skip
def test_logits_that_are_bounded_are_warned_of(last, objective):
    G, D = _players()
    inner = nn.Sequential(D, last())
    with pytest.warns(UserWarning, match=f"ends in a {last.__name__}, .* any size and sign"):
        gan.Game(G, inner, optim.Adam(G), optim.Adam(inner), objective=gan.objective(objective))


def test_players_that_share_parameters_are_refused():
    G, D = _players()
    for one, other in ((G, G), (G, nn.Sequential(G, D))):
        with pytest.raises(ValueError, match=r"share parameters.*layers of their own"):
            gan.Game(one, other, optim.Adam(one), optim.Adam(other))


def test_a_game_without_its_parts_says_what_to_write():
    game = gan.BaseGame()
    for missing in ("parts", "draw", "play"):
        with pytest.raises(TypeError, match=f"write its method {missing}"):
            getattr(game, missing)(*((None, None) if missing == "draw" else ()))
    with pytest.raises(ValueError, match="can't be sampled"):
        game.inputs(3, numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="can't be sampled"):
        game.sample(None)


class Watched(nn.Sequential):
    """A net that notes, at a call, how many caches of another one there are."""

    def watch(self, method, other):
        inner, self.seen = getattr(self, method), []

        def noted(*args, **settings):
            caches = [o for o in gc.get_objects() if type(o) is Cache and o.owner is other]
            self.seen.append(len(caches))
            return inner(*args, **settings)

        setattr(self, method, noted)


def test_caches_that_nobody_needs_any_more_are_gone():
    # On the largest benchmark, what G kept for the fakes of D's step was 60 MiB.
    game = image_game()
    game.generator = Watched(*game.generator.sequence)
    game.discriminator = Watched(*game.discriminator.sequence)
    real, z = batch()
    game.discriminator.watch("forward", game.generator)
    game.discriminator_step(real, z)
    assert game.discriminator.seen == [0, 0]
    game.generator.watch("backward", game.discriminator)
    game.generator_step(z)
    assert game.generator.seen == [0]
