"""What Hypothesis draws: generators, memory layouts, windows, and every layer with a fitting
input's shape.
"""

import numpy
from hypothesis import strategies as st

from minigan import nn
from minigan.backend import Window

generators = st.integers(0, 2**32 - 1).map(numpy.random.default_rng)
sizes = st.integers(1, 4)


def randomised(layer, rng):
    """Weights away from their initial values: a scale of 1 or a shift of 0 hides mistakes."""
    for p in layer.parameters().values():
        p.value = p.value + 0.5 * rng.standard_normal(p.shape)
    for name, buffer in layer.buffers().items():
        if "running" in name:
            buffer[...] = rng.uniform(0.5, 2, buffer.shape)
    return layer


# ------------------------------------------------------------ the same numbers, differently laid ou


def _contiguous(a):
    return a.copy()


def _fortran(a):
    return numpy.asfortranarray(a)


def _every_second(a):
    wide = numpy.full((*a.shape[:-1], 2 * a.shape[-1]), 7.0, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def _backwards(a):
    return numpy.flip(numpy.ascontiguousarray(numpy.flip(a)))


def _transposed(a):
    return numpy.ascontiguousarray(a.transpose()).transpose()


def _slice_of_batch(a):
    wide = numpy.full((a.shape[0] + 2, *a.shape[1:]), 7.0, a.dtype)
    wide[1:-1] = a
    return wide[1:-1]


layouts = st.sampled_from(
    [_contiguous, _fortran, _every_second, _backwards, _transposed, _slice_of_batch]
)

# ---------------------------------------------------------------- convolutions


@st.composite
def windows(draw, kernel=4, stride=3, padding=2):
    def pair(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    return Window(pair(1, kernel), pair(1, stride), pair(0, padding))


@st.composite
def image_sizes(draw, window):
    """A size of which the padded image holds the kernel at least once; the stride needn't divide
    it.
    """
    return tuple(
        draw(st.integers(max(1, k - 2 * p), max(1, k - 2 * p) + 4))
        for k, p in zip(window.kernel, window.padding, strict=True)
    )


def as_arguments(window):
    return {"kernel_size": window.kernel, "stride": window.stride, "padding": window.padding}


@st.composite
def conv(draw):
    window, rng = draw(windows()), draw(generators)
    c_in, c_out = draw(sizes), draw(sizes)
    layer = nn.Conv2d(c_in, c_out, bias=draw(st.booleans()), rng=rng, **as_arguments(window))
    return layer, (draw(sizes), *draw(image_sizes(window)), c_in)


@st.composite
def conv_transpose(draw):
    rng = draw(generators)
    window = draw(windows())
    extra = tuple(draw(st.integers(0, s - 1)) for s in window.stride)
    height, width = (
        draw(st.integers(least, least + 2))
        # The output, (n - 1) s - 2 p + k + o, must have a pixel.
        for least in (
            1 + max(0, -(-(1 + 2 * p - k - o) // s))
            for k, s, p, o in zip(*window, extra, strict=True)
        )
    )
    c_in, c_out = draw(sizes), draw(sizes)
    layer = nn.ConvTranspose2d(
        c_in, c_out, output_padding=extra, bias=draw(st.booleans()), rng=rng, **as_arguments(window)
    )
    return layer, (draw(sizes), height, width, c_in)


# ---------------------------------------------------------------- the other layers


@st.composite
def linear(draw):
    layer = nn.Linear(draw(sizes), draw(sizes), bias=draw(st.booleans()), rng=draw(generators))
    return layer, (draw(sizes), layer.in_features)


any_shape = st.one_of(st.tuples(sizes, sizes), st.tuples(sizes, sizes, sizes, sizes))


@st.composite
def batch_norm(draw):
    shape = draw(any_shape.filter(lambda s: numpy.prod(s[:-1]) >= 2))
    return nn.BatchNorm(shape[-1], eps=draw(st.sampled_from([1e-5, 1e-2]))), shape


@st.composite
def layer_norm(draw):
    shape = draw(any_shape.filter(lambda s: numpy.prod(s[1:]) >= 2))
    axes = draw(st.integers(1, len(shape) - 1).filter(lambda k: numpy.prod(shape[-k:]) >= 2))
    return nn.LayerNorm(*shape[-axes:], eps=1e-3), shape


@st.composite
def instance_norm(draw):
    shape = draw(st.tuples(sizes, sizes, sizes, sizes).filter(lambda s: s[1] * s[2] >= 2))
    return nn.InstanceNorm(shape[-1], eps=1e-3, affine=draw(st.booleans())), shape


@st.composite
def elementwise(draw):
    makers = [
        nn.ReLU,
        nn.Tanh,
        nn.Sigmoid,
        nn.LeakyReLU,
        lambda: nn.LeakyReLU(0.01),
        lambda: nn.LeakyReLU(0.0),
    ]
    return draw(st.sampled_from(makers))(), draw(any_shape)


@st.composite
def dropout(draw):
    return nn.Dropout(draw(st.sampled_from([0.0, 0.3, 0.9])), rng=draw(generators)), draw(any_shape)


@st.composite
def shape_changing(draw):
    shape = draw(st.tuples(sizes, sizes, sizes, sizes))
    _, h, w, c = shape
    makers = [nn.Flatten, lambda: nn.Reshape(c, h * w), lambda: nn.Reshape(w, c, h)]
    return draw(st.sampled_from(makers))(), shape


@st.composite
def upsample(draw):
    factor = draw(st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    return nn.Upsample(factor), draw(st.tuples(sizes, sizes, sizes, sizes))


LAYERS = {
    "Linear": linear(),
    "Conv2d": conv(),
    "ConvTranspose2d": conv_transpose(),
    "BatchNorm": batch_norm(),
    "LayerNorm": layer_norm(),
    "InstanceNorm": instance_norm(),
    "elementwise": elementwise(),
    "Dropout": dropout(),
    "Flatten and Reshape": shape_changing(),
    "Upsample": upsample(),
}
"""Strategies of pairs (layer in float32, shape of a fitting input), for every layer of
floating-point inputs.
"""
