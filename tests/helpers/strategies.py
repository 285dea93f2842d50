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


@st.composite
def general_conv(draw):
    """Gaps, groups, borders of every kind, on one side or on both; forwards or transposed."""
    window, rng = draw(windows(kernel=3, stride=2)), draw(generators)
    groups, each_in, each_out = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(sizes)
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    side = st.tuples(st.integers(0, 2), st.integers(0, 2))
    sides, mode = draw(st.tuples(side, side)), draw(st.sampled_from(MODES))
    size = tuple(
        draw(st.integers(least, least + 2))
        for least in (
            max((k - 1) * d + 1, max(s) + 1)
            for k, d, s in zip(window.kernel, dilation, sides, strict=True)
        )
    )
    make, more = nn.Conv2d, {"padding_mode": mode}
    if draw(st.booleans()):
        make, more = nn.ConvTranspose2d, {}
        sides = tuple(
            (min(a, (k - 1) * d), 0)
            for (a, _), k, d in zip(sides, window.kernel, dilation, strict=True)
        )
    layer = make(
        groups * each_in, groups * each_out, kernel_size=window.kernel, stride=window.stride,
        padding=sides, dilation=dilation, groups=groups, bias=draw(st.booleans()), rng=rng, **more,
    )  # fmt: skip
    return layer, (draw(sizes), *size, groups * each_in)


MODES = ("zeros", "reflect", "replicate", "circular")


@st.composite
def sequences(draw):
    """Conv1d and ConvTranspose1d."""
    kernel, stride, dilation = draw(st.tuples(sizes, st.integers(1, 3), st.integers(1, 2)))
    groups, rng = draw(st.integers(1, 2)), draw(generators)
    options = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "groups": groups}
    ends = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    channels = 2 * groups, 3 * groups
    if draw(st.booleans()):
        mode = draw(st.sampled_from(MODES))
        layer = nn.Conv1d(*channels, padding=ends, padding_mode=mode, rng=rng, **options)
    else:
        extra = draw(st.integers(0, stride - 1))
        layer = nn.ConvTranspose1d(
            *channels,
            padding=min(ends[0], dilation * (kernel - 1)),
            output_padding=extra,
            rng=rng,
            **options,
        )
    length = draw(st.integers(dilation * (kernel - 1) + 3, 10))
    return layer, (draw(sizes), length, channels[0])


@st.composite
def resampling(draw):
    n, h, w, c = draw(st.tuples(sizes, st.integers(2, 5), st.integers(2, 5), sizes))
    factor = draw(st.integers(1, 3))
    taps = draw(st.sampled_from([(1, 3, 3, 1), (1, 2, 1), (1.0, 2.0, 3.0, 4.0, 2.0)]))
    side = st.tuples(st.integers(0, 1), st.integers(0, 1))
    makers = [
        (lambda: nn.Downsample(factor, taps=taps), (n, factor * h, factor * w, c)),
        (lambda: nn.Interpolate(factor, taps=taps), (n, h, w, c)),
        (lambda: nn.Blur(taps=taps), (n, h, w, c)),
        (lambda: nn.Resize((w + 3, h), mode="bilinear"), (n, h, w, c)),
        (lambda: nn.Resize((h, 2 * w - 1), mode="nearest"), (n, h, w, c)),
        (lambda: nn.PixelShuffle(factor), (n, h, w, factor**2 * c)),
        (lambda: nn.PixelUnshuffle(factor), (n, factor * h, factor * w, c)),
        (
            lambda: nn.Pad(draw(st.tuples(side, side)), mode=draw(st.sampled_from(MODES))),
            (n, h, w, c),
        ),
    ]
    make, shape = draw(st.sampled_from(makers))
    return make(), shape


@st.composite
def pooling(draw):
    kernel, stride = draw(st.tuples(*[st.integers(1, 3)] * 2)), draw(st.integers(1, 3))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    kind = draw(st.sampled_from(["mean", "sum", "max"]))
    makers = [
        lambda: nn.AveragePool(kernel, stride=stride, padding=padding),
        lambda: nn.MaxPool(kernel, stride=stride, padding=padding),
        lambda: nn.GlobalPool(kind),
    ]
    shape = draw(st.tuples(sizes, st.integers(3, 6), st.integers(3, 6), sizes))
    return draw(st.sampled_from(makers))(), shape


@st.composite
def curves(draw):
    shape = draw(any_shape)
    makers = [
        lambda: nn.ELU(0.7), nn.GELU, nn.SiLU, nn.Softplus, nn.PReLU, lambda: nn.PReLU(shape[-1]),
        nn.Softmax, lambda: nn.Softmax(axis=1),
    ]  # fmt: skip
    return draw(st.sampled_from(makers))(), shape


@st.composite
def other_norms(draw):
    shape = draw(any_shape)
    groups = draw(st.integers(1, 3))
    wide = (*shape[:-1], 2 * groups * shape[-1])
    makers = [
        (lambda: nn.GroupNorm(groups, wide[-1], eps=1e-3), wide),
        (lambda: nn.RMSNorm(shape[-1], eps=1e-2), shape),
        (lambda: nn.PixelNorm(eps=1e-2), shape),
    ]
    make, shape = draw(st.sampled_from(makers))
    return make(), shape


@st.composite
def recurrent(draw):
    n, length, features = (draw(st.integers(1, 4)) for _ in range(3))
    layer = nn.GRU(
        features, draw(st.integers(1, 4)), last=draw(st.booleans()), rng=draw(generators)
    )
    return layer, (n, length, features)


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
    "general convolutions": general_conv(),
    "convolutions of sequences": sequences(),
    "resampling": resampling(),
    "pooling": pooling(),
    "curves": curves(),
    "other norms": other_norms(),
    "recurrent": recurrent(),
}
"""Strategies of pairs (layer in float32, shape of a fitting input), for every layer of
floating-point inputs.
"""
