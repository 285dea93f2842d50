"""Parameters, and the one flat vector: the same numbers seen in two ways."""

import copy
import pickle

import numpy
import pytest
from strict_array import StrictNamespace

from minigan import nn, optim


def chain():
    rng = numpy.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.BatchNorm(4), nn.Linear(4, 2, rng=rng))


# ---------------------------------------------------------------- Parameter


@pytest.mark.parametrize("dtype", ["complex64", "int64", "bool"])
def test_a_parameter_is_an_array_of_real_numbers(dtype):
    with pytest.raises(TypeError, match=f"array of float32 or float64, got {dtype}; convert it"):
        nn.Parameter(numpy.ones(3, dtype))


@pytest.mark.parametrize("wrong", [numpy.full(3, 1j), 1j])
@pytest.mark.parametrize("name", ["value", "grad"])
def test_complex_numbers_are_refused_rather_than_halved(name, wrong):
    p = nn.Parameter(numpy.ones(3))
    before = getattr(p, name).copy()
    with pytest.raises(TypeError, match=f"The {name} of this parameter is real; got complex"):
        setattr(p, name, wrong)
    numpy.testing.assert_array_equal(getattr(p, name), before)


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


def test_a_parameter_knows_what_it_is():
    p = nn.Parameter(numpy.ones((2, 3)), role="weight", fan_in=2, output_axis=-1)
    assert (p.role, p.fan_in, p.output_axis) == ("weight", 2, -1)
    plain = nn.Parameter(numpy.ones(3))
    assert (plain.role, plain.fan_in, plain.output_axis) == (None, None, None)
    with pytest.raises(ValueError, match="one of weight, bias, scale, shift, or None, got 'gain'"):
        nn.Parameter(numpy.ones(3), role="gain")
    for axis in (-2, 1):
        assert nn.Parameter(numpy.ones((2, 3)), output_axis=axis).output_axis == axis
    for axis in (-3, 2):
        with pytest.raises(ValueError, match=rf"shape \(2, 3\) has no output_axis {axis}"):
            nn.Parameter(numpy.ones((2, 3)), output_axis=axis)


def about(net):
    return {name: (p.role, p.fan_in, p.output_axis) for name, p in net.parameters().items()}


def test_every_layer_says_what_its_parameters_are():
    conv = {"kernel_size": (4, 3), "stride": (2, 1)}
    net = nn.Sequential(
        nn.Linear(3, 4), nn.Conv2d(2, 5, **conv), nn.ConvTranspose2d(2, 5, **conv),
        nn.BatchNorm(3), nn.LayerNorm(2, 3), nn.InstanceNorm(3, affine=True), nn.Embedding(6, 4),
        nn.Projection(nn.Flatten(), features=4, classes=3),
    )  # fmt: skip
    assert about(net) == {
        "0.weight": ("weight", 3, 1), "0.bias": ("bias", None, 0),
        "1.weight": ("weight", 24, 3), "1.bias": ("bias", None, 0),
        "2.weight": ("weight", 12, 2), "2.bias": ("bias", None, 0),
        "3.gamma": ("scale", None, None), "3.beta": ("shift", None, None),
        "4.gamma": ("scale", None, None), "4.beta": ("shift", None, None),
        "5.gamma": ("scale", None, None), "5.beta": ("shift", None, None),
        "6.weight": ("weight", 1, 1),
        "7.weight": ("weight", 4, 1), "7.bias": ("bias", None, 0),
        "7.embedding.weight": ("weight", 1, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        copy.copy,
        copy.deepcopy,
        lambda net: pickle.loads(pickle.dumps(net)),
        lambda net: net.astype("float64"),
        lambda net: net.to("cpu"),
        lambda net: net.to(StrictNamespace().backend),
        lambda net: net.flat() and net,
    ],
)
def test_nothing_makes_a_parameter_forget_what_it_is(change):
    net = nn.Sequential(nn.ConvTranspose2d(2, 5, kernel_size=4, stride=2), nn.BatchNorm(5))
    said = about(net)
    assert said["0.weight"] == ("weight", 8, 2)
    assert about(change(net)) == said


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


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
@pytest.mark.parametrize("order", [1, -1], ids=["net first", "optimizer first"])
def test_a_copy_of_net_and_optimizer_trains_alone(clone, order):
    net = chain()
    pair = (net, optim.Adam(net, lr=0.1))
    twin, optimizer = clone(pair[::order])[::order]
    before, values = net.state_dict(), net.flat().value.copy()
    for _ in range(2):
        y, cache = twin.forward(numpy.random.default_rng(0).standard_normal((5, 3), "float32"))
        optimizer.zero_grad()
        twin.backward(y, cache)
        optimizer.step()
    assert (twin[0].weight.value != before["0.weight"]).all()
    assert optimizer.flat is twin.flat()
    assert net.flat() is pair[1].flat
    numpy.testing.assert_array_equal(net.flat().value, values)
    pair[1].step()


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


GEOMETRIES = {
    "Linear": (lambda rng: nn.Linear(64, 200, rng=rng), (500, 64)),
    "Conv2d": (lambda rng: nn.Conv2d(16, 64, kernel_size=3, rng=rng), (8, 18, 18, 16)),
    "Conv2d, stride 2": (
        lambda rng: nn.Conv2d(16, 64, kernel_size=4, stride=2, rng=rng),
        (8, 34, 34, 16),
    ),
    # A padding of the kernel size less 1 cuts off the border, where fewer patches overlap.
    "ConvTranspose2d": (
        lambda rng: nn.ConvTranspose2d(16, 64, kernel_size=3, padding=2, rng=rng),
        (8, 18, 18, 16),
    ),
    "ConvTranspose2d, stride 2": (
        lambda rng: nn.ConvTranspose2d(16, 64, kernel_size=4, stride=2, padding=3, rng=rng),
        (8, 18, 18, 16),
    ),
    "ConvTranspose2d, stride 2, odd kernel": (
        lambda rng: nn.ConvTranspose2d(16, 64, kernel_size=5, stride=2, padding=4, rng=rng),
        (8, 18, 18, 16),
    ),
}


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_kaiming_weights_give_every_layer_the_size_that_the_slope_asks_for(name, slope):
    make, shape = GEOMETRIES[name]
    rng = numpy.random.default_rng(0)
    layer = make(rng)
    nn.initial.kaiming_normal(layer, rng=rng, slope=slope)
    y = layer(rng.standard_normal(shape, "float32"))
    assert (y * y).mean() == pytest.approx(2 / (1 + slope**2), rel=0.05)


def test_kaiming_weights_keep_signals_up_through_many_layers():
    rng = numpy.random.default_rng(0)
    make = {"kernel_size": 4, "stride": 2, "padding": 1, "rng": rng}
    net = nn.Sequential(*[
        layer
        for _ in range(3)
        for layer in (
            nn.ConvTranspose2d(64, 64, **make), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 64, **make), nn.LeakyReLU(0.2),
        )
    ])  # fmt: skip
    nn.initial.kaiming_normal(net, rng=rng, slope=0.2)
    y = net(rng.standard_normal((4, 16, 16, 64), "float32"))
    assert 0.4 < (y * y).mean() < 1.5  # borders lose a little


@pytest.mark.parametrize("draw", [nn.initial.kaiming_normal, nn.initial.normal])
def test_initial_values_follow_roles_not_names_or_axes(draw):
    class Own(nn.Layer):
        def __init__(self):
            ones = numpy.ones
            self.gamma = nn.Parameter(ones((20, 30)), role="weight")
            self.table = nn.Parameter(ones((20, 30)))
            self.w = nn.Parameter(ones((30, 20)), role="weight", output_axis=0)
            self.level = nn.Parameter(ones(7))
            self.slopes = nn.Parameter(ones((4, 5)), role="scale")
            self.offsets = nn.Parameter(ones((4, 5)), role="shift")

    rng = numpy.random.default_rng(0)
    own, norm = Own(), nn.LayerNorm(4, 4, 3)
    draw(nn.Sequential(own, norm), rng=rng)
    assert (own.level.value == 1).all(), "nobody knows what it is"
    size = (2 / (1.04 * 20)) ** 0.5 if draw is nn.initial.kaiming_normal else 0.02
    for weight in (own.gamma, own.table, own.w):
        assert weight.value.std() == pytest.approx(size, rel=0.1)
    assert (own.offsets.value == 0).all()
    assert (norm.beta.value == 0).all()
    for scale in (own.slopes, norm.gamma):
        assert abs(scale.value - 1).max() <= (0 if draw is nn.initial.kaiming_normal else 0.1)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "int32", "longdouble"])
def test_a_net_computes_in_single_or_double_precision(dtype):
    net = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="computes in float32 or float64"):
        net.astype(dtype)
    assert net.weight.value.dtype == "float32"
