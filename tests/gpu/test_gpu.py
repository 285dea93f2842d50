"""On a GPU: the kernels, cuBLAS and graphs that elsewhere run on the CPU. The riskiest come
first.
"""

import copy
import types

import numpy
import pytest
from whole_games import CANCELLING, damp
from zoo_files import samples_for

from minigan import backend, gan, nn, optim, recipes
from minigan.backend import Reference, Window
from minigan.backend.cuda import StepGraph, philox
from minigan.gan.penalties import r1
from minigan.runs.assembly import assemble

NUMPY = Reference(numpy, "cpu")


@pytest.fixture(scope="module")
def ops():
    return backend.get("cuda")


def _normal(*shape, seed=0):
    return numpy.random.default_rng(seed).standard_normal(shape, "float32")


def _close(ops, ours, theirs, rtol=1e-5):
    ours, theirs = ops.to_numpy(ours), numpy.asarray(theirs)
    numpy.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * (1e-30 + abs(theirs).max()))


# ------------------------------------------------------------ 1. products on our own handle, record


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_on_our_own_handle(ops, dtype):
    a, b = _normal(130, 70).astype(dtype), _normal(70, 33, seed=1).astype(dtype)
    there_a, there_b = ops.asarray(a), ops.asarray(b)
    _close(ops, ops.matmul(there_a, there_b), a @ b)
    _close(ops, ops.matmul(ops.asarray(a.T.copy()).T, there_b), a @ b)
    _close(ops, ops.matmul(there_a, ops.asarray(b.T.copy()).T), a @ b)
    _close(ops, ops.matmul(there_a, there_b[:, 0].copy()), a @ b[:, 0])


def test_a_product_can_be_recorded_and_replayed_on_new_numbers(ops):
    cuda = ops.xp.cuda
    stream, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
    a, b = ops.asarray(_normal(64, 32)), ops.asarray(_normal(32, 16, seed=1))
    cuda.Device().synchronize()
    with stream, cuda.using_allocator(pool.malloc):
        ops.matmul(a, b)
        stream.begin_capture()
        c = ops.matmul(a, b)
        graph = stream.end_capture()
        new = _normal(64, 32, seed=2)
        a.set(new)
        graph.launch(stream)
        stream.synchronize()
    _close(ops, c, new @ _normal(32, 16, seed=1))


def test_strict_precision_is_strict_and_tf32_is_not(ops):
    a, b = _normal(512, 512), _normal(512, 512, seed=1)
    exact = a.astype("float64") @ b.astype("float64")
    errors = {}
    try:
        for precision in ("float32", "tf32"):
            ops.precision = precision
            errors[precision] = abs(
                ops.to_numpy(ops.matmul(ops.asarray(a), ops.asarray(b))) - exact
            ).max()
    finally:
        ops.precision = "float32"
    assert errors["float32"] < 1e-3
    assert 10 * errors["float32"] < errors["tf32"] < 0.2


# ---------------------------------------------------------------- 2. kernels against their twins

WINDOWS = [
    Window((4, 4), (2, 2), (1, 1)),
    Window((3, 2), (1, 2), (0, 1)),
    Window((4, 4), (1, 1), (0, 0)),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_patches(ops, window, channels):
    x = _normal(5, 12, 10, channels)
    patches = NUMPY.unfold(x, window)
    numpy.testing.assert_array_equal(ops.to_numpy(ops.unfold(ops.asarray(x), window)), patches)
    _close(
        ops, ops.fold(ops.asarray(patches), x.shape, window), NUMPY.fold(patches, x.shape, window)
    )


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_upsampling(ops, channels):
    x = _normal(5, 6, 10, channels)
    numpy.testing.assert_array_equal(
        ops.to_numpy(ops.upsample(ops.asarray(x), (2, 3))), NUMPY.upsample(x, (2, 3))
    )
    _close(ops, ops.upsample_grad(ops.asarray(x), (3, 2)), NUMPY.upsample_grad(x, (3, 2)))


@pytest.mark.parametrize(
    "shape", [(1, 1), (100_000, 1), (128 * 32 * 32, 64), (128, 16, 16, 100), (3, 1000)]
)
def test_reductions_and_normalisation(ops, shape):
    x, dy = _normal(*shape) * 2 + 1, _normal(*shape, seed=1)
    there, dthere = ops.asarray(x), ops.asarray(dy)
    wide = x.astype("float64").reshape(-1, shape[-1])
    _close(ops, ops.sum_rows(there), wide.sum(axis=0))
    _close(
        ops, ops.sum_products(there, dthere), (wide * dy.reshape(wide.shape)).sum(axis=0), rtol=1e-4
    )
    mean, variance = ops.moments(there)
    _close(ops, mean, wide.mean(axis=0))
    _close(ops, variance, wide.var(axis=0))
    vectors = [_normal(shape[-1], seed=i) for i in range(2, 6)]
    on_device = [ops.asarray(v) for v in vectors]
    for ours, theirs in zip(
        ops.standardise(there, *on_device), NUMPY.standardise(x, *vectors), strict=True
    ):
        _close(ops, ours, theirs)
    _close(
        ops,
        ops.standardise_grad(dthere, there, *on_device[:3]),
        NUMPY.standardise_grad(dy, x, *vectors[:3]),
    )


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(1, 1), (100_000, 1), (128, 16, 16, 100), (3, 1000)])
def test_normalisation_and_a_leaky_relu_at_once(ops, shape, slope):
    x, dy = _normal(*shape) * 2 + 1, _normal(*shape, seed=1)
    wide = x.astype("float64"), dy.astype("float64")
    vectors = [_normal(shape[-1], seed=i).astype("float64") for i in range(2, 6)]
    there, dthere, *on_device = (ops.asarray(a, "float32") for a in (*wide, *vectors))
    for ours, theirs in zip(
        ops.standardise_leaky_relu(there, *on_device, slope),
        NUMPY.standardise_leaky_relu(wide[0], *vectors, slope),
        strict=True,
    ):
        _close(ops, ours, theirs)
    # A sign next to 0 may be rounded to the other side.
    sign = abs(vectors[1] * wide[0] + vectors[2]) > 1e-4
    dthere *= ops.asarray(sign, "float32")
    ours = ops.standardise_leaky_relu_grad(dthere, there, *on_device[:3], slope)
    theirs = NUMPY.standardise_leaky_relu_grad(wide[1] * sign, wide[0], *vectors[:3], slope)
    for mine, other in zip(ours, theirs, strict=True):
        _close(ops, mine, other, rtol=1e-4)
    for mine, other in zip(
        ops.sums(there, dthere), NUMPY.sums(wide[0], wide[1] * sign), strict=True
    ):
        _close(ops, mine, other, rtol=1e-4)


def test_running_averages_and_roots(ops):
    running, new = _normal(1000), _normal(1000, seed=1)
    there = ops.asarray(running)
    ops.follow(there, ops.asarray(new), 0.1, 1.25)
    _close(ops, there, running + 0.1 * (1.25 * new - running))
    _close(ops, ops.inverse_root(ops.asarray(new**2), 1e-5), 1 / numpy.sqrt(new**2 + 1e-5))


def test_elementwise_loss_and_adam(ops):
    x, dy = _normal(300, 77), _normal(300, 77, seed=1)
    _close(ops, ops.leaky_relu(ops.asarray(x), 0.2), NUMPY.leaky_relu(x, 0.2))
    _close(
        ops,
        ops.leaky_relu_grad(ops.asarray(dy), ops.asarray(x), 0.2),
        NUMPY.leaky_relu_grad(dy, x, 0.2),
    )
    bias = _normal(77, seed=2)
    for name, rest in (("bias_leaky_relu", (0.2,)), ("bias_tanh", ()), ("bias_sigmoid", ())):
        _close(
            ops,
            getattr(ops, name)(ops.asarray(x), ops.asarray(bias), *rest),
            getattr(NUMPY, name)(x, bias, *rest),
        )
    logits = _normal(500, 1) * 20
    _close(ops, ops.mean_probability(ops.asarray(logits)), NUMPY.mean_probability(logits))
    for ours, theirs in zip(
        ops.bce_with_logits(ops.asarray(logits), 0.9),
        NUMPY.bce_with_logits(logits, 0.9),
        strict=True,
    ):
        _close(ops, ours, theirs)
    host = [_normal(100_003, seed=i) for i in range(3)] + [_normal(100_003, seed=3) ** 2]
    there = [ops.asarray(a) for a in host]
    options = {"lr": 2e-3, "betas": (0.5, 0.999), "eps": 1e-8, "t": 3}
    NUMPY.adam(*host, **options)
    ops.adam(*there, **options)
    for ours, theirs in zip(there, host, strict=True):
        _close(ops, ours, theirs)


def test_dropout_masks_are_the_twin_s(ops):
    mask = ops.dropout_mask((1003, 7), 0.3, numpy.dtype("float32"), numpy.random.default_rng(5))
    seed = int(numpy.random.default_rng(5).integers(2**63))
    numpy.testing.assert_array_equal(
        ops.to_numpy(mask).ravel(), philox.dropout_mask(1003 * 7, 0.3, seed)
    )


# ---------------------------------------------------------------- 3. nets and whole steps


def _trainer(name, device, *, cuda_graph=False, batch=16, penalties=None):
    recipe = recipes.get(name)
    samples = samples_for(recipe, 64)
    trainer = assemble(
        recipe, recipe.settings.changed(batch_size=batch), samples, seed=0, device=device
    ).trainer
    if penalties is not None:
        trainer.game.penalties = penalties
    return gan.Trainer(
        trainer.game, trainer.source, rng=trainer.rng, noise=trainer.noise, cuda_graph=cuda_graph
    )


def _draws(trainer):
    nets = trainer.game.players().values()
    return any(isinstance(layer, nn.Dropout) for net in nets for _, layer in net.layers())


@pytest.mark.parametrize("name", recipes.names())
def test_a_round_of_every_recipe_is_that_of_the_cpu(name):
    there, here = _trainer(name, "cuda"), _trainer(name, "cpu")
    if _draws(here):
        pytest.skip("each device has dropout masks of its own")
    for trainer in (there, here) if name in CANCELLING else ():
        damp(trainer)
    for _ in range(2):
        report, expected = there.train_step(), here.train_step()
        for key, value in expected.items():
            assert float(report[key]) == pytest.approx(float(value), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", recipes.names())
def test_replayed_training_equals_ordinary_training_over_100_steps(name):
    recorded, ordinary = _trainer(name, "cuda", cuda_graph=True), _trainer(name, "cuda")
    for _ in range(100):
        report, expected = recorded.train_step(), ordinary.train_step()
    assert recorded._play.recorded
    for key, value in expected.items():
        assert float(report[key]) == pytest.approx(float(value), rel=1e-5)
    for player in ordinary.game.players():
        ours, theirs = (t.game.players()[player].state_dict() for t in (recorded, ordinary))
        for key, a in theirs.items():
            numpy.testing.assert_allclose(
                backend.to_numpy(ours[key]), backend.to_numpy(a), rtol=1e-5, atol=1e-6
            )


def _same(ours, theirs):
    (ours, _), (theirs, _) = ours.state(), theirs.state()
    for key, a in theirs.items():
        numpy.testing.assert_allclose(
            backend.to_numpy(ours[key]), backend.to_numpy(a), rtol=1e-5, atol=1e-6, err_msg=key
        )


def test_by_default_rounds_are_recorded_and_see_what_changes_in_python():
    recorded, ordinary = (_trainer("ring", "cuda", cuda_graph=graph) for graph in (None, False))
    hinge, least_squares = map(gan.objective, ("hinge", "least-squares"))
    for step in range(20):
        for trainer in (recorded, ordinary):
            trainer.game.discriminator_optimizer.eps = 1e-8 * (1 + step // 7)
            trainer.game.objective = hinge if step > 11 else least_squares
            trainer.train_step()
    assert recorded._play.recorded
    assert ordinary._graph is None
    _same(recorded, ordinary)


def _waits(critic, real, fake):
    """A penalty that looks at a number on the device."""
    return r1(critic, real, gamma=float(real.max()))


def _draws_on_the_host(critic, real, fake):
    """One that sends numbers of the host."""
    return r1(critic, real + backend.of(real).asarray(numpy.zeros(2, "float32")))


def _as_minigans(function):
    """The same function, as if it had been written in minigan."""
    place = {**function.__globals__, "__name__": "minigan.gan.penalties"}
    return types.FunctionType(function.__code__, place, function.__name__)


@pytest.mark.parametrize("penalty", [_waits, _draws_on_the_host])
def test_a_round_that_cannot_be_recorded_is_played_as_it_is_with_a_warning(penalty):
    made = [
        _trainer("ring", "cuda", cuda_graph=graph, penalties=[_as_minigans(penalty)])
        for graph in (None, False)
    ]
    for trainer in made:
        for _ in range(3):
            trainer.train_step()
    with pytest.warns(RuntimeWarning, match="can't be recorded"):
        made[0].train_step()
    made[1].train_step()
    for trainer in made:
        trainer.run(9)
    _same(*made)


def test_the_learning_rate_reaches_a_recorded_step(ops):
    def player():
        net = nn.Linear(3, 1, rng=numpy.random.default_rng(0)).to(ops)
        return net, optim.Adam(net, lr=0.1)

    def step(net, optimizer):
        def one(x):
            optimizer.zero_grad()
            y, cache = net.forward(x)
            net.backward(y, cache, input_grad=False)
            optimizer.step()
            return {"loss": (y * y).mean()}

        return one

    (net, adam), (other, other_adam) = player(), player()
    graph = StepGraph(ops, step(net, adam), optimizers=[adam], warm_up=1)
    for index in range(9):
        adam.lr = other_adam.lr = 0.1 / (1 + index // 3)
        x = _normal(8, 3, seed=index)
        graph(x=x)
        step(other, other_adam)(ops.asarray(x))
    _close(ops, net.weight.value, ops.to_numpy(other.weight.value), rtol=1e-6)
    assert len(graph.reports()["loss"]) == 9


@pytest.mark.parametrize("cuda_graph", [False, True], ids=["eager", "graph"])
def test_losses_that_are_read_now_and_then_are_those_of_every_step(cuda_graph):
    class Seen(gan.Callback):
        reports = ()

        def due(self, step):
            return False

        def on_step(self, trainer, report):
            self.reports += tuple(trainer.reports)

    found = []
    for every in (1, 50):
        trainer, seen = _trainer("ring", "cuda", cuda_graph=cuda_graph), Seen()
        trainer.read_every = every
        trainer.run(110, [seen])
        found.append(dict(seen.reports))
    assert list(found[1]) == list(range(1, 111))
    for step, report in found[0].items():
        assert found[1][step] == pytest.approx(report, rel=1e-4, abs=1e-5)


def test_a_mixture_of_devices_is_refused_and_a_state_travels(ops):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4))
    there = copy.deepcopy(net).to("cuda")
    with pytest.raises(TypeError, match="lives on 'cuda'"):
        there.forward(_normal(5, 3))
    net.load_state_dict(there.state_dict())
    there.load_state_dict(net.state_dict())


def test_float64_works_too(ops):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).astype("float64").to("cuda")
    x = ops.asarray(_normal(5, 3), "float64")
    y, cache = net.forward(x)
    dx = net.backward(y, cache)
    other = copy.deepcopy(net).to("cpu")
    y, cache = other.forward(ops.to_numpy(x))
    _close(ops, dx, other.backward(y, cache), rtol=1e-12)
