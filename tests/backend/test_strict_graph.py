"""A recorded training step equals an ordinary one, on a device whose graphs freeze what CUDA's
freeze.
"""

import gc
import weakref

import numpy
import pytest
from strict_array import StrictArray
from strict_cuda import strict_cuda

from minigan import nn, optim
from minigan.backend.cuda import StepGraph
from minigan.backend.cuda.graph import MASKS, Recording
from minigan.gan import Game, Latent, objective
from minigan.gan.taming import WAYS, tame

BATCH, LATENT = 6, 5


ELSEWHERE = ("augment", "minibatch-stddev", "virtual-batch-norm", "historical-averaging")
"""Ways that need other nets, or can't be recorded."""


def _nets(kind, seed=0):
    rng, noise = numpy.random.default_rng(seed), numpy.random.default_rng(seed + 1)
    if kind == "mlp":
        g = nn.Sequential(nn.Linear(LATENT, 8, rng=rng), nn.LeakyReLU(), nn.Linear(8, 2, rng=rng))
        d = nn.Sequential(nn.Linear(2, 8, rng=rng), nn.LeakyReLU(), nn.Linear(8, 1, rng=rng))
        return g, d, (2,)
    if kind == "flat-images":
        g = nn.Sequential(nn.Linear(LATENT, 48, rng=rng), nn.Reshape(4, 4, 3))
        d = nn.Sequential(
            nn.Flatten(), nn.Linear(48, 8, rng=rng), nn.LeakyReLU(), nn.Linear(8, 1, rng=rng)
        )
        return g, d, (4, 4, 3)
    g = nn.Sequential(
        nn.Linear(LATENT, 2 * 2 * 4, rng=rng), nn.Reshape(2, 2, 4), nn.BatchNorm(4), nn.ReLU(),
        nn.ConvTranspose2d(4, 3, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.spectral_norm(nn.Conv2d(3, 4, kernel_size=4, stride=2, padding=1, rng=rng), rng=rng),
        nn.LeakyReLU(),
        nn.Dropout(0.3, rng=noise),
        nn.BatchNorm(4),
        nn.Upsample(2),
        nn.Flatten(),
        nn.Linear(64, 1, rng=rng),
    )
    return g, d, (4, 4, 3)


class Player:
    """A game on its own device, with the step that a graph records."""

    def __init__(
        self, kind, *, optimizer=optim.Adam, objective_name="non-saturating", d_steps=1, ways=()
    ):
        self.ops = strict_cuda()
        g, d, self.shape = _nets(kind)
        taming = tame(d, ways, rng=numpy.random.default_rng(3), generator=g, latent=Latent(LATENT))
        g, d = taming.generator, taming.discriminator
        g.to(self.ops)
        d.to(self.ops)
        self.game = Game(
            g,
            d,
            optimizer(g, lr=0.01),
            optimizer(d, lr=0.02),
            objective=objective(objective_name),
            penalties=taming.penalties,
            before_step=taming.before_step,
            after_discriminator_step=taming.after_discriminator_step,
            **taming.pulls(generator=g, discriminator=d),
        )
        self.optimizers = self.game.discriminator_optimizer, self.game.generator_optimizer
        self.d_steps = d_steps

    def step(self, real, z_d, z_g):
        real, z_d, z_g = (self.ops.asarray(a) for a in (real, z_d, z_g))
        for _ in range(self.d_steps):
            report = self.game.discriminator_step(real, z_d)
        return report | self.game.generator_step(z_g, real)

    def state(self):
        state = {f"g.{k}": v for k, v in self.game.generator.state_dict().items()}
        state |= {f"d.{k}": v for k, v in self.game.discriminator.state_dict().items()}
        for i, o in enumerate(self.optimizers):
            state |= {
                f"o{i}.{k}": v for k, v in o.state_dict().items() if isinstance(v, StrictArray)
            }
        return {name: self.ops.to_numpy(a) for name, a in state.items()}


def _inputs(shape, steps, batch=BATCH):
    rng = numpy.random.default_rng(7)
    for _ in range(steps):
        yield {
            "real": rng.standard_normal((batch, *shape), "float32"),
            "z_d": rng.standard_normal((batch, LATENT), "float32"),
            "z_g": rng.standard_normal((batch, LATENT), "float32"),
        }


def _assert_same(ours, theirs):
    for name, a in theirs.state().items():
        numpy.testing.assert_array_equal(ours.state()[name], a, err_msg=name)
    assert [o.t for o in ours.optimizers] == [o.t for o in theirs.optimizers]


@pytest.mark.parametrize(
    ("kind", "steps", "options"),
    [
        ("mlp", 100, {}),
        ("images", 12, {}),
        ("mlp", 8, {"d_steps": 2}),
        ("mlp", 8, {"optimizer": optim.RMSprop, "objective_name": "wasserstein"}),
        ("mlp", 8, {"optimizer": optim.SGD, "objective_name": "hinge"}),
        ("mlp", 8, {"optimizer": optim.AdamW}),
        ("mlp", 8, {"objective_name": "relativistic"}),
        ("mlp", 8, {"objective_name": "least-squares"}),
        *[("mlp", 6, {"ways": (way,)}) for way in WAYS if way not in ELSEWHERE],
        ("images", 6, {"ways": ("virtual-batch-norm:3",)}),
        (
            "flat-images",
            6,
            {"ways": ("augment", "instance-noise", "dropout", "minibatch-stddev:3")},
        ),
    ],
)
def test_replayed_training_equals_ordinary_training_bit_for_bit(kind, steps, options):
    recorded, ordinary = Player(kind, **options), Player(kind, **options)
    graph = StepGraph(recorded.ops, recorded.step, optimizers=recorded.optimizers, capacity=16)
    reports = []
    for index, inputs in enumerate(_inputs(recorded.shape, steps)):
        graph(**inputs)
        reports.append({name: value.item() for name, value in ordinary.step(**inputs).items()})
        assert graph.recorded == (index >= 3)
        if index % 10 == 9:
            kept = graph.reports()
            for name, values in kept.items():
                assert values.tolist() == [r[name] for r in reports[index - 9 :]]
    assert recorded.ops.xp.cuda.log.count("begin_capture") == 1
    _assert_same(recorded, ordinary)


class OwnSGD(optim.SGD):
    """Reads its learning rate when it is recorded."""

    rate_moves = False

    def update(self, theta, g):
        theta -= self.lr * g


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.AdamW, optim.SGD, optim.RMSprop, OwnSGD])
def test_a_learning_rate_may_change_between_replays(optimizer):
    recorded, ordinary = (Player("mlp", optimizer=optimizer) for _ in range(2))
    graph = StepGraph(recorded.ops, recorded.step, optimizers=recorded.optimizers, warm_up=1)
    for index, inputs in enumerate(_inputs(recorded.shape, 9)):
        for player in (recorded, ordinary):
            player.optimizers[0].lr = 0.01 / (1 + index // 3)
        graph(**inputs)
        ordinary.step(**inputs)
    _assert_same(recorded, ordinary)
    # On the device it moves; where it froze, the step is recorded anew.
    captures = recorded.ops.xp.cuda.log.count("begin_capture")
    assert captures == (3 if optimizer is OwnSGD else 1)


def test_two_optimizers_of_the_same_parameters_are_refused():
    player = Player("mlp")
    twice = [player.optimizers[1], optim.Adam(player.game.generator, lr=0.1)]
    with pytest.raises(ValueError, match="Two optimizers move the same parameters"):
        StepGraph(player.ops, player.step, optimizers=twice)


def test_the_outer_stream_waits_for_the_graph_s_after_an_error_too():
    player = Player("mlp")

    def fails(**inputs):
        raise ArithmeticError("no")

    graph = StepGraph(player.ops, fails, optimizers=player.optimizers, warm_up=1)
    with pytest.raises(ArithmeticError):
        graph(**next(_inputs(player.shape, 1)))
    own = graph._stream.ptr
    assert player.ops.xp.cuda.log[-2:] == [f"record {own}", f"0 waits for {own}"]


def test_a_recording_that_is_dropped_is_gone_at_once():
    player = Player("images")  # with dropout
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=1)
    for inputs in _inputs(player.shape, 2):
        graph(**inputs)
    (replay,) = graph._replays.values()
    recording = weakref.ref(replay.recording)
    del replay
    gc.disable()  # a collection in the middle of another recording would free memory there
    try:
        del graph
        assert recording() is None
    finally:
        gc.enable()


def test_an_optimizer_that_cannot_be_recorded_says_so():
    player = Player("mlp", optimizer=optim.AMSGrad)
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=1)
    first, second = _inputs(player.shape, 2)
    graph(**first)
    with pytest.raises(ValueError, match="AMSGrad's step can't be recorded"):
        graph(**second)


def test_historical_averaging_cannot_be_recorded_and_says_so():
    player = Player("mlp", ways=("historical-averaging",))
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=1)
    first, second = _inputs(player.shape, 2)
    graph(**first)
    with pytest.raises(ValueError, match="Historical averaging can't be recorded"):
        graph(**second)


def test_a_loaded_state_continues_under_the_graph():
    recorded, ordinary = Player("mlp"), Player("mlp")
    graph = StepGraph(recorded.ops, recorded.step, optimizers=recorded.optimizers, warm_up=1)
    inputs = list(_inputs(recorded.shape, 6))
    for one in inputs[:4]:
        graph(**one)
        ordinary.step(**one)
    states = [o.state_dict() for o in recorded.optimizers]
    for player in (recorded, ordinary):
        for o, state in zip(player.optimizers, states, strict=True):
            o.load_state_dict(state | {"t": numpy.asarray(400)})
    for one in inputs[4:]:
        graph(**one)
        ordinary.step(**one)
    _assert_same(recorded, ordinary)


def test_a_batch_of_another_size_runs_as_it_is():
    recorded, ordinary = Player("mlp"), Player("mlp")
    graph = StepGraph(recorded.ops, recorded.step, optimizers=recorded.optimizers, warm_up=1)
    for batch in (6, 6, 4, 6, 6):
        for inputs in _inputs(recorded.shape, 1, batch):
            graph(**inputs)
            ordinary.step(**inputs)
    _assert_same(recorded, ordinary)
    assert recorded.ops.xp.cuda.log.count("begin_capture") == 1
    assert len(graph.reports()["loss_d"]) == 5


def test_each_kind_of_step_has_a_graph_of_its_own():
    """A step in which D moves twice every third time, and a number of the host that changes."""
    recorded, ordinary = Player("mlp"), Player("mlp")

    def step_of(player):
        def step(real, z_d, z_g):
            share = player.ops.number(lambda: player.share, "float32")
            player.d_steps = 1 + player.twice
            return player.step(player.ops.asarray(real) * share, z_d, z_g)

        return step

    graph = StepGraph(
        recorded.ops, step_of(recorded), optimizers=recorded.optimizers, warm_up=1,
        kind=lambda: recorded.twice,
    )  # fmt: skip
    one = step_of(ordinary)
    told = []
    for index, inputs in enumerate(_inputs(recorded.shape, 12)):
        for player in (recorded, ordinary):
            player.twice, player.share = index % 3 == 2, 1 / (1 + index)
            player.optimizers[1].lr = 0.01 / (1 + index // 4)
        assert graph.recorded == (index >= (6 if recorded.twice else 2))
        graph(**inputs)
        told.append(one(**inputs)["loss_d"].item())
    _assert_same(recorded, ordinary)
    assert recorded.ops.xp.cuda.log.count("begin_capture") == 2
    assert graph.reports()["loss_d"].tolist() == told


def test_names_come_and_go_in_the_reports_of_steps():
    one = OneNet(optim.SGD, recorded=False)
    several = [False]

    def step(x):
        report = one._step(x)
        return report | {"squared": report["loss"] * report["loss"]} if several[0] else report

    graph = StepGraph(one.ops, step, optimizers=[one.optimizer], warm_up=1, kind=lambda: several[0])
    rng, expected = numpy.random.default_rng(1), []
    for more in [False] * 4 + [True] * 4 + [False] * 3:
        several[0] = more
        report = graph(one.ops.asarray(rng.standard_normal((8, 3), "float32")))
        expected.append({name: float(one.ops.to_numpy(value)) for name, value in report.items()})
    assert [len(told) for told in expected] == [1] * 4 + [2] * 4 + [1] * 3
    table = graph.reports()
    assert table["loss"].tolist() == [told["loss"] for told in expected]
    numpy.testing.assert_array_equal(
        table["squared"], [told.get("squared", numpy.nan) for told in expected]
    )
    graph._read = 0
    assert graph.last(11) == expected


def test_arrays_of_the_device_may_be_fed_too():
    recorded, ordinary = Player("mlp"), Player("mlp")
    graph = StepGraph(recorded.ops, recorded.step, optimizers=recorded.optimizers, warm_up=1)
    for inputs in _inputs(recorded.shape, 4):
        graph(**{name: recorded.ops.asarray(x) for name, x in inputs.items()})
        ordinary.step(**inputs)
    _assert_same(recorded, ordinary)


def test_streams_wait_for_each_other():
    player = Player("mlp")
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=1)
    log = player.ops.xp.cuda.log
    for inputs in _inputs(player.shape, 2):
        log.clear()
        graph(**inputs)
    own = graph._stream.ptr
    assert log == [
        "record 0", f"{own} waits for 0", "begin_capture", "end_capture", f"launch on {own}",
        f"record {own}", f"0 waits for {own}",
    ]  # fmt: skip
    assert player.ops.xp.cuda.current.ptr == 0


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda report, ops: float(report["loss_d"]), "makes the host wait"),
        (lambda report, ops: ops.asarray(numpy.zeros(3, "float32")), "host"),
        (lambda report, ops: ops.to_numpy(report["loss_d"]), "host"),
    ],
)
def test_a_step_that_cannot_be_recorded_says_so_and_leaves_everything_as_it_was(spoil, why):
    player = Player("mlp")

    def step(**inputs):
        report = player.step(**inputs)
        if player.ops.recording is not None:
            spoil(report, player.ops)
        return report

    graph = StepGraph(player.ops, step, optimizers=player.optimizers, warm_up=1)
    first, second, third = _inputs(player.shape, 3)
    graph(**first)
    before = player.state()
    with pytest.raises((RuntimeError, ValueError), match=why):
        graph(**second)
    assert player.ops.recording is None
    assert [o.t for o in player.optimizers] == [1, 1]
    for name, a in player.state().items():
        numpy.testing.assert_array_equal(a, before[name])
    player.step(**third)


def test_an_optimizer_that_the_graph_was_not_told_of_is_refused():
    player = Player("mlp")
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers[:1], warm_up=1)
    first, second = _inputs(player.shape, 2)
    graph(**first)
    with pytest.raises(ValueError, match="wasn't told of"):
        graph(**second)


def test_moving_the_net_after_the_recording_is_refused():
    player = Player("mlp")
    graph = StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=1)
    first, second, third = _inputs(player.shape, 3)
    graph(**first)
    graph(**second)
    player.game.generator.to("cpu").to(player.ops)
    with pytest.raises(ValueError, match="laid out anew"):
        graph(**third)


def test_refusals_and_an_empty_report():
    player = Player("mlp")
    with pytest.raises(ValueError, match="at least one ordinary step"):
        StepGraph(player.ops, player.step, optimizers=player.optimizers, warm_up=0)
    assert StepGraph(player.ops, player.step, optimizers=player.optimizers).reports() == {}
    recording = Recording(player.ops, [])
    rng = numpy.random.default_rng(0)
    for _ in range(MASKS):
        recording.seed_from(rng)
    with pytest.raises(ValueError, match=f"at most {MASKS}"):
        recording.seed_from(rng)


# ---------------------------------------------------------------- what would freeze


class OneNet:
    """A linear layer with an optimizer, recorded after an ordinary step."""

    def __init__(self, optimizer, dtype="float32", *, recorded=True, **numbers):
        self.ops = strict_cuda(fast=True)
        self.ops.xp._float64 = True
        net = nn.Linear(3, 1, rng=numpy.random.default_rng(0)).astype(dtype)
        self.net = net.to(self.ops)
        self.optimizer = optimizer(self.net, lr=0.1, **numbers)
        self.play = self._step
        if recorded:
            self.play = StepGraph(self.ops, self._step, optimizers=[self.optimizer], warm_up=1)

    def _step(self, x):
        self.optimizer.zero_grad()
        y, cache = self.net.forward(x)
        self.net.backward(y, cache, input_grad=False)
        self.optimizer.step()
        return {"loss": (y * y).mean()}

    def run(self, steps, dtype="float32"):
        rng = numpy.random.default_rng(1)
        for _ in range(steps):
            self.play(self.ops.asarray(rng.standard_normal((8, 3)).astype(dtype)))
        return self.ops.to_numpy(self.net.weight.value)


class Decaying(optim.Optimizer):
    """Its step depends on t."""

    def update(self, theta, g):
        theta -= self.lr / self.t * g


class Plain(optim.Optimizer):
    """Its step doesn't."""

    counts = False

    def update(self, theta, g):
        theta -= self.lr * g


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.AdamW])
def test_a_step_count_of_float64_isnt_frozen_but_refused(optimizer):
    with pytest.raises(ValueError, match="Adam's step of float64 can't be recorded"):
        OneNet(optimizer, "float64").run(3, "float64")


def test_an_optimizer_of_ones_own_says_whether_it_counts():
    with pytest.raises(ValueError, match="The step of Decaying can't be recorded"):
        OneNet(Decaying).run(3)
    plain, recorded = OneNet(Plain, recorded=False), OneNet(Plain)
    numpy.testing.assert_array_equal(plain.run(6), recorded.run(6))
    assert recorded.play.recorded


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [(optim.SGD, "momentum", 0.9), (optim.RMSprop, "decay", 0.5), (optim.Adam, "eps", 0.1),
     (optim.Adam, "betas", (0.1, 0.2)), (optim.AdamW, "weight_decay", 0.5)],
)  # fmt: skip
def test_a_number_that_changes_in_the_middle_counts(optimizer, name, value):
    both = OneNet(optimizer, recorded=False), OneNet(optimizer)
    for one in both:
        one.run(4)
        setattr(one.optimizer, name, value)
    changed = [one.run(4) for one in both]
    numpy.testing.assert_allclose(changed[0], changed[1], rtol=1e-6)
    assert not numpy.allclose(changed[1], OneNet(optimizer).run(8))
