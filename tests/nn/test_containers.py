"""Ways around a part of a net, and the feature that sees a whole batch."""

import numpy
import pytest

from minigan import gradcheck, nn


def _rng(seed=0):
    return numpy.random.default_rng(seed)


def _conv(n_in, n_out):
    return nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, rng=_rng())


CASES = {
    "residual": (lambda: nn.Residual(nn.Linear(4, 4, rng=_rng()), nn.Tanh()), (3, 4)),
    "residual of one layer": (lambda: nn.Residual(nn.Linear(4, 4, rng=_rng())), (3, 4)),
    "residual with a shortcut": (
        lambda: nn.Residual(
            _conv(2, 3), nn.LeakyReLU(), shortcut=nn.Conv2d(2, 3, kernel_size=1, rng=_rng(1))
        ),
        (2, 4, 4, 2),
    ),
    "frames": (lambda: nn.PerFrame(_conv(2, 3), nn.Tanh()), (2, 3, 4, 4, 2)),
    "skip": (lambda: nn.Skip(nn.Linear(4, 2, rng=_rng()), nn.Sigmoid()), (3, 4)),
    "skip of images": (lambda: nn.Skip(_conv(2, 3)), (2, 4, 4, 2)),
    "nested": (
        lambda: nn.Sequential(
            nn.Skip(nn.Residual(_conv(2, 2)), nn.Tanh()),
            nn.Residual(nn.Skip(_conv(4, 1)), _conv(5, 4)),
        ),
        (2, 4, 4, 2),
    ),
    "standard deviation": (lambda: nn.MinibatchStdDev(2), (6, 4)),
    "standard deviation of images": (lambda: nn.MinibatchStdDev(3), (6, 2, 3, 2)),
    "standard deviation of a whole batch": (lambda: nn.MinibatchStdDev(4, eps=0.01), (3, 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    make, shape = CASES[name]
    gradcheck.check(make(), _rng(1).standard_normal(shape), rng=0)


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_foretold(name):
    make, shape = CASES[name]
    layer = make()
    assert layer(numpy.ones(shape, "float32")).shape == layer.output_shape(shape)


def test_residual_adds_what_went_around():
    body = nn.Linear(3, 3, rng=_rng())
    x = _rng(1).standard_normal((2, 3)).astype("float32")
    numpy.testing.assert_allclose(nn.Residual(body)(x), x + body(x), rtol=1e-6)
    shortcut = nn.Linear(3, 3, rng=_rng(2))
    numpy.testing.assert_allclose(
        nn.Residual(body, shortcut=shortcut)(x), shortcut(x) + body(x), rtol=1e-6
    )


def test_skip_puts_the_input_first():
    body = nn.Linear(3, 2, rng=_rng())
    x = _rng(1).standard_normal((2, 3)).astype("float32")
    y = nn.Skip(body)(x)
    numpy.testing.assert_array_equal(y[:, :3], x)
    numpy.testing.assert_array_equal(y[:, 3:], body(x))


def test_frames_are_samples():
    net = nn.Sequential(_conv(2, 3), nn.BatchNorm(3))
    films = _rng().standard_normal((2, 5, 4, 4, 2)).astype("float32")
    y, _ = nn.PerFrame(net).forward(films, train=True)
    expected, _ = net.forward(films.reshape(10, 4, 4, 2), train=True)
    numpy.testing.assert_array_equal(y, expected.reshape(2, 5, 4, 4, 3))
    assert nn.PerFrame(net).multiply_adds(films.shape) == net.multiply_adds((10, 4, 4, 2))


def test_training_mode_reaches_the_layers_inside():
    for container in (nn.Residual, nn.Skip):
        norm = nn.BatchNorm(3)
        layer = container(norm)
        layer(numpy.full((4, 3), 5.0, "float32"))
        assert (norm.running_mean == 0).all()
        layer.forward(numpy.full((4, 3), 5.0, "float32"), train=True)
        assert (norm.running_mean > 0).all()


def test_parts_have_names_of_their_own():
    net = nn.Residual(nn.Linear(2, 2), nn.Tanh(), shortcut=nn.Linear(2, 2))
    assert list(net.parameters()) == [
        "body.0.weight",
        "body.0.bias",
        "shortcut.weight",
        "shortcut.bias",
    ]
    assert list(nn.Skip(nn.Linear(2, 2)).parameters()) == ["body.weight", "body.bias"]


@pytest.mark.parametrize("make", [lambda *body: nn.Residual(*body), lambda *body: nn.Skip(*body)])
def test_no_more_is_computed_than_asked_for(make):
    layer = make(nn.Linear(3, 3, rng=_rng()), nn.Tanh())
    x = _rng(1).standard_normal((2, 3)).astype("float32")
    y, cache = layer.forward(x)
    dx = layer.backward(numpy.ones_like(y), cache, param_grads=False)
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    assert layer.backward(numpy.ones_like(y), cache, input_grad=False) is None
    grads = {k: p.grad.copy() for k, p in layer.parameters().items()}
    layer.zero_grad()
    numpy.testing.assert_allclose(layer.backward(numpy.ones_like(y), cache), dx, rtol=1e-6)
    for k, p in layer.parameters().items():
        numpy.testing.assert_allclose(p.grad, grads[k], rtol=1e-6)


def test_costs_are_those_inside():
    shape = (1, 4, 4, 2)
    body, shortcut = _conv(2, 2), nn.Conv2d(2, 2, kernel_size=1)
    assert (
        nn.Skip(body).multiply_adds(shape)
        == nn.Residual(body).multiply_adds(shape)
        == 4 * 4 * 2 * 18
    )
    assert nn.Residual(body, shortcut=shortcut).multiply_adds(shape) == 4 * 4 * 2 * (18 + 2)
    assert "Residual" in nn.Sequential(nn.Residual(body)).summary(shape)


def test_ways_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"its body maps it to \(2, 4\).*around it gives \(2, 3\).*shortcut"
    ):
        nn.Residual(nn.Linear(3, 4))(numpy.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="only be concatenated if"):
        nn.Skip(nn.Conv2d(2, 3, kernel_size=3))(numpy.zeros((1, 4, 4, 2), "float32"))
    with pytest.raises(ValueError, match=r"\(N, frames, \.\.\.\)"):
        nn.PerFrame(nn.Tanh())(numpy.zeros((2, 3), "float32"))
    for container in (nn.Residual, nn.Skip, nn.PerFrame):
        with pytest.raises(ValueError, match="at least one layer inside"):
            container()


def test_they_say_what_they_are():
    assert repr(nn.Residual(nn.Tanh())) == "Residual(Tanh())"
    assert repr(nn.Residual(nn.Tanh(), shortcut=nn.ReLU())) == "Residual(Tanh(), shortcut=ReLU())"
    assert repr(nn.PerFrame(nn.Tanh())) == "PerFrame(Tanh())"
    assert repr(nn.Skip(nn.Tanh(), nn.ReLU())) == "Skip(Sequential(Tanh(), ReLU()))"
    assert repr(nn.MinibatchStdDev(2)) == "MinibatchStdDev(2)"


# -------------------------------------------------------------------- minibatch standard deviation


def test_the_last_feature_is_the_mean_standard_deviation_of_the_group():
    x = _rng(1).standard_normal((6, 5))
    y = nn.MinibatchStdDev(3)(x)
    numpy.testing.assert_array_equal(y[:, :5], x)
    for group in (0, 1):
        members = [group, group + 2, group + 4]
        numpy.testing.assert_allclose(y[members, 5], x[members].std(axis=0).mean(), rtol=1e-6)


def test_every_pixel_gets_the_same_number():
    x = _rng(1).standard_normal((4, 2, 3, 2))
    y = nn.MinibatchStdDev(4)(x)
    assert y.shape == (4, 2, 3, 3)
    numpy.testing.assert_allclose(y[..., 2], x.std(axis=0).mean(), rtol=1e-6)


def test_a_collapsed_batch_gives_itself_away():
    collapsed = numpy.repeat(_rng(1).standard_normal((1, 5)), 4, axis=0)
    layer = nn.MinibatchStdDev(4)
    y, cache = layer.forward(collapsed)
    numpy.testing.assert_allclose(y[:, 5], 1e-4, rtol=1e-6)
    assert numpy.isfinite(layer.backward(numpy.ones_like(y), cache)).all()


def test_batches_that_do_not_divide_are_refused():
    layer = nn.MinibatchStdDev(4)
    with pytest.raises(ValueError, match="batch of 6, which doesn't divide into groups of 4"):
        layer(numpy.zeros((6, 2)))
    with pytest.raises(ValueError, match="needs \\(N, features\\)"):
        layer(numpy.zeros((4, 2, 2)))
    with pytest.raises(ValueError, match="group_size"):
        nn.MinibatchStdDev(0)
    assert (
        layer.backward(numpy.zeros((2, 3)), layer.forward(numpy.ones((2, 2)))[1], input_grad=False)
        is None
    )
