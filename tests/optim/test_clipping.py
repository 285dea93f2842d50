"""Clipping of gradients to a norm, and of weights to a box."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_nets import draw_gradients, gradients, one_weight, small_net, values

from minigan import nn, optim
from minigan.optim import SGD, Adam


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_global_norm_is_clipped_and_the_direction_kept(flat, size):
    net = small_net()
    if flat:
        net.flat()
    draw_gradients(net, size=size)
    g = gradients(net)
    before = numpy.linalg.norm(g)
    norm = optim.clip_by_global_norm(net, 0.5)
    assert norm == pytest.approx(before)
    after = numpy.linalg.norm(gradients(net))
    assert after == pytest.approx(min(before, 0.5))
    numpy.testing.assert_allclose(gradients(net) / after, g / before)
    if before <= 0.5:
        numpy.testing.assert_array_equal(gradients(net), g)


def test_no_gradient_has_norm_zero():
    net = small_net(dtype="float32")
    assert optim.clip_by_global_norm(Adam(net), 1.0) == 0
    optim.clip_by_norm(net, 1.0)
    assert not gradients(net).any()


def test_a_gradient_that_isnt_a_number_shows_in_the_norm():
    assert math.isnan(optim.clip_by_global_norm(one_weight(gradient=math.nan), 1.0))


@given(
    st.sampled_from([None, 0, -1, (0, 1), (2, 0, 1), (0, 1, 2, 3), (), optim.all_but_last]),
    st.floats(1e-3, 10),
    st.integers(0, 1000),
)
def test_each_norm_along_axes_is_clipped_and_the_others_are_left(axes, max_norm, seed):
    net = nn.Conv2d(3, 4, kernel_size=2, bias=False)
    draw_gradients(net, seed)
    g = net.weight.grad.copy()
    optim.clip_by_norm(net, max_norm, axes=axes)
    over = {None: (0, 1, 2, 3), optim.all_but_last: (0, 1, 2)}.get(axes, axes)
    norm = abs(g) if over == () else numpy.sqrt((g**2).sum(axis=over, keepdims=True))
    expected = numpy.where(norm > max_norm, g * (max_norm / norm), g)
    numpy.testing.assert_allclose(net.weight.grad, expected, rtol=1e-5)
    small = numpy.broadcast_to(norm, g.shape) < max_norm * 0.999
    numpy.testing.assert_array_equal(net.weight.grad[small], g[small])


def test_per_output_unit_in_a_net_of_mixed_ranks():
    net = small_net()
    draw_gradients(net, size=10.0)
    optim.clip_by_norm(SGD(net, lr=0.1), 0.5, axes=optim.all_but_last)
    for p in net.parameters().values():
        norms = numpy.sqrt((p.grad**2).reshape(-1, p.shape[-1]).sum(axis=0))
        numpy.testing.assert_allclose(norms, 0.5)


def test_by_unit_each_output_unit_is_clipped_and_each_entry_of_a_bias():
    net = small_net()
    draw_gradients(net, size=10.0)
    optim.clip_by_norm(net, 0.5, axes="unit")
    for p in net.parameters().values():
        norms = numpy.sqrt((p.grad**2).reshape(-1, p.shape[-1]).sum(axis=0))
        numpy.testing.assert_allclose(norms, 0.5)


@pytest.mark.parametrize("output_axis", [2, -2])
def test_by_unit_follows_the_output_axis_of_the_parameter(output_axis):
    """The weight of a transposed convolution is (kh, kw, out, in)."""
    weight = nn.ConvTranspose2d(5, 3, kernel_size=2).astype("float64").weight
    weight.output_axis = output_axis
    weight.grad = numpy.random.default_rng(0).normal(0, 10, weight.shape)
    optim.clip_by_norm(weight, 0.5, axes="unit")
    numpy.testing.assert_allclose((weight.grad**2).sum(axis=(0, 1, 3)), [0.25] * 3)


def test_axes_of_an_unknown_name():
    net = small_net()
    with pytest.raises(ValueError, match=r"axes must be None, 'unit', .* got 'units'; give 'unit'"):
        optim.clip_by_norm(net, 0.5, axes="units")


def test_one_parameter_alone():
    net = nn.Linear(3, 2)
    draw_gradients(net, size=10.0)
    bias = net.bias.grad.copy()
    optim.clip_by_norm(net.weight, 0.5, axes=0)
    numpy.testing.assert_allclose(numpy.linalg.norm(net.weight.grad, axis=0), 0.5, rtol=1e-6)
    numpy.testing.assert_array_equal(net.bias.grad, bias)


def test_an_axis_that_a_parameter_lacks():
    net = small_net()
    draw_gradients(net)
    before = gradients(net)
    with pytest.raises(
        ValueError, match=r"shape \(3,\) doesn't have the axes \(0, 1, 2\).*one parameter at a time"
    ):
        optim.clip_by_norm(net, 0.01, axes=(0, 1, 2))
    numpy.testing.assert_array_equal(gradients(net), before)


@pytest.mark.parametrize("flat", [True, False])
def test_weights_are_clipped_to_the_box_and_inside_it_left(flat):
    net = small_net()
    if flat:
        net.flat()
    before = values(net)
    optim.clip_weights(net, 0.125)
    assert (abs(before) > 0.125).any()
    numpy.testing.assert_array_equal(values(net), numpy.clip(before, -0.125, 0.125))


@pytest.mark.parametrize(
    "clip", [optim.clip_by_global_norm, optim.clip_by_norm, optim.clip_weights]
)
def test_what_cant_be_clipped(clip):
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="must be a positive number, got"):
            clip(small_net(), wrong)
    with pytest.raises(TypeError, match="Expected a layer, a net or a sequence of them, got 3"):
        clip(3, 1.0)
    with pytest.raises(ValueError, match=r"ReLU\(\) has no parameters"):
        clip(nn.ReLU(), 1.0)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e15, 1e20, 1e33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_exploding_gradient_is_clipped_and_not_lost(size, dtype):
    for clip in (optim.clip_by_global_norm, optim.clip_by_norm):
        layer = nn.Linear(3, 2, rng=numpy.random.default_rng(0)).astype(dtype)
        for p in layer.parameters().values():
            p.grad[...] = size
        clip(layer, 1e-4)
        grads = [p.grad.ravel() for p in layer.parameters().values()]
        norms = [numpy.linalg.norm(g) for g in grads]
        if clip is optim.clip_by_global_norm:
            norms = [numpy.linalg.norm(numpy.concatenate(grads))]
        numpy.testing.assert_allclose(norms, 1e-4, rtol=1e-5)
