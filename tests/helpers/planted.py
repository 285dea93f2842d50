"""Mistakes of the usual kinds, planted in right layers, and words that the diagnosis must have."""

from typing import NamedTuple

import numpy as np

N, D, M = 5, 3, 4
rng = np.random.default_rng(7)
W, B, G = rng.standard_normal((D, M)), rng.standard_normal(M), rng.uniform(0.5, 2, D)
SQUARE = rng.standard_normal((D, D))
KERNEL = rng.standard_normal((2, 3, 2, 3))


class Mistake(NamedTuple):
    """A layer as a pair of functions, of which the second is wrong."""

    name: str
    forward: object
    backward: object
    shape: tuple
    arrays: tuple
    words: tuple
    labels: int = 0


def affine(x, w, b):
    return x @ w + b, (x, w)


def of_affine(name, backward, *words, arrays=(W, B)):
    return Mistake(f"linear: {name}", affine, backward, (N, D), arrays, words)


def right(dy, cache):
    x, w = cache
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)


def y_of(cache):
    x, w = cache
    return x @ w + B


LINEAR = [
    of_affine("dw divided by N", lambda d, c: (d @ c[1].T, c[0].T @ d / N, d.sum(0)), "batch size"),
    of_affine("db a mean", lambda d, c: (d @ c[1].T, c[0].T @ d, d.mean(0)), "batch size"),
    of_affine("dx divided by N", lambda d, c: (d @ c[1].T / N, c[0].T @ d, d.sum(0)), "batch size"),
    of_affine(
        "dw of the first sample",
        lambda d, c: (d @ c[1].T, np.outer(c[0][0], d[0]), d.sum(0)),
        "the first sample alone",
    ),
    of_affine(
        "db of the last", lambda d, c: (d @ c[1].T, c[0].T @ d, d[-1]), "the last sample alone"
    ),
    of_affine(
        "outer product of sums",
        lambda d, c: (d @ c[1].T, np.outer(c[0].sum(0), d.sum(0)), d.sum(0)),
        "outer product of the sums",
    ),
    of_affine(
        "reshape for transpose",
        lambda d, c: (d @ c[1].T, (d.T @ c[0]).reshape(D, M), d.sum(0)),
        "a reshape where a transpose is meant",
    ),
    of_affine("w reshaped", lambda d, c: (d @ c[1].reshape(M, D), c[0].T @ d, d.sum(0)), "reshape"),
    of_affine("y for dy", lambda d, c: (d @ c[1].T, c[0].T @ y_of(c), d.sum(0)), "y .*place of dy"),
    of_affine(
        "y for dy in dx", lambda d, c: (y_of(c) @ c[1].T, c[0].T @ d, d.sum(0)), "y .*place of dy"
    ),
    of_affine(
        "db counts", lambda d, c: (d @ c[1].T, c[0].T @ d, 0 * d.sum(0) + N), "dy is forgotten"
    ),
    of_affine("sign of dw", lambda d, c: (d @ c[1].T, -c[0].T @ d, d.sum(0)), "the sign is wrong"),
    of_affine("sign of dx", lambda d, c: (-d @ c[1].T, c[0].T @ d, d.sum(0)), "the sign is wrong"),
    of_affine("dw twice", lambda d, c: (d @ c[1].T, 2 * c[0].T @ d, d.sum(0)), "factor, 2"),
    of_affine("db is zero", lambda d, c: (d @ c[1].T, c[0].T @ d, 0 * d.sum(0)), "zero everywhere"),
    of_affine(
        "decay in dw", lambda d, c: (d @ c[1].T, c[0].T @ d + 0.1 * c[1], d.sum(0)), "weight decay"
    ),
    of_affine("|x| for x", lambda d, c: (d @ c[1].T, abs(c[0]).T @ d, d.sum(0)), r"\|x\|"),
    of_affine(
        "dy squared", lambda d, c: (d @ c[1].T, c[0].T @ d**2, d.sum(0)), "dy is there twice"
    ),
    of_affine(
        "loop stops early",
        lambda d, c: (d @ c[1].T, c[0].T @ d * (np.arange(M) < M - 1), d.sum(0)),
        "the last along axis 1|zero and the others are right",
    ),
    of_affine(
        "square w not transposed",
        lambda d, c: (d @ c[1], c[0].T @ d, d.sum(0)),
        "w where its transpose belongs",
        arrays=(SQUARE, B[:D]),
    ),
    of_affine(
        "residual forgotten in dx",
        lambda d, c: (d @ c[1].T + c[0], c[0].T @ d, d.sum(0)),
        "x itself",
    ),
    of_affine("flipped db", lambda d, c: (d @ c[1].T, c[0].T @ d, d.sum(0)[::-1]), "flipped"),
    of_affine(
        "root of N", lambda d, c: (d @ c[1].T, c[0].T @ d / N**0.5, d.sum(0)), "root of the batch"
    ),
]


def elementwise(name, f, backward, *words):
    return Mistake(name, lambda x: (f(x), (x, f(x))), backward, (N, D), (), words)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = [
    elementwise("leaky: slope forgotten", leaky, lambda d, c: d * (c[0] > 0), "where x < 0, where it is 0"),
    elementwise("leaky: slope everywhere", leaky, lambda d, c: 0.2 * d, "where x > 0, by the factor 0.2"),
    elementwise("leaky: no derivative", leaky, lambda d, c: d, "where x < 0, by the factor 5"),
    elementwise(
        "leaky: mask of dy", leaky, lambda d, c: np.where(d > 0, d, 0.2 * d), "at dy in the place of x"
    ),
    elementwise(
        "leaky: sides exchanged", leaky, lambda d, c: np.where(c[0] < 0, d, 0.2 * d), "-x in the place"
    ),
    elementwise("relu: mask forgotten", lambda x: x * (x > 0), lambda d, c: d, "where it must be 0"),
    elementwise("relu: dy forgotten", lambda x: x * (x > 0), lambda d, c: 1.0 * (c[0] > 0), "dy is forgotten"),
    elementwise("tanh: 1 - x²", np.tanh, lambda d, c: d * (1 - c[0] ** 2), "x where y is meant"),
    elementwise("tanh: dy forgotten", np.tanh, lambda d, c: 1 - c[1] ** 2, "dy is forgotten"),
    elementwise("tanh: 1 - y", np.tanh, lambda d, c: d * (1 - c[1]), "1 - y|none of the usual"),
    elementwise("tanh: at y", np.tanh, lambda d, c: d * (1 - np.tanh(c[1]) ** 2), "gradient at y"),
    elementwise("tanh: derivative forgotten", np.tanh, lambda d, c: d, "gradient at 0|dy itself"),
    elementwise("tanh: y² - 1", np.tanh, lambda d, c: d * (c[1] ** 2 - 1), "the sign is wrong"),
    elementwise("sigmoid: x (1 - x)", sigmoid, lambda d, c: d * c[0] * (1 - c[0]), "x where y is meant"),
    elementwise("sigmoid: dy forgotten", sigmoid, lambda d, c: c[1] * (1 - c[1]), "dy is forgotten"),
    elementwise("sigmoid: y alone", sigmoid, lambda d, c: d * c[1], "y"),
    elementwise("exp: dy forgotten", np.exp, lambda d, c: c[1], "dy is forgotten"),
    elementwise("exp: x for y", np.exp, lambda d, c: d * c[0], "x where y is meant"),
    elementwise("square: half", lambda x: x**2, lambda d, c: d * c[0], "factor, 0.5"),
    elementwise("square: dy² ", lambda x: x**2, lambda d, c: 2 * d * d, "at dy|dy is there twice"),
    elementwise("residual: path forgotten", lambda x: x + np.tanh(x), lambda d, c: d * (1 - np.tanh(c[0]) ** 2), r"it is dy tanh'\(x\), but must be dy \+ dy tanh'\(x\)"),
    elementwise("residual: added twice", lambda x: x + np.tanh(x), lambda d, c: d * (3 - np.tanh(c[0]) ** 2), r"it is 2 times dy \+ dy tanh'\(x\), but must be dy \+ dy tanh'\(x\)"),
]  # fmt: skip


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def of_softmax(name, backward, *words):
    return elementwise(f"softmax: {name}", softmax, backward, *words)


SOFTMAX = [
    of_softmax("own term only", lambda d, c: c[1] * d, "through the other entries.*missing"),
    of_softmax(
        "as a sigmoid", lambda d, c: d * c[1] * (1 - c[1]), "what a single place of y contributes"
    ),
    of_softmax(
        "sum has the wrong sign",
        lambda d, c: c[1] * (d + (d * c[1]).sum(-1, keepdims=True)),
        "wrong sign",
    ),
    of_softmax(
        "mean for the sum",
        lambda d, c: c[1] * (d - (d * c[1]).mean(-1, keepdims=True)),
        "off by the factor 0.3333",
    ),
]


def norm(axis, centred=True):
    def forward(x, g):
        m = x.mean(axis=axis, keepdims=True) * centred
        s = np.sqrt(((x - m) ** 2).mean(axis=axis, keepdims=True) + 1e-5)
        return g * (x - m) / s, ((x - m) / s, s, g, x)

    return forward


def of_norm(name, dx, *words, axis=0, centred=True, shape=(N, D), dg=None):
    def backward(d, c):
        x_hat, s, g, x = c

        def mean(a):
            return a.mean(axis=axis, keepdims=True)

        grad_g = (d * x_hat if dg is None else dg(d, x_hat, x)).sum(tuple(range(d.ndim - 1)))
        return dx(g * d, x_hat, s, mean, g), grad_g

    return Mistake(f"norm over {axis}: {name}", norm(axis, centred), backward, shape, (G,), words)


def all_of(q, h, s, mean, g):
    return (q - mean(q) - h * mean(q * h)) / s


NORMS = [
    of_norm("mean forgotten", lambda q, h, s, mean, g: (q - h * mean(q * h)) / s, "through the mean is missing"),
    of_norm("spread forgotten", lambda q, h, s, mean, g: (q - mean(q)) / s, "standard deviation is missing"),
    of_norm("both forgotten", lambda q, h, s, mean, g: q / s, "mean is missing.*deviation is missing"),
    of_norm("sign of the mean", lambda q, h, s, mean, g: (q + mean(q) - h * mean(q * h)) / s, "mean has the wrong sign"),
    of_norm("sign of the spread", lambda q, h, s, mean, g: (q - mean(q) + h * mean(q * h)) / s, "deviation has the wrong sign"),
    of_norm("no 1 / s", lambda q, h, s, mean, g: all_of(q, h, 1, mean, g), "division by the standard deviation is missing"),
    of_norm("1 / s²", lambda q, h, s, mean, g: all_of(q, h, s * s, mean, g), "variance for the standard|once too often"),
    of_norm("gamma forgotten", lambda q, h, s, mean, g: all_of(q / g, h, s, mean, g), "g is missing"),
    of_norm("gamma twice", lambda q, h, s, mean, g: all_of(q * g, h, s, mean, g), "g is there once too often"),
    of_norm("sum for the mean", lambda q, h, s, mean, g: (q - N * mean(q) - h * mean(q * h)) / s, "mean is off by the factor 5 .*batch"),
    of_norm("Bessel in the spread", lambda q, h, s, mean, g: (q - mean(q) - h * mean(q * h) * N / (N - 1)) / s, "Bessel"),
    of_norm("half the spread", lambda q, h, s, mean, g: (q - mean(q) - 0.5 * h * mean(q * h)) / s, "deviation is off by the factor 0.5"),
    of_norm("layer: mean forgotten", lambda q, h, s, mean, g: (q - h * mean(q * h)) / s, "through the mean is missing", axis=1),
    of_norm("layer: spread forgotten", lambda q, h, s, mean, g: (q - mean(q)) / s, "standard deviation is missing", axis=1),
    of_norm("images: mean forgotten", lambda q, h, s, mean, g: (q - h * mean(q * h)) / s, "through the mean is missing", axis=(0, 1, 2), shape=(N, 2, 4, D)),
    of_norm("rms: norm forgotten", lambda q, h, s, mean, g: q / s, "through the norm is missing", axis=1, centred=False),
    of_norm("dgamma with x", all_of, "sum of x dy", dg=lambda d, h, x: d * x),
    of_norm("dgamma without x̂", all_of, "factor cache.0. is missing", dg=lambda d, h, x: d),
]  # fmt: skip


def conv(x, w, b):
    n, height, width, _ = x.shape
    kh, kw = w.shape[:2]
    y = np.zeros((n, height - kh + 1, width - kw + 1, w.shape[3])) + b
    for i in range(kh):
        for j in range(kw):
            y += x[:, i : i + y.shape[1], j : j + y.shape[2]] @ w[i, j]
    return y, (x, w)


def conv_backward(dy, cache, *, shift=0, flip=False):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    h, v = dy.shape[1:3]
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            dw[i, j] = np.einsum("nhwi,nhwo->io", x[:, i : i + h, j : j + v], dy)
            kernel = w[w.shape[0] - 1 - i, w.shape[1] - 1 - j] if flip else w[i, j]
            dx[:, i : i + h, j : j + v] += dy @ kernel.T
    return np.roll(dx, shift, (1, 2)), dw, dy.sum((0, 1, 2))


def of_conv(name, change, *words):
    def backward(dy, cache):
        return change(dy, cache, *conv_backward(dy, cache))

    shape = (4, 6, 7, 2)
    return Mistake(f"conv: {name}", conv, backward, shape, (KERNEL, B[:3]), words)


CONVOLUTIONS = [
    of_conv("kernel not flipped", lambda d, c, dx, dw, db: (conv_backward(d, c, flip=True)[0], dw, db), "the kernel turned over"),
    of_conv("dw flipped", lambda d, c, dx, dw, db: (dx, dw[::-1, ::-1], db), "flipped along the axes"),
    of_conv("shifted", lambda d, c, dx, dw, db: (np.roll(dx, (1, 1), (1, 2)), dw, db), "shifted by"),
    of_conv("db a mean", lambda d, c, dx, dw, db: (dx, dw, db / d[..., 0].size), "samples times the pixels"),
    of_conv("db over one row", lambda d, c, dx, dw, db: (dx, dw, d[:, 0].sum((0, 1))), "first row of y alone"),
    of_conv("dw per pixel", lambda d, c, dx, dw, db: (dx, dw / 25, db), "number of pixels of y"),
    of_conv("first sample", lambda d, c, dx, dw, db: (dx, conv_backward(d[:1], (c[0][:1], c[1]))[1], db), "first sample alone"),
    of_conv("border lost", lambda d, c, dx, dw, db: (dx * np.pad(np.ones((4, 5)), 1)[None, :, :, None], dw, db), "outermost 1 rows|zero and the others"),
    of_conv("kernel row lost", lambda d, c, dx, dw, db: (dx, dw * np.array([1, 0])[:, None, None, None], db), "along axis 0|zero and the others"),
]  # fmt: skip


def scale(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def take(labels, table):
    return table[labels], (labels, table.shape)


def last_row(dy, cache):
    labels, shape = cache
    grad = np.zeros(shape)
    grad[labels] = dy
    return grad


def grow(x):
    return x.repeat(2, 1).repeat(2, 2), x.shape


OTHERS = [
    Mistake("prelu: mask forgotten", scale, lambda d, c: (np.where(c[0] > 0, d, c[1] * d), (d * c[0]).sum(0)), (N, D), (G / 4,), (r"the factor \(x < 0\) is missing",)),
    Mistake("prelu: slope in dx forgotten", scale, lambda d, c: (d * (c[0] > 0), (d * c[0] * (c[0] < 0)).sum(0)), (N, D), (G / 4,), ("where x < 0, where it is 0",)),
    Mistake("embedding: = for +=", take, lambda d, c: (last_row(d, c),), (9,), (rng.standard_normal((4, 3)),), ("last occurrence of each label",), 4),
    Mistake("upsample: one pixel", grow, lambda d, s: d[:, ::2, ::2], (2, 3, 4, 2), (), ("of each block alone",)),
    Mistake("upsample: a mean", grow, lambda d, s: d.reshape(s[0], s[1], 2, s[2], 2, s[3]).mean((2, 4)), (2, 3, 4, 2), (), ("factor, 0.25",)),
    Mistake("global pooling: not divided", lambda x: (x.mean((1, 2)), x.shape), lambda d, s: np.broadcast_to(d[:, None, None], s).copy(), (2, 3, 4, 5), (), ("number of pixels of x",)),
    Mistake("flatten: wrong order", lambda x: (x.reshape(len(x), -1), x.shape), lambda d, s: d.reshape(s[0], s[3], s[2], s[1]).transpose(0, 3, 2, 1).copy(), (2, 3, 4, 5), (), ("reshape|transpose|none of",)),
]  # fmt: skip


# ---------------------------------------------------------------- sequences


def recurrent(x, w):
    """y_t = tanh(x_t + y_{t-1} w)."""
    y = np.zeros_like(x)
    state = np.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        state = y[:, t] = np.tanh(x[:, t] + state @ w)
    return y, (y, w)


def recurrent_backward(dy, cache, *, carried=1.0):
    y, w = cache
    dx, dw, d = np.zeros_like(dy), np.zeros_like(w), 0
    for t in reversed(range(dy.shape[1])):
        dx[:, t] = (dy[:, t] + carried * d) * (1 - y[:, t] ** 2)
        if t:
            dw += y[:, t - 1].T @ dx[:, t]
        d = dx[:, t] @ w.T
    return dx, dw


def over_steps(x, w):
    return np.einsum("ntd,dm->ntm", x, w), (x, w)


def of_steps(name, backward, *words):
    return Mistake(f"steps: {name}", over_steps, backward, (N, 6, D), (W,), words)


def delayed(x):
    """Each step is that of two steps before."""
    return np.pad(x, ((0, 0), (2, 0), (0, 0)))[:, :-2], None


def gates(x, w):
    a = x @ w
    return 1 / (1 + np.exp(-a[:, :2])) * np.tanh(a[:, 2:5]).sum(1, keepdims=True), (x, w, a)


def gates_backward(dy, cache, *, slip=1.0):
    x, w, a = cache
    s, t = 1 / (1 + np.exp(-a[:, :2])), np.tanh(a[:, 2:5])
    ds = dy * t.sum(1, keepdims=True) * s * (1 - s)
    dt = (dy * s).sum(1, keepdims=True) * (1 - t**2)
    return np.hstack([ds, dt]) @ w.T, x.T @ np.hstack([slip * ds, dt])


SEQUENCES = [
    Mistake("recurrent: state forgotten", recurrent, lambda d, c: recurrent_backward(d, c, carried=0), (3, 4, 2), (SQUARE[:2, :2] / 2,), ("only the last step .* is right",)),
    Mistake("recurrent: state twice", recurrent, lambda d, c: recurrent_backward(d, c, carried=2), (3, 4, 2), (SQUARE[:2, :2] / 2,), ("only the last step .* is right",)),
    of_steps("a mean over steps", lambda d, c: (d @ c[1].T, np.einsum("ntd,ntm->dm", c[0], d) / 6), "factor 6, axis 1 of x"),
    of_steps("the last step left out", lambda d, c: (d @ c[1].T, np.einsum("ntd,ntm->dm", c[0][:, :-1], d[:, :-1])), "all but the last index along axis 1"),
    of_steps("the first step alone", lambda d, c: (d @ c[1].T, c[0][:, 0].T @ d[:, 0]), "the first index along axis 1 of y alone"),
    Mistake("cumulative sum: wrong way", lambda x: (x.cumsum(1), None), lambda d, c: d.cumsum(1), (N, D + 4), (), ("in reverse order",)),
    Mistake("delay: one step short", delayed, lambda d, c: np.pad(d, ((0, 0), (0, 1), (0, 0)))[:, 1:], (3, 6, 2), (), ("shifted by -?1 along axis 1",)),
    Mistake("gates: one of two twice", gates, lambda d, c: gates_backward(d, c, slip=2), (N, D), (rng.standard_normal((D, 5)),), ("only 0 to 1 along axis 1 .*by the factor 2",)),
    Mistake("loop: last sample left out", affine, lambda d, c: (d @ c[1].T, c[0][:-1].T @ d[:-1], d.sum(0)), (N, D), (W, B), ("all but the last sample",)),
]  # fmt: skip


# ---------------------------------------------------------------- right numbers, wrong places


def halves(x):
    a, b = np.split(x, 2, axis=1)
    return a * np.exp(b), (a, b)


def depth_to_space(x):
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, 2 * h, 2 * w, c // 4), None


def space_to_depth(dy, _):
    n, h, w, c = dy.shape
    d = dy.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 4, 2, 5)  # 4, 2 for 2, 4
    return d.reshape(n, h // 2, w // 2, 4 * c)


def wrong_pixels(dy, shape):
    n, h, w, c = shape
    return dy.reshape(n, 2, h, 2, w, c).sum((1, 3))


MISPLACED = [
    Mistake("gated: halves exchanged", halves, lambda d, c: np.hstack([d * c[0] * np.exp(c[1]), d * np.exp(c[1])]), (N, 6), (), ("another order along axis 1, .3, 4, 5, 0, 1, 2",)),
    Mistake("depth to space: exchanged axes", depth_to_space, space_to_depth, (3, 1, 2, 8), (), ("right numbers at the wrong places|another order along axis 3",)),
    Mistake("upsample: wrong blocks", grow, wrong_pixels, (3, 2, 4, 2), (), ("have the right sum",)),
]  # fmt: skip


# ---------------------------------------------------------------- channels first


def planes(x, w):
    """A convolution of (N, C, H, W) with (F, C, 3, 3), padded by 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, w), (x, w, windows)


def planes_backward(dy, cache, *, crop=1):
    x, w, windows = cache
    dx = np.zeros((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2), x.dtype)
    for i in range(3):
        for j in range(3):
            dx[:, :, i : i + x.shape[2], j : j + x.shape[3]] += np.einsum(
                "nfhw,fc->nchw", dy, w[:, :, i, j]
            )
    at = slice(crop, crop - 2 or None)
    return dx[:, :, at, at], np.einsum("nfhw,nchwij->fcij", dy, windows)


def of_planes(name, change, *words):
    w = rng.standard_normal((4, 2, 3, 3))

    def backward(dy, cache):
        return change(dy, cache, *planes_backward(dy, cache))

    return Mistake(f"channels first: {name}", planes, backward, (3, 2, 4, 5), (w,), words)


def plane_norm(groups):
    def forward(x, g):
        parts = x.reshape(len(x), groups, -1)
        s = np.sqrt(parts.var(-1, keepdims=True) + 1e-5)
        h = (parts - parts.mean(-1, keepdims=True)) / s
        return h.reshape(x.shape) * g[:, None, None], (h, s, g, x.shape)

    return forward


def plane_norm_backward(dy, cache):
    """The term through the mean is forgotten."""
    h, s, g, shape = cache
    q = (dy * g[:, None, None]).reshape(h.shape)
    dx = (q - h * (q * h).mean(-1, keepdims=True)) / s
    return dx.reshape(shape), (dy * h.reshape(shape)).sum((0, 2, 3))


def batch_of_planes(x, g):
    axes = (0, 2, 3)
    s = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    h = (x - x.mean(axes, keepdims=True)) / s
    return h * g[:, None, None], (h, s, g)


def batch_of_planes_backward(dy, cache):
    """The term through the spread is forgotten."""
    h, s, g = cache
    q = dy * g[:, None, None]
    return (q - q.mean((0, 2, 3), keepdims=True)) / s, (dy * h).sum((0, 2, 3))


CHANNELS_FIRST = [
    of_planes("padding cut off at one side", lambda d, c, dx, dw: (planes_backward(d, c, crop=2)[0], dw), r"shifted by \(1, 1\)"),
    of_planes("border lost", lambda d, c, dx, dw: (dx * (1 + np.pad(np.zeros((2, 3)), 1, constant_values=1)), dw), "outermost 1 rows"),
    of_planes("kernel shifted", lambda d, c, dx, dw: (dx, np.roll(dw, 1, 3)), r"shifted by \(0, -1\)|order along axis 3"),
    of_planes("mean over pixels", lambda d, c, dx, dw: (dx, dw / 20), "number of pixels of y"),
    of_planes("first channel alone", lambda d, c, dx, dw: (planes_backward(d * (np.arange(4) < 1)[:, None, None], c)[0], dw), "the first channel of y alone"),
    Mistake("group norm: mean forgotten", plane_norm(2), plane_norm_backward, (3, 4, 2, 2), (rng.uniform(0.5, 2, 4),), ("through the mean is missing",)),
    Mistake("instance norm: mean forgotten", plane_norm(4), plane_norm_backward, (3, 4, 2, 2), (rng.uniform(0.5, 2, 4),), ("through the mean is missing",)),
    Mistake("batch norm: spread forgotten", batch_of_planes, batch_of_planes_backward, (3, 2, 1, 4), (rng.uniform(0.5, 2, 2),), ("standard deviation is missing",)),
]  # fmt: skip


# ---------------------------------------------------------------- weights that are made of others


def of_weight(name, change, make, *words, shape=(4, 3)):
    """Y = x make(v); the gradient of v is made from that of make(v)."""

    def forward(x, v):
        return x @ make(v), (x, v)

    def backward(dy, cache):
        x, v = cache
        return dy @ make(v).T, change(x.T @ dy, v)

    return Mistake(
        f"weight: {name}",
        forward,
        backward,
        (N, shape[0]),
        (rng.standard_normal(shape) + 1,),
        words,
    )


def unit(v):
    return v / np.sqrt((v * v).sum(0))


def standard(v):
    return (v - v.mean(0)) / v.std(0)


def scaled(name, f, backward, a, *words):
    return Mistake(
        f"scale: {name}", lambda x, a: (f(x, a), (x, a)), backward, (N, D), (np.array(a),), words
    )


LOG = (-0.5, 0.4, 0.9)
MADE = [
    of_weight("norm of each output", lambda d, v: d / np.sqrt((v * v).sum(0)), unit, "proportional to v, with one factor for .* axis 1"),
    of_weight("norm of all", lambda d, v: d / np.sqrt((v * v).sum()), lambda v: v / np.sqrt((v * v).sum()), "v itself, as of a weight decay or a norm|proportional to v"),
    of_weight("spread of each output", lambda d, v: (d - d.mean(0)) / v.std(0), standard, "proportional to v, measured from its mean"),
    of_weight("clipped, with the gradient of all", lambda d, v: d, lambda v: np.clip(v, -1, 1), r"just where \|v\| >"),
    scaled("exp forgotten", lambda x, a: x * np.exp(a), lambda d, c: (d * np.exp(c[1]), (d * c[0]).sum(0)), LOG, r"exp\(a\) is missing"),
    scaled("one exp forgotten", lambda x, a: x * np.exp(a), lambda d, c: (d * np.exp(c[1]), np.array((d * c[0]).sum())), 0.7, r"exp\(a\) is missing"),
    scaled("a temperature", lambda x, a: x / a, lambda d, c: (d / c[1], np.array(-(d * c[0]).sum() / c[1])), 1.7, "a is there once too often"),
    elementwise("log softmax: sum forgotten", lambda x: np.log(softmax(x)), lambda d, c: d - np.exp(c[1]) * d, "the term -p Σ dy.* is missing"),
]  # fmt: skip


# ---------------------------------------------------------------- several steps in one layer

HIDDEN = rng.standard_normal((D, 6)), rng.standard_normal(6), rng.standard_normal((6, 2))


def net(x, v, c, w):
    z = x @ v + c
    h = np.tanh(z)
    return h @ w, (x, v, w, z, h)


def of_net(name, slope, *words, kept=4):
    """A net whose backward has another slope of tanh, or another input of the upper weights."""

    def backward(d, c):
        x, v, w, z, h = c
        dz = d @ w.T * slope(z, h)
        return dz @ v.T, x.T @ dz, dz.sum(0), c[kept].T @ d

    return Mistake(f"net: {name}", net, backward, (N, D), HIDDEN, words)


def rectified(x, w, b):
    z = x @ w + b
    return np.maximum(z, 0), (x, w, z)


def bilinear(x, w):
    return ((x @ w) * x).sum(1, keepdims=True), (x, w)


def carry(x, v, w):
    h, t = np.tanh(x @ v), sigmoid(x @ w)
    return t * h + (1 - t) * x, (x, v, w, h, t)


def carry_backward(d, c):
    """The term -x is lost in the gradient of the gate."""
    x, v, w, h, t = c
    dh, dt = d * t * (1 - h**2), d * h * t * (1 - t)
    return dh @ v.T + dt @ w.T + d * (1 - t), x.T @ dh, x.T @ dt


def swish(x):
    return x * sigmoid(x), (x, sigmoid(x))


STEPWISE = [
    of_net("slope of tanh forgotten", lambda z, h: 1, "it is .dy wᵀ. vᵀ, but must be .*tanh'"),
    of_net("slope at z", lambda z, h: 1 - z**2, r"it is .*\(1 - cache\[3\]²\).*, but must be .*tanh'"),
    of_net("z for h", lambda z, h: 1 - h**2, r"it is cache\[3\]ᵀ dy, but must be cache\[4\]ᵀ dy", kept=3),
    Mistake("net: mask forgotten in dw", rectified, lambda d, c: (d * (c[2] > 0) @ c[1].T, c[0].T @ d, (d * (c[2] > 0)).sum(0)), (N, D), (W, B), (r"the factor \(y > 0\) is missing",)),
    Mistake("net: mask forgotten in dx", rectified, lambda d, c: (d @ c[1].T, c[0].T @ (d * (c[2] > 0)), (d * (c[2] > 0)).sum(0)), (N, D), (W, B), (r"it is dy wᵀ, but must be \[dy \(y > 0\)\] wᵀ",)),
    Mistake("bilinear: one of two terms", bilinear, lambda d, c: (d * (c[0] @ c[1]), c[0].T @ (d * c[0])), (N, D), (SQUARE,), (r"it is dy \(x w\), but must be dy \(x w\) \+ dy \(x wᵀ\)",)),
    Mistake("gate: a term lost", carry, carry_backward, (N, D), (SQUARE, SQUARE[::-1].copy()), (r"but must be xᵀ \[dy \(cache\[3\] - x\)",)),
    Mistake("swish: product rule", swish, lambda d, c: d * c[1], (N, D), (), (r"it is dy sigmoid\(x\), but must be dy sigmoid\(x\) \+ dy sigmoid'\(x\) x",)),
    Mistake("bias: all entries summed", affine, lambda d, c: (d @ c[1].T, c[0].T @ d, np.full(M, d.sum())), (N, D), (W, B), ("the sum of all entries of dy, but must be the sum over samples of dy",)),
    Mistake("max pool: mask forgotten", lambda x: (x.reshape(2, 2, 2, 3, 2, 2).max((2, 4)), x), lambda d, x: d.repeat(2, 1).repeat(2, 2), (2, 4, 6, 2), (), ("entries must be 0.*mask",)),
    Mistake("reflecting border: only cut off", lambda x: (np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"), None), lambda d, c: d[:, 1:-1, 1:-1].copy(), (2, 4, 5, 2), (), ("the outermost 2 rows and columns",)),
]  # fmt: skip


# ---------------------------------------------------------------- losses

TARGET, TRUE = rng.standard_normal((N, D)), np.array([0.0, 1.0, 1.0, 0.0, 1.0])[:, None]
LABELS = np.array([0, 2, 1, 1, 0])


def binary(x):
    return np.mean(np.logaddexp(0, x) - TRUE * x), (x, TRUE)


def squared(x):
    return np.mean((x - TARGET) ** 2), (x, TARGET)


def crossed(x):
    p = softmax(x)
    return -np.mean(np.log(p[np.arange(N), LABELS])), (p, LABELS)


LOSSES = [
    Mistake("loss: sigmoid forgotten", binary, lambda d, c: d * (c[0] - c[1]) / N, (N, 1), (), (r"it is .* dy \(x - cache\[1\]\), but must be .*sigmoid\(x\)",)),
    Mistake("loss: slope of the sigmoid too", binary, lambda d, c: d * (sigmoid(c[0]) - c[1]) * sigmoid(c[0]) * (1 - sigmoid(c[0])) / N, (N, 1), (), (r"the factor sigmoid'\(x\) is there, but mustn't be",)),
    Mistake("loss: target forgotten", squared, lambda d, c: d * 2 * c[0] / c[0].size, (N, D), (), (r"times dy x, but must be .*dy \(x - cache\[1\]\)",)),
    Mistake("loss: a mean over samples alone", squared, lambda d, c: d * 2 * (c[0] - c[1]) / N, (N, D), (), ("factor 3, the last axis of x",)),
    Mistake("loss: labels forgotten", crossed, lambda d, c: d * c[0] / N, (N, D), (), (r"but must be .*1 at cache\[1\], else 0",)),
    Mistake("loss: dy forgotten", crossed, lambda d, c: (c[0] - np.eye(D)[c[1]]) / N, (N, D), (), ("dy is forgotten",)),
]  # fmt: skip


# ---------------------------------------------------------------- more slips in norms and softmax


def loose(x, g):
    """A batch norm with a large eps."""
    v = x.var(0)
    return g * (x - x.mean(0)) / np.sqrt(v + 0.1), (x, g, v, (x - x.mean(0)) / np.sqrt(v + 0.1))


def of_loose(name, spread, *words):
    def backward(d, c):
        _, g, v, h = c
        q, s = g * d, spread(v)
        return (q - q.mean(0) - h * (q * h).mean(0)) / s, (d * h).sum(0)

    return Mistake(f"norm: {name}", loose, backward, (N, D), (G,), words)


def over_batch(q):
    return q.mean(0, keepdims=True)


SLIPS = [
    of_loose("eps left out", np.sqrt, "eps is left out in backward"),
    of_loose("eps after the root", lambda v: np.sqrt(v) + 0.1, "eps is added to the root"),
    of_norm("layer: means over the batch", lambda q, h, s, mean, g: (q - over_batch(q) - h * over_batch(q * h)) / s, "instead there is what they are with means over axis 0", axis=1),
    of_norm("layer: gamma after the means", lambda q, h, s, mean, g: g * (q / g - mean(q / g) - h * mean(q / g * h)) / s, "with the learnt scale after the means", axis=1),
    of_softmax("another axis", lambda d, c: c[1] * (d - (d * c[1]).sum(0)), "along axis 0 in the place of axis 1"),
    of_softmax("y forgotten in the sum", lambda d, c: c[1] * (d - d.sum(-1, keepdims=True)), "without y in the sum"),
    of_softmax("y forgotten before it", lambda d, c: d - (d * c[1]).sum(-1, keepdims=True), "without y before it"),
]  # fmt: skip


# ---------------------------------------------------------------- strides and windows


def strided(x, w):
    n, height, width, _ = x.shape
    y = np.zeros((n, height // 2, width // 2, w.shape[3]))
    for i, j in np.ndindex(2, 2):
        y += x[:, i : i + 2 * y.shape[1] : 2, j : j + 2 * y.shape[2] : 2] @ w[i, j]
    return y, (x, w)


def strided_backward(dy, cache, *, step_x=2, step_w=2, add=True):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    h, v = dy.shape[1:3]
    for i, j in np.ndindex(h, v):
        here, there = (np.s_[:, s * i : s * i + 2, s * j : s * j + 2] for s in (step_x, step_w))
        dx[here] = np.tensordot(dy[:, i, j], w, (1, 3)) + add * dx[here]
        dw += np.tensordot(x[there], dy[:, i, j], (0, 0))
    return dx, dw


def of_stride(name, slip, *words):
    return Mistake(
        f"stride: {name}", strided, lambda d, c: strided_backward(d, c, **slip),
        (3, 4, 6, 2), (rng.standard_normal((2, 2, 2, 3)),), words,
    )  # fmt: skip


def lstm(x, w, b):
    a = x @ w + b
    i, o, g = sigmoid(a[:, :2]), sigmoid(a[:, 2:4]), np.tanh(a[:, 4:])
    return o * np.tanh(i * g), (x, w, i, o, g, i * g)


def lstm_backward(d, cache):
    """The slope of the last tanh is forgotten."""
    x, w, i, o, g, c = cache
    do, dc = d * np.tanh(c) * o * (1 - o), d * o
    da = np.hstack([dc * g * i * (1 - i), do, dc * i * (1 - g**2)])
    return da @ w.T, x.T @ da, da.sum(0)


STRIDES = [
    of_stride("of one in dw", {"step_w": 1}, "a stride of 1 in the place of 2"),
    of_stride("of one in dx", {"step_x": 1}, "a stride of 1 in the place of 2"),
    Mistake("gates: slope of the last tanh", lstm, lstm_backward, (N, D), (rng.standard_normal((D, 6)), rng.standard_normal(6)), (r"tanh'\(cache\[5\]\) is missing in columns 0 to 1",)),
]  # fmt: skip

# ---------------------------------------------------------------- learnt scales


def gain(x, a):
    return a * np.tanh(x), (x, a)


def modulated(x, g):
    return x * (1 + g), (x, g)


def root_norm(x, g):
    r = np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    return g * x / r, (x, g, r)


def root_norm_backward(d, c):
    x, g, r = c
    q = d * g
    return q / r - x * (q * x).mean(-1, keepdims=True) / r**3, (d * x).sum(0)


def grouped(x):
    parts = x.reshape(len(x), 2, -1)
    s = np.sqrt(parts.var(2, keepdims=True) + 1e-5)
    h = (parts - parts.mean(2, keepdims=True)) / s
    return h.reshape(x.shape), (h, s)


def grouped_backward(dy, c):
    h, s = c
    d = dy.reshape(h.shape)
    mean, through = (t.mean((0, 2), keepdims=True) for t in (d, d * h))
    return ((d - mean - h * through) / s).reshape(dy.shape)


def mish(x):
    t = np.tanh(np.logaddexp(0, x))
    return x * t, (x, t)


def deep(x, u, v, w):
    p = x @ u
    q = np.maximum(p, 0) @ v
    return np.maximum(q, 0) @ w, (x, u, v, w, p, q)


def deep_backward(d, c):
    """The mask of the lowest layer is forgotten."""
    x, u, v, w, p, q = c
    dq = d @ w.T * (q > 0)
    dp = dq @ v.T
    return dp @ u.T, x.T @ dp, np.maximum(p, 0).T @ dq, np.maximum(q, 0).T @ d


SCALES = [
    Mistake("net: lowest mask forgotten", deep, deep_backward, (6, D), (W, rng.standard_normal((M, 5)), HIDDEN[2][:5]), (r"the factor \(cache\[4\] > 0\) is missing",)),
    elementwise("log softmax: y for p", lambda x: np.log(softmax(x)), lambda d, c: d - c[1] * d.sum(-1, keepdims=True), "with y where p is meant"),
    Mistake("scale: one for all, x for y", gain, lambda d, c: (d * c[1] * (1 - np.tanh(c[0]) ** 2), np.array((d * c[0]).sum())), (N, D), (np.array(1.3),), (r"in the sum over all entries, it is dy x, but must be dy tanh\(x\)",)),
    Mistake("scale: 1 + g", modulated, lambda d, c: (d * c[1], (d * c[0]).sum(0)), (N, D), (np.array([0.4, -0.3, 0.7]),), (r"g stands where 1 \+ g is meant",)),
    Mistake("rms: gain with x", root_norm, root_norm_backward, (N, D), (G,), (r"factor / cache\[2\] is missing",)),
    Mistake("group norm: means over samples", grouped, grouped_backward, (3, 4, 3, 2), (), ("with means over the samples as well",)),
    Mistake("mish: slope of the softplus", mish, lambda d, c: d * (c[1] + c[0] * (1 - c[1] ** 2)), (N, D), (), ("but must be .*sigmoid",)),
]  # fmt: skip

PLANTED = [*LINEAR, *ACTIVATIONS, *SOFTMAX, *NORMS, *CONVOLUTIONS, *OTHERS]
PLANTED += [*SEQUENCES, *MISPLACED, *CHANNELS_FIRST, *MADE]
PLANTED += [*STEPWISE, *LOSSES, *SLIPS, *STRIDES, *SCALES]
