"""Parameters, and the one flat vector: the same numbers seen in two ways."""

import copy
import pickle

import numpy
import pytest

from minigan import nn


def chain():
    rng = numpy.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.BatchNorm(4), nn.Linear(4, 2, rng=rng))


# ---------------------------------------------------------------- Parameter


def test_a_parameter_starts_with_a_gradient_of_zeros():
    p = nn.Parameter(numpy.ones((2, 3), "float32"))
    assert p.shape == p.grad.shape == (2, 3)
    assert p.size == 6
    assert p.grad.dtype == "float32"
    assert (p.grad == 0).all()
    assert repr(p) == "Parameter(shape=(2, 3), dtype=float32)"


@pytest.mark.parametrize("name", ["value", "grad"])
def test_assignment_copies_the_numbers_in(name):
    p = nn.Parameter(numpy.ones((2, 3), "float32"))
    array = getattr(p, name)
    new = numpy.arange(6.0).reshape(2, 3)
    setattr(p, name, new)
    assert getattr(p, name) is array
    assert array.dtype == "float32"
    numpy.testing.assert_array_equal(array, new)
    new[...] = 9
    assert (array != 9).all()
    setattr(p, name, 2.5)
    assert (array == 2.5).all()
    setattr(p, name, [[1, 2, 3], [4, 5, 6]])
    assert array[1, 2] == 6
    p.value += 1
    p.grad += 1
    assert getattr(p, name) is array


@pytest.mark.parametrize(
    "bad", [numpy.ones(3), numpy.ones((3, 2)), numpy.ones((2, 1)), [1, 2, 3], [[1], [2]]]
)
def test_another_shape_is_refused_even_where_it_could_be_broadcast(bad):
    p = nn.Parameter(numpy.zeros((2, 3), "float32"))
    for name in ("value", "grad"):
        with pytest.raises(
            ValueError, match=rf"The {name} of this parameter has shape \(2, 3\); got one of shape"
        ):
            setattr(p, name, bad)
        assert (getattr(p, name) == 0).all()


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, copy.copy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_of_a_parameter_stand_on_their_own(clone):
    p = chain()[0].weight
    nn.flatten([p])
    twin = clone(p)
    twin.value += 1
    twin.grad += 1
    assert twin.home is None
    numpy.testing.assert_allclose(twin.value, p.value + 1)
    assert (p.grad == 0).all()


# ---------------------------------------------------------------- Flat


def test_layers_see_views_of_the_flat_vector():
    net = chain()
    before = net.state_dict()
    flat = net.flat()
    assert flat.value.shape == flat.grad.shape == (12 + 4 + 4 + 4 + 8 + 2,)
    numpy.testing.assert_array_equal(flat.value[:12], before["0.weight"].ravel())
    for p, place in zip(flat.parameters, flat.slices, strict=True):
        assert numpy.shares_memory(p.value, flat.value)
        assert numpy.shares_memory(p.grad, flat.grad)
        numpy.testing.assert_array_equal(flat.value[place], p.value.ravel())
    flat.value[...] = 3
    assert (net[2].weight.value == 3).all()
    net[2].bias.grad += 5
    numpy.testing.assert_array_equal(flat.grad[-2:], [5, 5])
    net.zero_grad()
    assert (flat.grad == 0).all()


def test_gradients_that_are_there_move_into_the_vector():
    net = chain()
    net[0].weight.grad += 2
    assert net.flat().grad.sum() == 24


def test_a_net_is_laid_out_once():
    net = chain()
    assert net.flat() is net.flat()
    net[0].weight.value = numpy.zeros((3, 4))
    assert net.flat().value[:12].sum() == 0
    assert net.flat() is nn.flatten(net.parameters().values())


def test_all_that_walks_writes_into_the_vector():
    net = chain().astype("float64")
    flat = net.flat()
    x = numpy.random.default_rng(0).standard_normal((5, 3))
    y, cache = net.forward(x)
    net.backward(y, cache)
    assert net.flat() is flat
    assert (flat.grad != 0).sum() > 12
    net.load_state_dict({name: a * 0 + 7 for name, a in net.state_dict().items()})
    assert (flat.value == 7).all()


def test_a_home_is_stale_once_its_parameters_live_elsewhere():
    net = chain()
    old = net.flat()
    net.astype("float64")
    assert not old.holds(list(net.parameters().values()))
    new = net.flat()
    assert new is not old
    assert new.value.dtype == "float64"
    new.value[...] = 1
    assert (old.value != 1).any()
    # Part of a net, or a larger net, is laid out anew: then the first vector no longer holds them.
    part = net[0].flat()
    assert part.value.size == 16
    assert not new.holds(list(net.parameters().values()))
    whole = net.flat()
    assert whole is not new
    assert numpy.shares_memory(net[0].weight.value, whole.value)
    assert not part.holds(list(net[0].parameters().values()))


def test_a_home_asked_in_another_order_is_laid_out_anew():
    p, q = nn.Parameter(numpy.zeros(2)), nn.Parameter(numpy.ones(3))
    first = nn.flatten([p, q])
    assert first.holds([p, q])
    assert not first.holds([q, p])
    numpy.testing.assert_array_equal(nn.flatten([q, p]).value, [1, 1, 1, 0, 0])


def test_shared_parameters_lie_in_the_vector_once():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    net = nn.Sequential(a, b)
    assert net.flat().value.size == 9 + 3 + 3
    net.flat().value[...] = 2
    assert (b.weight.value == 2).all()
    assert net.flat() is net.flat()
    twin = copy.deepcopy(net)
    assert twin[0].weight is twin[1].weight
    net.astype("float64")
    assert net[0].weight.value is net[1].weight.value
    assert net[0].weight.value.dtype == "float64"


def test_nothing_can_not_be_laid_out():
    with pytest.raises(ValueError, match="no parameters"):
        nn.Sequential(nn.Tanh()).flat()


# ---------------------------------------------------------------- initial weights


def test_the_same_generator_gives_the_same_weights():
    numpy.testing.assert_array_equal(chain().flat().value, chain().flat().value)
    assert (nn.Linear(3, 4).weight.value != nn.Linear(3, 4).weight.value).any()


def test_normal_weights_follow_dcgan():
    net = nn.Sequential(nn.Linear(200, 300), nn.BatchNorm(300), nn.Conv2d(20, 30, kernel_size=4))
    net.flat()
    nn.initial.normal(net, rng=numpy.random.default_rng(0), std=0.05)
    assert net[0].weight.value.std() == pytest.approx(0.05, rel=0.02)
    assert net[2].weight.value.std() == pytest.approx(0.05, rel=0.02)
    assert abs(net[0].weight.value.mean()) < 1e-3
    assert net[1].gamma.value.mean() == pytest.approx(1, abs=0.01)
    assert net[1].gamma.value.std() == pytest.approx(0.05, rel=0.15)
    for shift in (net[0].bias, net[1].beta, net[2].bias):
        assert (shift.value == 0).all()
    assert numpy.shares_memory(net[0].weight.value, net.flat().value)
    assert net[0].weight.value.dtype == "float32"


def test_kaiming_weights_keep_the_size_of_signals():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(
        nn.Linear(400, 300), nn.LeakyReLU(0.2), nn.Linear(300, 300), nn.BatchNorm(300)
    )
    nn.initial.kaiming_normal(net, rng=rng, slope=0.2)
    assert net[0].weight.value.var() == pytest.approx(2 / (1.04 * 400), rel=0.02)
    assert (net[3].gamma.value == 1).all()
    assert (net[0].bias.value == 0).all()
    x = rng.standard_normal((100, 400)).astype("float32")
    hidden = net[1](net[0](x))
    assert (hidden**2).mean() == pytest.approx((x**2).mean(), rel=0.1)
