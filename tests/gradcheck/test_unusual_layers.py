"""Layers that are right, or wrong, in a way that the check itself must survive."""

import functools
import warnings

import numpy
import pytest

from minigan import gradcheck, nn

RNG = numpy.random.default_rng


def draw(*shape):
    return RNG(0).standard_normal(shape)


def said(layer, x):
    """What the check says of a layer that is wrong; a slip in the diagnosis would be a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(gradcheck.GradientError) as caught:
            gradcheck.check(layer, x, rng=2)
    return str(caught.value)


# ---------------------------------------------------------------- right ones


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_sizes_that_use_up_the_usual_numbers_of_samples(n):
    layer = nn.Conv2d(4, 12, kernel_size=1, rng=RNG(0))
    assert gradcheck.check(layer, draw(n, 8, 10, 4), samples=5).ok
    layer = nn.Conv2d(11, 9, kernel_size=1, rng=RNG(0))
    assert gradcheck.check(layer, draw(n, 5, 7, 11), samples=5).ok


class CalledX(nn.Layer):
    def __init__(self, factor=2):
        super().__init__()
        self.x = nn.Parameter(numpy.array([1.0, 2.0, 3.0]))
        self.dy = nn.Parameter(numpy.array([0.5, -1.0, 2.0]))
        self.factor = factor

    def forward(self, x):
        return x * self.x.value**2 + self.dy.value, x

    def backward(self, dy, x):
        self.x.grad += self.factor * dy * x * self.x.value
        self.dy.grad += dy
        return dy * self.x.value**2


def test_a_parameter_called_as_the_input_is_checked_beside_it():
    x = draw(3)
    report = gradcheck.check(CalledX(), x)
    assert [array.name for array in report.arrays] == ["x", "parameter x", "parameter dy"]
    assert "gradient of parameter x (3,) is wrong" in said(CalledX(3), x)


@pytest.mark.parametrize("right", [True, False])
def test_an_argument_called_x_that_is_not_the_first(right):
    def backward(dy, cache):
        w, x = cache
        return dy @ x.T, w.T @ dy * (1 if right else 2)

    arrays = draw(3, 5), draw(5, 4)
    if right:
        report = gradcheck.check_pair(lambda w, x: (w @ x, (w, x)), backward, *arrays)
        assert [array.name for array in report.arrays] == ["x", "parameter x"]
        return
    with pytest.raises(gradcheck.GradientError, match="gradient of parameter x"):
        gradcheck.check_pair(lambda w, x: (w @ x, (w, x)), backward, *arrays)


class OnlyDx:
    """Returns gradients beside dx, but for ``param_grads=False``."""

    def __init__(self):
        self.W = RNG(1).standard_normal((3, 5))

    def forward(self, x):
        return x @ self.W, x

    def backward(self, dy, x, param_grads=True):
        dx = dy @ self.W.T
        return (dx, x.T @ dy) if param_grads else dx


class LabelsFirst:
    def forward(self, labels, x):
        return x * labels[:, None].astype(x.dtype), labels

    def backward(self, dy, labels):
        return None, dy * labels[:, None].astype(dy.dtype)


class Positional:
    def forward(self, x, /):
        y = numpy.tanh(x)
        return y, y

    def backward(self, dy, y):
        return dy * (1 - y * y)


class TrainWithoutDefault:
    def forward(self, xs, train):
        a, b = xs
        return a * b, (a, b)

    def backward(self, dy, cache):
        return dy * cache[1], dy * cache[0]


class PassesOn:
    def __init__(self):
        self.inner = Positional()

    def forward(self, x, **options):
        return self.inner.forward(x, **options)

    def backward(self, dy, y):
        return self.inner.backward(dy, y)


class AnswersEverything(dict):
    __getattr__ = dict.get


class WithSettings:
    def __init__(self):
        self.cfg = AnswersEverything(slope=0.2)

    def forward(self, x):
        return numpy.where(x > 0, x, x.dtype.type(self.cfg.slope) * x), x

    def backward(self, dy, x):
        return numpy.where(x > 0, dy, dy.dtype.type(self.cfg.slope) * dy)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (OnlyDx(), draw(4, 3)),
        (LabelsFirst(), (numpy.array([1, 2, 3, 4]), draw(4, 3))),
        (Positional(), draw(4, 3)),
        (TrainWithoutDefault(), (draw(4, 3), 2 * draw(4, 3))),
        (PassesOn(), draw(4, 3)),
        (WithSettings(), draw(4, 3)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_signatures_and_attributes_that_people_write(layer, x):
    assert gradcheck.check(layer, x).ok


GENERATOR, MEAN = RNG(5), numpy.zeros(3)


class UsesTheModule:
    def forward(self, x, train=True):
        if train:
            MEAN[...] = 0.9 * MEAN + 0.1 * x.mean(0)
        mask = GENERATOR.random(x.shape) < 0.5
        return x * mask, mask

    def backward(self, dy, mask):
        return dy * mask


def test_what_belongs_to_the_module_is_left_as_it_was():
    before = GENERATOR.bit_generator.state
    assert gradcheck.check(UsesTheModule(), draw(4, 3)).ok
    assert GENERATOR.bit_generator.state == before
    assert not MEAN.any()


# ---------------------------------------------------------------- wrong ones


class ChannelsFirstUpsampling:
    def __init__(self, rest):
        self.rest = rest

    def forward(self, x):
        return numpy.repeat(numpy.repeat(x[:, :3], 2, 2), 2, 3), x

    def backward(self, dy, x):
        n, _, h, w = x.shape
        g, dx = dy.reshape(n, 3, h, 2, w, 2), numpy.zeros_like(x)
        dx[:, :3] = g[:, :, :, 0, :, 0] + self.rest * g[:, :, :, 1, :, 1]
        return dx


class BagOfWords:
    def __init__(self, scalar):
        self.scalar = scalar
        self.W = RNG(1).standard_normal((5, 3))
        self.dW = numpy.zeros((5, 3))

    def forward(self, ids):
        self.ids = ids
        y = numpy.tanh(self.W[ids]).sum(0)
        return y.sum() if self.scalar else y

    def backward(self, dy):
        self.dW[...] = 0
        for i in self.ids:
            self.dW[i] += dy * (1 - numpy.tanh(self.W[i]) ** 3)


class MaskedLoss:
    def forward(self, x):
        mask = x < 1
        return (numpy.where(mask, 1 - x, 0) ** 2).sum(), (x, mask)

    def backward(self, dy, cache):
        x, mask = cache
        return dy * (-1.3 * mask * numpy.sqrt(abs(1 - x)) + 0.1 * numpy.sin(x))


class HalfOfTheSamples(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, kernel_size=3, rng=RNG(0))

    def forward(self, x, train=True):
        y, cache = self.conv.forward(x)
        return y[: len(x) // 2], cache

    def backward(self, dy, cache):
        w = self.conv.weight
        before = w.grad.copy()
        dx = self.conv.backward(numpy.concatenate([dy, 0 * dy]), cache)
        w.grad += 0.5 * (w.grad - before) * numpy.sin(w.value)
        return dx


@pytest.mark.parametrize(
    ("layer", "x", "words"),
    [
        (ChannelsFirstUpsampling(0.3), draw(2, 8, 3, 3), "gradient of x"),
        (ChannelsFirstUpsampling(0.0), draw(2, 3, 3, 4), "single place of y"),
        (BagOfWords(False), numpy.array([0, 1, 2, 2, 4, 3, 0]), "gradient of W"),
        (BagOfWords(True), numpy.array([0, 1, 2, 2, 4, 3, 0]), "gradient of W"),
        (MaskedLoss(), draw(4, 3), "gradient of x"),
        (HalfOfTheSamples(), draw(4, 5, 6, 2), "gradient of conv.weight"),
    ],
)
def test_the_search_for_the_cause_survives(layer, x, words):
    assert words in said(layer, x)


class WrongWeightGradient(nn.Linear):
    def backward(self, dy, cache, **options):
        before = self.weight.grad.copy()
        dx = super().backward(dy, cache, **options)
        self.weight.grad += 0.5 * (self.weight.grad - before) * numpy.sin(self.weight.value)
        return dx


def test_a_wrong_gradient_of_weights_alone_is_not_blamed_on_the_layers_above():
    net = nn.Sequential(
        WrongWeightGradient(3, 4, rng=RNG(0)), nn.Tanh(), nn.Linear(4, 2, rng=RNG(1))
    )
    words = said(net, draw(5, 3))
    assert "the gradient of 0.weight" in words
    assert "those below are wrong" not in words


def test_a_slip_in_the_search_is_a_warning_and_the_verdict_stands(monkeypatch):
    from minigan.gradcheck import diagnose

    def slip(case):
        raise IndexError("here")

    monkeypatch.setattr(diagnose.convolutions, "explain", slip)
    verdict = pytest.raises(gradcheck.GradientError, match="gradient of x")
    with pytest.warns(RuntimeWarning, match="search for the cause failed.*here"), verdict:
        gradcheck.check(MaskedLoss(), draw(4, 3))


def test_functions_without_names_and_arrays_without_report():
    forward, backward = (functools.partial(f, b=2.0) for f in (scaled, unscaled))
    with pytest.raises(ValueError, match="a function takes 1 arguments after x"):
        gradcheck.check_pair(forward, backward, draw(3), draw(3), draw(3), named={"b": 1.0})
    report = gradcheck.check_pair(lambda x: (2 * x, None), lambda dy, cache: 2 * dy, draw(3))
    assert [array.name for array in report] == ["x"]
    with pytest.raises(KeyError, match="No array 'w' was checked, but x"):
        report["w"]


def scaled(x, b):
    return x * b, None


def unscaled(dy, cache, b):
    return dy * b


def test_an_argument_called_x_may_be_a_constant():
    w, x = draw(3, 5), draw(5, 4)
    report = gradcheck.check_pair(
        lambda w, x: (w @ x, x), lambda dy, x: dy @ x.T, w, x, constants=["x"]
    )
    assert [array.name for array in report.arrays] == ["x"]
