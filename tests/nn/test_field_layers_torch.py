"""The layers of the field's nets against PyTorch's in float64, in random settings.

y, dx, the gradients of all parameters, and, through create_graph=True, the gradients of ⟨v, dx⟩.
``MINIGAN_CASES=200`` runs 200 settings of each layer instead of a few.
"""

import os

import numpy
import pytest

from minigan import nn

torch = pytest.importorskip("torch")
F = torch.nn.functional
CLOSE = {"rtol": 1e-8, "atol": 1e-10}
CASES = range(int(os.environ.get("MINIGAN_CASES", "6")))
MODES = ("zeros", "reflect", "replicate", "circular")


def first(x):
    """Channels last -> channels first."""
    return torch.tensor(numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1)))


def last(t):
    return numpy.moveaxis(t.detach().numpy(), 1, -1)


# Of a weight: how our axes are laid out in PyTorch.
AXES = {"Conv2d": (3, 2, 0, 1), "ConvTranspose2d": (3, 2, 0, 1)}
AXES |= {"Conv1d": (2, 1, 0), "ConvTranspose1d": (2, 1, 0), "MinibatchDiscrimination": (0, 1, 2)}


def compare(ours, theirs, x, rng):
    """`theirs` maps (x, {name: tensor}) to y; parameters are laid out by `laid_out`."""
    ours.astype("float64").zero_grad()
    for p in ours.parameters().values():
        p.value = p.value + 0.5 * rng.standard_normal(p.shape)
    tensors = {n: laid_out(ours, p.value).requires_grad_() for n, p in ours.parameters().items()}
    tx = first(x).requires_grad_()
    ty = theirs(tx, tensors)
    y, cache = ours.forward(x)
    numpy.testing.assert_allclose(y, last(ty), **CLOSE)
    dy, v = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    dx = ours.backward(dy, cache)
    wanted = [tx, *tensors.values()]
    grads = torch.autograd.grad(ty, wanted, first(dy), create_graph=True)
    numpy.testing.assert_allclose(dx, last(grads[0]), **CLOSE)
    for (name, p), g in zip(ours.parameters().items(), grads[1:], strict=True):
        numpy.testing.assert_allclose(laid_out(ours, p.grad), g.detach(), **CLOSE, err_msg=name)
    ours.zero_grad()
    d2, _ = ours.double_backward(v, dy, cache)
    inner = (grads[0] * first(v)).sum()
    if not inner.requires_grad:
        assert d2 is None
        return
    seconds = torch.autograd.grad(inner, wanted, allow_unused=True)
    theirs_d2 = 0 if seconds[0] is None else last(seconds[0])
    numpy.testing.assert_allclose(
        numpy.zeros_like(x) if d2 is None else d2, theirs_d2 + 0 * x, **CLOSE
    )
    for (name, p), g in zip(ours.parameters().items(), seconds[1:], strict=True):
        expected = numpy.zeros(p.shape) if g is None else g.detach()
        mine = p.grad if g is None else laid_out(ours, p.grad)
        numpy.testing.assert_allclose(mine, expected, **CLOSE, err_msg=name)


def laid_out(layer, w):
    axes = AXES.get(type(layer).__name__)
    return torch.tensor(numpy.ascontiguousarray(w.transpose(axes) if w.ndim > 1 else w))


def _padded(x, sides, mode):
    """PyTorch's padding in all modes, axis by axis from the last."""
    flat = [n for side in reversed(sides) for n in side]
    return F.pad(x, flat, mode="constant" if mode == "zeros" else mode)


def _pair(rng, low, high):
    return tuple(int(n) for n in rng.integers(low, high, 2, endpoint=True))


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_conv2d(seed, mode):
    rng = numpy.random.default_rng([seed, MODES.index(mode)])
    groups = int(rng.integers(1, 4))
    kernel, stride, dilation = _pair(rng, 1, 3), _pair(rng, 1, 3), _pair(rng, 1, 2)
    sides = _pair(rng, 0, 2), _pair(rng, 0, 2)
    c_in, c_out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    ours = nn.Conv2d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=sides, dilation=dilation,
        groups=groups, padding_mode=mode, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        x = _padded(x, sides, mode)
        return F.conv2d(x, p["weight"], p["bias"], stride, 0, dilation, groups)

    compare(ours, theirs, rng.standard_normal((2, *_pair(rng, 5, 8), c_in)), rng)


@pytest.mark.parametrize("seed", CASES)
def test_conv_transpose2d(seed):
    rng = numpy.random.default_rng(seed)
    groups = int(rng.integers(1, 4))
    kernel, stride, dilation = _pair(rng, 2, 4), _pair(rng, 1, 3), _pair(rng, 1, 2)
    padding = _pair(rng, 0, 1)
    extra = tuple(int(rng.integers(0, s)) for s in stride)
    c_in, c_out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    ours = nn.ConvTranspose2d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation,
        groups=groups, output_padding=extra, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        return F.conv_transpose2d(
            x, p["weight"], p["bias"], stride, padding, extra, groups, dilation
        )

    compare(ours, theirs, rng.standard_normal((2, *_pair(rng, 2, 5), c_in)), rng)


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("mode", MODES)
def test_conv1d(seed, mode):
    rng = numpy.random.default_rng([seed, MODES.index(mode)])
    groups, kernel, stride, dilation = (int(n) for n in rng.integers(1, 4, 4))
    ends = _pair(rng, 0, 3)
    c_in, c_out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    ours = nn.Conv1d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=ends, dilation=dilation,
        groups=groups, padding_mode=mode, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        x = _padded(x, (ends,), mode)
        return F.conv1d(x, p["weight"], p["bias"], stride, 0, dilation, groups)

    compare(ours, theirs, rng.standard_normal((2, int(rng.integers(8, 12)), c_in)), rng)


@pytest.mark.parametrize("seed", CASES)
def test_conv_transpose1d(seed):
    rng = numpy.random.default_rng(seed)
    groups, kernel, stride, dilation = (int(n) for n in rng.integers(1, 4, 4))
    padding, extra = int(rng.integers(0, (kernel + 1) // 2)), int(rng.integers(0, stride))
    c_in, c_out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 4))
    ours = nn.ConvTranspose1d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation,
        groups=groups, output_padding=extra, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        return F.conv_transpose1d(
            x, p["weight"], p["bias"], stride, padding, extra, groups, dilation
        )

    compare(ours, theirs, rng.standard_normal((2, int(rng.integers(2, 6)), c_in)), rng)


def _filtered(x, taps, factor, up):
    """StyleGAN2's upfirdn2d, as a grouped convolution with the whole two-dimensional filter."""
    k = torch.tensor(taps, dtype=torch.float64) / sum(taps)
    k = torch.outer(k, k).expand(x.shape[1], 1, len(taps), len(taps))
    n = len(taps)
    if up:
        before = (n - factor + 1) // 2
        full = F.conv_transpose2d(x, k, stride=factor, groups=x.shape[1]) * factor**2
        h, w = factor * x.shape[2], factor * x.shape[3]
        full = F.pad(full, (0, factor, 0, factor))
        return full[:, :, before : before + h, before : before + w]
    before, after = (n - factor + 1) // 2, (n - factor) // 2
    return F.conv2d(F.pad(x, (before, after) * 2), k, stride=factor, groups=x.shape[1])


def _some(layer, theirs, shape):
    return pytest.param(layer, theirs, shape, id=f"{layer!r}")


TAPS = (1.0, 2.0, 4.0, 3.0)
FIXED = [
    (nn.PixelShuffle(2), lambda x, p: F.pixel_shuffle(x, 2), (1, 1, 8)),
    (nn.PixelUnshuffle(2), lambda x, p: F.pixel_unshuffle(x, 2), (2, 2, 3)),
    (
        nn.Resize((7, 5)),
        lambda x, p: F.interpolate(x, (7, 5), mode="bilinear", align_corners=False),
        (1, 1, 3),
    ),
    (nn.Resize((3, 9), mode="nearest"), lambda x, p: F.interpolate(x, (3, 9)), (1, 1, 3)),
    (nn.Downsample(2, taps=TAPS), lambda x, p: _filtered(x, TAPS, 2, False), (2, 2, 3)),
    (nn.Interpolate(2, taps=TAPS), lambda x, p: _filtered(x, TAPS, 2, True), (1, 1, 3)),
    (nn.Blur(taps=(1, 2, 1)), lambda x, p: _filtered(x, (1.0, 2.0, 1.0), 1, False), (1, 1, 3)),
    (nn.AveragePool(3, stride=2, padding=1), lambda x, p: F.avg_pool2d(x, 3, 2, 1), (1, 1, 3)),
    (nn.AveragePool((2, 1)), lambda x, p: F.avg_pool2d(x, (2, 1)), (1, 1, 3)),
    (nn.MaxPool(3, stride=2, padding=1), lambda x, p: F.max_pool2d(x, 3, 2, 1), (1, 1, 3)),
    (nn.MaxPool(2), lambda x, p: F.max_pool2d(x, 2), (1, 1, 3)),
    (nn.GlobalPool(), lambda x, p: x.mean((2, 3)), (1, 1, 3)),
    (nn.GlobalPool("sum"), lambda x, p: x.sum((2, 3)), (1, 1, 3)),
    (nn.GlobalPool("max"), lambda x, p: x.amax((2, 3)), (1, 1, 3)),
    (nn.ELU(0.7), lambda x, p: F.elu(x, 0.7), (1, 1, 3)),
    (nn.GELU(), lambda x, p: F.gelu(x, approximate="tanh"), (1, 1, 3)),
    (nn.SiLU(), lambda x, p: F.silu(x), (1, 1, 3)),
    (nn.Softplus(), lambda x, p: F.softplus(x), (1, 1, 3)),
    (nn.PReLU(), lambda x, p: F.prelu(x, p["slope"]), (1, 1, 3)),
    (nn.PReLU(3), lambda x, p: F.prelu(x, p["slope"]), (1, 1, 3)),
    (nn.Softmax(), lambda x, p: F.softmax(x, 1), (1, 1, 3)),
    (nn.Softmax(axis=2), lambda x, p: F.softmax(x, 3), (1, 1, 3)),
    (nn.GroupNorm(2, 4), lambda x, p: F.group_norm(x, 2, p["gamma"], p["beta"]), (1, 1, 4)),
    (
        nn.RMSNorm(3, eps=1e-3),
        lambda x, p: F.rms_norm(x.movedim(1, -1), (3,), p["gamma"], 1e-3).movedim(-1, 1),
        (1, 1, 3),
    ),
    (nn.PixelNorm(), lambda x, p: x * ((x * x).mean(1, True) + 1e-8).rsqrt(), (1, 1, 3)),
]


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize(("layer", "theirs", "unit"), [_some(*case) for case in FIXED])
def test_other_layers(layer, theirs, unit, seed):
    rng = numpy.random.default_rng(seed)
    height, width = _pair(rng, 3, 6)
    shape = (int(rng.integers(1, 4)), height * unit[0], width * unit[1], unit[2])
    compare(layer, theirs, rng.standard_normal(shape), rng)


@pytest.mark.parametrize("seed", CASES)
def test_minibatch_discrimination(seed):
    """Salimans et al. 2016, section 3.2, without the term of a sample with itself."""
    rng = numpy.random.default_rng(seed)
    features, rows, length, n = (int(k) for k in rng.integers(1, 5, 4))
    ours = nn.MinibatchDiscrimination(features, rows=rows, length=length, rng=rng)

    def theirs(x, p):
        m = torch.einsum("nf,fbc->nbc", x, p["weight"])
        o = torch.exp(-(m[:, None] - m[None]).abs().sum(3)).sum(1) - 1
        return torch.cat([x, o], 1)

    compare(ours, theirs, rng.standard_normal((n, features)), rng)


@pytest.mark.parametrize("seed", CASES)
def test_virtual_batch_norm(seed):
    """Section 3.4: the statistics of a sample and the reference, each of them weighing 1."""
    rng = numpy.random.default_rng(seed)
    n, size, (height, width) = int(rng.integers(2, 5)), int(rng.integers(1, 4)), _pair(rng, 1, 4)
    reference = rng.standard_normal((n, height, width, size))
    norm = nn.VirtualBatchNorm(size, reference=n)
    ours = nn.WithReference(nn.Sequential(nn.Tanh(), norm), reference).astype("float64")
    norm.gamma.value = rng.standard_normal(size)
    x = rng.standard_normal((int(rng.integers(1, 4)), height, width, size))
    y, cache = ours.forward(x)
    dy = rng.standard_normal(y.shape)
    tx, gamma = (torch.tensor(a, requires_grad=True) for a in (x, norm.gamma.value))
    r = torch.tanh(torch.tensor(reference))
    each = [torch.cat([r, one[None]]) for one in torch.tanh(tx)]
    stats = [(all_.mean((0, 1, 2)), all_.var((0, 1, 2), correction=0)) for all_ in each]
    ty = (
        torch.stack(
            [
                (all_[-1] - mu) / (var + 1e-5).sqrt()
                for all_, (mu, var) in zip(each, stats, strict=True)
            ]
        )
        * gamma
    )
    numpy.testing.assert_allclose(y, ty.detach(), **CLOSE)
    dx, dgamma = torch.autograd.grad(ty, (tx, gamma), torch.tensor(dy))
    numpy.testing.assert_allclose(ours.backward(dy, cache), dx, rtol=1e-7, atol=1e-9)
    numpy.testing.assert_allclose(norm.gamma.grad, dgamma, **CLOSE)


def test_the_straight_through_sample_is_pytorchs():
    """With the same noise: exactly one-hot forwards, the soft form's gradient backwards."""
    rng = numpy.random.default_rng(0)
    x, dy = rng.standard_normal((2, 5, 4))
    g = numpy.random.default_rng(7).gumbel(size=x.shape)
    ours = nn.GumbelSoftmax(0.5, hard=True, rng=numpy.random.default_rng(7))
    y, cache = ours.forward(x)
    tx = torch.tensor(x, requires_grad=True)
    soft = F.softmax((tx + torch.tensor(g)) / 0.5, -1)
    hard = F.one_hot(soft.argmax(-1), 4) + soft - soft.detach()
    hard.backward(torch.tensor(dy))
    numpy.testing.assert_allclose(y, hard.detach(), atol=1e-12)
    assert set(numpy.unique(y)) == {0, 1}
    numpy.testing.assert_allclose(ours.backward(dy, cache), tx.grad, **CLOSE)
    numpy.testing.assert_array_equal(ours(x).argmax(-1), x.argmax(-1))
