"""How each layer is written in ONNX's operators.

A rule takes the graph, the layer and its input, and returns the name of the output. Layers inside
are written with `write`, which finds the rule by the class of the layer. A layer of one's own has
its rule in a method, ``onnx(graph, x, write)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from minigan import backend, nn
from minigan.export.graph import Graph, Value

Rule = Callable[[Graph, Any, Any], str]
RULES: dict[type, Rule] = {}
"""Class of a layer -> its rule."""


def rule(*kinds: type) -> Callable[[Rule], Rule]:
    """Register a rule for some classes of layers."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def write(g: Graph, layer: nn.Layer, x: Any) -> Value:
    """Write a layer into the graph.

    Parameters
    ----------
    g
        The graph.
    layer
        In evaluation mode.
    x
        Its input: a `Value`, or a tuple of them.

    Raises
    ------
    ValueError
        If there is no rule for a layer of this class, and it has no method ``onnx``.
    """
    found, own = RULES.get(type(layer)), getattr(layer, "onnx", None)
    if found is None and not callable(own):
        raise ValueError(
            f"{layer!r} can't be exported: there is no rule for {type(layer).__name__}; export a "
            "net of the library's own layers, or give it a method onnx(graph, x, write)."
        )
    y: Any = layer.forward(_examples(x), train=False)[0]
    name: str = found(g, layer, x) if found is not None else own(g, x, write)  # type: ignore[misc]
    return Value(name, y[0] if isinstance(y, tuple) else y)


def _examples(x: Any) -> Any:
    return tuple(v.example for v in x) if isinstance(x, tuple) else x.example


def _value(p: Any) -> Any:
    """The numbers of a parameter, on the host."""
    return backend.to_numpy(p.value)


# ---------------------------------------------------------------- products


@rule(nn.Linear)
def _linear(g: Graph, layer: nn.Linear, x: Value) -> str:
    y = g.call("MatMul", x.name, g.constant(_value(layer.weight)))
    return y if layer.bias is None else g.add(y, _value(layer.bias))


def _bias(layer: Any) -> list[Any]:
    return [] if layer.bias is None else [_value(layer.bias)]


def _pads(sides: Any) -> list[int]:
    """All beginnings, then all ends."""
    return [side[0] for side in sides] + [side[1] for side in sides]


def _window(layer: Any, rank: int) -> dict[str, Any]:
    """The attributes of a convolution; a sequence has only the second axis of the window."""
    geometry, axes = layer.geometry, slice(4 - rank, 2)
    return {
        "kernel_shape": list(geometry.kernel[axes]),
        "strides": list(geometry.stride[axes]),
        "dilations": list(geometry.dilation[axes]),
        "group": geometry.groups,
        "pads": _pads(geometry.sides[axes]),
    }


@rule(nn.Conv2d, nn.Conv1d)
def _conv(g: Graph, layer: Any, x: Value) -> str:
    rank, name, geometry = len(x.shape), x.name, layer.geometry
    window = _window(layer, rank)
    if geometry.mode != "zeros":
        name = _padded(g, name, geometry.sides[4 - rank :], geometry.mode)
        window["pads"] = [0] * len(window["pads"])
    w = _value(layer.weight)
    turned = w.transpose(rank - 1, rank - 2, *range(rank - 2))
    inputs = [g.channels_first(name, rank), g.constant(turned)]
    y = g.call("Conv", *inputs, *map(g.constant, _bias(layer)), **window)
    return g.channels_last(y, rank)


@rule(nn.ConvTranspose2d, nn.ConvTranspose1d)
def _conv_transpose(g: Graph, layer: Any, x: Value) -> str:
    rank, extra = len(x.shape), layer.output_padding
    window = _window(layer, rank)
    window["output_padding"] = list(numpy.atleast_1d(extra))
    w = _value(layer.weight)
    turned = w.transpose(rank - 1, rank - 2, *range(rank - 2))
    inputs = [g.channels_first(x.name, rank), g.constant(turned)]
    y = g.call("ConvTranspose", *inputs, *map(g.constant, _bias(layer)), **window)
    return g.channels_last(y, rank)


@rule(nn.Embedding)
def _embedding(g: Graph, layer: nn.Embedding, x: Value) -> str:
    return g.call("Gather", g.constant(_value(layer.weight)), x.name, axis=0)


@rule(nn.SpectralNorm, nn.Equalised, nn.WeightNorm)
def _reparametrised(g: Graph, layer: Any, x: Any) -> str:
    """The layer inside, with the weights that it computes with."""
    _, cache = layer.forward(_examples(x), train=False)
    return write(g, cache.saved[0], x).name


# ---------------------------------------------------------------- activations


@rule(nn.LeakyReLU)
def _leaky_relu(g: Graph, layer: nn.LeakyReLU, x: Value) -> str:
    return g.call("LeakyRelu", x.name, alpha=float(layer.slope))


@rule(nn.ReLU)
def _relu(g: Graph, layer: nn.ReLU, x: Value) -> str:
    return g.call("Relu", x.name)


@rule(nn.Tanh)
def _tanh(g: Graph, layer: nn.Tanh, x: Value) -> str:
    return g.call("Tanh", x.name)


@rule(nn.Sigmoid)
def _sigmoid(g: Graph, layer: nn.Sigmoid, x: Value) -> str:
    return g.call("Sigmoid", x.name)


@rule(nn.ELU)
def _elu(g: Graph, layer: nn.ELU, x: Value) -> str:
    return g.call("Elu", x.name, alpha=float(layer.alpha))


@rule(nn.SiLU)
def _silu(g: Graph, layer: nn.SiLU, x: Value) -> str:
    return g.multiply(x.name, g.call("Sigmoid", x.name))


@rule(nn.Softplus)
def _softplus(g: Graph, layer: nn.Softplus, x: Value) -> str:
    return g.call("Softplus", x.name)


@rule(nn.GELU)
def _gelu(g: Graph, layer: nn.GELU, x: Value) -> str:
    return g.call("Gelu", x.name, approximate="tanh")


@rule(nn.PReLU)
def _prelu(g: Graph, layer: nn.PReLU, x: Value) -> str:
    return g.call("PRelu", x.name, g.constant(_value(layer.slope)))


@rule(nn.Softmax)
def _softmax(g: Graph, layer: nn.Softmax, x: Value) -> str:
    return g.call("Softmax", x.name, axis=layer.axis)


@rule(nn.GumbelSoftmax)
def _gumbel(g: Graph, layer: nn.GumbelSoftmax, x: Value) -> str:
    if layer.hard:
        return g.call("Hardmax", x.name, axis=layer.axis)
    return g.call("Softmax", g.divide(x.name, layer.temperature), axis=layer.axis)


@rule(nn.Maxout)
def _maxout(g: Graph, layer: nn.Maxout, x: Value) -> str:
    groups = g.reshape(x.name, -1, *x.shape[1:-1], x.shape[-1] // layer.pieces, layer.pieces)
    return g.call("ReduceMax", groups, g.integers(-1), keepdims=0)


@rule(nn.Dropout)
def _dropout(g: Graph, layer: nn.Dropout, x: Value) -> str:
    if not layer.always:
        return _nothing(g, layer, x)
    return g.call("Dropout", x.name, g.constant(layer.p), g.constant(True, "bool"))


@rule(nn.InstanceNoise, nn.Augment, nn.PhaseShuffle)
def _nothing(g: Graph, layer: Any, x: Value) -> str:
    """Evaluation passes x through."""
    return g.call("Identity", x.name)


@rule(nn.LearntNoise)
def _learnt_noise(g: Graph, layer: nn.LearntNoise, x: Value) -> str:
    if layer.in_evaluation:
        raise ValueError(
            f"{layer!r} draws noise in evaluation, which a graph can't repeat; set its "
            "in_evaluation to False before exporting."
        )
    return g.call("Identity", x.name)


# ---------------------------------------------------------------- normalisation


@rule(nn.BatchNorm)
def _batch_norm(g: Graph, layer: nn.BatchNorm, x: Value) -> str:
    mean, variance = backend.to_numpy(layer.running_mean), backend.to_numpy(layer.running_var)
    scale = _value(layer.gamma) / numpy.sqrt(variance + layer.eps)
    return g.add(g.multiply(x.name, scale), _value(layer.beta) - mean * scale)


@rule(nn.LayerNorm)
def _layer_norm(g: Graph, layer: nn.LayerNorm, x: Value) -> str:
    x_hat = g.standardise(x.name, layer.eps, *range(-len(layer.shape), 0))
    return g.add(g.multiply(x_hat, _value(layer.gamma)), _value(layer.beta))


@rule(nn.InstanceNorm)
def _instance_norm(g: Graph, layer: nn.InstanceNorm, x: Value) -> str:
    y = g.standardise(x.name, layer.eps, 1, 2)
    if layer.gamma is None or layer.beta is None:
        return y
    return g.add(g.multiply(y, _value(layer.gamma)), _value(layer.beta))


@rule(nn.GroupNorm)
def _group_norm(g: Graph, layer: nn.GroupNorm, x: Value) -> str:
    each = layer.features // layer.groups
    pixels = int(numpy.prod(x.shape[1:-1]))
    groups = g.standardise(g.reshape(x.name, -1, pixels, layer.groups, each), layer.eps, 1, 3)
    y = g.reshape(groups, -1, *x.shape[1:])
    return g.add(g.multiply(y, _value(layer.gamma)), _value(layer.beta))


@rule(nn.PixelNorm, nn.RMSNorm)
def _rms_norm(g: Graph, layer: nn.PixelNorm, x: Value) -> str:
    y = g.divide(x.name, g.root(g.mean(g.multiply(x.name, x.name), -1), layer.eps))
    return y if layer.gamma is None else g.multiply(y, _value(layer.gamma))


@rule(nn.VirtualBatchNorm)
def _virtual_batch_norm(g: Graph, layer: nn.VirtualBatchNorm, x: Value) -> str:
    n, pixels = layer.reference, int(numpy.prod(x.shape[1:-1]))
    flat = g.reshape(x.name, -1, pixels, layer.features)
    squares = g.multiply(flat, flat)
    first, rest = (g.integers(0), g.integers(n)), (g.integers(n), g.integers(2**31 - 1))
    parts = []
    for c, (start, end) in ((0.0, first), (1 / (n + 1), rest)):
        own = g.call("Slice", flat, start, end)
        mu, e = (
            g.add(
                g.multiply(g.mean(g.call("Slice", values, start, end), 1), c),
                g.multiply(g.mean(g.call("Slice", values, *first), 0, 1), 1 - c),
            )
            for values in (flat, squares)
        )
        root = g.root(g.subtract(e, g.multiply(mu, mu)), layer.eps)
        parts.append(g.divide(g.subtract(own, mu), root))
    y = g.reshape(g.call("Concat", *parts, axis=0), -1, *x.shape[1:])
    return g.add(g.multiply(y, _value(layer.gamma)), _value(layer.beta))


@rule(nn.WithReference)
def _with_reference(g: Graph, layer: nn.WithReference, x: Value) -> str:
    samples = backend.to_numpy(layer.samples).astype("float32")
    both = g.call("Concat", g.constant(samples), x.name, axis=0)
    y = write(g, layer.net, Value(both, numpy.concatenate([samples, x.example])))
    return g.call("Slice", y.name, g.integers(len(samples)), g.integers(2**31 - 1))


# ---------------------------------------------------------------- shapes


@rule(nn.LogSpectrogram)
def _log_spectrogram(g: Graph, layer: nn.LogSpectrogram, x: Value) -> str:
    """A convolution with the waves, the sum of both parts' squares, and a logarithm."""
    waves = numpy.asarray(layer._matrix(x.example))[0].transpose(2, 1, 0)
    window = _window(layer, 3)
    parts = g.call("Conv", g.channels_first(x.name, 3), g.constant(waves), **window)
    frequencies, columns = layer.output_shape(x.shape)[1:3]
    halves = g.reshape(g.call("Mul", parts, parts), -1, 2, frequencies, columns)
    power = g.call("ReduceSum", halves, g.integers(1), keepdims=0)
    q = g.call("Add", power, g.constant(layer.floor**2))
    grey = g.call("Mul", g.call("Log", q), g.constant(-1 / math.log(layer.floor)))
    upwards = g.integers(*reversed(range(frequencies)))
    image = g.call("Gather", g.call("Add", grey, g.constant(1.0)), upwards, axis=1)
    return g.reshape(image, -1, frequencies, columns, 1)


@rule(nn.Flatten, nn.Reshape)
def _reshape(g: Graph, layer: Any, x: Value) -> str:
    return g.reshape(x.name, -1, *layer.output_shape(x.shape)[1:])


def _padded(g: Graph, x: str, sides: Any, mode: str) -> str:
    """Pad the axes between batch and channels."""
    name = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    pads = _pads([(0, 0), *sides, (0, 0)])
    return g.call("Pad", x, g.integers(*pads), mode=name)


@rule(nn.Pad)
def _pad(g: Graph, layer: nn.Pad, x: Value) -> str:
    return _padded(g, x.name, layer.sides, layer.mode)


@rule(nn.Upsample)
def _upsample(g: Graph, layer: nn.Upsample, x: Value) -> str:
    return _gathered(g, x, layer.output_shape(x.shape)[1:3])


@rule(nn.Resize)
def _resize(g: Graph, layer: nn.Resize, x: Value) -> str:
    """Matrices along both axes, as in the layer: runtimes round ONNX's Resize in their own ways."""
    if layer.mode == "nearest":
        return _gathered(g, x, layer.size)
    rows, columns = (
        numpy.asarray(layer._matrix(x.example, before, after))
        for before, after in zip(x.shape[1:3], layer.size, strict=True)
    )
    y = g.call("MatMul", g.channels_first(x.name, 4), g.constant(columns.T))
    return g.channels_last(g.call("MatMul", g.constant(rows), y), 4)


def _gathered(g: Graph, x: Value, size: Any) -> str:
    """The nearest pixel, along both axes."""
    y = x.name
    for axis in (1, 2):
        nearest = numpy.arange(size[axis - 1]) * x.shape[axis] // size[axis - 1]
        y = g.call("Gather", y, g.integers(*nearest), axis=axis)
    return y


@rule(nn.Downsample, nn.Blur)
def _downsample(g: Graph, layer: nn.Downsample, x: Value) -> str:
    return _filtered(g, layer, x, "Conv", 1.0)


@rule(nn.Interpolate)
def _interpolate(g: Graph, layer: nn.Interpolate, x: Value) -> str:
    return _filtered(g, layer, x, "ConvTranspose", float(layer.factor**2))


def _filtered(g: Graph, layer: Any, x: Value, operator: str, scale: float) -> str:
    """A depthwise convolution, or a transposed one, with the two-dimensional filter."""
    taps, factor, channels = layer.taps, layer.factor, x.shape[3]
    kernel = numpy.multiply.outer(taps, taps) * scale
    border = [(len(taps) - factor + 1) // 2, (len(taps) - factor) // 2]
    y = g.call(
        operator,
        g.channels_first(x.name, 4),
        g.constant(numpy.broadcast_to(kernel, (channels, 1, *kernel.shape))),
        strides=[factor, factor],
        pads=[border[0], border[0], border[1], border[1]],
        group=channels,
        kernel_shape=list(kernel.shape),
    )
    return g.channels_last(y, 4)


@rule(nn.PixelShuffle)
def _pixel_shuffle(g: Graph, layer: nn.PixelShuffle, x: Value) -> str:
    (_, height, width, channels), r = x.shape, layer.factor
    blocks = g.reshape(x.name, -1, height, width, channels // r**2, r, r)
    turned = g.transpose(blocks, 0, 1, 4, 2, 5, 3)
    return g.reshape(turned, -1, *layer.output_shape(x.shape)[1:])


@rule(nn.PixelUnshuffle)
def _pixel_unshuffle(g: Graph, layer: nn.PixelUnshuffle, x: Value) -> str:
    (_, height, width, channels), r = x.shape, layer.factor
    blocks = g.reshape(x.name, -1, height // r, r, width // r, r, channels)
    turned = g.transpose(blocks, 0, 1, 3, 5, 2, 4)
    return g.reshape(turned, -1, *layer.output_shape(x.shape)[1:])


@rule(nn.AveragePool)
def _average_pool(g: Graph, layer: nn.AveragePool, x: Value) -> str:
    return _pooled(g, layer, x, "AveragePool", count_include_pad=1)


@rule(nn.MaxPool)
def _max_pool(g: Graph, layer: nn.MaxPool, x: Value) -> str:
    return _pooled(g, layer, x, "MaxPool")


def _pooled(g: Graph, layer: Any, x: Value, operator: str, **more: Any) -> str:
    kernel, stride, padding = layer.window
    first = g.channels_first(x.name, 4)
    y = g.call(
        operator, first, kernel_shape=list(kernel), strides=list(stride), pads=[*padding, *padding],
        **more,
    )  # fmt: skip
    return g.channels_last(y, 4)


@rule(nn.GlobalPool)
def _global_pool(g: Graph, layer: nn.GlobalPool, x: Value) -> str:
    operator = {"mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}[layer.kind]
    return g.call(operator, x.name, g.integers(*range(1, len(x.shape) - 1)), keepdims=0)


@rule(nn.Pack)
def _pack(g: Graph, layer: nn.Pack, x: Value) -> str:
    return g.call("Concat", *[x.name] * layer.m, axis=-1)


@rule(nn.Constant)
def _constant(g: Graph, layer: nn.Constant, x: Value) -> str:
    batch = g.call("Shape", x.name, start=0, end=1)
    shape = g.call("Concat", batch, g.integers(*layer.value.shape), axis=0)
    return g.call("Expand", g.constant(_value(layer.value)), shape)


# ---------------------------------------------------------------- layers that see the batch


@rule(nn.MinibatchStdDev)
def _minibatch_std(g: Graph, layer: nn.MinibatchStdDev, x: Value) -> str:
    n = layer.group_size
    groups = g.reshape(x.name, n, -1, int(numpy.prod(x.shape[1:])))
    centred = g.subtract(groups, g.mean(groups, 0))
    r = g.root(g.mean(g.multiply(centred, centred), 0), layer.eps)
    s = g.reshape(g.call("Tile", g.mean(r, 2), g.integers(n, 1, 1)), -1, *[1] * (len(x.shape) - 1))
    plane = g.multiply(s, numpy.ones((1, *x.shape[1:-1], 1)))
    return g.call("Concat", x.name, plane, axis=-1)


@rule(nn.MinibatchDiscrimination)
def _minibatch_discrimination(g: Graph, layer: nn.MinibatchDiscrimination, x: Value) -> str:
    w = _value(layer.weight).reshape(layer.features, -1)
    m = g.call("MatMul", x.name, g.constant(w))
    rows, columns = (g.reshape(m, *lead, layer.rows, layer.length) for lead in ((-1, 1), (1, -1)))
    apart = g.sum(g.call("Abs", g.subtract(rows, columns)), 3)
    close = g.sum(g.call("Exp", g.call("Neg", apart)), 1)
    return g.call("Concat", x.name, g.subtract(close, 1.0), axis=1)


@rule(nn.GRU)
def _gru(g: Graph, layer: nn.GRU, x: Any) -> str:
    values, lengths = x if isinstance(x, tuple) else (x, None)
    y, steps = _states(g, layer, values), range(values.shape[1])
    if lengths is None and not layer.last:
        return y
    if lengths is None:
        return g.reshape(g.call("Gather", y, g.integers(steps[-1]), axis=1), -1, layer.hidden)
    column = g.reshape(lengths.name, -1, 1)
    if layer.last:
        chosen = g.call("Equal", column, g.integers(*(t + 1 for t in steps)))
    else:
        chosen = g.call("Greater", column, g.integers(*steps))
    y = g.multiply(y, g.reshape(g.call("Cast", chosen, to=1), -1, len(steps), 1))
    return g.sum(y, 1) if layer.last else y


def _states(g: Graph, layer: nn.GRU, x: Value) -> str:
    """All states, (N, L, hidden). ONNX has the rows of z first, and all steps before the batch."""

    def rows(p: Any) -> Any:
        r, z, n = numpy.split(_value(p), 3, axis=-1)
        return numpy.concatenate([z, r, n], axis=-1).T[None]

    weights = [g.constant(rows(p)) for p in (layer.weight, layer.state_weight)]
    bias = numpy.concatenate([rows(layer.bias), rows(layer.state_bias)], axis=1)
    steps = g.transpose(x.name, 1, 0, 2)
    y = g.call(
        "GRU", steps, *weights, g.constant(bias), hidden_size=layer.hidden, linear_before_reset=1
    )
    return g.reshape(g.transpose(y, 2, 0, 1, 3), -1, x.shape[1], layer.hidden)


# ---------------------------------------------------------------- containers


def _keeps_labels(layer: nn.Layer) -> bool:
    """Tell whether a layer hands the labels on beside what it makes of the samples."""
    if isinstance(layer, nn.Sequential) and len(layer):
        return _keeps_labels(layer[-1])
    return isinstance(layer, nn.Beside)


@rule(nn.Sequential)
def _sequential(g: Graph, layer: nn.Sequential, x: Any) -> str:
    for inner in layer:
        w = x[1] if isinstance(x, tuple) else None
        x = write(g, inner, x)
        x = (x, w) if _keeps_labels(inner) else x
    return x.name if isinstance(x, Value) else g.call("Identity", x[0].name)


@rule(nn.Residual)
def _residual(g: Graph, layer: nn.Residual, x: Value) -> str:
    around = x if layer.shortcut is None else write(g, layer.shortcut, x)
    return g.add(write(g, layer.body, x).name, around.name)


@rule(nn.PerFrame)
def _per_frame(g: Graph, layer: nn.PerFrame, x: Value) -> str:
    _, frames, *rest = x.shape
    merged = Value(g.reshape(x.name, -1, *rest), x.example.reshape(-1, *rest))
    y = write(g, layer.body, merged)
    return g.reshape(y.name, -1, frames, *y.shape[1:])


@rule(nn.Skip)
def _skip(g: Graph, layer: nn.Skip, x: Value) -> str:
    return g.call("Concat", x.name, write(g, layer.body, x).name, axis=-1)


@rule(nn.Branches)
def _branches(g: Graph, layer: nn.Branches, x: Value) -> str:
    return g.call("Concat", *(write(g, head, x).name for head in layer.heads), axis=-1)


@rule(nn.Fade)
def _fade(g: Graph, layer: nn.Fade, x: Value) -> str:
    both = (1 - layer.alpha, layer.old), (layer.alpha, layer.new)
    parts = [g.multiply(write(g, path, x).name, share) for share, path in both if share > 0]
    return parts[0] if len(parts) == 1 else g.add(*parts)


# ---------------------------------------------------------------- labels and styles


@rule(nn.Beside)
def _beside(g: Graph, layer: nn.Beside, x: tuple[Value, Value]) -> str:
    return write(g, layer.layer, x[0]).name


@rule(nn.ConcatenateLabels)
def _concatenate_labels(g: Graph, layer: nn.ConcatenateLabels, x: tuple[Value, Value]) -> str:
    values, labels = x
    table = numpy.eye(layer.classes) if layer.embedding is None else _value(layer.embedding.weight)
    code = g.call("Gather", g.constant(table), labels.name, axis=0)
    pixels = g.reshape(code, -1, *[1] * (len(values.shape) - 2), layer.features)
    plane = g.multiply(pixels, numpy.ones((1, *values.shape[1:-1], 1)))
    return g.call("Concat", values.name, plane, axis=-1)


@rule(nn.Projection)
def _projection(g: Graph, layer: nn.Projection, x: tuple[Value, Value]) -> str:
    phi = write(g, layer.body, x[0])
    shift = write(g, layer.embedding, x[1])
    u = g.add(shift.name, _value(layer.weight).T)
    return g.add(g.sum(g.multiply(u, phi.name), 1, keep=True), _value(layer.bias))


@rule(nn.Given)
def _given(g: Graph, layer: nn.Given, x: Value) -> str:
    labels = backend.to_numpy(layer.labels)
    return write(g, layer.net, (x, Value(g.constant(labels, "int64"), labels))).name


@rule(nn.Styled)
def _styled(g: Graph, layer: nn.Styled, x: Any) -> str:
    y, w = x if isinstance(x, tuple) else (x, x)
    for inner in layer.chain:
        y = write(g, inner, (y, w) if getattr(inner, "takes_condition", False) else y)
    return y.name


def _style(g: Graph, layer: Any, x: tuple[Value, Value]) -> str:
    """What the layer makes of its condition, for all pixels: (N, 1, ..., features)."""
    s = write(g, layer.affine, x[1])
    return g.reshape(s.name, -1, *[1] * (len(x[0].shape) - 2), s.shape[1])


@rule(nn.ModulatedConv2d)
def _modulated(g: Graph, layer: nn.ModulatedConv2d, x: tuple[Value, Value]) -> str:
    s, w = _style(g, layer, x), _value(layer.weight)
    u = g.channels_first(g.multiply(x[0].name, s), 4)
    y = g.call("Conv", u, g.constant(w.transpose(3, 2, 0, 1)), **_window(layer, 4))
    y = g.channels_last(y, 4)
    if layer.demodulate:
        q = g.constant((w * w).sum(axis=(0, 1)))
        y = g.divide(y, g.root(g.call("MatMul", g.multiply(s, s), q), layer.eps))
    return y if layer.bias is None else g.add(y, _value(layer.bias))


def _scaled_and_shifted(g: Graph, x_hat: str, ab: str, features: int) -> str:
    """``(1 + a) x̂ + b``."""
    ends = [(0, features), (features, 2 * features)]
    a, b = (
        g.call("Slice", ab, g.integers(start), g.integers(end), g.integers(-1))
        for start, end in ends
    )
    return g.add(g.multiply(x_hat, g.add(a, 1.0)), b)


@rule(nn.AdaIN)
def _adain(g: Graph, layer: nn.AdaIN, x: tuple[Value, Value]) -> str:
    x_hat = g.standardise(x[0].name, layer.eps, 1, 2)
    return _scaled_and_shifted(g, x_hat, _style(g, layer, x), layer.features)


@rule(nn.ConditionalBatchNorm)
def _conditional_norm(g: Graph, layer: nn.ConditionalBatchNorm, x: tuple[Value, Value]) -> str:
    mean, variance = backend.to_numpy(layer.running_mean), backend.to_numpy(layer.running_var)
    x_hat = g.divide(g.subtract(x[0].name, mean), numpy.sqrt(variance + layer.eps))
    return _scaled_and_shifted(g, x_hat, _style(g, layer, x), layer.features)


@rule(nn.SelfAttention)
def _self_attention(g: Graph, layer: nn.SelfAttention, x: Value) -> str:
    n, height, width, channels = x.shape
    rows = Value(g.reshape(x.name, -1, channels), x.example.reshape(-1, channels))

    def part(inner: nn.Layer, pool: bool) -> str:
        product = write(g, inner, rows)
        image = product.example.reshape(n, height, width, -1)
        y = Value(g.reshape(product.name, -1, *image.shape[1:]), image)
        y = write(g, layer.pool, y) if pool else y
        return g.reshape(y.name, -1, int(numpy.prod(y.shape[1:3])), y.shape[3])

    f, k, h = part(layer.query, False), part(layer.key, True), part(layer.value, True)
    a = g.call("Softmax", g.call("MatMul", f, g.transpose(k, 0, 2, 1)), axis=-1)
    seen = g.reshape(g.call("MatMul", a, h), -1, channels // 2)
    example = numpy.zeros((n * height * width, channels // 2), "float32")
    out = write(g, layer.out, Value(seen, example))
    scaled = g.multiply(g.reshape(out.name, -1, height, width, channels), _value(layer.gamma))
    return g.add(x.name, scaled)
