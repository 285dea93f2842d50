"""Penalty gradients and spectral normalisation, number for number against PyTorch's
create_graph=True.
"""

import numpy
import pytest

from minigan import nn
from minigan.gan import penalties

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _one_thread():
    """These nets are tiny: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ACTIVATIONS = {
    "leaky": (lambda: nn.LeakyReLU(0.2), lambda: torch.nn.LeakyReLU(0.2)),
    "tanh": (nn.Tanh, torch.nn.Tanh),
    "sigmoid": (nn.Sigmoid, torch.nn.Sigmoid),
}


class ChannelsLast(torch.nn.Module):
    """Flatten as we do: channels fastest."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def _to_torch(w, kind):
    """Our layout of a weight in PyTorch's."""
    axes = {
        "Linear": (1, 0),
        "Conv2d": (3, 2, 0, 1),
        "ConvTranspose2d": (3, 2, 0, 1),
        "LayerNorm": (2, 0, 1),
    }
    return w.transpose(axes[kind]) if w.ndim > 1 else w


def _pair(ours, theirs):
    """Give PyTorch's layer the numbers of ours."""
    core = ours.layer if isinstance(ours, nn.SpectralNorm) else ours
    kind = type(core).__name__
    for name, p in core.parameters().items():
        target = getattr(theirs, {"gamma": "weight", "beta": "bias"}.get(name, name))
        with torch.no_grad():
            target.copy_(torch.tensor(numpy.ascontiguousarray(_to_torch(p.value, kind))))
    if core is not ours:
        torch.nn.utils.parametrizations.spectral_norm(theirs)
        inner = theirs.parametrizations.weight[0]
        inner._u, inner._v = torch.tensor(ours.u), torch.tensor(_v_to_torch(ours, core))
    return ours, theirs


def _v_to_torch(ours, core):
    """The right singular vector counts (kh, kw, in) in our layout, (in, kh, kw) in PyTorch's."""
    if isinstance(core, nn.Linear):
        return ours.v.copy()
    kh, kw = core.window.kernel
    return ours.v.reshape(kh, kw, -1).transpose(2, 0, 1).ravel().copy()


def _float64(layer, rng):
    for name, p in layer.parameters().items():
        p.value = p.value * 3 if name.endswith("weight") else p.value + rng.normal(0, 0.3, p.shape)
    if isinstance(layer, nn.SpectralNorm):
        layer.iterate(3)
    return layer.astype("float64")


def _wrap(layer, norm, rng):
    return nn.spectral_norm(layer, rng=rng) if norm == "spectral" else layer


def mlp(activation, norm, rng):
    ours, theirs = ACTIVATIONS[activation]
    pairs = []
    for n_in, n_out in ((5, 8), (8, 6)):
        pairs.append(
            (_wrap(nn.Linear(n_in, n_out, rng=rng), norm, rng), torch.nn.Linear(n_in, n_out))
        )
        if norm == "layer":
            pairs.append((nn.LayerNorm(n_out), torch.nn.LayerNorm(n_out)))
        pairs.append((ours(), theirs()))
    pairs.append((nn.Linear(6, 1, rng=rng), torch.nn.Linear(6, 1)))
    return pairs, (7, 5)


def conv(activation, norm, rng):
    ours, theirs = ACTIVATIONS[activation]
    size = {"kernel_size": 4, "stride": 2, "padding": 1}
    up = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
    pairs = [
        (_wrap(nn.Conv2d(2, 4, **size, rng=rng), norm, rng), torch.nn.Conv2d(2, 4, **size)),
        *_norm(norm, 4),
        (ours(), theirs()),
        (
            _wrap(nn.ConvTranspose2d(4, 3, **up, rng=rng), norm, rng),
            torch.nn.ConvTranspose2d(4, 3, **up),
        ),
        (ours(), theirs()),
        (_wrap(nn.Conv2d(3, 4, **size, rng=rng), norm, rng), torch.nn.Conv2d(3, 4, **size)),
        *_norm(norm, 4),
        (ours(), theirs()),
        (nn.Flatten(), ChannelsLast()),
        (nn.Linear(64, 1, rng=rng), torch.nn.Linear(64, 1)),
    ]
    return pairs, (3, 8, 8, 2)


def _norm(norm, channels):
    if norm == "layer":
        return [(nn.LayerNorm(4, 4, channels), torch.nn.LayerNorm((channels, 4, 4)))]
    if norm == "instance":
        return [
            (nn.InstanceNorm(channels, affine=True), torch.nn.InstanceNorm2d(channels, affine=True))
        ]
    return []


def _build(make, activation, norm):
    rng = numpy.random.default_rng(11)
    pairs, shape = make(activation, norm, rng)
    pairs[-1][
        0
    ].weight.value *= 20  # without it, sigmoids behind normalised weights leave almost no slope
    pairs = [_pair(_float64(a, rng), b.double()) for a, b in pairs]
    ours = nn.Sequential(*(a for a, _ in pairs)).astype("float64")
    theirs = torch.nn.Sequential(*(b for _, b in pairs)).double()
    return ours, theirs, numpy.random.default_rng(12).standard_normal(shape)


def _torch_input(x):
    x = torch.tensor(x)
    return (x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x).requires_grad_()


def _torch_slope(critic, x):
    x = _torch_input(x)
    (g,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return g.flatten(1)


def _norm_of(g):
    return (g.square().sum(dim=1) + penalties.TINY).sqrt()


PENALTIES = {
    "gp": (
        lambda critic, x: penalties.gradient_penalty(critic, x, weight=10.0),
        lambda g: 10 * ((_norm_of(g) - 1) ** 2).mean(),
    ),
    "one-sided": (
        lambda critic, x: penalties.gradient_penalty(
            critic, x, weight=10.0, target=0.02, one_sided=True
        ),
        lambda g: 10 * ((_norm_of(g) - 0.02).clamp(min=0) ** 2).mean(),
    ),
    "r1": (
        lambda critic, x: penalties.r1(critic, x, gamma=10.0),
        lambda g: 5 * g.square().sum(dim=1).mean(),
    ),
}


def _assert_same_gradients(ours, theirs, tolerance=1e-9):
    largest = max(numpy.abs(p.grad).max() for p in ours.parameters().values())
    assert largest > 1e-4
    for a, b in zip(ours, theirs, strict=True):
        core = a.layer if isinstance(a, nn.SpectralNorm) else a
        for name, p in core.parameters().items():
            if core is not a and name == "weight":
                target = b.parametrizations.weight.original
            else:
                target = getattr(b, {"gamma": "weight", "beta": "bias"}.get(name, name))
            expected = numpy.zeros(target.shape) if target.grad is None else target.grad.numpy()
            mine = _to_torch(p.grad, type(core).__name__)
            numpy.testing.assert_allclose(mine, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("make", "norm"),
    [(mlp, "none"), (mlp, "layer"), (mlp, "spectral")]
    + [(conv, norm) for norm in ("none", "layer", "instance", "spectral")],
)
def test_the_gradient_of_a_penalty(make, activation, norm, penalty):
    ours, theirs, x = _build(make, activation, norm)
    mine, reference = PENALTIES[penalty]
    theirs.eval()  # no power iteration, as ours makes none in a penalty
    expected = reference(_torch_slope(theirs, x))
    expected.backward()

    value = mine(ours, x)
    assert value == pytest.approx(expected.item(), rel=1e-11)
    _assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("penalty", ["gp", "r1"])
def test_a_whole_critic_step_with_a_penalty(penalty):
    """Loss and penalty add up in one gradient, as in training."""
    ours, theirs, x = _build(conv, "tanh", "layer")
    mine, reference = PENALTIES[penalty]
    (theirs(_torch_input(x)).mean() + reference(_torch_slope(theirs, x))).backward()

    y, cache = ours.forward(x)
    ours.backward(numpy.full_like(y, 1 / y.size), cache, input_grad=False)
    mine(ours, x)
    _assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("make", [mlp, conv])
def test_spectral_normalisation_walks_in_step_with_pytorch(make):
    """Five training steps: power iterations, gradients through sigma, updates of the weights."""
    ours, theirs, x = _build(make, "leaky", "spectral")
    theirs.train()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        expected = theirs(_torch_input(x))
        expected.square().mean().backward()

        ours.zero_grad()
        y, cache = ours.forward(x, train=True)
        numpy.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        ours.backward(2 * y / y.size, cache)
        _assert_same_gradients(ours, theirs)

        optimizer.step()
        for p in ours.parameters().values():
            p.value -= 0.1 * p.grad
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, nn.SpectralNorm):
            inner = b.parametrizations.weight[0]
            numpy.testing.assert_allclose(a.u, inner._u.numpy(), rtol=1e-9, atol=1e-12)
            numpy.testing.assert_allclose(
                _v_to_torch(a, a.layer), inner._v.numpy(), rtol=1e-9, atol=1e-12
            )
    theirs.eval()
    numpy.testing.assert_allclose(ours(x), theirs(_torch_input(x)).detach().numpy(), rtol=1e-10)


def test_minibatch_standard_deviation_and_its_penalty():
    """Karras et al.'s formula, written with PyTorch's operations, under an R1 penalty."""
    rng = numpy.random.default_rng(4)
    ours = nn.Sequential(
        nn.Linear(3, 4, rng=rng), nn.MinibatchStdDev(2), nn.Linear(5, 1, rng=rng)
    ).astype("float64")
    x = torch.tensor(rng.standard_normal((6, 3)), requires_grad=True)
    weights = {
        k: torch.tensor(p.value.copy(), requires_grad=True) for k, p in ours.parameters().items()
    }
    h = x @ weights["0.weight"] + weights["0.bias"]
    groups = h.reshape(2, 3, 4)
    r = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=1)
    h = torch.cat([h, r.repeat(2)[:, None]], dim=1)
    y = h @ weights["2.weight"] + weights["2.bias"]
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (g.square().sum(dim=1).mean() * 5).backward()

    penalties.r1(ours, x.detach().numpy(), gamma=10.0)
    for name, p in ours.parameters().items():
        expected = (
            numpy.zeros(p.shape) if weights[name].grad is None else weights[name].grad.numpy()
        )
        numpy.testing.assert_allclose(p.grad, expected, rtol=1e-9, atol=1e-10)
