"""The diagnosis names nine in ten of the usual mistakes, and calls none of them right."""

import re

import numpy
import pytest
from planted import PLANTED

from minigan import gradcheck


def diagnosis(mistake):
    """Everything that the check says of a mistake."""
    rng = numpy.random.default_rng(3)
    draw = (
        rng.integers(0, mistake.labels, mistake.shape)
        if mistake.labels
        else (rng.standard_normal(mistake.shape))
    )
    try:
        gradcheck.check_pair(mistake.forward, mistake.backward, draw, *mistake.arrays, rng=1)
    except gradcheck.GradientError as error:
        return str(error)
    return ""


def test_planted_mistakes_are_caught_and_named():
    said = {mistake.name: diagnosis(mistake) for mistake in PLANTED}
    assert len(said) >= 60
    assert not [name for name, words in said.items() if not words], "called right"
    unnamed = [
        m.name
        for m in PLANTED
        if not all(re.search(words, said[m.name].replace("\n", " ")) for words in m.words)
    ]
    assert len(unnamed) <= 0.1 * len(PLANTED), unnamed


def test_a_batch_of_one_is_diagnosed_at_sizes_that_tell():
    x = numpy.random.default_rng(0).standard_normal((1, 3))
    with pytest.raises(gradcheck.GradientError, match="the batch size"):
        gradcheck.check_pair(
            lambda x, w: (x @ w, (x, w)),
            lambda dy, cache: (dy @ cache[1].T, cache[0].T @ dy / len(dy)),
            x,
            numpy.ones((3, 4)),
        )


def complaint(layer, shape):
    """What the check says of a layer that is wrong."""
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(layer, numpy.random.default_rng(1).standard_normal(shape), rng=2)
    return caught.value


class OneSize:
    """y = x m, written for one number of samples: forward takes others by broadcasting alone."""

    def __init__(self, factor=1.0):
        self.m, self.factor = numpy.array([1.0, -2.0, 0.5]), factor

    def forward(self, x):
        return x * self.m, x

    def backward(self, dy, x):
        self.dm = (dy.reshape(4, 3) * x).sum(axis=0)
        return dy * self.m * self.factor


def test_a_backward_for_one_size_is_checked_at_that_size():
    x = numpy.random.default_rng(1).standard_normal((4, 3))
    report = gradcheck.check(OneSize(), x, rng=2)
    assert report.ok
    assert any("backward fails for x (" in note for note in report.notes)
    assert "factor, 2" in str(complaint(OneSize(2.0), (4, 3)))


class Kept:
    """Uses the first input that it has ever seen, whatever comes later."""

    def __init__(self):
        self.w = numpy.random.default_rng(0).standard_normal((3, 2))
        self.kept = {}

    def forward(self, x):
        self.kept.setdefault("x", x)
        return x @ self.w

    def backward(self, dy):
        self.dw = self.kept["x"].T @ dy
        return dy @ self.w.T


def test_an_input_that_was_kept_from_an_earlier_call_is_caught():
    assert "the gradient of w" in str(complaint(Kept(), (4, 3)))


class Overlapping:
    """The largest of each three neighbours, whose gradient is assigned where it must be added."""

    def forward(self, x):
        windows = numpy.lib.stride_tricks.sliding_window_view(x, 3, 1)
        return windows.max(axis=-1), windows.argmax(axis=-1)

    def backward(self, dy, best):
        dx = numpy.zeros((len(dy), dy.shape[1] + 2, *dy.shape[2:]), dy.dtype)
        for i in range(dy.shape[1]):
            index = (best[:, i] + i)[:, None]
            numpy.put_along_axis(dx, index, dy[:, i : i + 1], axis=1)
        return dx


def test_a_layer_too_large_at_telling_sizes_is_diagnosed_where_it_was_given():
    error = complaint(Overlapping(), (2, 12, 6, 5))
    assert error.report["x"].cause is not None


class Branching:
    """Two weights, of which one has a gradient that no pattern explains."""

    def __init__(self, *, wrong):
        rng = numpy.random.default_rng(0)
        self.v, self.w = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
        self.wrong = wrong

    def forward(self, x):
        h = numpy.tanh(x @ self.v)
        return h @ self.w, (x, h)

    def backward(self, dy, cache):
        x, h = cache
        self.dw = numpy.sin(5 * h).T @ dy if "w" in self.wrong else h.T @ dy
        dh = dy @ self.w.T * (1 - h**2)
        dh = dh * numpy.cos(h) if "h" in self.wrong else dh
        self.dv = x.T @ dh
        return dh @ self.v.T


def test_where_no_cause_is_known_what_is_right_says_where_not_to_look():
    cause = complaint(Branching(wrong="w"), (5, 3)).report["w"].cause
    assert cause.endswith(
        "the gradients of x and v are right: look first at the line that computes this one"
    )
    cause = complaint(Branching(wrong="h"), (5, 3)).report["v"].cause
    assert cause.endswith(
        "the gradient of w is right: look first at what is computed for x and v alone"
    )
    cause = complaint(Branching(wrong="hw"), (5, 3)).report["v"].cause
    assert cause.endswith("work out the derivative with respect to this one entry by hand")


class Particular:
    """Refuses a dy that is 0 somewhere, as its gradient is looked at while a cause is sought."""

    def __init__(self):
        self.w = numpy.random.default_rng(0).standard_normal((3, 2))

    def forward(self, x):
        return numpy.tanh(x @ self.w), x

    def backward(self, dy, x):
        if (dy == 0).any():
            raise RuntimeError("no zeros, please")
        self.dw = numpy.sin(x).T @ dy
        return dy * (1 - numpy.tanh(x @ self.w) ** 2) @ self.w.T


def test_a_layer_may_refuse_to_answer_while_a_cause_is_sought():
    cause = complaint(Particular(), (5, 3)).report["w"].cause
    assert "look first at the line that computes this one" in cause


class Cubic:
    """The slope is off by a term that grows from 0, so no place is where it begins."""

    def forward(self, x):
        return x + 0.1 * x**3, x

    def backward(self, dy, x):
        return dy * (1 + 0.1 * x**2)


def test_an_error_that_grows_from_nothing_has_no_threshold():
    assert "just where" not in str(complaint(Cubic(), (6, 4)))


class Mapped:
    """A layer without weights, of two functions."""

    def __init__(self, forward, backward):
        self.maps = forward, backward

    def forward(self, x):
        return self.maps[0](x), x

    def backward(self, dy, x):
        return self.maps[1](dy, x)


def _without_the_first_step(dy, x):
    dx = numpy.broadcast_to(dy[:, None] / x.shape[1], x.shape).copy()
    dx[:, 0] = 0
    return dx


FALSE_CAUSES = {
    "no step passes anything back": (
        lambda x: x * numpy.array([[0.8], [0.9], [1.0]]),
        lambda dy, x: dy.copy(),
        (4, 3, 2),
        "later steps pass back",
    ),
    "a mean has one number everywhere": (
        lambda x: x.mean(axis=1),
        _without_the_first_step,
        (4, 5, 2),
        "another order|backwards|shifted",
    ),
}


@pytest.mark.parametrize("name", FALSE_CAUSES)
def test_a_cause_that_agrees_by_chance_is_not_told(name):
    forward, backward, shape, words = FALSE_CAUSES[name]
    x = numpy.random.default_rng(1).standard_normal(shape)
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(Mapped(forward, backward), x)
    assert not re.search(words, str(caught.value))


def test_what_only_has_a_dtype_is_no_array():
    class Sublayer:
        dtype = numpy.dtype("float32")

    layer = Mapped(lambda x: x * x, lambda dy, x: 2 * dy * x)
    layer.inner = Sublayer()
    x = numpy.random.default_rng(1).standard_normal((4, 3))
    gradcheck.check(layer, x)


def test_what_forward_kept_may_be_larger_than_the_gradient():
    def forward(x, w):
        h = x * w
        return (h * numpy.cos(h)).sum(axis=1, keepdims=True), (x, h)

    def backward(dy, cache):
        x, h = cache
        return dy * x, (dy * x * (numpy.cos(h) - h * numpy.sin(h))).sum(axis=0)

    rng = numpy.random.default_rng(0)
    x, w = rng.standard_normal((5, 1, 4)), rng.standard_normal((3, 4))
    with pytest.raises(gradcheck.GradientError, match="it is dy x, and the right one isn't"):
        gradcheck.check_pair(forward, backward, x, w, rng=2)
