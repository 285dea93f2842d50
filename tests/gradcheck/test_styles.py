"""Layers as people write them: each style is understood, and a mistake in it is caught."""

import collections
import dataclasses
import functools
import random
import threading
import types

import numpy
import pytest

from minigan import gradcheck, nn


def seeded(seed=0):
    return numpy.random.default_rng(seed)


X = seeded(1).standard_normal((4, 3))


def weights():
    return seeded().standard_normal((3, 5)), seeded(2).standard_normal(5)


def attributes(w, b, dw, db):
    """A style in which the arrays are attributes of these names."""

    class Layer:
        def __init__(self, factor):
            self.factor = factor
            values = weights()
            setattr(self, w, values[0])
            setattr(self, b, values[1])

        def forward(self, x):
            return x @ getattr(self, w) + getattr(self, b), x

        def backward(self, dy, x):
            if self.factor is not None:
                setattr(self, dw, self.factor * x.T @ dy)
            setattr(self, db, dy.sum(axis=0))
            return dy @ getattr(self, w).T

    return Layer


def containers(values, gradients, keys, gradient_keys=None):
    """A style in which they are in dicts or lists."""

    class Layer:
        def __init__(self, factor):
            self.factor = factor
            kind = dict(zip(keys, weights(), strict=True))
            setattr(self, values, kind if isinstance(keys[0], str) else list(weights()))
            empty = {} if isinstance(keys[0], str) else [None, None]
            setattr(self, gradients, empty)

        def forward(self, x):
            own = getattr(self, values)
            return x @ own[keys[0]] + own[keys[1]], x

        def backward(self, dy, x):
            own, to = getattr(self, gradients), gradient_keys or keys
            if self.factor is not None:
                own[to[0]] = self.factor * x.T @ dy
            own[to[1]] = dy.sum(axis=0)
            return dy @ getattr(self, values)[keys[0]].T

    return Layer


class Slots:
    __slots__ = ("W", "b", "dW", "db", "factor")

    def __init__(self, factor):
        self.factor = factor
        self.W, self.b = weights()

    def forward(self, x):
        return x @ self.W + self.b, x

    def backward(self, dy, x):
        if self.factor is not None:
            self.dW = self.factor * x.T @ dy
        self.db = dy.sum(axis=0)
        return dy @ self.W.T


class Properties:
    def __init__(self, factor):
        self.factor = factor
        self._w, self._b = weights()
        self._gradient_of_w, self._gradient_of_b = numpy.zeros((3, 5)), numpy.zeros(5)

    params = property(lambda self: [self._w, self._b])
    grads = property(lambda self: [self._gradient_of_w, self._gradient_of_b])

    def forward(self, x):
        return x @ self._w + self._b, x

    def backward(self, dy, x):
        if self.factor is not None:
            self._gradient_of_w[...] = self.factor * x.T @ dy
        self._gradient_of_b[...] = dy.sum(axis=0)
        return dy @ self._w.T


class Returned:
    def __init__(self, factor):
        self.factor = factor
        self.w, self.b = weights()

    def forward(self, x):
        return x @ self.w + self.b, x

    def backward(self, dy, x):
        dw = numpy.zeros((3, 5)) if self.factor is None else self.factor * x.T @ dy
        return dy @ self.w.T, dw, dy.sum(axis=0)


class ReturnedByName(Returned):
    def backward(self, dy, x):
        dx, dw, db = super().backward(dy, x)
        return dx, {"w": dw, "b": db}


class InTheLayer:
    def __init__(self, factor):
        self.factor = factor
        self.W, self.b = weights()

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        if self.factor is not None:
            self.dW = self.factor * self.x.T @ dy
        self.db = dy.sum(axis=0)
        return dy @ self.W.T


class Boxes:
    class Tensor:
        def __init__(self, data):
            self.data, self.grad = data, None

    def __init__(self, factor):
        self.factor = factor
        self.w, self.b = (self.Tensor(a) for a in weights())

    def forward(self, x):
        return x @ self.w.data + self.b.data, x

    def backward(self, dy, x):
        if self.factor is not None:
            self.w.grad = self.factor * x.T @ dy
        self.b.grad = dy.sum(axis=0)
        return dy @ self.w.data.T


class NewTuples:
    """Gradients come in a new list of tuples each time."""

    def __init__(self, factor):
        self.factor = factor
        self.layers, self.gradients = [weights()], []

    def forward(self, x):
        ((w, b),) = self.layers
        return x @ w + b, x

    def backward(self, dy, x):
        dw = numpy.zeros((3, 5)) if self.factor is None else self.factor * x.T @ dy
        self.gradients = [(dw, dy.sum(axis=0))]
        return dy @ self.layers[0][0].T


class OfTheClass:
    W, b = weights()

    def __init__(self, factor):
        self.factor = factor

    forward, backward = InTheLayer.__dict__["forward"], InTheLayer.__dict__["backward"]


class Frozen:
    @dataclasses.dataclass(frozen=True)
    class Pair:
        w: object
        b: object

    def __init__(self, factor):
        self.factor = factor
        self.pair, self.grad = self.Pair(*weights()), None

    def forward(self, x):
        return x @ self.pair.w + self.pair.b, x

    def backward(self, dy, x):
        dw = numpy.zeros((3, 5)) if self.factor is None else self.factor * x.T @ dy
        self.grad = self.Pair(dw, dy.sum(axis=0))
        return dy @ self.pair.w.T


class ReturnedInADict(Returned):
    def backward(self, dy, x):
        dx, dw, db = super().backward(dy, x)
        return {"dw": dw, "db": db, "dx": dx}


class MadeLate:
    """Weights are made in the first call, which keeps and asks more than it must."""

    def __init__(self, factor):
        self.factor = factor
        self.parameters, self.gradients, self.seen = {"W": None, "b": None}, {}, []

    def __call__(self, x, retain=True):
        if self.parameters["W"] is None:
            self.parameters.update(zip("Wb", weights(), strict=True))
        self.seen.append(x)
        own = {k: v.astype(x.dtype) for k, v in self.parameters.items()}
        return x @ own["W"] + own["b"]

    def backward(self, dy, retain_grads=True):
        if self.factor is not None:
            self.gradients["W"] = self.factor * self.seen[-1].T @ dy
        self.gradients["b"] = dy.sum(axis=0)
        return dy @ self.parameters["W"].T.astype(dy.dtype)


def closures(factor):
    w, b = weights()
    dw, db = numpy.zeros((3, 5)), numpy.zeros(5)

    def backward(dy, x):
        if factor is not None:
            dw[...] = factor * x.T @ dy
        db[...] = dy.sum(axis=0)
        return dy @ w.T

    return types.SimpleNamespace(
        forward=lambda x: (x @ w + b, x), backward=backward, params=[w, b], grads=[dw, db]
    )


def in_a(kind):
    """A style in which they are in another kind of container than a list."""

    class Layer:
        def __init__(self, factor):
            self.factor = factor
            self.params, self.grads = kind(weights()), [None, None]

        def forward(self, x):
            w, b = self.params[0], self.params[1]
            return x @ w + b, x

        def backward(self, dy, x):
            if self.factor is not None:
                self.grads[0] = self.factor * x.T @ dy
            self.grads[1] = dy.sum(axis=0)
            return dy @ self.params[0].T

    return Layer


class PrivateSlots:
    __slots__ = ("__b", "__db", "__dw", "__w", "factor")

    def __init__(self, factor):
        self.factor = factor
        self.__w, self.__b = weights()

    def forward(self, x):
        return x @ self.__w + self.__b, x

    def backward(self, dy, x):
        if self.factor is not None:
            self.__dw = self.factor * x.T @ dy
        self.__db = dy.sum(axis=0)
        return dy @ self.__w.T


def partial_functions(factor):
    """The weights are arguments that have been given beforehand."""

    def forward(w, b, x):
        return x @ w + b, x

    def backward(w, grads, dy, x):
        if factor is not None:
            grads[0] = factor * x.T @ dy
        grads[1] = dy.sum(axis=0)
        return dy @ w.T

    w, b = weights()
    grads = [None, None]
    return types.SimpleNamespace(
        forward=functools.partial(forward, w, b),
        backward=functools.partial(backward, w, grads),
        grads=grads,
    )


class NamedTuples:
    Pair = collections.namedtuple("Pair", "w b")

    def __init__(self, factor):
        self.factor = factor
        self.params, self.grads = (self.Pair(*weights()),), None

    def forward(self, x):
        return x @ self.params[0].w + self.params[0].b, x

    def backward(self, dy, x):
        dw = numpy.zeros((3, 5)) if self.factor is None else self.factor * x.T @ dy
        self.grads = (self.Pair(dw, dy.sum(axis=0)),)
        return dy @ self.params[0].w.T


class MadeWhenAskedFor:
    """Weights are made by cached properties; there is a lock, which can't be copied."""

    w = functools.cached_property(lambda self: weights()[0])
    b = functools.cached_property(lambda self: weights()[1])

    def __init__(self, factor):
        self.factor, self.lock, self.kind = factor, threading.Lock(), numpy.float32

    def forward(self, x):
        with self.lock:
            return x @ self.w.astype(x.dtype) + self.b.astype(x.dtype), x

    def backward(self, dy, x):
        dw = numpy.zeros((3, 5), dy.dtype) if self.factor is None else self.factor * x.T @ dy
        return dy @ self.w.T.astype(dy.dtype), dw, dy.sum(axis=0)


def array_of_objects(values):
    made = numpy.empty(len(values), object)
    made[:] = values
    return made


class PlainInALayer(nn.Layer):
    def __init__(self, factor):
        self.factor = factor
        self.W, self.b = weights()

    def forward(self, x, *, train=True):
        return x @ self.W + self.b, x

    def backward(self, dy, x, *, param_grads=True, input_grad=True):
        if self.factor is not None and param_grads:
            self.dW = self.factor * x.T @ dy
        if param_grads:
            self.db = dy.sum(axis=0)
        return dy @ self.W.T if input_grad else None


STYLES = {
    "W, dW": attributes("W", "b", "dW", "db"),
    "W, dw": attributes("W", "B", "dw", "db"),
    "w, w_gradient": attributes("w", "b", "w_gradient", "b_gradient"),
    "kernel, dk": attributes("kernel", "bias", "dk", "db"),
    "weight, grad": attributes("weight", "bias", "grad", "bias_grad"),
    "grad_W": attributes("W", "b", "grad_W", "grad_b"),
    "gradW": attributes("W", "b", "gradW", "gradb"),
    "dL_dW": attributes("W", "b", "dL_dW", "dL_db"),
    "W_g": attributes("W", "b", "W_g", "b_g"),
    "private": attributes("_w", "_b", "_dw", "_db"),
    "weights, dweights": attributes("weights", "biases", "dweights", "dbiases"),
    "no name that tells": attributes("a", "q", "first", "second"),
    "params, grads": containers("params", "grads", ("W", "b")),
    "parameters, gradients": containers("parameters", "gradients", ("W", "b")),
    "params, dparams": containers("params", "dparams", ("W", "b")),
    "dW in grads": containers("params", "grads", ("W", "b"), ("dW", "db")),
    "lists": containers("weights", "gradients", (0, 1)),
    "lists, d": containers("p", "dp", (0, 1)),
    "slots": Slots,
    "properties": Properties,
    "returned": Returned,
    "returned by name": ReturnedByName,
    "kept in the layer": InTheLayer,
    "boxes": Boxes,
    "new tuples": NewTuples,
    "plain arrays in a Layer": PlainInALayer,
    "attributes of the class": OfTheClass,
    "frozen dataclass": Frozen,
    "returned in a dict": ReturnedInADict,
    "made in the first call": MadeLate,
    "closures": closures,
    "deque": in_a(collections.deque),
    "array of objects": in_a(array_of_objects),
    "private slots": PrivateSlots,
    "partial functions": partial_functions,
    "named tuples in a tuple": NamedTuples,
    "made when asked for": MadeWhenAskedFor,
    "read-only dict": in_a(lambda pair: types.MappingProxyType(dict(enumerate(pair)))),
}
KEPT_IN_THE_LAYER = ("kept in the layer", "attributes of the class", "made in the first call")


@pytest.mark.parametrize("style", STYLES)
def test_a_right_layer_passes_with_every_array_checked(style):
    report = gradcheck.check(STYLES[style](1), X)
    assert sorted(a.checked for a in report.arrays) == [5, 12, 15]
    assert any("last forward call" in note for note in report.notes) == (style in KEPT_IN_THE_LAYER)


@pytest.mark.parametrize("factor", [2, None])
@pytest.mark.parametrize("style", STYLES)
def test_a_wrong_or_missing_gradient_is_caught(style, factor):
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(STYLES[style](factor), X)
    assert "(3, 5)" in str(caught.value)


def affine_forward(x, w, b, scale=1):
    return scale * (x @ w + b), (x, w, scale)


def affine_backward(dy, cache):
    x, w, scale = cache
    return scale * dy @ w.T, scale * x.T @ dy, scale * dy.sum(axis=0)


def test_pairs_of_functions():
    report = gradcheck.check_pair(
        affine_forward, affine_backward, X, *weights(), options={"scale": 3}
    )
    assert [(a.name, a.checked) for a in report.arrays] == [("x", 12), ("w", 15), ("b", 5)]

    def by_name(dy, cache):
        dx, dw, db = affine_backward(dy, cache)
        return {"db": db, "dx": dx, "dw": dw}

    assert gradcheck.check_pair(affine_forward, by_name, X, *weights()).ok
    with pytest.raises(gradcheck.GradientError, match=r"the gradient of w has shape \(5, 3\)"):
        gradcheck.check_pair(
            affine_forward,
            lambda dy, cache: (affine_backward(dy, cache)[0], dy.T @ cache[0], dy.sum(axis=0)),
            X,
            *weights(),
        )
    with pytest.raises(TypeError, match="returned 2 gradients, but must return dx, dw, db"):
        gradcheck.check_pair(
            affine_forward, lambda dy, c: affine_backward(dy, c)[:2], X, *weights()
        )
    with pytest.raises(ValueError, match="takes 3 arguments after x, but 4 arrays"):
        gradcheck.check_pair(affine_forward, affine_backward, X, X, X, X, X)


def mse_forward(x, t):
    return ((x - t) ** 2).mean(), (x, t)


def mse_backward(dy, cache):
    x, t = cache
    return dy * 2 * (x - t) / x.size


def masked_forward(x, w, mask, b):
    return x @ w * mask + b, (x, w, mask)


def masked_backward(dy, cache):
    x, w, mask = cache
    return dy * mask @ w.T, x.T @ (dy * mask), dy.sum(axis=0)


def test_targets_and_masks_have_no_gradient():
    report = gradcheck.check_pair(mse_forward, mse_backward, X, X + 1, constants=["t"])
    assert [row.name for row in report.arrays] == ["x"]
    mask, (w, b) = numpy.array([1.0, 0, 0, 1, 1]), weights()
    for kind, names in ((float, {"mask"}), (bool, ())):
        report = gradcheck.check_pair(
            masked_forward, masked_backward, X, w, mask.astype(kind), b, constants=names
        )
        assert [(a.name, a.checked) for a in report.arrays] == [("x", 12), ("w", 15), ("b", 5)]

    def with_that_of_t(dy, cache):
        dx = mse_backward(dy, cache)
        return dx, -dx

    assert gradcheck.check_pair(mse_forward, with_that_of_t, X, X + 1, constants=["t"]).ok
    assert gradcheck.check_pair(mse_forward, with_that_of_t, X, X + 1).ok
    with pytest.raises(TypeError, match=r"1 gradient, but .* dx, dt, .* constants=\['t'\]"):
        gradcheck.check_pair(mse_forward, mse_backward, X, X + 1)
    with pytest.raises(TypeError, match=r"3 gradients, but must return dx, in this order\.$"):
        gradcheck.check_pair(mse_forward, lambda dy, c: (dy, dy, dy), X, X + 1, constants=["t"])
    with pytest.raises(gradcheck.GradientError, match="the gradient of x"):
        gradcheck.check_pair(
            mse_forward, lambda dy, c: 2 * mse_backward(dy, c), X, X + 1, constants=["t"]
        )


def test_labels_have_no_gradient_beside_a_constant():
    def forward(i, table, mask):
        return table[i] * mask, (i, table, mask)

    def backward(dy, cache):
        i, table, mask = cache
        dtable = numpy.zeros_like(table)
        numpy.add.at(dtable, i, dy * mask)
        return dtable

    labels, (table, mask) = numpy.array([0, 2, 1, 2]), weights()
    for pull in (backward, lambda dy, cache: (None, backward(dy, cache))):
        report = gradcheck.check_pair(forward, pull, labels, table, mask, constants=["mask"])
        assert [row.name for row in report.arrays] == ["table"]


class Numbers:
    """y = tanh(m x + c), or m[0][0] x + m[0][1], with plain Python numbers."""

    def __init__(self, nested, mistake):
        self.m, self.c, self.mistake = ([[0.7, -0.2]] if nested else 0.7), -0.2, mistake

    def numbers(self):
        return self.m[0] if isinstance(self.m, list) else (self.m, self.c)

    def forward(self, x):
        m, c = self.numbers()
        return numpy.tanh(m * x + c), x

    def backward(self, dy, x):
        m, c = self.numbers()
        d = dy * (1 - numpy.tanh(m * x + c) ** 2)
        dm, dc = float((d * x).sum()), float(d.sum()) * (1.3 if self.mistake == "wrong" else 1)
        if isinstance(self.m, list):
            self.dm = [[dm] if self.mistake == "missing" else [dm, dc]]
        else:
            self.dm = dm
            if self.mistake != "missing":
                self.dc = dc
        return d * m


def test_a_gradient_that_is_a_plain_number_may_be_added_to():
    class Layer:
        def __init__(self):
            self.m, self.dm = 0.7, 0.0
            self.box = types.SimpleNamespace(data=0.3, grad=0.0)

        def forward(self, x):
            return self.m * self.box.data * x, x

        def backward(self, dy, x):
            self.dm += float((dy * x).sum()) * self.box.data
            self.box.grad += float((dy * x).sum()) * self.m
            return self.m * self.box.data * dy

    assert [a.checked for a in gradcheck.check(Layer(), X).arrays] == [12, 1, 1]


@pytest.mark.parametrize("nested", [False, True])
def test_plain_numbers_are_learnt_too(nested):
    report = gradcheck.check(Numbers(nested, None), X)
    assert len(report.arrays) == 3
    for mistake in ("wrong", "missing"):
        with pytest.raises(gradcheck.GradientError, match=r"m\.0\.1|\bc \(\)") as caught:
            gradcheck.check(Numbers(nested, mistake), X)
        assert "1.3" not in str(caught.value).partition("likely cause")[2]


def test_gradients_exchanged_between_private_names_are_wrong():
    class Layer:
        def __init__(self):
            self.__w, self.__u = seeded().standard_normal((2, 3, 3))

        def forward(self, x):
            return x @ self.__w @ self.__u, x

        def backward(self, dy, x):
            self.__du = x.T @ dy @ self.__u.T
            self.__dw = (x @ self.__w).T @ dy
            return dy @ self.__u.T @ self.__w.T

    with pytest.raises(gradcheck.GradientError, match="the gradient of _Layer__w"):
        gradcheck.check(Layer(), X)


class FlatVector:
    """The weights, and here and there also the gradients, are views of one vector."""

    def __init__(self, factor, views):
        self.factor, self.views = factor, views
        self.theta, self.dtheta = numpy.concatenate([w.ravel() for w in weights()]), numpy.zeros(20)
        self.w, self.b = self.theta[:15].reshape(3, 5), self.theta[15:]
        if views:
            self.dw, self.db = self.dtheta[:15].reshape(3, 5), self.dtheta[15:]

    def forward(self, x):
        return x @ self.w + self.b, x

    def backward(self, dy, x):
        dw, db = self.factor * x.T @ dy, dy.sum(axis=0)
        if self.views:
            self.dw[...], self.db[...] = dw, db
        else:
            self.dtheta[...] = numpy.concatenate([dw.ravel(), db])
        return dy @ self.w.T


@pytest.mark.parametrize("views", [False, True])
def test_views_of_one_vector_stay_views_of_it(views):
    sizes = [a.checked for a in gradcheck.check(FlatVector(1, views), X).arrays]
    assert sorted(sizes) == ([5, 12, 15] if views else [12, 20])
    with pytest.raises(gradcheck.GradientError, match=r"the gradient of (w \(3, 5\)|theta)"):
        gradcheck.check(FlatVector(2, views), X)


class Rows:
    """A weight kept as a list of rows, with an array for its gradient."""

    def __init__(self, factor):
        self.W, self.factor = [[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1]], factor

    def forward(self, x):
        return x @ numpy.array(self.W, x.dtype), x

    def backward(self, dy, x):
        self.dW = x.T @ dy
        self.dW[2, 1] *= self.factor
        return dy @ numpy.array(self.W, dy.dtype).T


def test_lists_of_rows_may_have_an_array_for_a_gradient():
    assert len(gradcheck.check(Rows(1), X).arrays) == 7
    with pytest.raises(gradcheck.GradientError, match=r"the gradient of W\.2\.1"):
        gradcheck.check(Rows(1.5), X)


@pytest.mark.parametrize("value", [2, numpy.arange(1, 4), numpy.full(3, 1 + 1j)])
def test_a_weight_that_is_no_real_number_is_not_passed_over(value):
    class Scale:
        def __init__(self):
            self.a = value

        def forward(self, x):
            return (x * self.a).real.astype(x.dtype), x

        def backward(self, dy, x):
            self.da = 3 * (dy * x).sum(axis=0 if numpy.ndim(value) else None)
            return (dy * self.a).real.astype(dy.dtype)

    with pytest.raises(gradcheck.GradientError, match="a isn't a floating-point number"):
        gradcheck.check(Scale(), X)


def test_a_weight_without_a_gradient_does_not_take_that_of_another():
    class Two:
        def __init__(self):
            self.u, self.v = seeded().standard_normal((2, 3, 3))

        def forward(self, x):
            return numpy.tanh(x @ self.u) @ self.v, x

        def backward(self, dy, x):
            h = numpy.tanh(x @ self.u)
            self.first = h.T @ dy
            return dy @ self.v.T * (1 - h * h) @ self.u.T

    with pytest.raises(gradcheck.GradientError, match=r": u \(3, 3\) moves y") as caught:
        gradcheck.check(Two(), X)
    assert "v (3, 3) moves y" not in str(caught.value)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda self, x: None, "forward returned None as y, but must return an array"),
        (lambda self, x: x, "a pair .y, cache., since backward takes dy and rate; one that keeps"),
    ],
)
def test_other_habits_are_explained(forward, said):
    class Habit:
        def backward(self, dy, rate):
            return dy

    class Alone(Habit):
        def backward(self, dy):
            return dy

    Habit.forward = forward
    layer, error = (Alone(), gradcheck.GradientError) if "None" in said else (Habit(), TypeError)
    with pytest.raises(error, match=said):
        gradcheck.check(layer, X)


OUTSIDE = weights()[0]


class TakesFromOutside:
    def forward(self, x):
        return x @ OUTSIDE.astype(x.dtype), x

    def backward(self, dy, x):
        return dy @ OUTSIDE.T.astype(dy.dtype)


class FromTheClass:
    W = weights()[0]

    @classmethod
    def forward(cls, x):
        return x @ cls.W.astype(x.dtype), x

    @staticmethod
    def backward(dy, x):
        return dy @ FromTheClass.W.T.astype(dy.dtype)


class InAComprehension(TakesFromOutside):
    def forward(self, x):
        return numpy.stack([row @ OUTSIDE.astype(x.dtype) for row in x]), x


def test_arrays_outside_the_layer_are_seen():
    with pytest.raises(gradcheck.GradientError, match="OUTSIDE moves y, but is kept outside"):
        gradcheck.check(TakesFromOutside(), X)
    for layer in (FromTheClass(), InAComprehension()):
        with pytest.raises(gradcheck.GradientError, match=r"(W|OUTSIDE) moves y, but is kept out"):
            gradcheck.check(layer, X)
    assert gradcheck.check(TakesFromOutside(), X, constants=["OUTSIDE"]).ok
    numpy.testing.assert_array_equal(OUTSIDE, weights()[0])


@pytest.mark.parametrize("name", ["running_w", "W"])
def test_a_weight_is_no_state_by_its_name_or_because_forward_changes_it(name):
    class Layer:
        def __init__(self):
            setattr(self, name, weights()[0])

        def forward(self, x):
            w = getattr(self, name)
            if name == "W":
                self.W = w = w / numpy.sqrt((w * w).sum())
            return x @ w, (x, w)

        def backward(self, dy, cache):
            return dy @ cache[1].T

    with pytest.raises(gradcheck.GradientError, match=rf"{name} \(3, 5\) moves y"):
        gradcheck.check(Layer(), X)


def test_a_box_can_be_named_a_constant():
    layer = nn.Sequential(nn.Linear(3, 4, rng=seeded()), nn.Linear(4, 2, rng=seeded(1)))
    report = gradcheck.check(layer, X, constants=["0.weight"])
    assert [a.name for a in report.arrays] == ["x", "0.bias", "1.weight", "1.bias"]


def test_a_function_of_c_that_a_layer_calls_is_no_obstacle():
    draw = numpy.random.default_rng  # whose type doesn't know the module that it is from

    class Shifted:
        def forward(self, x):
            return x + draw(0).standard_normal(x.shape).astype(x.dtype), x

        def backward(self, dy, x):
            return dy * 1

    assert gradcheck.check(Shifted(), X).ok


def test_several_inputs_come_one_by_one_or_as_a_tuple():
    class Product:
        def forward(self, x, y):
            self.x, self.y = x, y
            return x * y

        def backward(self, dout):
            return dout * self.y, dout * self.x

    assert [a.checked for a in gradcheck.check(Product(), (X, 2 * X)).arrays] == [12, 12]


class RunningMean:
    """Batch norm without variance: y = x - mean + shift, with a state and a setting."""

    def __init__(self):
        self.shift, self.momentum = numpy.zeros(3), 0.1
        self.mean_so_far, self.slope = numpy.zeros(3), 0.5

    def forward(self, x, train):
        mean = x.mean(axis=0) if train else self.mean_so_far
        if train:
            self.mean_so_far = (1 - self.momentum) * self.mean_so_far + self.momentum * mean
        return self.slope * (x - mean) + self.shift, train

    def backward(self, dy, train):
        self.dshift = dy.sum(axis=0)
        return self.slope * (dy - dy.mean(axis=0) if train else dy)


@pytest.mark.parametrize("train", [True, False])
def test_state_and_settings_need_no_gradient(train):
    report = gradcheck.check(RunningMean(), X, train=train)
    assert [a.name for a in report.arrays] == ["x", "shift"]
    assert "Note: taken as settings that aren't learnt: slope = 0.5." in str(report)


def one_number(keep, read):
    """A layer y = c x, with c kept and read in some way, and without a gradient for it."""

    class Layer:
        def __init__(self, taps=(0.7,)):
            keep(self, taps)

        def forward(self, x):
            return x * x.dtype.type(read(self)), x

        def backward(self, dy, x):
            return dy * dy.dtype.type(read(self))

    return Layer()


def kept(name, value):
    """Keep a value under a name, and read it."""
    return lambda self, taps: setattr(self, name, value), lambda self: getattr(self, name)


SETTINGS = {
    **{name: kept(name, 0.7) for name in ("slope", "p", "temperature", "eps", "scale", "a")},
    "NumPy's number": kept("scale", 1 / numpy.sqrt(3)),
    "dict": (
        lambda self, taps: setattr(self, "bn_param", {"eps": 0.1, "a": 0.2}),
        lambda self: self.bn_param["eps"] + self.bn_param["a"],
    ),
    "known name among params": (
        lambda self, taps: setattr(self, "params", {"slope": 0.1}),
        lambda self: self.params["slope"],
    ),
    "list that was given": (
        lambda self, taps: setattr(self, "taps", list(taps)),
        lambda self: self.taps[0],
    ),
}
LEARNT = {
    "weight": kept("weight", 0.7),
    "array": kept("s", numpy.array(0.7)),
    "list": (lambda self, taps: setattr(self, "s", [0.7]), lambda self: self.s[0]),
    "nested list": (lambda self, taps: setattr(self, "s", [[1, 0.7]]), lambda self: self.s[0][1]),
    "deque": (
        lambda self, taps: setattr(self, "s", collections.deque([0.7])),
        lambda self: self.s[0],
    ),
    "params": (lambda self, taps: setattr(self, "params", {"a": 0.7}), lambda s: s.params["a"]),
    "namespace": (
        lambda self, taps: setattr(self, "params", types.SimpleNamespace(a=0.7)),
        lambda self: self.params.a,
    ),
    "list of weights that was given": (
        lambda self, taps: setattr(self, "w", list(taps)),
        lambda self: self.w[0],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_number_that_may_be_a_setting_is_named_in_a_note(name):
    report = gradcheck.check(one_number(*SETTINGS[name]), X)
    assert "taken as settings that aren't learnt" in str(report)


@pytest.mark.parametrize("name", LEARNT)
def test_a_number_that_looks_learnt_needs_a_gradient(name):
    with pytest.raises(gradcheck.GradientError, match=r"\(\) moves y, but backward gives no grad"):
        gradcheck.check(one_number(*LEARNT[name]), X)


def test_a_usual_setting_beside_a_number_that_is_learnt():
    class Layer:
        def __init__(self):
            self.m, self.eps = 0.7, 0.1

        def forward(self, x):
            return self.m * x + self.eps, x

        def backward(self, dy, x):
            self.dm = float((dy * x).sum())
            return self.m * dy

    assert [a.name for a in gradcheck.check(Layer(), X).arrays] == ["x", "m"]


def test_a_whole_list_can_be_named_a_constant():
    layer = one_number(
        lambda self, taps: setattr(self, "s", [0.7, [0.2]]), lambda self: self.s[0] + self.s[1][0]
    )
    assert gradcheck.check(layer, X, constants=["s"]).ok


def test_old_generators_are_put_back():
    class Drop:
        def __init__(self, generator):
            self.generator = generator

        def forward(self, x, train=True):
            keep = self.generator.rand(*x.shape) > 0.5
            return x * keep, keep

        def backward(self, dy, keep):
            return dy * keep

    class Wrong(Drop):
        def backward(self, dy, keep):
            return 2 * dy * keep

    before = shared_generators()
    with pytest.raises(gradcheck.GradientError):
        gradcheck.check(Wrong(numpy.random), X)
    assert shared_generators() == before
    assert gradcheck.check(Drop(numpy.random.RandomState(0)), X).ok
    assert gradcheck.check(Drop(numpy.random), X).ok
    plain = random.Random(0)
    numbers = types.SimpleNamespace(
        rand=lambda *shape: numpy.reshape([plain.random() for _ in range(12)], shape)
    )
    assert gradcheck.check(Drop(numbers), X).ok
    bound = seeded().random
    assert gradcheck.check(Drop(types.SimpleNamespace(rand=lambda *n: bound(n))), X).ok
    assert shared_generators() == before


def shared_generators():
    name, key, *rest = numpy.random.get_state()  # noqa: NPY002
    return random.getstate(), name, key.tolist(), rest


# ---------------------------------------------------------------- where mistakes hide


class Scaled:
    """y = act(gain x + shift), with a place for a mistake that its first values hide."""

    def __init__(self, gain, shift, mistake):
        self.gain, self.shift, self.mistake = gain, shift, mistake

    def forward(self, x):
        return numpy.tanh(self.gain * x + self.shift), (x, self.gain * x + self.shift)

    def backward(self, dy, cache):
        x, inner = cache
        d = dy * (1 - numpy.tanh(inner) ** 2)
        self.dgain, self.dshift = (d * x).sum(axis=0), d.sum(axis=0)
        return self.mistake(self, d, x)


HIDDEN = {
    "gain 1": (Scaled(numpy.ones(3), numpy.zeros(3), lambda s, d, x: d), "moved away"),
    "shift 0": (
        Scaled(numpy.ones(3), numpy.zeros(3), lambda s, d, x: s.gain * d + s.shift * d),
        "moved away",
    ),
    "residual scale 0": (
        Scaled(numpy.zeros(3), numpy.ones(3), lambda s, d, x: s.gain * 2 * d),
        "moved away",
    ),
    "large x": (
        Scaled(numpy.full(3, 0.1), numpy.ones(3), lambda s, d, x: s.gain * d * (abs(x) < 8)),
        "ten times as large",
    ),
    "batch of 4": (
        Scaled(numpy.ones(3), numpy.ones(3), lambda s, d, x: s.gain * d * (len(d) / 4)),
        "for x (",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_mistakes_that_the_given_point_hides_are_caught(name):
    layer, said = HIDDEN[name]
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(layer, X)
    assert said in str(caught.value)


class Pool:
    """The mean over the image, for NHWC; wrong where images aren't square, if asked for."""

    def __init__(self, wrong):
        self.wrong = wrong

    def forward(self, x):
        return x.mean(axis=(1, 2)), x.shape

    def backward(self, dy, shape):
        _, h, w, _ = shape
        pixels = h * h if self.wrong else h * w
        return numpy.broadcast_to(dy[:, None, None] / pixels, shape).copy()


def test_square_images_hide_nothing():
    x = seeded().standard_normal((1, 4, 4, 2))
    assert gradcheck.check(Pool(wrong=False), x).ok
    with pytest.raises(gradcheck.GradientError, match=r"for x \(6, 5, 7, 2\)"):
        gradcheck.check(Pool(wrong=True), x)


def test_a_cotangent_equal_to_x_hides_nothing():
    class Product:
        def forward(self, x):
            return x**2, x

        def backward(self, dy, x):
            return 2 * dy * dy  # for x

    with pytest.raises(gradcheck.GradientError, match="isn't linear in dy"):
        gradcheck.check(Product(), seeded(0).standard_normal((4, 3)), rng=0)


def test_forward_must_leave_gradients_alone():
    class Clears(nn.Linear):
        def forward(self, x, *, train=True):
            self.zero_grad()
            return super().forward(x, train=train)

    with pytest.raises(gradcheck.GradientError, match="later forward call changes the gradient"):
        gradcheck.check(Clears(3, 5, rng=seeded()), X)


class Wide:
    """Computes in float64, or loses small numbers, whatever comes in."""

    def __init__(self, kind):
        self.kind = kind

    def forward(self, x):
        if self.kind == "wide y":
            return x * numpy.ones(x.shape), x
        if self.kind == "wide dx":
            return x * 2, x
        return (x + numpy.asarray(1e6, x.dtype)) - numpy.asarray(1e6, x.dtype), x

    def backward(self, dy, x):
        if self.kind == "wide dx":
            return dy * (2 * numpy.ones(x.shape))
        return dy * 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wide y", "for float32 input, y is float64"),
        ("wide dx", "for float32 input, dx is float64"),
        ("lossy", "y in float32 differs from float64 by more than rounding"),
    ],
)
def test_float32_must_stay_float32_and_right(kind, said):
    with pytest.raises(gradcheck.GradientError, match=said):
        gradcheck.check(Wide(kind), X)


def test_nan_for_large_inputs_is_a_mistake():
    class Softmax:
        def forward(self, x):
            e = numpy.exp(x)
            y = e / e.sum(axis=-1, keepdims=True)
            return y, y

        def backward(self, dy, y):
            return y * (dy - (dy * y).sum(axis=-1, keepdims=True))

    with pytest.raises(gradcheck.GradientError, match="y isn't finite for float32 inputs as large"):
        gradcheck.check(Softmax(), 4 * X)


class Of:
    """y = f(x), with a backward map for it."""

    def __init__(self, f, pull):
        self.f, self.pull = f, pull

    def forward(self, x):
        return self.f(x), x

    def backward(self, dy, x):
        return self.pull(dy, x)


def stable(x):
    """The logistic function, without an exponential that overflows."""
    e = numpy.exp(-abs(x))
    return numpy.where(x < 0, e, 1) / (1 + e)


def softmax(x):
    e = numpy.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def pull_softmax(dy, x):
    y = softmax(x)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def naive_softplus(x):
    return numpy.log(1 + numpy.exp(x))


def softplus(x):
    return numpy.logaddexp(numpy.zeros((), x.dtype), x)


BREAK_AT_LARGE_INPUTS = {
    "clip": (lambda x: numpy.clip(x, -50, 50), lambda dy, x: dy * 1, "wrong for inputs as large"),
    "clip above": (lambda x: numpy.clip(x, 0, 30), lambda dy, x: dy * (x > 0), "give 0"),
    "Huber": (
        lambda x: numpy.where(abs(x) < 40, x * x / 2, 40 * abs(x) - 800),
        lambda dy, x: dy * x,
        "wrong for inputs as large",
    ),
    "softplus": (
        naive_softplus,
        lambda dy, x: dy * numpy.exp(x) / (1 + numpy.exp(x)),
        "y isn't finite for float32 inputs as large as 100",
    ),
    "y of softplus": (naive_softplus, lambda dy, x: dy * stable(x), "y isn't finite for float32"),
    "dx of softplus": (
        softplus,
        lambda dy, x: dy * numpy.exp(x) / (1 + numpy.exp(x)),
        "dx isn't finite for float32 inputs as large as 100",
    ),
    "tanh": (
        lambda x: (numpy.exp(x) - numpy.exp(-x)) / (numpy.exp(x) + numpy.exp(-x)),
        lambda dy, x: dy * (1 - numpy.tanh(x) ** 2),
        "y isn't finite for float32",
    ),
    "root": (
        lambda x: numpy.sqrt(numpy.maximum(0, 60 - x)),
        lambda dy, x: -dy * (x < 60) / 2 / numpy.sqrt(numpy.maximum(0, 60 - x)),
        "dx holds NaN for inputs as large as",
    ),
}
RIGHT_AT_LARGE_INPUTS = {
    "exp": (numpy.exp, lambda dy, x: dy * numpy.exp(x)),
    "exp of five times x": (lambda x: numpy.exp(5 * x), lambda dy, x: 5 * dy * numpy.exp(5 * x)),
    "cosh": (numpy.cosh, lambda dy, x: dy * numpy.sinh(x)),
    "x exp": (lambda x: x * numpy.exp(x), lambda dy, x: dy * (1 + x) * numpy.exp(x)),
    "difference of exponentials": (
        lambda x: numpy.exp(x) @ numpy.array([[1], [-1], [1]], x.dtype),
        lambda dy, x: dy * numpy.array([1, -1, 1], x.dtype) * numpy.exp(x),
    ),
    "tanh": (numpy.tanh, lambda dy, x: dy * (1 - numpy.tanh(x) ** 2)),
    "sigmoid": (
        lambda x: 1 / (1 + numpy.exp(-x)),
        lambda dy, x: dy / (1 + numpy.exp(-x)) * (1 - 1 / (1 + numpy.exp(-x))),
    ),
    "softplus": (softplus, lambda dy, x: dy * stable(x)),
    "softmax": (softmax, pull_softmax),
    "square": (lambda x: x * x, lambda dy, x: 2 * dy * x),
    "twentieth power": (lambda x: x**20, lambda dy, x: 20 * dy * x**19),
    "product": (
        lambda x: x.prod(axis=1, keepdims=True),
        lambda dy, x: dy * x.prod(axis=1, keepdims=True) / x,
    ),
    "clip": (lambda x: numpy.clip(x, -50, 50), lambda dy, x: dy * (abs(x) < 50)),
    "fast wave": (lambda x: numpy.sin(300 * x), lambda dy, x: 300 * dy * numpy.cos(300 * x)),
    "wave of the square": (lambda x: numpy.sin(x * x), lambda dy, x: 2 * x * dy * numpy.cos(x * x)),
    "triangles": (lambda x: abs(x % 2 - 1), lambda dy, x: dy * numpy.sign(x % 2 - 1)),
    "steps": (lambda x: x - numpy.floor(x), lambda dy, x: dy * 1),
    "arcsine": (lambda x: numpy.arcsin(x / 5), lambda dy, x: dy / numpy.sqrt(25 - x * x)),
    "logarithm": (lambda x: numpy.log(x + 6), lambda dy, x: dy / (x + 6)),
    "norm": (
        lambda x: numpy.sqrt((x * x).sum(axis=1, keepdims=True)),
        lambda dy, x: dy * x / numpy.sqrt((x * x).sum(axis=1, keepdims=True)),
    ),
}


@pytest.mark.parametrize("name", BREAK_AT_LARGE_INPUTS)
def test_what_breaks_at_large_inputs_is_caught(name):
    forward, backward, said = BREAK_AT_LARGE_INPUTS[name]
    with pytest.raises(gradcheck.GradientError, match=said):
        gradcheck.check(Of(forward, backward), X)


@pytest.mark.parametrize("name", RIGHT_AT_LARGE_INPUTS)
def test_what_is_right_at_large_inputs_passes(name):
    assert gradcheck.check(Of(*RIGHT_AT_LARGE_INPUTS[name]), X).ok


def test_a_kink_where_large_inputs_stay_small_is_no_mistake():
    x = X.copy()
    x[1] = 0
    relu = Of(lambda x: numpy.maximum(x, 0), lambda dy, x: dy * (x > 0))
    assert gradcheck.check(relu, x)["x"].skipped == 3


@pytest.mark.parametrize("what", ["x", "dy", "weight"])
def test_second_derivatives_are_examined(what):
    class Cube(nn.Layer):
        """y = w x³, whose backward map has derivatives with respect to x, dy and w."""

        def __init__(self):
            self.weight = nn.Parameter(numpy.array([0.5, -1.0, 2.0]))

        def forward(self, x, *, train=True):
            return self.weight.value * x**3, x

        def backward(self, dy, x, *, param_grads=True, input_grad=True):
            if param_grads:
                self.weight.grad += (dy * x**3).sum(axis=0)
            return 3 * self.weight.value * x**2 * dy if input_grad else None

        def double_backward(self, v, dy, x, *, param_grads=True, input_grad=True):
            w = self.weight.value
            if param_grads:
                self.weight.grad += (v * 3 * x**2 * dy).sum(axis=0) * (2 if what == "weight" else 1)
            dx = 6 * w * x * dy * v * (2 if what == "x" else 1)
            return dx, 3 * w * x**2 * v * (2 if what == "dy" else 1)

    with pytest.raises(gradcheck.GradientError, match=f"the gradient of double_backward: {what}"):
        gradcheck.check(Cube(), X)


class Twice(nn.Linear):
    """y = 2 (x W + b), with a second derivative that knows nothing of the 2."""

    def forward(self, x, *, train=True):
        y, cache = super().forward(x, train=train)
        return 2 * y, cache

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        return super().backward(2 * dy, cache, param_grads=param_grads, input_grad=input_grad)


class Plain(nn.Linear):
    """A linear layer by maps of its own, whose cache is a tuple."""

    def forward(self, x, *, train=True):
        return x @ self.weight.value + self.bias.value, (x,)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        if param_grads:
            self.weight.grad += cache[0].T @ dy
            self.bias.grad += dy.sum(axis=0)
        return dy @ self.weight.value.T if input_grad else None


@pytest.mark.parametrize(
    "net", [Twice(3, 2), nn.Sequential(nn.Linear(3, 3), nn.Tanh(), Twice(3, 2))]
)
def test_an_inherited_second_derivative_that_does_not_fit_is_named(net):
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(net, X)
    assert (
        "likely cause: Twice defines forward and backward, but inherits double_backward from "
        "Linear: define one that fits, too." in str(caught.value)
    )
    assert caught.value.hint is None  # all first derivatives are right


def test_an_inherited_second_derivative_that_fails_is_named():
    (note,) = gradcheck.check(Plain(3, 2), X).notes
    assert note.startswith("no second derivative was checked: Linear(3, 2).double_backward got")
    assert note.endswith("but inherits double_backward from Linear: define one that fits, too")


def test_an_inherited_second_derivative_that_fits_is_right():
    class Counted(nn.Linear):
        def forward(self, x, *, train=True):
            self.calls = getattr(self, "calls", 0) + 1
            return super().forward(x, train=train)

    report = gradcheck.check(Counted(3, 2), X)
    assert len(report.second) == 4
    assert not any("inherits" in note for note in report.notes)


def test_a_backward_that_updates_the_weights_is_told_so():
    class Updating:
        def __init__(self):
            self.W = seeded().standard_normal((3, 5))

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dy, lr=0.1):
            dx = dy @ self.W.T
            self.W -= lr * self.x.T @ dy
            return dx

    with pytest.raises(gradcheck.GradientError, match="or the weights"):
        gradcheck.check(Updating(), X)


class Vocabulary:
    """A layer with a large table of plain values, which forward also writes to."""

    def __init__(self):
        self.table = {f"word {i}": i for i in range(3_000)} | {"calls": 0}
        self.W, self.dW = numpy.array([[1.0, 2.0], [3.0, 4.0]]), numpy.zeros((2, 2))

    def forward(self, x):
        self.table["calls"] += 1
        self.x, scale = x, 1.0 + self.table.pop("word 7") * (self.table["calls"] - 1)
        self.table["word 7"] = 7
        return scale * x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


def test_a_table_of_plain_values_is_put_back_before_each_evaluation():
    layer = Vocabulary()
    report = gradcheck.check(layer, numpy.array([[0.3, -0.2], [0.5, 0.1]]))
    assert report.ok, str(report)
    assert layer.table == Vocabulary().table
