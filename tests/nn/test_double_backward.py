"""Second derivatives: every layer, every container, and the penalty of whole critics, by central
differences.
"""

import copy

import numpy
import pytest
from critics import Watched, activation, assert_close, measured_gradient, spread_weights
from hypothesis import given
from hypothesis import strategies as st
from strict_array import StrictNamespace

from minigan import backend, nn
from minigan.gan import penalties

FLAT, IMAGE = (4, 6), (4, 4, 6, 2)


def _layers(rng):
    """A layer, the shape of its input, and whether it is curved."""
    conv = {"kernel_size": (3, 4), "stride": (1, 2), "padding": 1, "rng": rng}
    return {
        "linear": (nn.Linear(6, 5, rng=rng), FLAT, False),
        "linear without bias": (nn.Linear(6, 5, bias=False, rng=rng), FLAT, False),
        "conv": (nn.Conv2d(2, 3, **conv), IMAGE, False),
        "conv that leaves pixels over": (
            nn.Conv2d(2, 3, kernel_size=2, stride=4, rng=rng),
            IMAGE,
            False,
        ),
        "transposed conv": (nn.ConvTranspose2d(2, 3, **conv), IMAGE, False),
        "transposed conv with output padding": (
            nn.ConvTranspose2d(
                2, 3, kernel_size=3, stride=2, output_padding=1, bias=False, rng=rng
            ),
            IMAGE,
            False,
        ),
        "leaky relu": (nn.LeakyReLU(0.3), IMAGE, False),
        "relu": (nn.ReLU(), FLAT, False),
        "tanh": (nn.Tanh(), FLAT, True),
        "sigmoid": (nn.Sigmoid(), IMAGE, True),
        "layer norm": (nn.LayerNorm(6), FLAT, True),
        "layer norm per pixel": (nn.LayerNorm(2), IMAGE, True),
        "layer norm of images": (nn.LayerNorm(4, 6, 2, eps=0.1), IMAGE, True),
        "instance norm": (nn.InstanceNorm(2), IMAGE, True),
        "affine instance norm": (nn.InstanceNorm(2, affine=True, eps=0.1), IMAGE, True),
        "dropout that keeps all": (nn.Dropout(0.0, rng=rng), FLAT, False),
        "flatten": (nn.Flatten(), IMAGE, False),
        "reshape": (nn.Reshape(6, 8), IMAGE, False),
        "upsample": (nn.Upsample((2, 3)), IMAGE, False),
        "spectral norm": (nn.spectral_norm(nn.Linear(6, 3, rng=rng), rng=rng), FLAT, False),
        "spectral norm of a conv": (
            nn.spectral_norm(nn.Conv2d(2, 3, **conv), rng=rng),
            IMAGE,
            False,
        ),
        "spectral norm of a transposed conv": (
            nn.spectral_norm(nn.ConvTranspose2d(2, 3, **conv), rng=rng),
            IMAGE,
            False,
        ),
        "residual": (nn.Residual(nn.Linear(6, 6, rng=rng), nn.Tanh()), FLAT, True),
        "residual with a shortcut": (
            nn.Residual(
                nn.Conv2d(2, 3, kernel_size=1, rng=rng),
                nn.Tanh(),
                shortcut=nn.Conv2d(2, 3, kernel_size=1),
            ),
            IMAGE,
            True,
        ),
        "residual with a curved shortcut": (
            nn.Residual(nn.Linear(6, 6, rng=rng), shortcut=nn.Tanh()),
            FLAT,
            True,
        ),
        "residual of straight pieces": (
            nn.Residual(nn.Linear(6, 6, rng=rng), nn.LeakyReLU()),
            FLAT,
            False,
        ),
        "skip": (
            nn.Skip(nn.Conv2d(2, 3, kernel_size=3, padding=1, rng=rng), nn.Sigmoid()),
            IMAGE,
            True,
        ),
        "skip of one layer": (nn.Skip(nn.Linear(6, 2, rng=rng)), FLAT, False),
        "minibatch standard deviation": (nn.MinibatchStdDev(2), FLAT, True),
        "minibatch standard deviation of images": (nn.MinibatchStdDev(4, eps=0.1), IMAGE, True),
        "nets in nets": (
            nn.Sequential(
                nn.Tanh(),
                nn.Sequential(nn.Linear(6, 4, rng=rng), nn.Sigmoid()),
                nn.Residual(nn.Skip(nn.Tanh()), nn.Linear(8, 4, rng=rng)),
                nn.Linear(4, 2, rng=rng),
                nn.LeakyReLU(),
            ),
            FLAT,
            True,
        ),
        "a net that is empty": (nn.Sequential(), FLAT, False),
        **_of_the_field(numpy.random.default_rng(1)),
        "frames": (
            nn.PerFrame(
                nn.Conv1d(2, 3, kernel_size=3, padding=1, rng=numpy.random.default_rng(2)),
                nn.Sigmoid(),
            ),
            IMAGE,
            True,
        ),
    }


def _of_the_field(rng):
    wide, sequence = (3, 5, 6, 4), (3, 9, 4)
    size = {"kernel_size": 3, "rng": rng}
    return {
        "dilated conv": (nn.Conv2d(2, 3, dilation=(1, 2), **size), (3, 4, 6, 2), False),
        "grouped conv": (nn.Conv2d(4, 6, groups=2, stride=2, **size), wide, False),
        "depthwise conv": (
            nn.Conv2d(4, 8, groups=4, padding=((1, 0), (0, 2)), **size),
            wide,
            False,
        ),
        "conv with mirrored borders": (
            nn.Conv2d(4, 3, padding=((2, 1), (0, 1)), padding_mode="reflect", **size),
            wide,
            False,
        ),
        "grouped transposed conv": (
            nn.ConvTranspose2d(4, 6, groups=2, stride=2, padding=((1, 0), (0, 1)), **size),
            wide,
            False,
        ),
        "conv of sequences": (
            nn.Conv1d(4, 3, stride=2, padding=(2, 1), dilation=2, **size),
            sequence,
            False,
        ),
        "transposed conv of sequences": (
            nn.ConvTranspose1d(4, 6, stride=2, groups=2, output_padding=1, **size),
            sequence,
            False,
        ),
        "pad": (nn.Pad(((1, 2), (0, 3)), mode="circular"), wide, False),
        "average pool": (nn.AveragePool(3, stride=2, padding=1), wide, False),
        "max pool": (nn.MaxPool(3, stride=2, padding=1), wide, False),
        "global mean": (nn.GlobalPool(), wide, False),
        "global max": (nn.GlobalPool("max"), wide, False),
        "bilinear resize": (nn.Resize((3, 8)), wide, False),
        "nearest resize": (nn.Resize((7, 4), mode="nearest"), wide, False),
        "downsample": (nn.Downsample(2), IMAGE, False),
        "interpolate": (nn.Interpolate(2), wide, False),
        "blur": (nn.Blur(), wide, False),
        "pixel shuffle": (nn.PixelShuffle(2), wide, False),
        "pixel unshuffle": (nn.PixelUnshuffle(2), IMAGE, False),
        "log spectrogram": (nn.LogSpectrogram(window=4, hop=2, floor=0.1), (2, 6, 1), True),
        "elu": (nn.ELU(0.7), FLAT, True),
        "gelu": (nn.GELU(), FLAT, True),
        "silu": (nn.SiLU(), FLAT, True),
        "softplus": (nn.Softplus(), FLAT, True),
        "prelu": (nn.PReLU(), wide, False),
        "prelu per channel": (nn.PReLU(4), wide, False),
        "softmax": (nn.Softmax(), FLAT, True),
        "softmax of another axis": (nn.Softmax(axis=1), wide, True),
        "group norm": (nn.GroupNorm(2, 4), wide, True),
        "rms norm": (nn.RMSNorm(4), wide, True),
        "pixel norm": (nn.PixelNorm(), wide, True),
        "weight norm": (nn.WeightNorm(nn.Linear(6, 3, rng=rng)), FLAT, False),
        "equalised": (nn.Equalised(nn.Conv2d(4, 3, **size), rng=rng), wide, False),
        "self-attention": (nn.SelfAttention(8, rng=rng), (2, 4, 4, 8), True),
        "constant": (nn.Constant(2, 3, rng=rng), FLAT, False),
        "branches": (
            nn.Branches(
                nn.Linear(6, 2, rng=rng), nn.Sequential(nn.Linear(6, 2, rng=rng), nn.Tanh())
            ),
            FLAT,
            True,
        ),
        "fade": (nn.Fade(nn.Linear(6, 6, rng=rng), nn.Tanh(), alpha=0.3), FLAT, True),
        "fade of one path": (nn.Fade(nn.Linear(6, 6, rng=rng), nn.Tanh()), FLAT, False),
        "minibatch discrimination": (
            nn.MinibatchDiscrimination(6, rows=3, length=2, rng=rng),
            FLAT,
            True,
        ),
        "styled": (
            nn.Styled(
                nn.Reshape(1, 3, 2),
                nn.ModulatedConv2d(
                    2, 3, style_features=6, kernel_size=3, padding=1, bias=False, rng=rng
                ),
                nn.AdaIN(3, style_features=6, rng=rng),
            ),
            FLAT,
            True,
        ),
    }


EVERY = list(_layers(numpy.random.default_rng(0)))


def _case(name, seed=3):
    rng = numpy.random.default_rng(seed)
    layer, shape, curved = _layers(rng)[name]
    spread_weights(layer, seed).astype("float64")
    x = rng.standard_normal(shape)
    return (
        layer,
        x,
        rng.standard_normal(shape),
        rng.standard_normal(layer.output_shape(shape)),
        curved,
    )


def _frozen_forward(layer, x):
    with nn.frozen_statistics(layer):
        return layer.forward(x)


def _back(layer, x, dy):
    _, cache = _frozen_forward(layer, x)
    return layer.backward(dy, cache, param_grads=False)


# -------------------------------------------------------------------- one layer at a time


@pytest.mark.parametrize("name", EVERY)
def test_the_tangent_is_the_adjoint_of_backward(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    _, tangent = layer.double_backward(v, dy, cache)
    assert tangent.shape == dy.shape
    dx = layer.backward(dy, cache, param_grads=False)
    assert (tangent * dy).sum() == pytest.approx((v * dx).sum(), rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_the_tangent_is_the_derivative_of_forward_along_v(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    _, tangent = layer.double_backward(v, dy, cache)
    h = 1e-6
    measured = (_frozen_forward(layer, x + h * v)[0] - _frozen_forward(layer, x - h * v)[0]) / (
        2 * h
    )
    assert_close(tangent, measured, tolerance=1e-8)


@pytest.mark.parametrize("name", EVERY)
def test_every_derivative_of_the_pairing_by_central_differences(name):
    layer, x, v, dy, curved = _case(name)
    _, cache = _frozen_forward(layer, x)
    layer.zero_grad()
    dx, _ = layer.double_backward(v, dy, cache)

    def pairing():
        return float((v * _back(layer, x, dy)).sum())

    assert (dx is not None) == curved, "None, and only None, stands for exact zeros"
    assert_close(numpy.zeros_like(x) if dx is None else dx, measured_gradient(pairing, x))
    for p in layer.parameters().values():
        assert_close(p.grad, measured_gradient(pairing, p.value))


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_added_and_arguments_left_alone(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    layer.zero_grad()
    kept = [a.copy() for a in (x, v, dy)]
    dx, tangent = layer.double_backward(v, dy, cache)
    once = {k: p.grad.copy() for k, p in layer.parameters().items()}
    dx_again, tangent_again = layer.double_backward(v, dy, cache)
    for name_, p in layer.parameters().items():
        numpy.testing.assert_allclose(p.grad, 2 * once[name_], rtol=1e-12, atol=1e-14)
    numpy.testing.assert_array_equal(tangent_again, tangent)
    if dx is not None:
        numpy.testing.assert_array_equal(dx_again, dx)
    for before, now in zip(kept, (x, v, dy), strict=True):
        numpy.testing.assert_array_equal(before, now)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_wanted_is_left_out_and_the_rest_stays(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    layer.zero_grad()
    dx, tangent = layer.double_backward(v, dy, cache)
    grads = {k: p.grad.copy() for k, p in layer.parameters().items()}

    layer.zero_grad()
    only_dx, _ = layer.double_backward(v, dy, cache, param_grads=False)
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    if dx is not None:
        numpy.testing.assert_allclose(only_dx, dx, rtol=1e-13)

    nothing, only_tangent = layer.double_backward(v, dy, cache, input_grad=False)
    assert nothing is None
    numpy.testing.assert_array_equal(only_tangent, tangent)
    for k, p in layer.parameters().items():
        numpy.testing.assert_allclose(p.grad, grads[k], rtol=1e-12, atol=1e-14)

    layer.zero_grad()
    nothing, only_tangent = layer.double_backward(v, dy, cache, param_grads=False, input_grad=False)
    assert nothing is None
    numpy.testing.assert_array_equal(only_tangent, tangent)
    assert all((p.grad == 0).all() for p in layer.parameters().values())


@pytest.mark.parametrize("name", EVERY)
def test_signals_spare_the_walk_and_change_nothing(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    layer.zero_grad()
    g, signals = layer.backward_signals(dy, cache)
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    numpy.testing.assert_allclose(g, layer.backward(dy, cache, param_grads=False), rtol=1e-13)

    dx, tangent = layer.double_backward(v, dy, cache)
    grads = {k: p.grad.copy() for k, p in layer.parameters().items()}
    layer.zero_grad()
    dx_too, tangent_too = layer.double_backward(v, signals, cache)
    numpy.testing.assert_array_equal(tangent_too, tangent)
    assert (dx is None) == (dx_too is None)
    if dx is not None:
        numpy.testing.assert_array_equal(dx_too, dx)
    for k, p in layer.parameters().items():
        numpy.testing.assert_array_equal(p.grad, grads[k])


@pytest.mark.parametrize("name", EVERY)
def test_a_device_computes_the_same_without_waiting(name):
    layer, x, v, dy, _ = _case(name)
    layer.astype("float32")
    x, v, dy = (a.astype("float32") for a in (x, v, dy))
    other = copy.deepcopy(layer)
    _, cache = _frozen_forward(layer, x)
    layer.zero_grad()
    dx, tangent = layer.double_backward(v, dy, cache)

    xp = StrictNamespace()
    other.to(xp.backend)
    there = [xp.asarray(a) for a in (x, v, dy)]
    with xp.no_sync():
        _, cache = _frozen_forward(other, there[0])
        other.zero_grad()
        dx_there, tangent_there = other.double_backward(there[1], there[2], cache)
    pairs = [(tangent, tangent_there), (dx, dx_there)]
    pairs += [(p.grad, other.parameters()[k].grad) for k, p in layer.parameters().items()]
    for here, strict in pairs:
        assert (here is None) == (strict is None)
        if here is not None:
            assert strict.dtype == "float32"
            numpy.testing.assert_allclose(backend.to_numpy(strict), here, rtol=1e-4, atol=1e-5)


# -------------------------------------------------------------------- whole critics

ACTIVATIONS = ["leaky", "relu", "tanh", "sigmoid"]
PENALTIES = {
    "two-sided": lambda critic, x: penalties.gradient_penalty(critic, x, weight=3.0),
    "one-sided": lambda critic, x: penalties.gradient_penalty(
        critic, x, weight=3.0, target=0.2, one_sided=True
    ),
    "r1": lambda critic, x: penalties.r1(critic, x, gamma=3.0),
}


def _check_penalty(critic, x, penalty, sides):
    """The gradient of a penalty with respect to every weight, against central differences of the
    penalty.
    """
    critic.zero_grad()
    flat = critic.flat()
    penalty(critic, x)
    gradient = flat.grad.copy()

    def value():
        return float(penalty(critic, x))

    measured = measured_gradient(value, flat.value, sides)
    assert_close(gradient, measured)


@st.composite
def mlp_critics(draw, sides):
    rng = numpy.random.default_rng(draw(st.integers(0, 10**6)))
    width = draw(st.integers(2, 4))
    layers, features = [], 3
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["plain", "spectral", "residual", "skip", "stddev"]))
        name = draw(st.sampled_from(ACTIVATIONS))
        norm = draw(st.booleans())
        if kind == "stddev":
            layers.append(nn.MinibatchStdDev(draw(st.sampled_from([2, 4]))))
            features += 1
            continue
        size = features if kind == "residual" else width
        linear = nn.Linear(features, size, rng=rng)
        # An epsilon of 1e-5 beside a variance of 1e-3 has a curvature that a step of 1e-6 can't
        # follow.
        part = [
            nn.spectral_norm(linear, rng=rng) if kind == "spectral" else linear,
            *([nn.LayerNorm(size, eps=0.1)] if norm else []),
            activation(name, sides),
        ]
        wrap = {"residual": nn.Residual, "skip": nn.Skip}.get(kind)
        layers += [wrap(*part)] if wrap else part
        features = features + size if kind == "skip" else size
    critic = nn.Sequential(*layers, nn.Linear(features, 1, rng=rng))
    return spread_weights(critic, draw(st.integers(0, 10**6))).astype("float64")


@st.composite
def conv_critics(draw, sides):
    rng = numpy.random.default_rng(draw(st.integers(0, 10**6)))
    layers = [nn.Upsample((1, 2))] if draw(st.booleans()) else []
    shape, channels = ((1, 4, 4, 1) if not layers else (1, 4, 8, 1)), 1
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["conv", "transposed", "spectral", "residual", "skip"]))
        size = channels if kind == "residual" else draw(st.integers(1, 2))
        if kind in ("residual", "skip"):
            layer = nn.Conv2d(channels, size, kernel_size=3, padding=1, rng=rng)
        elif kind == "transposed":
            layer = nn.ConvTranspose2d(channels, size, kernel_size=3, stride=2, padding=2, rng=rng)
        else:
            layer = nn.Conv2d(channels, size, kernel_size=4, stride=2, padding=2, rng=rng)
        part = [nn.spectral_norm(layer, rng=rng) if kind == "spectral" else layer]
        inside = layer.output_shape(shape)
        norm = draw(st.sampled_from(["none", "layer", "instance"]))
        if norm == "layer":
            part.append(nn.LayerNorm(*inside[1:], eps=0.1))
        elif norm == "instance":
            part.append(nn.InstanceNorm(size, eps=0.1, affine=draw(st.booleans())))
        part.append(activation(draw(st.sampled_from(ACTIVATIONS)), sides))
        wrap = {"residual": nn.Residual, "skip": nn.Skip}.get(kind)
        layers += [wrap(*part)] if wrap else part
        channels = channels + size if kind == "skip" else size
        shape = (*inside[:3], channels)
    features = int(numpy.prod(shape[1:]))
    critic = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 1, rng=rng))
    return spread_weights(critic, draw(st.integers(0, 10**6))).astype("float64")


@given(st.data(), st.sampled_from(sorted(PENALTIES)), st.integers(0, 10**6))
def test_the_penalty_of_an_mlp_critic(data, name, seed):
    sides = []
    critic = data.draw(mlp_critics(sides))
    _check_penalty(
        critic, numpy.random.default_rng(seed).standard_normal((4, 3)), PENALTIES[name], sides
    )


@given(st.data(), st.sampled_from(sorted(PENALTIES)), st.integers(0, 10**6))
def test_the_penalty_of_a_convolutional_critic(data, name, seed):
    sides = []
    critic = data.draw(conv_critics(sides))
    _check_penalty(
        critic, numpy.random.default_rng(seed).standard_normal((2, 4, 4, 1)), PENALTIES[name], sides
    )


# -------------------------------------------------------------------- the checks notice mistakes


def _wrong_sign(cls):
    def plant(monkeypatch):
        right = cls.double_backward

        def wrong(self, v, dy, cache, **options):
            dx, tangent = right(self, v, dy, cache, **options)
            return None if dx is None else -dx, tangent

        monkeypatch.setattr(cls, "double_backward", wrong)

    return plant


def _wrong_term(change):
    def plant(monkeypatch):
        ops = type(backend.get("cpu"))
        monkeypatch.setattr(ops, "standardise_samples_grad_twice", change)

    return plant


def _normalisation_terms(v, q, x_hat, inverse_s, axes):
    """The three terms of the second derivative of a normalisation, each with its minus."""

    def mean(a):
        return a.mean(axis=axes, keepdims=True)

    def project(a):
        return a - mean(a) - x_hat * mean(a * x_hat)

    a = mean(q * v) - mean(q) * mean(v) - mean(q * x_hat) * mean(v * x_hat)
    terms = [a * x_hat, mean(v * x_hat) * project(q), mean(q * x_hat) * project(v)]
    return [-(inverse_s**2) * term for term in terms]


def _flipped(which):
    def wrong(self, v, dy, x_hat, inverse_s, gamma):
        terms = _normalisation_terms(v, gamma * dy, x_hat, inverse_s, axes=1)
        return sum(-t if i == which else t for i, t in enumerate(terms))

    return wrong


def _forgotten_scale(monkeypatch):
    right = nn.LayerNorm.double_backward

    def wrong(self, v, dy, cache, *, param_grads=True, input_grad=True):
        kept = self.gamma.grad.copy()
        out = right(self, v, dy, cache, param_grads=param_grads, input_grad=input_grad)
        self.gamma.grad = kept
        return out

    monkeypatch.setattr(nn.LayerNorm, "double_backward", wrong)


def _forgotten_down_walk(monkeypatch):
    for cls in (nn.Tanh, nn.LayerNorm, nn.Sigmoid):
        right = cls.double_backward
        monkeypatch.setattr(
            cls,
            "double_backward",
            lambda *args, right=right, **options: (None, right(*args, **options)[1]),
        )


MISTAKES = {
    "none": None,
    "the sign of tanh's second derivative": _wrong_sign(nn.Tanh),
    "the sign of sigmoid's second derivative": _wrong_sign(nn.Sigmoid),
    "none of the normalisation's terms": _wrong_term(_flipped(None)),
    "the sign of the normalisation's A": _wrong_term(_flipped(0)),
    "the sign of the normalisation's second term": _wrong_term(_flipped(1)),
    "the sign of the normalisation's third term": _wrong_term(_flipped(2)),
    "the gradient of the normalisation's scale": _forgotten_scale,
    "the last walk down": _forgotten_down_walk,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_noticed(mistake, monkeypatch):
    rng = numpy.random.default_rng(5)
    critic = nn.Sequential(
        nn.Linear(3, 4, rng=rng),
        nn.Tanh(),
        nn.Linear(4, 4, rng=rng),
        nn.LayerNorm(4),
        nn.Sigmoid(),
        nn.Linear(4, 1, rng=rng),
    )
    spread_weights(critic, 1).astype("float64")
    x = rng.standard_normal((4, 3))
    if MISTAKES[mistake] is not None:
        MISTAKES[mistake](monkeypatch)
    if mistake.startswith("none"):
        _check_penalty(critic, x, PENALTIES["two-sided"], [])
    else:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            _check_penalty(critic, x, PENALTIES["two-sided"], [])


# ------------------------------------------------------------ what it costs, what is refused


def test_a_critic_of_straight_pieces_needs_no_fourth_walk(monkeypatch):
    rng = numpy.random.default_rng(0)
    critic = nn.Sequential(
        nn.Linear(3, 4, rng=rng), nn.LeakyReLU(), nn.Linear(4, 4, rng=rng), nn.LeakyReLU()
    )
    _, cache = critic.forward(rng.standard_normal((2, 3), "float32"))
    dx, signals = critic.backward_signals(rng.standard_normal((2, 4), "float32"), cache)

    def refuse(*args, **options):
        raise AssertionError("backward was called")

    for cls in (nn.Linear, nn.LeakyReLU):
        monkeypatch.setattr(cls, "backward", refuse)
    down, _ = critic.double_backward(dx, signals, cache)
    assert down is None
    assert (critic[0].bias.grad == 0).all()
    assert (critic[0].weight.grad != 0).any()


def test_only_the_layers_below_a_curved_one_are_walked_down(monkeypatch):
    rng = numpy.random.default_rng(0)
    critic = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
    _, cache = critic.forward(rng.standard_normal((2, 3), "float32"))
    dx, signals = critic.backward_signals(numpy.ones((2, 1), "float32"), cache)
    walked = []
    right = nn.Linear.backward
    monkeypatch.setattr(
        nn.Linear,
        "backward",
        lambda self, *args, **options: walked.append(self) or right(self, *args, **options),
    )
    critic.double_backward(dx, signals, cache, input_grad=False)
    assert walked == [critic[0]]


@pytest.mark.parametrize(
    ("layer", "shape", "why"),
    [
        (nn.BatchNorm(3), (4, 3), "couples the samples of a batch.*LayerNorm"),
        (nn.Dropout(0.5, rng=numpy.random.default_rng(0)), (4, 3), "one randomly thinned net"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_layers_whose_slope_is_no_samples_own_are_refused(layer, shape, why, inside):
    critic = nn.Sequential(layer, nn.Linear(3, 1)) if inside else layer
    x = numpy.random.default_rng(0).standard_normal(shape, "float32")
    with pytest.raises(ValueError, match=why):
        penalties.r1(critic, x)


def test_dropout_in_evaluation_is_the_identity():
    layer = nn.Dropout(0.5)
    x = numpy.random.default_rng(0).standard_normal((2, 3))
    _, cache = layer.forward(x, train=False)
    dx, tangent = layer.double_backward(x, x, cache)
    assert dx is None
    numpy.testing.assert_array_equal(tangent, x)
    assert tangent is not x


def test_a_layer_without_a_second_derivative_says_what_to_write():
    class Square(nn.Layer):
        def forward(self, x, *, train=True):
            return x * x, nn.Cache(self, x, x)

        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            return 2 * cache.recall(self, dy)[0] * dy

    with pytest.raises(ValueError, match="Square doesn't define the method double_backward"):
        penalties.r1(nn.Sequential(Square()), numpy.ones((2, 3)))


@pytest.mark.parametrize(
    "name", ["linear", "conv", "leaky relu", "tanh", "layer norm", "upsample", "spectral norm"]
)
def test_a_tangent_of_another_shape_is_refused(name):
    layer, x, v, dy, _ = _case(name)
    _, cache = _frozen_forward(layer, x)
    with pytest.raises(ValueError, match="shape"):
        layer.double_backward(v[:2], dy, cache)
    with pytest.raises(ValueError, match="cotangent of shape"):
        layer.double_backward(v, dy[:2], cache)
    with pytest.raises(TypeError, match="tangent v"):
        layer.double_backward(v.tolist(), dy, cache)


def test_the_cache_of_another_layer_is_refused():
    layer, x, v, dy, _ = _case("nets in nets")
    other = copy.deepcopy(layer)
    _, cache = other.forward(x)
    _, signals = other.backward_signals(dy, cache)
    for cotangent in (dy, signals):
        with pytest.raises(ValueError, match="got the cache of"):
            layer.double_backward(v, cotangent, cache)


def test_the_watched_activation_is_the_real_one():
    sides = []
    layer = Watched(0.2, sides)
    y, _ = layer.forward(numpy.array([[-1.0, 0.0, 2.0]]))
    numpy.testing.assert_allclose(y, [[-0.2, 0.0, 2.0]])
    numpy.testing.assert_array_equal(sides[0], [[False, False, True]])
