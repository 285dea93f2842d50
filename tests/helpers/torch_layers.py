"""The layers of the field's nets against PyTorch's in float64, in random settings.

``python tests/helpers/torch_layers.py [200]`` prints, for so many random settings of each layer,
how far it is from PyTorch at worst: y, dx and the gradients of all parameters, and, through
``create_graph=True``, those of ⟨v, dx⟩, each relative to the largest number of its array or to 1.
"""

import math
import sys
from typing import Any, NamedTuple

import numpy
import torch

from minigan import nn

F = torch.nn.functional
MODES = ("zeros", "reflect", "replicate", "circular")

# Of a weight: how our axes are laid out in PyTorch.
AXES = {4: (3, 2, 0, 1), 3: (2, 1, 0)}


class Setting(NamedTuple):
    """A layer, what maps the same inputs and ``{name: tensor}`` to the same y, and the inputs."""

    ours: nn.Layer
    theirs: Any
    inputs: tuple
    turned: bool = True
    """Whether weights are laid out in PyTorch's way for `theirs`."""
    second: bool = True
    """Whether the layer has a double backward."""


def first(x):
    """Channels last -> channels first."""
    return torch.tensor(numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1)))


def last(t):
    return numpy.moveaxis(t.detach().numpy(), 1, -1)


def pairs(setting, rng):
    """Yield (name, ours, PyTorch's) of y and of all derivatives of both orders."""
    ours, xs = setting.ours.astype("float64"), setting.inputs
    ours.zero_grad()
    for p in ours.parameters().values():
        p.value = p.value + 0.5 * rng.standard_normal(p.shape)
    laid_out = _turned if setting.turned else torch.tensor
    tensors = {n: laid_out(p.value).requires_grad_() for n, p in ours.parameters().items()}
    txs = [first(x).requires_grad_() for x in xs]
    ty = setting.theirs(*txs, tensors)
    y, cache = ours.forward(xs if len(xs) > 1 else xs[0])
    yield "y", y, last(ty)

    dy, vs = rng.standard_normal(y.shape), [rng.standard_normal(x.shape) for x in xs]
    wanted = [*txs, *tensors.values()]
    dx = ours.backward(dy, cache)
    grads = torch.autograd.grad(
        ty, wanted, first(dy), create_graph=True, allow_unused=True, materialize_grads=True
    )
    yield from _inputs("dx", dx if len(xs) > 1 else (dx,), grads, xs)
    yield from _parameters("d", ours, grads[len(xs) :], laid_out)
    if not setting.second:
        return

    ours.zero_grad()
    d2, _ = ours.double_backward(tuple(vs) if len(xs) > 1 else vs[0], dy, cache)
    inner = sum((g * first(v)).sum() for g, v in zip(grads, vs, strict=False))
    seconds = [torch.zeros_like(w) for w in wanted]
    if inner.requires_grad:
        seconds = torch.autograd.grad(inner, wanted, allow_unused=True, materialize_grads=True)
    yield from _inputs("d²x", d2 if isinstance(d2, tuple) else (d2,), seconds, xs)
    yield from _parameters("d²", ours, seconds[len(xs) :], laid_out)


def _inputs(name, found, expected, xs):
    for ours, theirs, x in zip(found, expected, xs, strict=False):
        yield name, numpy.zeros_like(x) if ours is None else ours, last(theirs)


def _parameters(prefix, layer, expected, laid_out):
    for (name, p), theirs in zip(layer.parameters().items(), expected, strict=True):
        yield f"{prefix} {name}", laid_out(p.grad).numpy(), theirs.detach().numpy()


def _turned(w):
    return torch.tensor(numpy.ascontiguousarray(w.transpose(AXES[w.ndim]) if w.ndim in AXES else w))


def _pair(rng, low, high):
    return tuple(int(n) for n in rng.integers(low, high, 2, endpoint=True))


def _int(rng, low, high):
    return int(rng.integers(low, high, endpoint=True))


def _image(rng, channels, low=3, high=6):
    return (rng.standard_normal((_int(rng, 1, 3), *_pair(rng, low, high), channels)),)


# ---------------------------------------------------------------- convolutions


def _padded(x, sides, mode):
    """PyTorch's padding in all modes, axis by axis from the last."""
    flat = [n for side in reversed(sides) for n in side]
    return F.pad(x, flat, mode="constant" if mode == "zeros" else mode)


def _channels(rng):
    groups = _int(rng, 1, 3)
    return groups, groups * _int(rng, 1, 2), groups * _int(rng, 1, 3)


def conv2d(rng):
    groups, c_in, c_out = _channels(rng)
    kernel, stride, dilation = _pair(rng, 1, 3), _pair(rng, 1, 3), _pair(rng, 1, 2)
    sides, mode = (_pair(rng, 0, 2), _pair(rng, 0, 2)), MODES[_int(rng, 0, 3)]
    ours = nn.Conv2d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=sides, dilation=dilation,
        groups=groups, padding_mode=mode, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        x = _padded(x, sides, mode)
        return F.conv2d(x, p["weight"], p["bias"], stride, 0, dilation, groups)

    return Setting(ours, theirs, _image(rng, c_in, 5, 8))


def conv_transpose2d(rng):
    groups, c_in, c_out = _channels(rng)
    kernel, stride, dilation = _pair(rng, 2, 4), _pair(rng, 1, 3), _pair(rng, 1, 2)
    padding, extra = _pair(rng, 0, 1), tuple(_int(rng, 0, s - 1) for s in stride)
    ours = nn.ConvTranspose2d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation,
        groups=groups, output_padding=extra, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        more = stride, padding, extra, groups, dilation
        return F.conv_transpose2d(x, p["weight"], p["bias"], *more)

    return Setting(ours, theirs, _image(rng, c_in, 2, 5))


def conv1d(rng):
    groups, c_in, c_out = _channels(rng)
    kernel, stride, dilation = (_int(rng, 1, 3) for _ in range(3))
    ends, mode = _pair(rng, 0, 3), MODES[_int(rng, 0, 3)]
    ours = nn.Conv1d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=ends, dilation=dilation,
        groups=groups, padding_mode=mode, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        x = _padded(x, (ends,), mode)
        return F.conv1d(x, p["weight"], p["bias"], stride, 0, dilation, groups)

    return Setting(ours, theirs, (rng.standard_normal((2, _int(rng, 8, 11), c_in)),))


def conv_transpose1d(rng):
    groups, c_in, c_out = _channels(rng)
    kernel, stride, dilation = (_int(rng, 1, 3) for _ in range(3))
    padding, extra = _int(rng, 0, (kernel - 1) // 2), _int(rng, 0, stride - 1)
    ours = nn.ConvTranspose1d(
        c_in, c_out, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation,
        groups=groups, output_padding=extra, rng=rng,
    )  # fmt: skip

    def theirs(x, p):
        more = stride, padding, extra, groups, dilation
        return F.conv_transpose1d(x, p["weight"], p["bias"], *more)

    return Setting(ours, theirs, (rng.standard_normal((2, _int(rng, 2, 5), c_in)),))


def modulated(rng):
    """One kernel for each sample, as the paper has it: a convolution in groups."""
    c_in, c_out, features = (_int(rng, 1, 4) for _ in range(3))
    kernel, padding, demodulate = _pair(rng, 1, 3), _pair(rng, 0, 1), rng.random() < 0.7
    ours = nn.ModulatedConv2d(
        c_in, c_out, style_features=features, kernel_size=kernel, padding=padding,
        demodulate=demodulate, eps=1e-3, rng=rng,
    )  # fmt: skip

    def theirs(x, w, p):
        s = w @ p["affine.weight"] + p["affine.bias"]
        kernels = p["weight"][None] * s[:, None, :, None, None]
        if demodulate:
            kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-3).rsqrt()
        n, c, height, width = x.shape
        whole = x.reshape(1, n * c, height, width)
        y = F.conv2d(whole, kernels.flatten(0, 1), padding=padding, groups=n)
        return y.reshape(n, -1, *y.shape[2:]) + p["bias"][:, None, None]

    (x,) = _image(rng, c_in)
    return Setting(ours, theirs, (x, rng.standard_normal((len(x), features))))


def pad(rng):
    sides, mode = (_pair(rng, 0, 2), _pair(rng, 0, 2)), MODES[_int(rng, 0, 3)]
    return Setting(nn.Pad(sides, mode=mode), lambda x, p: _padded(x, sides, mode), _image(rng, 2))


# ---------------------------------------------------------------- other sizes


def filtered(x, taps, factor, up):
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


def _filter(rng):
    factor = _int(rng, 1, 3)
    return factor, tuple(rng.uniform(0.5, 3, _int(rng, factor, 5)).tolist())


def _blocks(rng, factor, channels):
    height, width = _pair(rng, 1, 4)
    return (rng.standard_normal((2, factor * height, factor * width, channels)),)


def downsample(rng):
    factor, taps = _filter(rng)
    ours = nn.Downsample(factor, taps=taps)
    return Setting(ours, lambda x, p: filtered(x, taps, factor, False), _blocks(rng, factor, 3))


def interpolate(rng):
    factor, taps = _filter(rng)
    ours = nn.Interpolate(factor, taps=taps)
    return Setting(ours, lambda x, p: filtered(x, taps, factor, True), _image(rng, 3))


def blur(rng):
    taps = tuple(rng.uniform(0.5, 3, _int(rng, 1, 4)).tolist())
    return Setting(nn.Blur(taps=taps), lambda x, p: filtered(x, taps, 1, False), _image(rng, 3))


def resize(rng):
    size, mode = _pair(rng, 1, 9), ("nearest", "bilinear")[_int(rng, 0, 1)]
    more = {"align_corners": False} if mode == "bilinear" else {}
    return Setting(
        nn.Resize(size, mode=mode), lambda x, p: F.interpolate(x, size, mode=mode, **more),
        _image(rng, 3),
    )  # fmt: skip


def upsample(rng):
    factor = _pair(rng, 1, 3)
    return Setting(
        nn.Upsample(factor), lambda x, p: F.interpolate(x, scale_factor=factor), _image(rng, 2)
    )


def pixel_shuffle(rng):
    r = _int(rng, 1, 3)
    x = _image(rng, r * r * _int(rng, 1, 3))
    return Setting(nn.PixelShuffle(r), lambda x, p: F.pixel_shuffle(x, r), x)


def pixel_unshuffle(rng):
    r = _int(rng, 1, 3)
    x = _blocks(rng, r, _int(rng, 1, 3))
    return Setting(nn.PixelUnshuffle(r), lambda x, p: F.pixel_unshuffle(x, r), x)


def _window(rng):
    kernel, stride = _pair(rng, 1, 3), _pair(rng, 1, 3)
    return kernel, stride, tuple(_int(rng, 0, k // 2) for k in kernel)


def average_pool(rng):
    kernel, stride, padding = _window(rng)
    return Setting(
        nn.AveragePool(kernel, stride=stride, padding=padding),
        lambda x, p: F.avg_pool2d(x, kernel, stride, padding), _image(rng, 3),
    )  # fmt: skip


def max_pool(rng):
    kernel, stride, padding = _window(rng)
    return Setting(
        nn.MaxPool(kernel, stride=stride, padding=padding),
        lambda x, p: F.max_pool2d(x, kernel, stride, padding), _image(rng, 3),
    )  # fmt: skip


def global_pool(rng):
    kind = ("mean", "sum", "max")[_int(rng, 0, 2)]
    theirs = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax}[kind]
    return Setting(nn.GlobalPool(kind), lambda x, p: theirs(x, (2, 3)), _image(rng, 3))


# ---------------------------------------------------------------- activations


def elu(rng):
    alpha = float(rng.uniform(0.1, 2))
    return Setting(nn.ELU(alpha), lambda x, p: F.elu(x, alpha), _image(rng, 3))


def gelu(rng):
    return Setting(nn.GELU(), lambda x, p: F.gelu(x, approximate="tanh"), _image(rng, 3))


def silu(rng):
    return Setting(nn.SiLU(), lambda x, p: F.silu(x), _image(rng, 3))


def softplus(rng):
    return Setting(nn.Softplus(), lambda x, p: F.softplus(x), _image(rng, 3))


def prelu(rng):
    channels = _int(rng, 1, 4)
    ours = nn.PReLU((1, channels)[_int(rng, 0, 1)])
    return Setting(ours, lambda x, p: F.prelu(x, p["slope"]), _image(rng, channels))


def softmax(rng):
    axis = _int(rng, 1, 3)
    return Setting(nn.Softmax(axis), lambda x, p: F.softmax(x, (0, 2, 3, 1)[axis]), _image(rng, 3))


def gumbel_softmax(rng):
    """With the same noise; straight through: one-hot forwards, the soft form backwards."""
    tau, hard, seed = float(rng.uniform(0.3, 2)), rng.random() < 0.5, _int(rng, 0, 2**31)
    ours = nn.GumbelSoftmax(tau, hard=hard, rng=numpy.random.default_rng(seed))
    (x,) = _image(rng, 4)
    g = first(numpy.random.default_rng(seed).gumbel(size=x.shape))

    def theirs(x, p):
        soft = F.softmax((x + g) / tau, 1)
        one_hot = F.one_hot(soft.argmax(1), 4).movedim(-1, 1)
        return one_hot + soft - soft.detach() if hard else soft

    return Setting(ours, theirs, (x,), second=False)


# ---------------------------------------------------------------- normalisation


def group_norm(rng):
    groups = _int(rng, 1, 3)
    channels = groups * _int(rng, 1, 3)
    ours = nn.GroupNorm(groups, channels, eps=1e-3)

    def theirs(x, p):
        return F.group_norm(x, groups, p["gamma"], p["beta"], 1e-3)

    return Setting(ours, theirs, _image(rng, channels))


def rms_norm(rng):
    channels = _int(rng, 1, 5)

    def theirs(x, p):
        return F.rms_norm(x.movedim(1, -1), (channels,), p["gamma"], 1e-3).movedim(-1, 1)

    return Setting(nn.RMSNorm(channels, eps=1e-3), theirs, _image(rng, channels))


def pixel_norm(rng):
    def theirs(x, p):
        return x * ((x * x).mean(1, True) + 1e-3).rsqrt()

    return Setting(nn.PixelNorm(eps=1e-3), theirs, _image(rng, _int(rng, 1, 5)))


def _scaled_and_shifted(x_hat, ab):
    a, b = ab.chunk(2, 1)
    return x_hat * (1 + a[..., None, None]) + b[..., None, None]


def adain(rng):
    channels, features = _int(rng, 1, 4), _int(rng, 1, 4)
    ours = nn.AdaIN(channels, style_features=features, eps=1e-3, rng=rng)

    def theirs(x, w, p):
        ab = w @ p["affine.weight"] + p["affine.bias"]
        return _scaled_and_shifted(F.instance_norm(x, eps=1e-3), ab)

    (x,) = _image(rng, channels)
    return Setting(ours, theirs, (x, rng.standard_normal((len(x), features))))


def conditional_batch_norm(rng):
    channels, features = _int(rng, 1, 4), _int(rng, 1, 4)
    ours = nn.ConditionalBatchNorm(channels, condition_features=features, eps=1e-3)

    def theirs(x, w, p):
        x_hat = F.batch_norm(x, None, None, training=True, eps=1e-3)
        return _scaled_and_shifted(x_hat, w @ p["affine.weight"])

    (x,) = _image(rng, channels)
    return Setting(ours, theirs, (x, rng.standard_normal((len(x), features))), second=False)


def minibatch_discrimination(rng):
    """Salimans et al. 2016, section 3.2, without the term of a sample with itself."""
    features, rows, length, n = (_int(rng, 1, 4) for _ in range(4))
    ours = nn.MinibatchDiscrimination(features, rows=rows, length=length, rng=rng)

    def theirs(x, p):
        m = torch.einsum("nf,fbc->nbc", x, p["weight"])
        o = torch.exp(-(m[:, None] - m[None]).abs().sum(3)).sum(1) - 1
        return torch.cat([x, o], 1)

    return Setting(ours, theirs, (rng.standard_normal((n, features)),), turned=False)


def virtual_batch_norm(rng):
    """Section 3.4: the statistics of a sample and the reference, each of them weighing 1."""
    n, channels, (height, width) = _int(rng, 2, 4), _int(rng, 1, 3), _pair(rng, 1, 4)
    reference = rng.standard_normal((n, height, width, channels))
    norm = nn.VirtualBatchNorm(channels, reference=n, eps=1e-3)
    ours = nn.WithReference(nn.Sequential(nn.Tanh(), norm), reference).astype("float64")
    r = torch.tanh(first(reference))

    def theirs(x, p):
        gamma, beta = (v[:, None, None] for v in p.values())
        each = [torch.cat([r, one[None]]) for one in torch.tanh(x)]
        x_hat = [F.batch_norm(all_, None, None, training=True, eps=1e-3)[-1] for all_ in each]
        return torch.stack(x_hat) * gamma + beta

    x = rng.standard_normal((2, height, width, channels))
    return Setting(ours, theirs, (x,), second=False)


# ---------------------------------------------------------------- weights, noise, attention


def equalised(rng):
    gain, m, c_in = float(rng.uniform(0.5, 2)), float(rng.uniform(0.1, 1)), _int(rng, 1, 4)
    inner = nn.Conv2d(c_in, 3, kernel_size=_pair(rng, 1, 3), rng=rng)
    ours, fan_in = nn.Equalised(inner, gain=gain, lr_multiplier=m, rng=rng), inner.weight.fan_in

    def theirs(x, p):
        w = p["layer.weight"] * gain * m / fan_in**0.5
        return F.conv2d(x, w, p["layer.bias"] * m)

    return Setting(ours, theirs, _image(rng, c_in))


def weight_norm(rng):
    c_in = _int(rng, 1, 4)
    ours = nn.WeightNorm(nn.Conv2d(c_in, 3, kernel_size=_pair(rng, 1, 3), rng=rng))

    def theirs(x, p):
        w = torch._weight_norm(p["layer.weight"], p["scale"][:, None, None, None], 0)
        return F.conv2d(x, w, p["layer.bias"])

    return Setting(ours, theirs, _image(rng, c_in))


def self_attention(rng):
    pool, channels = _int(rng, 1, 2), 8 * _int(rng, 1, 2)
    ours = nn.SelfAttention(channels, pool=pool, rng=rng)

    def theirs(x, p):
        n, _, height, width = x.shape
        f, g, h = (
            torch.einsum("nchw,co->nohw", x, p[f"{part}.weight"])
            for part in ("query", "key", "value")
        )
        g, h = (F.max_pool2d(part, pool).flatten(2) for part in (g, h))
        a = torch.softmax(f.flatten(2).transpose(1, 2) @ g, -1)
        o = (h @ a.transpose(1, 2)).reshape(n, -1, height, width)
        return x + p["gamma"] * torch.einsum("nchw,co->nohw", o, p["out.weight"])

    (x,) = _image(rng, channels, 2, 4)
    return Setting(ours, theirs, (x / 4,))


def learnt_noise(rng):
    channels, seed = _int(rng, 1, 4), _int(rng, 0, 2**31)
    strengths = (1, channels)[_int(rng, 0, 1)]
    ours = nn.LearntNoise(strengths, rng=numpy.random.default_rng(seed))
    (x,) = _image(rng, channels)
    noise = first(numpy.random.default_rng(seed).standard_normal((*x.shape[:3], 1)))
    return Setting(ours, lambda x, p: x + p["strength"][:, None, None] * noise, (x,))


def constant(rng):
    ours = nn.Constant(*_pair(rng, 1, 3), _int(rng, 1, 3), rng=rng)

    def theirs(x, p):
        return p["value"].movedim(-1, 0).expand(len(x), *(-1,) * 3)

    return Setting(ours, theirs, (rng.standard_normal((3, 2)),), turned=False)


# ---------------------------------------------------------------- containers


def _linear(x, p, name):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def branches(rng):
    n, a, b = (_int(rng, 1, 4) for _ in range(3))
    second = nn.Sequential(nn.Linear(n, b, rng=rng), nn.Tanh())
    ours = nn.Branches(nn.Linear(n, a, rng=rng), second)

    def theirs(x, p):
        names = list(dict.fromkeys(name.rpartition(".")[0] for name in p))
        return torch.cat([_linear(x, p, names[0]), torch.tanh(_linear(x, p, names[1]))], 1)

    return Setting(ours, theirs, (rng.standard_normal((3, n)),))


def fade(rng):
    n, alpha = _int(rng, 1, 4), float(rng.random())
    ours = nn.Fade(nn.Linear(n, n, rng=rng), nn.Tanh(), alpha=alpha)

    def theirs(x, p):
        return (1 - alpha) * _linear(x, p, "old") + alpha * torch.tanh(x)

    return Setting(ours, theirs, (rng.standard_normal((3, n)),))


class Shifted(nn.PhaseShuffle):
    """Phase shuffle with a shift that is known."""

    def __init__(self, n, k):
        super().__init__(n)
        self.k = k

    def _draw(self, x):
        return numpy.eye(2 * self.n + 1)[self.n - self.k]


def phase_shuffle(rng):
    n = _int(rng, 1, 3)
    k = _int(rng, -n, n)

    def theirs(x, p):
        padded, length = F.pad(x, (n, n), mode="reflect"), x.shape[2]
        return padded[:, :, n - k : n - k + length]

    x = rng.standard_normal((2, n + _int(rng, 1, 5), 3))
    return Setting(Shifted(n, k), theirs, (x,))


def log_spectrogram(rng):
    half = _int(rng, 1, 5)
    hop, floor = _int(rng, 1, half), float(rng.uniform(1e-3, 0.5))
    ours = nn.LogSpectrogram(window=2 * half, hop=hop, floor=floor)
    hann = torch.hann_window(2 * half, dtype=torch.float64)

    def theirs(x, p):
        spectrum = torch.stft(
            x[:, 0], 2 * half, hop, window=hann, pad_mode="constant", return_complex=True
        )[:, 1:, :-1]  # fmt: skip
        power = (2 / hann.sum() * spectrum.abs()) ** 2 + floor**2
        return (1 - power.log() / math.log(floor)).flip(1)[:, None]

    x = rng.standard_normal((2, hop * max(_int(rng, 1, 5), -(-half // hop)), 1))
    return Setting(ours, theirs, (x,))


CASES = {
    "Conv2d": conv2d, "ConvTranspose2d": conv_transpose2d, "Conv1d": conv1d,
    "ConvTranspose1d": conv_transpose1d, "ModulatedConv2d": modulated, "Pad": pad,
    "Downsample": downsample, "Interpolate": interpolate, "Blur": blur, "Resize": resize,
    "Upsample": upsample, "PixelShuffle": pixel_shuffle, "PixelUnshuffle": pixel_unshuffle,
    "AveragePool": average_pool, "MaxPool": max_pool, "GlobalPool": global_pool, "ELU": elu,
    "GELU": gelu, "SiLU": silu, "Softplus": softplus, "PReLU": prelu, "Softmax": softmax,
    "GumbelSoftmax": gumbel_softmax, "GroupNorm": group_norm, "RMSNorm": rms_norm,
    "PixelNorm": pixel_norm, "AdaIN": adain, "ConditionalBatchNorm": conditional_batch_norm,
    "MinibatchDiscrimination": minibatch_discrimination, "VirtualBatchNorm": virtual_batch_norm,
    "Equalised": equalised, "WeightNorm": weight_norm, "SelfAttention": self_attention,
    "LearntNoise": learnt_noise, "Constant": constant, "Branches": branches, "Fade": fade,
    "PhaseShuffle": phase_shuffle, "LogSpectrogram": log_spectrogram,
}  # fmt: skip
"""Name of a layer -> what draws a setting of it."""


def generator(name, seed):
    return numpy.random.default_rng([seed, *name.encode()])


def worst(name, seeds):
    """The largest error of a layer in so many random settings, and of what it is."""
    found = (0.0, "")
    for seed in seeds:
        rng = generator(name, seed)
        for what, ours, theirs in pairs(CASES[name](rng), rng):
            error = abs(ours - theirs).max(initial=0) / max(1, abs(theirs).max(initial=0))
            found = max(found, (float(error), what))
    return found


def main(count=200):
    torch.set_num_threads(1)
    print(f"| layer | settings | largest error | of |\n|{'---|' * 4}")
    for name in CASES:
        error, what = worst(name, range(count))
        print(f"| {name} | {count} | {error:.1e} | {what} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
