"""Losses, optimizers, and a training step of every recipe on the array class that refuses what CuPy
refuses.
"""

import copy
import functools
import types

import numpy
import pytest
from strict_array import StrictNamespace
from strict_cuda import strict_cuda
from whole_games import CANCELLING, damp
from zoo_files import samples_for

from minigan import backend, cli, data, gan, losses, nn, optim, recipes
from minigan.backend.cuda import StepGraph
from minigan.backend.cuda.graph import RECORDINGS
from minigan.gan.objectives import Objective
from minigan.gan.penalties import r1
from minigan.runs.assembly import assemble

BATCH = 2
DEVICES = pytest.mark.parametrize(
    "device", [lambda: StrictNamespace().backend, strict_cuda], ids=["readable", "kernels"]
)


def _normal(*shape, seed=0):
    return numpy.random.default_rng(seed).standard_normal(shape, "float32")


# ---------------------------------------------------------------- losses

ONE = _normal(5, 1)
PROBABILITIES = 1 / (1 + numpy.exp(-ONE))
TARGETS = numpy.full((5, 1), 0.9, "float32")
LABELS = numpy.array([0, 2, 1, 1, 0])
LOSSES = {
    "bce": [(PROBABILITIES, 1.0), (PROBABILITIES, TARGETS)],
    "bce_with_logits": [(ONE, 0.9), (ONE, TARGETS)],
    "cross_entropy": [(_normal(5, 3), LABELS)],
    "hinge_discriminator": [(ONE, _normal(5, 1, seed=1))],
    "hinge_generator": [(ONE,)],
    "huber": [(ONE, 0.5), (ONE, TARGETS)],
    "kl_gaussians": [(_normal(5, 3), _normal(5, 3, seed=1))],
    "l1": [(ONE, 0.5), (ONE, TARGETS)],
    "mse": [(ONE, 0.5), (ONE, TARGETS)],
    "sigmoid": [(ONE,)],
    "softplus": [(ONE,)],
    "wasserstein_critic": [(ONE, _normal(5, 1, seed=1))],
    "wasserstein_generator": [(ONE,)],
}


def test_every_loss_has_a_case():
    assert set(losses.__all__) == set(LOSSES), "give each name of minigan.losses an entry in LOSSES"


@DEVICES
@pytest.mark.parametrize(
    ("name", "arguments"), [(name, a) for name, cases in LOSSES.items() for a in cases]
)
def test_a_loss_on_the_device_is_that_on_the_cpu_and_nobody_waits(name, arguments, device):
    ops = device()
    there = [ops.asarray(a) if isinstance(a, numpy.ndarray) else a for a in arguments]
    with ops.xp.capturing():
        ours = getattr(losses, name)(*there)
    theirs = getattr(losses, name)(*arguments)
    ours, theirs = (r if isinstance(r, tuple) else (r,) for r in (ours, theirs))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == "float32"
        numpy.testing.assert_allclose(ops.to_numpy(mine), other, rtol=2e-6, atol=1e-7)


# ---------------------------------------------------------------- optimizers

OPTIMIZERS = {
    "AMSGrad": [functools.partial(optim.AMSGrad, lr=0.01)],
    "Adam": [functools.partial(optim.Adam, lr=0.01)],
    "AdamW": [functools.partial(optim.AdamW, lr=0.01, weight_decay=0.1)],
    "RMSprop": [functools.partial(optim.RMSprop, lr=0.01, momentum=0.5)],
    "SGD": [
        functools.partial(optim.SGD, lr=0.01),
        functools.partial(optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    ],
}


def test_every_optimizer_has_a_case():
    kinds = {
        n
        for n in optim.__all__
        if isinstance(getattr(optim, n), type) and issubclass(getattr(optim, n), optim.Optimizer)
    }
    assert kinds - {"Optimizer"} == set(OPTIMIZERS), "give each optimizer an entry in OPTIMIZERS"


@DEVICES
@pytest.mark.parametrize("make", [make for cases in OPTIMIZERS.values() for make in cases])
def test_optimizers_clipping_and_averaging_on_the_device_are_those_on_the_cpu(make, device):
    ops = device()
    nets = [
        nn.Sequential(nn.Linear(4, 3, rng=numpy.random.default_rng(0)), nn.BatchNorm(3))
        for _ in range(2)
    ]
    nets[1].to(ops)
    found = []
    for net, host in zip(nets, (backend.get("cpu"), ops), strict=True):
        optimizer = make(net)
        average = optim.ExponentialMovingAverage(net, decay=0.9)
        xp = host.xp
        for step in range(3):
            gradient = host.asarray(_normal(optimizer.flat.grad.size, seed=step))
            with xp.no_sync() if isinstance(xp, StrictNamespace) else _nothing():
                optimizer.zero_grad()
                optimizer.flat.grad[...] = gradient
                optim.clip_by_global_norm(net, 2.0)
                optim.clip_by_norm(net, 0.7, axes=optim.all_but_last)
                optimizer.step()
                optim.clip_weights(net, 0.9)
                average.update()
        state = optimizer.state_dict() | net.state_dict() | average.state_dict()
        found.append({name: backend.to_numpy(a) for name, a in state.items()})
    for name, a in found[0].items():
        numpy.testing.assert_allclose(found[1][name], a, rtol=1e-5, atol=1e-6, err_msg=name)


class _nothing:
    def __enter__(self):
        pass

    def __exit__(self, *exception):
        pass


# ---------------------------------------------------------------- recipes


def _assembled(name, device):
    recipe = recipes.get(name)
    settings = recipe.settings.changed(batch_size=BATCH)
    return assemble(recipe, settings, samples_for(recipe, 16), seed=0, device=device).trainer


@pytest.mark.parametrize("name", recipes.names())
def test_a_round_of_every_recipe_makes_nobody_wait_and_is_that_of_the_cpu(name):
    xp = StrictNamespace()
    here, there = _assembled(name, "cpu"), _assembled(name, xp.backend)
    for trainer in (here, there) if name in CANCELLING else ():
        damp(trainer)
    expected = here.train_step()
    game = there.game
    drawn = backend.tree.mapped(xp.backend.asarray, game.draw(there.source, there.rng))
    _without_host_draws(there, xp)
    with xp.no_sync():
        report = game.play(*drawn)
        game.end_round()
    for key, value in expected.items():
        numpy.testing.assert_allclose(
            float(report[key]), float(value), rtol=1e-4, atol=1e-5, err_msg=key
        )
    lr = max(one.lr for one in here.game.optimizers().values())
    for player in here.game.players():
        ours, theirs = (t.game.players()[player].state_dict() for t in (there, here))
        for key, a in theirs.items():
            numpy.testing.assert_allclose(
                backend.to_numpy(ours[key]), a, rtol=1e-4, atol=2.1 * lr, err_msg=key
            )


def _without_host_draws(trainer, xp):
    """Let the readable dropout and its like bring their numbers over: a recording draws them
    beforehand.
    """
    ops = trainer.game.device

    def outside(function):
        def call(*arguments, **options):
            with xp.no_sync(""):
                return function(*arguments, **options)

        return call

    # Each device has a law of its own from seeds to masks; here both shall see the host's.
    mask = backend.get("cpu").dropout_mask
    ops.dropout_mask = outside(lambda shape, p, dtype, rng: ops.asarray(mask(shape, p, dtype, rng)))
    ops.draw = outside(type(ops).draw.__get__(ops))
    ops.number = outside(type(ops).number.__get__(ops))


@pytest.mark.parametrize("name", recipes.names())
def test_a_round_of_every_recipe_can_be_recorded(name):
    """An ordinary round, the recording, one or two replays, on kernels run on the CPU, against
    ordinary rounds.
    """
    recorded, ordinary = (
        _assembled(name, strict_cuda(fast=True)),
        _assembled(name, strict_cuda(fast=True)),
    )
    recorded = _with_graph(recorded)
    recorded._play._warm_up = 1
    judges = [net for name, net in ordinary.game.players().items() if "discriminator" in name]
    small = sum(p.value.size for net in judges for p in net.parameters().values()) < 100_000
    for _ in range(3 if small else 2):
        report, expected = recorded.train_step(), ordinary.train_step()
    while not recorded._play.recorded and ordinary.step < 4:  # where rounds are of several kinds
        report, expected = recorded.train_step(), ordinary.train_step()
    assert recorded._play.recorded
    assert {key: value.item() for key, value in report.items()} == {
        k: v.item() for k, v in expected.items()
    }
    for player in ordinary.game.players():
        ours, theirs = (t.game.players()[player].state_dict() for t in (recorded, ordinary))
        for key, a in theirs.items():
            numpy.testing.assert_array_equal(
                backend.to_numpy(ours[key]), backend.to_numpy(a), err_msg=key
            )


@pytest.mark.parametrize(
    ("name", "changes", "kinds"),
    [
        ("mnist", {"lazy": 2}, 2),
        ("stylegan", {"width": 2, "path_length": 1.0, "lazy": 2}, 3),
        ("progressive", {"width": 2, "steps": 8, "growing": 1.0}, 3),
    ],
)
def test_rounds_of_several_kinds_are_recorded_each(name, changes, kinds):
    """Lazy regularisation, and nets that grow, on replays and in ordinary rounds."""
    trainers = []
    for _ in range(2):
        recipe = recipes.get(name)
        settings = recipe.settings.changed(batch_size=BATCH, **changes)
        recipe = recipe.fitted(settings)
        ops = strict_cuda(fast=True)
        trainers.append(
            assemble(recipe, settings, samples_for(recipe, 16), seed=0, device=ops).trainer
        )
    recorded, ordinary = _with_graph(trainers[0]), trainers[1]
    recorded._play._warm_up = 1
    for _ in range(14):
        report, expected = recorded.train_step(), ordinary.train_step()
        assert {key: value.item() for key, value in report.items()} == {
            k: v.item() for k, v in expected.items()
        }
    assert len(recorded._play._replays) == kinds
    (ours, _), (theirs, _) = recorded.state(), ordinary.state()
    for key, a in theirs.items():
        numpy.testing.assert_array_equal(backend.to_numpy(ours[key]), backend.to_numpy(a), key)


def _with_graph(trainer):
    return gan.Trainer(
        trainer.game, trainer.source, rng=trainer.rng, noise=trainer.noise, cuda_graph=True
    )


def _own_trainer(ops, *, noise=nn.InstanceNoise, penalties=(), before_step=None, cuda_graph=None):
    rng = numpy.random.default_rng(0)
    g = nn.Sequential(nn.Linear(2, 8, rng=rng), nn.LeakyReLU(), nn.Linear(8, 2, rng=rng))
    d = nn.Sequential(
        noise(0.2, rng=numpy.random.default_rng(1)),
        nn.Linear(2, 8, rng=rng), nn.LeakyReLU(), nn.Linear(8, 1, rng=rng),
    )  # fmt: skip
    g, d = g.to(ops), d.to(ops)
    game = gan.Game(
        g, d, optim.Adam(g, lr=0.01), optim.Adam(d, lr=0.01), latent=gan.Latent(2),
        penalties=penalties, before_step=before_step,
    )  # fmt: skip
    source = data.Stream(data.distribution("ring"), 16, numpy.random.default_rng(2))
    return gan.Trainer(game, source, rng=rng, cuda_graph=cuda_graph)


def _same_states(ours, theirs):
    (ours, _), (theirs, _) = ours.state(), theirs.state()
    for key, a in theirs.items():
        numpy.testing.assert_array_equal(backend.to_numpy(ours[key]), backend.to_numpy(a), key)


def _r1(critic, real, fake, *, gamma):
    return r1(critic, real, gamma=gamma)


def _d_loss(real, fake, *, scale):
    loss, d_real, d_fake = gan.objective("least-squares").discriminator(real, fake)
    return scale * loss, scale * d_real, scale * d_fake


def _g_loss(fake, real):
    return gan.objective("least-squares").generator(fake, real)


def _stretched(trainer, step):
    trainer.game.discriminator[0].std = 0.2 / (1 + step)


def _penalised(trainer, step):
    trainer.game.penalties = [functools.partial(_as_minigans(_r1), gamma=float(step))]


def _other_objective(trainer, step):
    trainer.game.objective = gan.objective(["hinge", "least-squares"][step % 2])


def _other_optimizer(trainer, step):
    game = trainer.game
    game.discriminator_optimizer = optim.SGD(game.discriminator, lr=0.1 / step)


def _appended(trainer, step):
    one = functools.partial(_as_minigans(_r1), gamma=float(step))
    if step == 5:
        trainer.game.penalties = [one]
    else:
        trainer.game.penalties.append(one)


def _other_layer(trainer, step):
    trainer.game.discriminator.replace_children(
        lambda one: nn.LeakyReLU(0.02 * step) if isinstance(one, nn.LeakyReLU) else one
    )


def _other_objective_s_number(trainer, step):
    """The objective is another one from step 5 on; from 11 on its number is another one, too."""
    game = trainer.game
    if step == 5:
        game.objective = Objective(
            "mine", functools.partial(_as_minigans(_d_loss), scale=1.0), _as_minigans(_g_loss)
        )
    else:
        game.objective.discriminator.keywords["scale"] = 0.1 * step


def _other_keyword(trainer, step):
    trainer.game.before_step.keywords["max_norm"] = 0.1 * step


@pytest.mark.parametrize(
    "change",
    [
        _stretched,
        _penalised,
        _other_objective,
        _other_optimizer,
        _other_keyword,
        _appended,
        _other_layer,
        _other_objective_s_number,
    ],
)
def test_what_changes_in_python_is_seen_by_a_recorded_round(change):
    """A number of a layer, the penalties, the objective: a round is recorded anew, not repeated."""
    recorded, ordinary = (
        _own_trainer(
            strict_cuda(fast=True), cuda_graph=graph,
            before_step=functools.partial(optim.clip_by_global_norm, max_norm=1.0),
        )
        for graph in (None, False)
    )  # fmt: skip
    for step in range(18):
        for trainer in (recorded, ordinary):
            if step % 6 == 5:
                change(trainer, step)
            trainer.train_step()
        # Three ordinary rounds of each kind, then the recording.
        assert recorded._play.recorded == (step in (3, 4, 8, 9, 10, 14, 15, 16))
    _same_states(recorded, ordinary)


def test_a_number_that_always_changes_keeps_a_round_from_being_recorded():
    trainer, ordinary = (
        _own_trainer(strict_cuda(fast=True), cuda_graph=graph) for graph in (None, False)
    )
    for step in range(8):
        for one in (trainer, ordinary):
            _stretched(one, step)
            one.train_step()
        assert not trainer._play.recorded
    _same_states(trainer, ordinary)


def test_the_precision_counts_too():
    trainer = _own_trainer(strict_cuda(fast=True))
    for _ in range(5):
        trainer.train_step()
    assert trainer._play.recorded
    trainer.game.device.precision = "tf32"
    assert not trainer._play.recorded
    trainer.game.device.precision = "float32"
    assert trainer._play.recorded


def test_what_a_round_reports_may_change():
    """Names come and go with the penalties; each step has those that it has reported."""

    class Seen(gan.Callback):
        def __init__(self):
            self.reports = []

        def due(self, step):
            return step in (6, 13)

        def on_step(self, trainer, report):
            self.reports += trainer.reports
            trainer.game.penalties = (
                [] if trainer.step == 13 else [functools.partial(r1_of, gamma=1.0)]
            )

    r1_of, seen = _as_minigans(_r1), []
    for graph in (None, False):
        trainer = _own_trainer(strict_cuda(fast=True), cuda_graph=graph)
        seen.append(Seen())
        trainer.run(20, seen[-1:])
    assert seen[0].reports == seen[1].reports
    assert ["penalty" in report for _, report in seen[0].reports] == 6 * [False] + 7 * [
        True
    ] + 7 * [False]


class OwnNoise(nn.InstanceNoise):
    """A layer whose Python might do anything."""


class Hook:
    """One with a method for a hook."""

    def clip(self, net):
        """Scale the gradient."""
        return optim.clip_by_global_norm(net, 1.0)


def test_code_of_ones_own_is_recorded_only_if_asked_for():
    ops = strict_cuda(fast=True)
    clip = functools.partial(optim.clip_by_global_norm, max_norm=1.0)
    known = _own_trainer(ops, before_step=clip)
    assert isinstance(known._play, StepGraph)
    assert known.unrecorded == ""
    hooked = _own_trainer(ops, before_step=lambda net: clip(net))
    assert not isinstance(hooked._play, StepGraph)
    assert "_ones_own_is_recorded_only_if_asked_for.<locals>.<lambda> isn't" in hooked.unrecorded
    wrapped = functools.wraps(optim.clip_by_global_norm)(lambda net: clip(net))
    for hook in (wrapped, Hook().clip, OwnNoise(0.1, rng=numpy.random.default_rng(0)).forward):
        assert not isinstance(_own_trainer(ops, before_step=hook)._play, StepGraph)
    assert "OwnNoise isn't minigan's own" in _own_trainer(ops, noise=OwnNoise).unrecorded
    asked = _own_trainer(ops, noise=OwnNoise, cuda_graph=True)
    assert isinstance(asked._play, StepGraph)
    assert _own_trainer(ops, noise=OwnNoise, cuda_graph=False).unrecorded == ""
    assert _own_trainer(backend.get("cpu"), noise=OwnNoise).unrecorded == ""


def test_a_hook_of_ones_own_that_comes_later_isnt_recorded_either():
    made = [_own_trainer(strict_cuda(fast=True), cuda_graph=graph) for graph in (None, False)]
    calls = [0, 0]
    for step in range(10):
        for index, trainer in enumerate(made):
            if step == 5:

                def count(net, index=index):
                    calls[index] += 1

                trainer.game.before_step = count
            if step == 8 and index == 0:
                with pytest.warns(RuntimeWarning, match="isn't minigan's own"):
                    trainer.train_step()
            else:
                trainer.train_step()
    assert calls[0] == calls[1] == 10
    _same_states(*made)


def test_the_reports_of_several_steps_may_be_kept():
    made = [_own_trainer(strict_cuda(fast=True), cuda_graph=graph) for graph in (None, False)]
    ours, theirs = ([trainer.train_step()["loss_d"] for _ in range(8)] for trainer in made)
    assert [a.item() for a in ours] == [b.item() for b in theirs]


def test_historical_averaging_is_played_as_it_is_without_a_warning():
    trainer = _own_trainer(strict_cuda(fast=True))
    game = trainer.game
    game.discriminator_pull = optim.HistoricalAverage(game.discriminator, strength=0.1)
    again = gan.Trainer(game, trainer.source, rng=trainer.rng)
    assert "historical averaging" in again.unrecorded
    for _ in range(5):
        again.train_step()


def _waits(critic, real, fake):
    """A penalty that looks at a number on the device."""
    scale = float(real.max())
    return r1(critic, real, gamma=scale)


def _as_minigans(function):
    """The same function, as if it had been written in minigan."""
    place = {**function.__globals__, "__name__": "minigan.gan.penalties"}
    made = types.FunctionType(function.__code__, place, function.__name__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def test_a_round_that_cannot_be_recorded_is_played_as_it_is_with_a_warning():
    made = [
        _own_trainer(strict_cuda(fast=True), penalties=[_as_minigans(_waits)], cuda_graph=graph)
        for graph in (None, False, True)
    ]
    for trainer in made:
        for _ in range(3):
            trainer.train_step()
    with pytest.warns(RuntimeWarning, match="can't be recorded .* makes the host wait"):
        made[0].train_step()
    with pytest.raises(RuntimeError, match="makes the host wait"):
        made[2].train_step()
    made[1].train_step()
    for trainer in made[:2]:
        trainer.run(9)
    assert not made[0]._play.recorded
    _same_states(*made[:2])


def test_the_graphs_of_the_last_few_kinds_are_kept():
    recorded, ordinary = (
        _own_trainer(strict_cuda(fast=True), cuda_graph=graph) for graph in (None, False)
    )
    recorded._play._warm_up = 1
    for step in range(4 * RECORDINGS):
        for trainer in (recorded, ordinary):
            trainer.game.discriminator[0].std = 0.01 * (step // 3)
            trainer.train_step()
    assert len(recorded._play._replays) == RECORDINGS
    _same_states(recorded, ordinary)


def test_a_graph_needs_players_on_a_cuda_device():
    with pytest.raises(ValueError, match="needs players on device 'cuda', but they are on 'cpu'"):
        _with_graph(_assembled("ring", "cpu"))


def test_a_checkpoint_of_either_device_goes_on_on_the_other():
    """A whole trainer's state: nets, optimizers, average, generators."""
    ops = strict_cuda()
    there = _assembled("ring", ops)
    there.train_step()
    here = _assembled("ring", "cpu")
    here.load_state(*copy.deepcopy(there.state()))
    report, expected = here.train_step(), there.train_step()
    for key, value in expected.items():
        numpy.testing.assert_allclose(float(report[key]), value.item(), rtol=1e-4)
    back = _assembled("ring", strict_cuda())
    back.load_state(*here.state())
    numpy.testing.assert_allclose(
        back.train_step()["loss_d"].item(), here.train_step()["loss_d"], rtol=1e-4
    )


def test_precision_and_graph_reach_the_device():
    recipe, ops = recipes.get("ring"), strict_cuda()
    samples = samples_for(recipe, 16)
    assembly = assemble(
        recipe, recipe.settings, samples, seed=0, device=ops, cuda_graph=True, precision="tf32"
    )
    assert ops.precision == "tf32"
    assert isinstance(assembly.trainer._play, StepGraph)
    plain = assemble(recipe, recipe.settings, samples, seed=0, device=ops, cuda_graph=False)
    assert not isinstance(plain.trainer._play, StepGraph)
    assert isinstance(
        assemble(recipe, recipe.settings, samples, seed=0, device=ops).trainer._play, StepGraph
    )
    assert ops.precision == "float32"
    with pytest.raises(ValueError, match="Precision 'tf32' needs device 'cuda', got 'cpu'"):
        assemble(recipe, recipe.settings, samples, seed=0, precision="tf32")


def test_the_command_line_says_what_is_missing_for_a_graph(tmp_path, capsys):
    command = [
        "train",
        "ring",
        "--steps",
        "2",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "run"),
        "--quiet",
    ]
    assert cli.main([*command, "--cuda-graph"]) == 2
    assert "A CUDA graph needs players on device 'cuda'" in capsys.readouterr().err
    assert cli.main([*command, "--precision", "tf32"]) == 2
    assert "Precision 'tf32' needs device 'cuda'" in capsys.readouterr().err
