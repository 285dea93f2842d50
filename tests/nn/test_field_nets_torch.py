"""Whole nets of the field, built of our layers and of PyTorch's functions, compared in float64.

Outputs, the gradients of x and of every parameter, and those of ⟨v, dx⟩ and of R1 through
create_graph=True. PyTorch gets our arrays as they are laid out here, and turns them.
"""

import numpy
import pytest

from minigan import nn
from minigan.gan import penalties

torch = pytest.importorskip("torch")
F = torch.nn.functional
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


@pytest.fixture(autouse=True)
def _one_thread():
    """These nets are tiny: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def first(x):
    return torch.tensor(numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1) if x.ndim > 2 else x))


def last(t):
    a = t.detach().numpy()
    return numpy.moveaxis(a, 1, -1) if a.ndim > 2 else a


class Theirs:
    """PyTorch's functions on our parameters, found by our names."""

    def __init__(self, net):
        self.net, self.layers = net, dict(net.layers())
        self.p = {
            n: torch.tensor(p.value.copy(), requires_grad=True) for n, p in net.parameters().items()
        }

    def weight(self, name):
        """W, divided by uᵀ W v where there is spectral norm, scaled where it is equalised."""
        layer = self.layers[name]
        if isinstance(layer, nn.SpectralNorm):
            w = self.p[f"{name}.layer.weight"]
            axis = layer.layer.weight.output_axis
            matrix = w.movedim(axis, 0).flatten(1)
            return w / (torch.tensor(layer.u) @ matrix @ torch.tensor(layer.v))
        if isinstance(layer, nn.Equalised):
            return self.p[f"{name}.layer.weight"] * layer.gain / layer.layer.weight.fan_in**0.5
        return self.p[f"{name}.weight"]

    def bias(self, name):
        inside = f"{name}.layer.bias"
        return self.p.get(inside, self.p.get(f"{name}.bias"))

    def conv(self, x, name, stride=1, padding=0):
        w = self.weight(name).permute(3, 2, 0, 1)
        return F.conv2d(x, w, self.bias(name), stride, padding)

    def conv_transpose(self, x, name, stride, padding):
        w = self.weight(name).permute(3, 2, 0, 1)
        return F.conv_transpose2d(x, w, self.bias(name), stride, padding)

    def linear(self, x, name):
        return F.linear(x, self.weight(name).T, self.bias(name))

    def conditional_norm(self, x, w, name):
        a, b = (w @ self.p[f"{name}.affine.weight"]).chunk(2, 1)
        return (
            F.batch_norm(x, None, None, training=True) * (1 + a[..., None, None])
            + b[..., None, None]
        )

    def modulated(self, x, w, name, padding, demodulate=True):
        """One kernel for each sample, as the paper has it: a convolution in groups."""
        inner = name if f"{name}.weight" in self.p else f"{name}.layer"
        s = w @ self.p[f"{inner}.affine.weight"] + self.p[f"{inner}.affine.bias"]
        kernels = self.weight(name).permute(3, 2, 0, 1)[None] * s[:, None, :, None, None]
        if demodulate:
            kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        n, c, height, width = x.shape
        y = F.conv2d(
            x.reshape(1, n * c, height, width), kernels.flatten(0, 1), padding=padding, groups=n
        )
        return y.reshape(n, -1, *y.shape[2:]) + self.bias(name)[:, None, None]

    def attention(self, x, name, gamma):
        n, _, height, width = x.shape
        f, g, h = (
            torch.einsum("nchw,co->nohw", x, self.weight(f"{name}.{part}"))
            for part in ("query", "key", "value")
        )
        g, h = F.max_pool2d(g, 2).flatten(2), F.max_pool2d(h, 2).flatten(2)
        a = torch.softmax(f.flatten(2).transpose(1, 2) @ g, -1)
        o = (h @ a.transpose(1, 2)).reshape(n, -1, height, width)
        return x + gamma * torch.einsum("nchw,co->nohw", o, self.weight(f"{name}.out"))

    def up(self, x):
        """StyleGAN2's up-sampling by two with (1, 3, 3, 1)."""
        k = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
        k = torch.outer(k, k).expand(x.shape[1], 1, 4, 4)
        return F.conv_transpose2d(x, 4 * k, stride=2, padding=1, groups=x.shape[1])


def spread(net, rng):
    for p in net.parameters().values():
        p.value = p.value + 0.2 * rng.standard_normal(p.shape)
    for _, layer in net.layers():
        if isinstance(layer, nn.SpectralNorm):
            layer.iterate(3)
    return net.astype("float64")


def sn(layer, rng):
    return nn.spectral_norm(layer, rng=rng)


def conv(c_in, c_out, kernel, rng, **more):
    return nn.Conv2d(c_in, c_out, kernel_size=kernel, padding=kernel // 2, rng=rng, **more)


# ---------------------------------------------------------------- the nets


def sngan_block(rng):
    """Miyato et al. 2018, figure 8b: a halving ResNet block, sum pooling, a linear layer."""
    net = nn.Sequential(
        nn.Residual(
            nn.ELU(), sn(conv(3, 4, 3, rng), rng), nn.ELU(), sn(conv(4, 4, 3, rng), rng),
            nn.AveragePool(2),
            shortcut=nn.Sequential(sn(conv(3, 4, 1, rng), rng), nn.AveragePool(2)),
        ),
        nn.Softplus(), nn.GlobalPool("sum"), sn(nn.Linear(4, 1, rng=rng), rng),
    )  # fmt: skip

    def theirs(t, x):
        body = t.conv(F.elu(x), "0.body.1", padding=1)
        body = F.avg_pool2d(t.conv(F.elu(body), "0.body.3", padding=1), 2)
        y = body + F.avg_pool2d(t.conv(x, "0.shortcut.0"), 2)
        return t.linear(F.softplus(y).sum((2, 3)), "3")

    return net, theirs, (3, 6, 6, 3)


def biggan_discriminator(rng):
    """A block with attention; spectral norm on every matrix."""
    attention = nn.SelfAttention(8, rng=rng)
    for part in ("query", "key", "value", "out"):
        setattr(attention, part, sn(getattr(attention, part), rng))
    net = nn.Sequential(
        sn(conv(2, 8, 3, rng), rng), nn.SiLU(), attention, nn.MaxPool(2), nn.GlobalPool(),
        sn(nn.Linear(8, 1, rng=rng), rng),
    )  # fmt: skip

    def theirs(t, x):
        h = F.silu(t.conv(x, "0", padding=1))
        h = F.max_pool2d(t.attention(h, "2", t.p["2.gamma"]), 2)
        return t.linear(h.mean((2, 3)), "5")

    return net, theirs, (2, 4, 4, 2)


def stylegan2_block(rng):
    """Mapping, constant, modulated convolutions with noise, an up-sampling, and toRGB."""
    styles = {"style_features": 4, "rng": rng}
    rgb = nn.ModulatedConv2d(3, 3, kernel_size=1, demodulate=False, **styles)
    net = nn.Sequential(
        nn.PixelNorm(),
        nn.Equalised(nn.Linear(5, 4, rng=rng), rng=rng),
        nn.Softplus(),
        nn.Styled(
            nn.Constant(3, 4, 2, rng=rng),
            nn.ModulatedConv2d(2, 3, kernel_size=3, padding=1, **styles),
            nn.SiLU(),
            nn.Interpolate(2),
            nn.ModulatedConv2d(3, 3, kernel_size=3, padding=1, **styles),
            nn.SiLU(),
            nn.Equalised(rgb, gain=1.0, rng=rng),
        ),
    )

    def theirs(t, z):
        z = z * (z.square().mean(1, True) + 1e-8).rsqrt()
        w = F.softplus(t.linear(z, "1"))
        x = t.p["3.chain.0.value"].permute(2, 0, 1).expand(z.shape[0], -1, -1, -1)
        x = t.up(F.silu(t.modulated(x, w, "3.chain.1", 1)))
        x = F.silu(t.modulated(x, w, "3.chain.4", 1))
        return t.modulated(x, w, "3.chain.6", 0, demodulate=False)

    return net, theirs, (3, 5)


class Shifted(nn.PhaseShuffle):
    """Phase shuffle with a shift that is known."""

    def _draw(self, x):
        return numpy.eye(2 * self.n + 1)[self.n - 2]  # k = 2


def wavegan_critic(rng):
    """Donahue et al. 2019, table 4, with fewer layers: kernels of 25 at stride 4."""
    wide = {"kernel_size": 25, "stride": 4, "padding": (10, 11), "rng": rng}
    net = nn.Sequential(
        nn.Conv1d(1, 3, **wide), nn.GELU(), Shifted(2), nn.Conv1d(3, 4, **wide), nn.GELU(),
        nn.Flatten(), nn.Linear(16, 1, rng=rng),
    )  # fmt: skip

    def theirs(t, x):
        for name in ("0", "3"):
            x = F.conv1d(F.pad(x, (10, 11)), t.weight(name).permute(2, 1, 0), t.bias(name), 4)
            x = F.gelu(x, approximate="tanh")
            if name == "0":
                x = F.pad(x, (2, 0), mode="reflect")[:, :, : x.shape[2]]
        return t.linear(x.transpose(1, 2).flatten(1), "6")

    return net, theirs, (2, 64, 1)


def u_net(rng):
    """Isola et al. 2017: halving, doubling, and the way around by concatenation."""
    down = {"kernel_size": 4, "stride": 2, "padding": 1, "rng": rng}
    inner = nn.Skip(
        nn.ELU(), nn.Conv2d(3, 4, **down), nn.ELU(), nn.ConvTranspose2d(4, 3, **down),
        nn.InstanceNorm(3, affine=True),
    )  # fmt: skip
    net = nn.Sequential(
        nn.Conv2d(2, 3, **down), inner, nn.ELU(), nn.ConvTranspose2d(6, 2, **down), nn.Tanh()
    )

    def theirs(t, x):
        h = t.conv(x, "0", 2, 1)
        up = t.conv_transpose(F.elu(t.conv(F.elu(h), "1.body.1", 2, 1)), "1.body.3", 2, 1)
        up = F.instance_norm(up, weight=t.p["1.body.4.gamma"], bias=t.p["1.body.4.beta"])
        return torch.tanh(t.conv_transpose(F.elu(torch.cat([h, up], 1)), "3", 2, 1))

    return net, theirs, (2, 8, 8, 2)


NETS = [sngan_block, biggan_discriminator, stylegan2_block, wavegan_critic, u_net]


@pytest.mark.parametrize("make", NETS)
def test_outputs_and_gradients_of_both_orders(make):
    rng = numpy.random.default_rng(3)
    net, forward, shape = make(rng)
    spread(net, rng)
    theirs, x = Theirs(net), rng.standard_normal(shape)
    tx = first(x).requires_grad_()
    ty = forward(theirs, tx)
    with nn.frozen_statistics(net):
        y, cache = net.forward(x)
    numpy.testing.assert_allclose(y, last(ty), **CLOSE)

    dy, v = rng.standard_normal(y.shape), rng.standard_normal(shape)
    net.zero_grad()
    dx = net.backward(dy, cache)
    wanted = [tx, *theirs.p.values()]
    grads = torch.autograd.grad(ty, wanted, first(dy), create_graph=True)
    numpy.testing.assert_allclose(dx, last(grads[0]), **CLOSE)
    _assert_same(net, grads[1:])

    net.zero_grad()
    d2, _ = net.double_backward(v, dy, cache)
    seconds = torch.autograd.grad((grads[0] * first(v)).sum(), wanted, allow_unused=True)
    numpy.testing.assert_allclose(d2, last(seconds[0]), **CLOSE)
    _assert_same(net, seconds[1:])


def _assert_same(net, grads):
    assert max(abs(p.grad).max() for p in net.parameters().values()) > 1e-3
    for (name, p), g in zip(net.parameters().items(), grads, strict=True):
        expected = numpy.zeros(p.shape) if g is None else g.detach().numpy()
        numpy.testing.assert_allclose(p.grad, expected, **CLOSE, err_msg=name)


@pytest.mark.parametrize("make", [sngan_block, biggan_discriminator, wavegan_critic])
def test_the_gradient_penalty_of_a_critic(make):
    rng = numpy.random.default_rng(4)
    net, forward, shape = make(rng)
    spread(net, rng)
    theirs, x = Theirs(net), rng.standard_normal(shape)
    tx = first(x).requires_grad_()
    (g,) = torch.autograd.grad(forward(theirs, tx).sum(), tx, create_graph=True)
    expected = 10 * ((g.flatten(1).square().sum(1) + penalties.TINY).sqrt() - 1).square().mean()
    expected.backward()
    net.zero_grad()
    value = penalties.gradient_penalty(net, x, weight=10.0)
    assert value == pytest.approx(expected.item(), rel=1e-10)
    _assert_same(net, [p.grad for p in theirs.p.values()])


def test_a_biggan_generator_block():
    """Conditional batch norm of [label, z], doubling, a shortcut, attention: first derivatives."""
    rng = numpy.random.default_rng(5)
    body = nn.Styled(
        nn.ConditionalBatchNorm(4, condition_features=5), nn.ReLU(), nn.Upsample(2),
        conv(4, 8, 3, rng, bias=False), nn.ConditionalBatchNorm(8, condition_features=5), nn.ReLU(),
        conv(8, 8, 3, rng), nn.SelfAttention(8, rng=rng),
    )  # fmt: skip
    net = spread(body, rng)
    theirs = Theirs(net)
    x, w = rng.standard_normal((3, 2, 3, 4)), rng.standard_normal((3, 5))
    tx, tw = first(x).requires_grad_(), torch.tensor(w, requires_grad=True)
    h = F.interpolate(F.relu(theirs.conditional_norm(tx, tw, "chain.0")), scale_factor=2)
    h = F.relu(theirs.conditional_norm(theirs.conv(h, "chain.3", 1, 1), tw, "chain.4"))
    ty = theirs.attention(theirs.conv(h, "chain.6", 1, 1), "chain.7", theirs.p["chain.7.gamma"])
    y, cache = net.forward((x, w))
    numpy.testing.assert_allclose(y, last(ty), **CLOSE)
    dy = rng.standard_normal(y.shape)
    dx, dw = net.backward(dy, cache)
    grads = torch.autograd.grad(ty, [tx, tw, *theirs.p.values()], first(dy))
    numpy.testing.assert_allclose(dx, last(grads[0]), **CLOSE)
    numpy.testing.assert_allclose(dw, grads[1], **CLOSE)
    _assert_same(net, grads[2:])


def test_weight_norm_is_pytorchs():
    rng = numpy.random.default_rng(6)
    net = spread(nn.WeightNorm(nn.Linear(4, 3, rng=rng)), rng)
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 3)).double()
    inner = theirs.parametrizations.weight
    with torch.no_grad():
        inner.original0.copy_(torch.tensor(net.scale.value[:, None]))
        inner.original1.copy_(torch.tensor(net.layer.weight.value.T.copy()))
        theirs.bias.copy_(torch.tensor(net.layer.bias.value))
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    y, cache = net.forward(x)
    ty = theirs(torch.tensor(x))
    numpy.testing.assert_allclose(y, ty.detach(), **CLOSE)
    net.backward(dy, cache)
    ty.backward(torch.tensor(dy))
    numpy.testing.assert_allclose(net.scale.grad, inner.original0.grad[:, 0], **CLOSE)
    numpy.testing.assert_allclose(net.layer.weight.grad, inner.original1.grad.T, **CLOSE)


def test_adain_is_the_formula_of_the_paper():
    """Of its first and second derivatives, in PyTorch's operations."""
    rng = numpy.random.default_rng(7)
    net = spread(nn.AdaIN(3, style_features=4, rng=rng), rng)
    x, w = rng.standard_normal((2, 3, 4, 3)), rng.standard_normal((2, 4))
    v, u, dy = (
        rng.standard_normal(x.shape),
        rng.standard_normal(w.shape),
        rng.standard_normal(x.shape),
    )
    p = Theirs(net).p
    tx, tw = first(x).requires_grad_(), torch.tensor(w, requires_grad=True)
    a, b = (tw @ p["affine.weight"] + p["affine.bias"]).chunk(2, 1)
    ty = F.instance_norm(tx) * (1 + a[..., None, None]) + b[..., None, None]
    y, cache = net.forward((x, w))
    numpy.testing.assert_allclose(y, last(ty), **CLOSE)
    wanted = [tx, tw, *p.values()]
    grads = torch.autograd.grad(ty, wanted, first(dy), create_graph=True)
    (d2x, d2w), _ = net.double_backward((v, u), dy, cache)
    inner = (grads[0] * first(v)).sum() + (grads[1] * torch.tensor(u)).sum()
    seconds = torch.autograd.grad(inner, wanted, allow_unused=True)
    numpy.testing.assert_allclose(d2x, last(seconds[0]), **CLOSE)
    numpy.testing.assert_allclose(d2w, seconds[1], **CLOSE)
    _assert_same(net, seconds[2:])
