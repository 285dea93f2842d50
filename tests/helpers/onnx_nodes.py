"""ONNX's own tests of single operators, computed by our layers.

``python tests/helpers/onnx_nodes.py`` prints the table: for each operator that a layer or a loss
stands for, how many tests passed, failed, and aren't applicable (three dimensions, whole numbers,
another axis as the batch).
"""

import warnings
from collections import Counter, defaultdict

import numpy

from minigan import losses, nn


class NotHere(Exception):
    """The operator in this setting is none of our layers."""


def need(condition):
    if not condition:
        raise NotHere


def last(x):
    return numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1))


def first(y):
    return numpy.moveaxis(y, -1, 1)


def with_weights(layer, *arrays):
    for p, array in zip(layer.parameters().values(), arrays, strict=True):
        p.value = array
    return layer


# ---------------------------------------------------------------- convolutions


def _sides(a, size, kernel, stride, dilation):
    """Padding as pairs, worked out where it is asked for by name."""
    rank, auto = len(size), a.get("auto_pad", b"NOTSET").decode()
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            small = total // 2
            pads.append((small, total - small) if auto == "SAME_UPPER" else (total - small, small))
        return tuple(pads)
    need(auto in ("NOTSET", "VALID"))
    p = a.get("pads", [0] * (2 * rank))
    return tuple((p[i], p[i + rank]) for i in range(rank))


def _window(a, w, x):
    rank = x.ndim - 2
    need(rank in (1, 2))
    kernel = tuple(w.shape[2:])
    stride = tuple(a.get("strides", [1] * rank))
    dilation = tuple(a.get("dilations", [1] * rank))
    options = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    options["padding"] = _sides(a, x.shape[2:], kernel, stride, dilation)
    if rank == 1:
        options = {name: value[0] for name, value in options.items()}
    return options | {"groups": a.get("group", 1)}


def conv(a, x, w, b=None):
    kind = (nn.Conv1d, nn.Conv2d)[x.ndim - 3] if x.ndim < 5 else None
    need(kind)
    layer = kind(x.shape[1], w.shape[0], bias=b is not None, **_window(a, w, x))
    turned = w.transpose(*range(2, w.ndim), 1, 0)
    with_weights(layer, turned, *([] if b is None else [b]))
    return first(layer(last(x)))


def conv_transpose(a, x, w, b=None):
    need(x.ndim < 5)
    need("output_shape" not in a)
    need(a.get("auto_pad", b"NOTSET") == b"NOTSET")
    options = _window(a, w, x)
    extra = a.get("output_padding", [0] * (x.ndim - 2))
    options["output_padding"] = extra[0] if x.ndim == 3 else tuple(extra)
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d)[x.ndim - 3]
    layer = kind(x.shape[1], w.shape[1] * options["groups"], bias=b is not None, **options)
    turned = w.transpose(*range(2, w.ndim), 1, 0)
    with_weights(layer, turned, *([] if b is None else [b]))
    return first(layer(last(x)))


def gemm(a, x, w, c=None):
    x = x.T if a.get("transA") else x
    w = a.get("alpha", 1.0) * (w.T if a.get("transB") else w)
    need(c is None or c.ndim < 2 or c.shape[0] == 1)
    layer = nn.Linear(*w.shape, bias=c is not None)
    bias = [] if c is None else [a.get("beta", 1.0) * numpy.broadcast_to(c, (1, w.shape[1]))[0]]
    return with_weights(layer, w, *bias)(numpy.ascontiguousarray(x))


def matmul(a, x, w):
    need(x.ndim == w.ndim == 2)
    return gemm({}, x, w)


# ---------------------------------------------------------------- norms


def batch_norm(a, x, gamma, beta, mean, variance):
    layer = nn.BatchNorm(
        x.shape[1], eps=a.get("epsilon", 1e-5), momentum=1 - a.get("momentum", 0.9)
    )
    with_weights(layer, gamma, beta)
    layer.running_mean, layer.running_var = mean.copy(), variance.copy()
    need(not a.get("training_mode"))  # ONNX's running variance is the biased one
    return first(layer(last(x)))


def layer_norm(a, x, gamma, beta=None):
    axis = a.get("axis", -1) % x.ndim
    need(axis >= 1)
    layer = nn.LayerNorm(*x.shape[axis:], eps=a.get("epsilon", 1e-5))
    return with_weights(layer, gamma, numpy.zeros_like(gamma) if beta is None else beta)(x)


def rms_norm(a, x, gamma):
    need(a.get("axis", -1) % x.ndim == x.ndim - 1)
    need(x.ndim > 1)
    return with_weights(nn.RMSNorm(x.shape[-1], eps=a.get("epsilon", 1e-5)), gamma)(x)


def instance_norm(a, x, gamma, beta):
    layer = nn.InstanceNorm(x.shape[1], eps=a.get("epsilon", 1e-5), affine=True)
    return first(with_weights(layer, gamma, beta)(last(x)))


def group_norm(a, x, gamma, beta):
    layer = nn.GroupNorm(a["num_groups"], x.shape[1], eps=a.get("epsilon", 1e-5))
    return first(with_weights(layer, gamma, beta)(last(x)))


# ---------------------------------------------------------------- activations


def _each(make):
    return lambda a, x: make(a)(numpy.atleast_1d(x))


def prelu(a, x, slope):
    need(slope.shape in ((1,), x.shape[-1:]))
    return with_weights(nn.PReLU(slope.size), slope)(x)


def gelu(a, x):
    need(a.get("approximate") == b"tanh")
    return nn.GELU()(x)


def swish(a, x):
    need(a.get("alpha", 1.0) == 1.0)
    return nn.SiLU()(x)


def _along(make):
    def compute(a, x):
        axis = a.get("axis", -1)
        need(axis % x.ndim > 0)
        return make(axis)(x)

    return compute


def dropout(a, x, *rest):
    need(not (len(rest) > 1 and rest[1]))
    return nn.Dropout()(x)


# ---------------------------------------------------------------- shapes


def flatten(a, x):
    need(a.get("axis", 1) % x.ndim == 1)
    return nn.Flatten()(x)


def reshape(a, x, shape):
    need(not a.get("allowzero"))
    sizes = [x.shape[i] if n == 0 else int(n) for i, n in enumerate(shape)]
    sizes = [x.size // -int(numpy.prod(sizes)) if n == -1 else n for n in sizes]
    need(sizes[0] == x.shape[0])
    need(len(sizes) > 1)
    return nn.Reshape(*sizes[1:])(x)


def gather(a, x, indices):
    need(a.get("axis", 0) == 0)
    need(indices.ndim == 1)
    need(indices.min() >= 0)
    rows = x.reshape(x.shape[0], -1)
    return with_weights(nn.Embedding(*rows.shape), rows)(indices)


def resize(a, x, *rest):
    sizes = rest[2] if len(rest) > 2 and rest[2] is not None else None
    scales = rest[1] if len(rest) > 1 and rest[1] is not None and rest[1].size else None
    need(x.ndim == 4)
    axes = [i % 4 for i in a.get("axes", range(4))]
    need(a.get("keep_aspect_ratio_policy", b"stretch") == b"stretch")
    need(not a.get("antialias"))
    shape = list(x.shape)
    for i, axis in enumerate(axes):
        shape[axis] = int(sizes[i]) if sizes is not None else int(x.shape[axis] * scales[i])
        need(scales is None or shape[axis] == x.shape[axis] * scales[i])
    need(shape[:2] == list(x.shape[:2]))
    mode = a.get("mode", b"nearest").decode()
    where = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode == "linear":
        need(where == "half_pixel" or (where == "pytorch_half_pixel" and min(shape[2:]) > 1))
        return first(nn.Resize((shape[2], shape[3]))(last(x)))
    need(mode == "nearest")
    whole = all(n % m == 0 for n, m in zip(shape[2:], x.shape[2:], strict=True))
    need(
        (where == "asymmetric" and a.get("nearest_mode") == b"floor")
        or (where == "half_pixel" and whole and "nearest_mode" not in a)
    )
    return first(nn.Resize((shape[2], shape[3]), mode="nearest")(last(x)))


def upsample(a, x, scales):
    need((scales == scales.astype(int)).all())
    return first(nn.Upsample(tuple(int(s) for s in scales[2:]))(last(x)))


def _pool(kind):
    def compute(a, x):
        need(x.ndim == 4)
        need(x.dtype.kind == "f")
        kernel = tuple(a["kernel_shape"])
        stride = tuple(a.get("strides", [1, 1]))
        need(set(a.get("dilations", [1])) == {1})
        need(not a.get("ceil_mode"))
        sides = _sides(a, x.shape[2:], kernel, stride, (1, 1))
        need(all(before == after for before, after in sides))
        padding = tuple(before for before, _ in sides)
        need(all(2 * p <= k for p, k in zip(padding, kernel, strict=True)))  # as in PyTorch
        need(kind is nn.MaxPool or padding == (0, 0) or a.get("count_include_pad"))
        return first(kind(kernel, stride=stride, padding=padding)(last(x)))

    return compute


def global_pool(kind):
    return lambda a, x: nn.GlobalPool(kind)(last(x)).reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def depth_to_space(a, x):
    need(a.get("mode", b"DCR") == b"CRD")
    return first(nn.PixelShuffle(a["blocksize"])(last(x)))


def space_to_depth(a, x):
    need(a.get("mode", b"DCR") == b"CRD" or x.shape[1] == 1)
    return first(nn.PixelUnshuffle(a["blocksize"])(last(x)))


def pad(a, x, pads, value=None, axes=None):
    need(x.ndim == 4)
    need(axes is None)
    need(x.dtype.kind == "f" or a.get("mode", b"constant") != b"constant")
    mode = a.get("mode", b"constant").decode()
    need(mode != "constant" or value is None or value == 0)
    before, after = pads[:4], pads[4:]
    need(min(pads) >= 0)
    need(not (before[:2].any() or after[:2].any()))
    sides = tuple((int(b), int(e)) for b, e in zip(before[2:], after[2:], strict=True))
    name = {"constant": "zeros", "edge": "replicate", "wrap": "circular"}.get(mode, mode)
    return first(nn.Pad(sides, mode=name)(last(x.astype("float64")))).astype(x.dtype)


def cross_entropy(a, x, labels, weights=None):
    need(x.ndim == 2)
    need(a.get("reduction", b"mean") == b"mean")
    return losses.cross_entropy(x, labels, weights=weights, ignore_index=a.get("ignore_index"))[0]


OPERATORS = {
    "Gemm": gemm, "MatMul": matmul, "Conv": conv, "ConvTranspose": conv_transpose,
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm, "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm, "PRelu": prelu, "Gelu": gelu, "Swish": swish,
    "Relu": _each(lambda a: nn.ReLU()), "Tanh": _each(lambda a: nn.Tanh()),
    "LeakyRelu": _each(lambda a: nn.LeakyReLU(a.get("alpha", 0.01))),
    "Sigmoid": _each(lambda a: nn.Sigmoid()), "Elu": _each(lambda a: nn.ELU(a.get("alpha", 1.0))),
    "Softplus": _each(lambda a: nn.Softplus()),
    "Softmax": _along(nn.Softmax), "Hardmax": _along(lambda axis: nn.GumbelSoftmax(hard=True, axis=axis)),
    "Dropout": dropout, "Flatten": flatten, "Reshape": reshape, "Gather": gather, "Resize": resize,
    "Upsample": upsample, "AveragePool": _pool(nn.AveragePool), "MaxPool": _pool(nn.MaxPool),
    "GlobalAveragePool": global_pool("mean"), "GlobalMaxPool": global_pool("max"),
    "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth, "Pad": pad,
    "SoftmaxCrossEntropyLoss": cross_entropy,
}  # fmt: skip


def cases():
    """Every test of a single operator that is among ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    return [c for c in found if _only_node(c) is not None]


def _only_node(case):
    nodes = case.model.graph.node
    return nodes[0] if len(nodes) == 1 and nodes[0].op_type in OPERATORS else None


def outcome(case):
    """``passed``, ``not applicable``, or what is wrong."""
    import onnx

    node = _only_node(case)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for inputs, outputs in case.data_sets:
        given = iter(inputs)
        arrays = [numpy.asarray(next(given)) if name else None for name in node.input]
        try:
            if arrays[0].dtype.kind not in "fiu" or arrays[0].dtype == "float16":
                raise NotHere
            y = OPERATORS[node.op_type](attributes, *arrays)
        except ValueError as error:
            return f"refused: {error}"
        except NotHere:
            return "not applicable"
        except TypeError as error:  # whole numbers, as the layer says itself
            if "floating-point" in str(error):
                return "not applicable"
            raise
        expected = numpy.asarray(outputs[0])
        if numpy.shape(y) != expected.shape and numpy.size(y) != expected.size:
            return f"shape {numpy.shape(y)} instead of {expected.shape}"
        y = numpy.reshape(y, expected.shape)
        if not numpy.allclose(y, expected, rtol=case.rtol, atol=max(case.atol, 1e-6)):
            return f"differs by {numpy.abs(y - expected).max():.1e}"
    return "passed"


def table():
    """Return the counts by operator, and what failed by name."""
    counts, failed = defaultdict(Counter), {}
    for case in cases():
        result = outcome(case)
        known = result in ("passed", "not applicable")
        counts[_only_node(case).op_type][result if known else "failed"] += 1
        if not known:
            failed[case.name] = result
    return counts, failed


if __name__ == "__main__":
    counts, failed = table()
    kinds = ("passed", "failed", "not applicable")
    print(f"{'operator':26}{''.join(f'{kind:>16}' for kind in kinds)}")
    for operator in sorted(counts):
        print(f"{operator:26}{''.join(f'{counts[operator][kind]:>16}' for kind in kinds)}")
    total = sum(counts.values(), Counter())
    print(f"{'all':26}{''.join(f'{total[kind]:>16}' for kind in kinds)}")
    for name, reason in failed.items():
        print(f"{name}: {reason}")
