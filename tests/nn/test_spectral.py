"""Spectral normalisation: the singular value, when it is followed, and the gradient through it."""

import copy

import numpy
import pytest
from critics import assert_close, measured_gradient

from minigan import gradcheck, nn
from minigan.nn.spectral import WARM_UP

WINDOW = {"kernel_size": (3, 2), "stride": 1, "padding": 1}


def _rng():
    return numpy.random.default_rng(0)


LAYERS = {
    "linear": (lambda: nn.Linear(6, 4, rng=_rng()), (3, 6), lambda w: w.T),
    "conv": (
        lambda: nn.Conv2d(2, 3, **WINDOW, rng=_rng()),
        (2, 4, 4, 2),
        lambda w: w.transpose(3, 0, 1, 2).reshape(3, -1),
    ),
    "transposed conv": (
        lambda: nn.ConvTranspose2d(2, 3, **WINDOW, rng=_rng()),
        (2, 4, 4, 2),
        lambda w: w.transpose(2, 0, 1, 3).reshape(3, -1),
    ),
    "conv of sequences": (
        lambda: nn.Conv1d(2, 3, kernel_size=4, stride=2, padding=1, rng=_rng()),
        (2, 6, 2),
        lambda w: w.transpose(2, 0, 1).reshape(3, -1),
    ),
    "transposed conv of sequences": (
        lambda: nn.ConvTranspose1d(2, 3, kernel_size=4, stride=2, padding=1, rng=_rng()),
        (2, 4, 2),
        lambda w: w.transpose(1, 0, 2).reshape(3, -1),
    ),
    "embedding": (lambda: nn.Embedding(5, 3, rng=_rng()), None, lambda w: w.T),
}


def _case(name):
    make, shape, matrix = LAYERS[name]
    rng = numpy.random.default_rng(1)
    x = rng.integers(0, 5, 4) if shape is None else rng.standard_normal(shape)
    return nn.spectral_norm(make(), rng=rng).astype("float64"), x, matrix


@pytest.mark.parametrize("name", LAYERS)
def test_the_weight_is_divided_by_its_largest_singular_value(name):
    layer, x, matrix = _case(name)
    layer.iterate(300)
    u, sigma, v = numpy.linalg.svd(matrix(layer.layer.weight.value))
    assert abs(u[:, 0] @ layer.u) == pytest.approx(1, rel=1e-9)
    assert abs(v[0] @ layer.v) == pytest.approx(1, rel=1e-9)

    plain = copy.deepcopy(layer.layer)
    plain.weight.value = plain.weight.value / sigma[0]
    numpy.testing.assert_allclose(layer(x), plain(x), rtol=1e-9)


def test_it_starts_near_the_singular_vectors():
    layer, _, matrix = _case("linear")
    w = matrix(layer.layer.weight.value)
    assert layer.u @ w @ layer.v == pytest.approx(numpy.linalg.norm(w, 2), rel=0.02)
    assert WARM_UP == 15


def test_a_training_forward_makes_one_power_iteration():
    layer, x, matrix = _case("conv")
    w = matrix(layer.layer.weight.value)
    layer.v[...] = 1 / numpy.sqrt(layer.v.size)
    v = layer.v.copy()
    layer.forward(x, train=True)
    u = w @ v / numpy.linalg.norm(w @ v)
    numpy.testing.assert_allclose(layer.u, u, rtol=1e-12)
    numpy.testing.assert_allclose(layer.v, w.T @ u / numpy.linalg.norm(w.T @ u), rtol=1e-12)


@pytest.mark.parametrize("how", ["evaluation", "frozen"])
def test_evaluation_and_frozen_statistics_leave_the_vectors_alone(how):
    layer, x, _ = _case("linear")
    layer.u[...] = layer.u[::-1].copy()
    before = layer.state_dict()
    net = nn.Sequential(layer)
    if how == "evaluation":
        net(x)
    else:
        with nn.frozen_statistics(net):
            net.forward(x, train=True)
    for key, a in layer.state_dict().items():
        numpy.testing.assert_array_equal(a, before[key])
    net.forward(x, train=True)
    assert (layer.u != before["u"]).any()


def test_the_vectors_travel_in_the_state_dict_and_the_weight_is_the_raw_one():
    layer, x, _ = _case("conv")
    raw = layer.layer.weight.value.copy()
    state = layer.state_dict()
    assert list(state) == ["layer.weight", "layer.bias", "u", "v"]
    assert list(layer.parameters()) == ["layer.weight", "layer.bias"]
    layer.forward(x)
    numpy.testing.assert_array_equal(layer.layer.weight.value, raw)
    other = nn.spectral_norm(nn.Conv2d(2, 3, **WINDOW), rng=_rng()).astype("float64")
    other.load_state_dict(state)
    layer.load_state_dict(state)
    numpy.testing.assert_array_equal(other(x), layer(x))


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embedding"])
def test_the_gradient_goes_through_sigma(name):
    layer, x, _ = _case(name)
    gradcheck.check(layer, x, rng=0, train=False)


def test_the_gradient_of_an_embedding_goes_through_sigma():
    layer, labels, _ = _case("embedding")
    y, cache = layer.forward(labels, train=False)
    dy = numpy.random.default_rng(2).standard_normal(y.shape)
    assert layer.backward(dy, cache) is None
    w = layer.layer.weight
    assert_close(w.grad, measured_gradient(lambda: float((layer(labels) * dy).sum()), w.value))


def test_the_gradient_has_nothing_along_the_direction_that_sigma_takes_out():
    """Growing W as a whole changes nothing, so its gradient is orthogonal to W."""
    layer, x, _ = _case("linear")
    layer.iterate(300)
    y, cache = layer.forward(x)
    layer.backward(numpy.random.default_rng(3).standard_normal(y.shape), cache)
    w = layer.layer.weight
    assert numpy.abs(w.grad).max() > 0.1
    assert abs((w.grad * w.value).sum()) < 1e-12


def test_a_net_of_normalised_layers_is_lipschitz():
    rng = _rng()
    sizes = [(5, 32), (32, 32), (32, 1)]
    net = nn.Sequential(
        *(
            part
            for s in sizes
            for part in (nn.spectral_norm(nn.Linear(*s, rng=rng), rng=rng), nn.LeakyReLU())
        )
    ).astype("float64")
    for _ in range(300):
        net.forward(rng.standard_normal((1, 5)))
    a, b = rng.standard_normal((2, 500, 5)) * 10
    assert (abs(net(a) - net(b))[:, 0] <= numpy.linalg.norm(a - b, axis=1) * (1 + 1e-9)).all()


def test_a_cache_remembers_the_weight_and_the_vectors_of_its_call():
    layer, x, _ = _case("linear")
    dy = numpy.random.default_rng(2).standard_normal((3, 4))
    _, cache = layer.forward(x, train=True)
    layer.zero_grad()
    dx = layer.backward(dy, cache)
    before = {k: p.grad.copy() for k, p in layer.parameters().items()}
    layer.u[...] = numpy.roll(layer.u, 1)
    layer.forward(2 * x, train=True)
    layer.layer.weight.value[...] += 1.0
    layer.zero_grad()
    numpy.testing.assert_array_equal(layer.backward(dy, cache), dx)
    for k, p in layer.parameters().items():
        numpy.testing.assert_array_equal(p.grad, before[k])


def test_no_parameter_gradients_when_they_are_not_wanted():
    layer, x, _ = _case("linear")
    y, cache = layer.forward(x)
    dx = layer.backward(numpy.ones_like(y), cache, param_grads=False)
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    numpy.testing.assert_array_equal(dx, layer.backward(numpy.ones_like(y), cache))
    assert layer.backward(numpy.ones_like(y), cache, input_grad=False) is None


def test_one_flat_vector_holds_the_raw_weights():
    net = nn.Sequential(
        nn.spectral_norm(nn.Linear(3, 2, rng=_rng()), rng=_rng()), nn.Linear(2, 1, rng=_rng())
    )
    flat = net.flat()
    x = numpy.ones((2, 3), "float32")
    y, cache = net.forward(x)
    net.backward(numpy.ones_like(y), cache)
    numpy.testing.assert_array_equal(flat.grad[:6].reshape(3, 2), net[0].layer.weight.grad)
    assert (flat.grad[:6] != 0).any()
    assert net[0].u.dtype == y.dtype == "float32"


def test_it_is_deterministic_given_the_generator():
    a, b = (nn.spectral_norm(nn.Linear(4, 3, rng=_rng()), rng=_rng()) for _ in range(2))
    numpy.testing.assert_array_equal(a.u, b.u)


def test_a_weight_of_zeros_gives_no_not_a_number_vectors():
    layer = nn.Linear(3, 2)
    layer.weight.value = numpy.zeros((3, 2))
    wrapped = nn.spectral_norm(layer, rng=_rng())
    assert numpy.isfinite(wrapped.u).all()
    assert numpy.isfinite(wrapped.v).all()


@pytest.mark.parametrize(
    "layer", [nn.Tanh(), nn.Sequential(nn.Linear(2, 2)), nn.LayerNorm(3), None]
)
def test_only_layers_with_a_weight_can_be_wrapped(layer):
    with pytest.raises(TypeError, match="needs a layer with a weight"):
        nn.spectral_norm(layer)


def test_shapes_costs_and_names_are_those_of_the_layer_inside():
    layer = nn.spectral_norm(nn.Conv2d(2, 3, **WINDOW, rng=_rng()), rng=_rng())
    shape = (2, 4, 4, 2)
    assert layer.output_shape(shape) == layer.layer.output_shape(shape)
    assert layer.multiply_adds(shape) == layer.layer.multiply_adds(shape)
    assert repr(layer) == f"SpectralNorm({layer.layer!r})"
    with pytest.raises(ValueError, match="channels come last"):
        layer.forward(numpy.zeros((2, 4, 4, 5), "float32"))


def test_the_axis_of_the_outputs_is_the_one_that_the_parameter_names():
    class Rows(nn.Linear):
        """A Linear whose weight is stored as (out, in)."""

        def __init__(self, rng):
            super().__init__(6, 4, rng=rng)
            self.weight = nn.Parameter(self.weight.value.T.copy(), role="weight", output_axis=0)

    rows, columns = nn.spectral_norm(Rows(_rng())), nn.spectral_norm(nn.Linear(6, 4, rng=_rng()))
    assert rows.u.shape == columns.u.shape == (4,)
    assert rows.v.shape == columns.v.shape == (6,)


def test_a_weight_of_zeros_stays_finite_and_learns():
    """As of a last layer that begins at 0: W / σ is 0, and power iteration starts with the first
    step.
    """
    inner = nn.Linear(3, 2, rng=_rng())
    inner.weight.value, inner.bias.value = 0, 1
    layer = nn.spectral_norm(inner, rng=_rng()).astype("float64")
    x = _rng().standard_normal((4, 3))
    y, cache = layer.forward(x)
    assert (y == 1).all()
    assert (layer.backward(numpy.ones_like(y), cache) == 0).all()
    numpy.testing.assert_allclose(inner.weight.grad, x.T @ numpy.ones_like(y))
    inner.weight.value -= 0.1 * inner.weight.grad
    layer.iterate(100)
    sigma = numpy.linalg.norm(inner.weight.value, 2)
    numpy.testing.assert_allclose(layer(x), x @ inner.weight.value / sigma + 1, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-13, 1e-11, 1.0, 1e13, 1e20, 1e30])
def test_the_size_of_a_weight_does_not_matter(size):
    """Not even where its squares vanish or overflow in float32."""
    inner = nn.Linear(6, 4, bias=False, rng=_rng())
    inner.weight.value *= size
    layer = nn.spectral_norm(inner, rng=_rng())
    layer.iterate(100)
    normalised = layer(numpy.eye(6, dtype="float32"))
    assert numpy.linalg.norm(normalised, 2) == pytest.approx(1, rel=1e-5)
