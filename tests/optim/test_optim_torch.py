"""Losses, optimizers and schedules, number for number against PyTorch in float64."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import losses, nn, optim

torch = pytest.importorskip("torch")
functional = torch.nn.functional
TIGHT = {"rtol": 1e-9, "atol": 1e-12}


def tensor(a, *, grad=False):
    return torch.tensor(numpy.asarray(a), dtype=torch.float64, requires_grad=grad)


# PyTorch holds the 1e-12 of its BCE in single precision, so where it counts we differ from the 9th
# digit on.
SINGLE = {"rtol": 5e-9, "atol": 1e-12}


def agree(ours, theirs, *inputs, tolerance=TIGHT):
    """Compare a loss and its gradients with PyTorch's, which are taken by its autograd."""
    theirs.backward()
    numpy.testing.assert_allclose(ours[0], theirs.detach().numpy(), **TIGHT)
    for gradient, x in zip(ours[1:], inputs, strict=True):
        numpy.testing.assert_allclose(gradient, x.grad.numpy(), **tolerance)


# ---------------------------------------------------------------- losses

EXTREMES = numpy.array([[0.0, -1000.0, 1000.0], [30.0, -30.0, 1.0], [-1.0, 0.5, 3.0]])


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 10.0, 100.0]))
def test_elementwise_losses(seed, size):
    rng = numpy.random.default_rng(seed)
    for x in (rng.normal(0, size, (5, 4)), EXTREMES):
        t = rng.uniform(0, 1, x.shape).round(1)
        for ours, theirs in (
            (losses.bce_with_logits, functional.binary_cross_entropy_with_logits),
            (losses.mse, functional.mse_loss),
            (losses.l1, functional.l1_loss),
        ):
            there = tensor(x, grad=True)
            agree(ours(x, t), theirs(there, tensor(t)), there)
        p, there = losses.sigmoid(x), tensor(losses.sigmoid(x), grad=True)
        held = SINGLE if (p * (1 - p)).min() < 1e-12 else TIGHT
        agree(
            losses.bce(p, t),
            functional.binary_cross_entropy(there, tensor(t)),
            there,
            tolerance=held,
        )
        numpy.testing.assert_allclose(losses.sigmoid(x), torch.sigmoid(tensor(x)).numpy(), **TIGHT)
        numpy.testing.assert_allclose(
            losses.softplus(x), functional.softplus(tensor(x)).numpy(), rtol=1e-8
        )


def test_bce_where_the_sigmoid_has_rounded_to_0_and_1():
    for t in (0.0, 1.0, 0.3):
        p = numpy.array([0.0, 1.0, 1e-300, 1e-30, 1 - 1e-16, 0.5])
        there = tensor(p, grad=True)
        theirs = functional.binary_cross_entropy(there, tensor(numpy.full(6, t)))
        agree(losses.bce(p, t), theirs, there, tolerance=SINGLE)


def test_cross_entropy():
    rng = numpy.random.default_rng(0)
    for size in (1, 100, 1000):
        x, labels = rng.normal(0, size, (7, 5)), rng.integers(0, 5, 7)
        there = tensor(x, grad=True)
        agree(
            losses.cross_entropy(x, labels),
            functional.cross_entropy(there, torch.tensor(labels)),
            there,
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 2])
def test_cross_entropy_with_all_its_options(smoothing, weighted, ignored):
    rng = numpy.random.default_rng(3)
    for scale in (1.0, 300.0):
        x, labels = rng.normal(0, scale, (9, 4)), rng.integers(0, 4, 9)
        if ignored is not None:
            labels[[1, 4]] = ignored
        weights = rng.uniform(0.1, 2, 4) if weighted else None
        there = tensor(x, grad=True)
        expected = functional.cross_entropy(
            there,
            torch.tensor(labels),
            weight=None if weights is None else tensor(weights),
            label_smoothing=smoothing,
            ignore_index=-100 if ignored is None else ignored,
        )
        ours = losses.cross_entropy(
            x, labels, smoothing=smoothing, weights=weights, ignore_index=ignored
        )
        agree(ours, expected, there)


@pytest.mark.parametrize("delta", [0.3, 1.0, 5.0])
def test_huber(delta):
    rng = numpy.random.default_rng(4)
    x, t = rng.normal(0, 2, (2, 7, 3))
    there = tensor(x, grad=True)
    expected = functional.huber_loss(there, tensor(t), delta=delta)
    agree(losses.huber(x, t, delta=delta), expected, there)


@pytest.mark.parametrize("target", [(0.0, 0.0), (0.5, -1.0), None])
def test_divergence_of_gaussians(target):
    rng = numpy.random.default_rng(5)
    mean, log_variance, m, b = rng.normal(0, 1, (4, 5, 3))
    if target is not None:
        m, b = target
    means, logs = tensor(mean, grad=True), tensor(log_variance, grad=True)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(means, (logs / 2).exp()), normal(tensor(m), (tensor(b) / 2).exp())
    )
    ours = losses.kl_gaussians(mean, log_variance, target_mean=m, target_log_variance=b)
    agree(ours, expected.sum() / 5, means, logs)


def test_losses_of_critics_and_their_generators():
    rng = numpy.random.default_rng(0)
    x, y = rng.normal(0, 2, (6, 1)), rng.normal(0, 2, (4, 1))
    x[0], y[0] = 1, -1  # the kinks
    real, fake = tensor(x, grad=True), tensor(y, grad=True)
    hinge = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
    agree(losses.hinge_discriminator(x, y), hinge, real, fake)
    real, fake = tensor(x, grad=True), tensor(y, grad=True)
    agree(losses.wasserstein_critic(x, y), fake.mean() - real.mean(), real, fake)
    for ours in (losses.hinge_generator, losses.wasserstein_generator):
        fake = tensor(y, grad=True)
        agree(ours(y), -fake.mean(), fake)


# ---------------------------------------------------------------- optimizers

PAIRS = {
    "SGD": (lambda n: optim.SGD(n, lr=0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "SGD, momentum": (
        lambda n: optim.SGD(n, lr=0.05, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    ),
    "SGD, Nesterov": (
        lambda n: optim.SGD(n, lr=0.05, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    ),
    "RMSprop": (lambda n: optim.RMSprop(n, lr=0.01), lambda p: torch.optim.RMSprop(p, lr=0.01)),
    "RMSprop, momentum, eps": (
        lambda n: optim.RMSprop(n, lr=0.01, decay=0.9, eps=0.1, momentum=0.8),
        lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=0.1, momentum=0.8),
    ),
    "Adam": (lambda n: optim.Adam(n), lambda p: torch.optim.Adam(p)),
    "Adam, DCGAN's": (
        lambda n: optim.Adam(n, lr=2e-4, betas=(0.5, 0.999)),
        lambda p: torch.optim.Adam(p, lr=2e-4, betas=(0.5, 0.999)),
    ),
    "AdamW": (lambda n: optim.AdamW(n), lambda p: torch.optim.AdamW(p)),
    "AdamW, strong": (
        lambda n: optim.AdamW(n, lr=0.01, betas=(0.5, 0.9), weight_decay=2.0),
        lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.5, 0.9), weight_decay=2.0),
    ),
    "AMSGrad": (
        lambda n: optim.AMSGrad(n, lr=0.01, betas=(0.5, 0.6)),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.6), amsgrad=True),
    ),
    "Adam, large eps": (
        lambda n: optim.Adam(n, lr=0.1, betas=(0.0, 0.9), eps=0.1),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.9), eps=0.1),
    ),
}


def twins():
    """A net here and the same weights as tensors there."""
    rng = numpy.random.default_rng(1)
    net = nn.Sequential(nn.Linear(3, 8, rng=rng), nn.Tanh(), nn.Linear(8, 1, rng=rng)).astype(
        "float64"
    )
    return net, [tensor(p.value, grad=True) for p in net.parameters().values()]


def equal(net, theirs, **tolerance):
    for p, other in zip(net.parameters().values(), theirs, strict=True):
        numpy.testing.assert_allclose(p.value, other.detach().numpy(), **tolerance)


@pytest.mark.parametrize("name", PAIRS)
def test_twenty_steps_of_a_regression(name):
    net, theirs = twins()
    ours, other = PAIRS[name][0](net), PAIRS[name][1](theirs)
    rng = numpy.random.default_rng(2)
    for step in range(20):
        x, t = rng.normal(size=(16, 3)), rng.normal(size=(16, 1))
        ours.zero_grad()
        y, cache = net.forward(x)
        net.backward(losses.mse(y, t)[1], cache, input_grad=False)
        other.zero_grad()
        w1, b1, w2, b2 = theirs
        functional.mse_loss(torch.tanh(tensor(x) @ w1 + b1) @ w2 + b2, tensor(t)).backward()
        if step == 10:  # a learning rate that changes on the way
            ours.lr /= 2
            other.param_groups[0]["lr"] /= 2
        before = net.flat().value.copy()
        ours.step()
        other.step()
        assert abs(net.flat().value - before).max() > 1e-5
        equal(net, theirs, **TIGHT)


def test_weight_decay_as_part_of_the_gradient():
    net, theirs = twins()
    ours, other = optim.SGD(net, lr=0.1), torch.optim.SGD(theirs, lr=0.1, weight_decay=0.3)
    for p in theirs:
        p.grad = torch.ones_like(p)
    net.flat().grad[...] = 1
    optim.add_weight_decay(net, 0.3)
    ours.step()
    other.step()
    equal(net, theirs, **TIGHT)


W, T = 5, 30
"""Steps of the warm-up, and of the whole run."""

SCHEDULES = {
    "constant": lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0),
    "linear": lambda o: torch.optim.lr_scheduler.LinearLR(
        o, start_factor=1.0, end_factor=0.0, total_iters=T
    ),
    "linear:0.5": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.ConstantLR(o, factor=1.0),
            torch.optim.lr_scheduler.LinearLR(
                o, start_factor=1.0, end_factor=0.0, total_iters=T // 2
            ),
        ],
        milestones=[T // 2],
    ),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=T),
    f"warmup:{W}": lambda o: torch.optim.lr_scheduler.LinearLR(
        o, start_factor=1 / W, total_iters=W - 1
    ),
    f"warmup:{W}+cosine": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.LinearLR(o, start_factor=1 / W, total_iters=W - 1),
            torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=T - W),
        ],
        milestones=[W],
    ),
}


# SequentialLR passes the epoch to `step` itself, which PyTorch says not to do.
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
@pytest.mark.parametrize("text", SCHEDULES)
def test_learning_rates_of_a_schedule(text):
    net, theirs = twins()
    ours, other = optim.Adam(net, lr=2e-4), torch.optim.Adam(theirs, lr=2e-4)
    scheduler = optim.Scheduler(ours, optim.schedules.parse(text), steps=T)
    their_scheduler = SCHEDULES[text](other)
    for _ in range(T + 1):
        assert ours.lr == pytest.approx(other.param_groups[0]["lr"], rel=1e-9, abs=1e-16)
        ours.step()
        other.step()
        scheduler.step()
        their_scheduler.step()


@pytest.mark.parametrize("max_norm", [0.01, 1e6])
def test_clipping_by_the_global_norm(max_norm):
    net, theirs = twins()
    rng = numpy.random.default_rng(3)
    for p, other in zip(net.parameters().values(), theirs, strict=True):
        p.grad = rng.normal(size=p.shape)
        other.grad = tensor(p.grad)
    norm = optim.clip_by_global_norm(net, max_norm)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm)), rel=1e-12)
    for p, other in zip(net.parameters().values(), theirs, strict=True):
        # PyTorch adds 1e-6 to the norm, which is about 5 here.
        numpy.testing.assert_allclose(p.grad, other.grad.numpy(), rtol=1e-6)


def test_averaging():
    net, theirs = twins()
    reference = torch.nn.ParameterList(theirs)
    ours = optim.ExponentialMovingAverage(net, decay=0.9)
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    other = torch.optim.swa_utils.AveragedModel(reference, multi_avg_fn=ema)
    other.update_parameters(reference)  # PyTorch's first update copies, ours was made a copy
    rng = numpy.random.default_rng(4)
    for _ in range(20):
        for p, there in zip(net.parameters().values(), reference, strict=True):
            p.value += rng.normal(size=p.shape)
            there.data = tensor(p.value)
        ours.update()
        other.update_parameters(reference)
    equal(ours.net, list(other.module), **TIGHT)
