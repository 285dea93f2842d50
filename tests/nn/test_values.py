"""What layers compute, by hand or spelt out in loops; what they cost, what they're called, what they
refuse, and their defaults.
"""

import inspect

import numpy
import pytest
from defaults import defaults

from minigan import nn
from minigan.nn import augmentation, initial


def rng(seed=0):
    return numpy.random.default_rng(seed)


def column(*numbers):
    return numpy.array(numbers, "float32")[:, None]


def of(layer, x):
    return layer.forward(numpy.asarray(x, "float32"))[0].tolist()


# ---------------------------------------------------------------- linear maps


def test_a_linear_layer_by_hand():
    layer = nn.Linear(2, 3)
    layer.weight.value, layer.bias.value = numpy.array([[1, 2, 3], [4, 5, 6]]), [10, 20, 30]
    x = numpy.array([[1, 1], [0, 2]], "float32")
    assert of(layer, x) == [[15, 27, 39], [18, 30, 42]]
    y, cache = layer.forward(x, bias=False)
    assert y.tolist() == [[5, 7, 9], [8, 10, 12]]
    dx = layer.backward(numpy.array([[1, 0, 1], [0, 1, 0]], "float32"), cache)
    assert dx.tolist() == [[4, 10], [2, 5]]
    assert layer.weight.grad.tolist() == [[1, 0, 1], [1, 2, 1]]
    assert layer.bias.grad.tolist() == [1, 1, 1]


def convolved(x, weight, bias, stride, padding):
    """The definition, entry by entry."""
    (kh, kw, _, c_out), (sh, sw), (ph, pw) = weight.shape, stride, padding
    x = numpy.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    n, height, width, _ = x.shape
    y = numpy.empty((n, (height - kh) // sh + 1, (width - kw) // sw + 1, c_out))
    for at, i, j, o in numpy.ndindex(y.shape):
        patch = x[at, i * sh : i * sh + kh, j * sw : j * sw + kw]
        y[at, i, j, o] = (patch * weight[..., o]).sum() + bias[o]
    return y


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (1, 1), (1, 1)), ((4, 4), (2, 2), (1, 1)), ((2, 3), (2, 1), (0, 2)), ((5, 1), (1, 3), (2, 0))],
)  # fmt: skip
def test_a_convolution_spelt_out(kernel, stride, padding):
    layer = nn.Conv2d(2, 3, kernel_size=kernel, stride=stride, padding=padding, rng=rng()).astype(
        "float64"
    )
    x = rng(1).standard_normal((2, 6, 7, 2))
    y, _ = layer.forward(x)
    numpy.testing.assert_allclose(
        y, convolved(x, layer.weight.value, layer.bias.value, stride, padding), rtol=1e-12
    )
    plain, _ = layer.forward(x, bias=False)
    numpy.testing.assert_allclose(plain, y - layer.bias.value, rtol=0, atol=1e-12)
    assert layer.output_shape(x.shape) == y.shape
    assert layer.multiply_adds(x.shape) == y.size * kernel[0] * kernel[1] * 2


def test_a_transposed_convolution_adds_its_bias_to_every_pixel():
    layer = nn.ConvTranspose2d(
        2, 3, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), rng=rng()
    ).astype("float64")
    x = rng(1).standard_normal((2, 4, 5, 2))
    with_bias, _ = layer.forward(x)
    without, _ = layer.forward(x, bias=False)
    numpy.testing.assert_allclose(with_bias, without + layer.bias.value, rtol=0, atol=1e-12)
    assert layer.output_shape(x.shape) == with_bias.shape == (2, 8, 6, 3)
    assert layer.multiply_adds(x.shape) == x.size * 3 * 2 * 3


def test_labels_choose_rows():
    layer = nn.Embedding(3, 2)
    layer.weight.value = numpy.array([[1, 2], [3, 4], [5, 6]])
    y, cache = layer.forward(numpy.array([2, 0, 2]))
    assert y.tolist() == [[5, 6], [1, 2], [5, 6]]
    layer.backward(numpy.array([[1, 2], [3, 4], [5, 6]], "float32"), cache)
    layer.backward(numpy.array([[1, 2], [3, 4], [5, 6]], "float32"), cache, param_grads=False)
    assert layer.weight.grad.tolist() == [[3, 4], [0, 0], [6, 8]]


# ---------------------------------------------------------------- normalisation


@pytest.mark.parametrize(
    ("layer", "x", "grads"),
    [
        (nn.LayerNorm(2, eps=3.0), [[1, 3], [5, 3]], [[2, 0], [6, 6]]),
        (nn.BatchNorm(1, eps=3.0), [[1], [3]], [[1], [4]]),
        (nn.InstanceNorm(1, eps=3.0, affine=True), [[[[1], [3]]], [[[5], [3]]]], [[2], [12]]),
        (nn.GroupNorm(1, 1, eps=3.0), [[[[1], [3]]], [[[5], [3]]]], [[2], [12]]),
    ],
    ids=repr,
)
def test_normalisation_by_hand(layer, x, grads):
    """A variance of 1 and ε = 3 make s = 2; with dy = x, dγ = Σ x x̂ and dβ = Σ x."""
    layer.gamma.value[...], layer.beta.value[...] = 4, 10
    first = numpy.ravel(of(layer, x))
    assert first[:2].tolist() == [8, 12]
    assert first[2:].tolist() == ([12, 8] if len(first) > 2 else [])
    dy = numpy.array(x, "float32")
    layer.zero_grad()
    layer.backward(dy, layer.forward(dy)[1])
    assert [layer.gamma.grad.tolist(), layer.beta.grad.tolist()] == grads


def test_a_channel_of_an_image_has_its_own_mean_and_variance():
    x = numpy.array([[[[1, 50], [3, 10]]]])
    y = nn.InstanceNorm(2, eps=3.0).forward(x.astype("float64"))[0]
    numpy.testing.assert_allclose(y[0, 0], [[-0.5, 20 / 403**0.5], [0.5, -20 / 403**0.5]])


@pytest.mark.parametrize("eps", [1e-8, 9.0])
def test_minibatch_standard_deviations_by_hand(eps):
    """Groups of two take every second sample: deviations 1 and 3 in the first, 4 and 0 beside."""
    x = numpy.array([[1, 0], [0, 5], [3, 6], [8, 5]], "float64")
    y, _ = nn.MinibatchStdDev(2, eps=eps).forward(x)
    roots = [(d * d + eps) ** 0.5 for d in (1, 3, 4, 0)]
    first, second = sum(roots[:2]) / 2, sum(roots[2:]) / 2
    numpy.testing.assert_allclose(y, numpy.c_[x, [first, second, first, second]])
    image = x.reshape(4, 1, 2, 1)
    of_image, _ = nn.MinibatchStdDev(2, eps=eps).forward(image)
    numpy.testing.assert_allclose(of_image[..., 1].reshape(4, 2), numpy.c_[y[:, 2], y[:, 2]])
    numpy.testing.assert_array_equal(of_image[..., :1], image)


def test_a_small_batch_is_one_group():
    y, _ = nn.MinibatchStdDev(4, eps=0.0).forward(numpy.array([[1.0], [5.0]]))
    assert y.tolist() == [[1, 2], [5, 2]]


# ---------------------------------------------------------------- entry by entry


@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        (nn.LeakyReLU(0.25), [-0.5, 0, 3], [0.25, 0.25, 1]),
        (nn.ReLU(), [0, 0, 3], [0, 0, 1]),
        (nn.Tanh(), numpy.tanh([-2, 0, 3]), 1 - numpy.tanh([-2, 0, 3]) ** 2),
        (
            nn.Sigmoid(),
            1 / (1 + numpy.exp([2, 0, -3])),
            numpy.exp([-2, 0, -3]) / (1 + numpy.exp([-2, 0, -3])) ** 2,
        ),
    ],
    ids=repr,
)
def test_activations_by_hand(layer, y, dx):
    x = numpy.array([[-2.0, 0.0, 3.0]])
    found, cache = layer.forward(x)
    numpy.testing.assert_allclose(found, [y], rtol=1e-12)
    numpy.testing.assert_allclose(layer.backward(numpy.ones((1, 3)), cache), [dx], rtol=1e-12)
    numpy.testing.assert_allclose(layer.backward(numpy.full((1, 3), 2.0), cache), [2 * numpy.array(dx)], rtol=1e-12)  # fmt: skip


def test_dropout_without_a_chance_copies():
    x = numpy.ones((2, 3))
    for layer, train in ((nn.Dropout(0.0), True), (nn.Dropout(0.9), False)):
        y, cache = layer.forward(x, train=train)
        numpy.testing.assert_array_equal(y, x)
        assert y is not x
        numpy.testing.assert_array_equal(layer.backward(y, cache), y)


def test_instance_noise_is_what_the_generator_draws():
    x = numpy.ones((2, 3), "float32")
    y, _ = nn.InstanceNoise(0.5, rng=rng(3)).forward(x)
    numpy.testing.assert_allclose(y, x + 0.5 * rng(3).standard_normal((2, 3), dtype="float32"))
    y, _ = nn.InstanceNoise(0.0).forward(x)
    numpy.testing.assert_array_equal(y, x)


# ---------------------------------------------------------------- rearranging


def test_rearrangements_by_hand():
    x = numpy.arange(8).reshape(1, 2, 2, 2)
    assert of(nn.Flatten(), x) == [list(range(8))]
    assert of(nn.Reshape(4, 2), x) == [[[0, 1], [2, 3], [4, 5], [6, 7]]]
    small = numpy.array([[1, 2], [3, 4]])[None, :, :, None]
    y = numpy.array(of(nn.Upsample((2, 3)), small))[0, :, :, 0]
    assert y.tolist() == [[1, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2
    layer = nn.Upsample(2)
    _, cache = layer.forward(small.astype("float32"))
    dx = layer.backward(numpy.arange(16, dtype="float32").reshape(1, 4, 4, 1), cache)
    assert dx[0, :, :, 0].tolist() == [[10, 18], [42, 50]]


def test_packs_by_hand():
    """Two packs of two images of one pixel, and back."""
    x = numpy.arange(8, dtype="float32").reshape(4, 1, 1, 2)
    layer = nn.Pack(2)
    y, cache = layer.forward(x)
    assert y.tolist() == [[[[0, 1, 2, 3]]], [[[4, 5, 6, 7]]]]
    numpy.testing.assert_array_equal(layer.backward(y, cache), x)
    y, cache = layer.forward(x, train=False)
    assert y[1].tolist() == [[[2, 3, 2, 3]]]
    numpy.testing.assert_array_equal(layer.backward(y, cache), 2 * x)
    assert [layer.output_shape((n, 5, 2)) for n in (1, 2, 5)] == [(1, 5, 4), (1, 5, 4), (2, 5, 4)]


# ---------------------------------------------------------------- augmentation

PICTURE = numpy.array([[1.0, 3.0], [5.0, 7.0]]).reshape(1, 2, 1, 2)
CHANGES = augmentation.CHANGES


def test_changes_of_a_picture_by_hand():
    drawn = numpy.full((1, 1, 1, 1), 0.5)
    for name, expected in (
        ("brightness", [1.5, 3.5, 5.5, 7.5]),
        ("saturation", [1.5, 2.5, 5.5, 6.5]),
        ("contrast", [2.5, 3.5, 4.5, 5.5]),
    ):
        assert CHANGES[name].apply(PICTURE, drawn).ravel().tolist() == expected
    image = numpy.arange(1, 13, dtype="float64").reshape(1, 3, 4, 1)
    moved = CHANGES["translation"].apply(image, (numpy.array([1]), numpy.array([-2])))
    assert moved[0, :, :, 0].tolist() == [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0]]


def test_changes_are_drawn_from_the_ranges_of_the_paper():
    x = numpy.zeros((500, 20, 12, 1))
    for name, low, high in (
        ("brightness", -0.5, 0.5),
        ("saturation", 0, 2),
        ("contrast", 0.5, 1.5),
    ):
        drawn = CHANGES[name].draw(x, rng())
        numpy.testing.assert_array_equal(drawn, rng().uniform(low, high, (500, 1, 1, 1)))
    a, b = CHANGES["translation"].draw(x, rng())
    assert sorted(set(a)) == [-2, -1, 0, 1, 2]  # round(20 / 8)
    assert sorted(set(b)) == [-2, -1, 0, 1, 2]  # round(12 / 8)
    assert len(a) == len(b) == 500


class Scripted:
    """A generator that gives the centres of rectangles, and keeps what it was asked for."""

    def __init__(self, *centres):
        self.centres, self.asked = list(centres), []

    def integers(self, low, high, n):
        self.asked.append((low, high, n))
        return numpy.array(self.centres.pop(0))


@pytest.mark.parametrize(
    ("size", "centres", "rows", "columns"),
    [
        ((8, 12), (4, 6), (2, 6), (3, 9)),
        ((8, 12), (0, 12), (0, 2), (9, 12)),
        ((6, 5), (0, 0), (0, 2), (0, 1)),
        ((6, 5), (5, 5), (4, 6), (4, 5)),
    ],
)
def test_holes_by_hand(size, centres, rows, columns):
    """Half of height and width, from a quarter before the centre; cut off at the edges."""
    given = Scripted([centres[0]], [centres[1]])
    expected = numpy.ones(size)
    expected[slice(*rows), slice(*columns)] = 0
    numpy.testing.assert_array_equal(augmentation._holes(1, *size, given)[0, :, :, 0], expected)
    assert given.asked == [(0, s + (s // 2 % 2 == 0), 1) for s in size]


# ---------------------------------------------------------------- initial weights


def test_initial_bounds_by_hand():
    drawn = initial.fan_in_uniform((500, 2), 4, rng())
    numpy.testing.assert_allclose(drawn, rng().uniform(-0.5, 0.5, (500, 2)), rtol=1e-6)
    assert abs(initial.fan_in_uniform((500,), 0.25, rng())).max() == pytest.approx(1, abs=0.01)
    assert [nn.Linear(4, 2).weight.fan_in, nn.Conv2d(3, 2, kernel_size=(2, 5)).weight.fan_in] == [4, 30]  # fmt: skip
    assert nn.ConvTranspose2d(3, 2, kernel_size=4, stride=(2, 4)).weight.fan_in == 6


# ---------------------------------------------------------------- what they say of themselves

EVERY = {
    nn.Linear(3, 2): "Linear(3, 2)",
    nn.Conv2d(1, 2, kernel_size=(3, 4), stride=2, padding=(0, 1)): (
        "Conv2d(1, 2, kernel_size=(3, 4), stride=2, padding=(0, 1))"
    ),
    nn.ConvTranspose2d(1, 2, kernel_size=3): (
        "ConvTranspose2d(1, 2, kernel_size=3, stride=1, padding=0)"
    ),
    nn.ConvTranspose2d(1, 2, kernel_size=3, stride=2, output_padding=(0, 1)): (
        "ConvTranspose2d(1, 2, kernel_size=3, stride=2, padding=0, output_padding=(0, 1))"
    ),
    nn.BatchNorm(3): "BatchNorm(3)",
    nn.LayerNorm(4, 3): "LayerNorm(4, 3)",
    nn.InstanceNorm(3): "InstanceNorm(3)",
    nn.LeakyReLU(0.3): "LeakyReLU(0.3)",
    nn.ReLU(): "ReLU()",
    nn.Tanh(): "Tanh()",
    nn.Sigmoid(): "Sigmoid()",
    nn.Dropout(0.3): "Dropout(0.3)",
    nn.Embedding(5, 3): "Embedding(5, 3)",
    nn.Flatten(): "Flatten()",
    nn.Reshape(3, 2): "Reshape(3, 2)",
    nn.Upsample(2): "Upsample((2, 2))",
    nn.Pack(3): "Pack(3)",
    nn.InstanceNoise(0.3): "InstanceNoise(0.3)",
    nn.Augment("cutout", "contrast"): "Augment('cutout', 'contrast')",
    nn.MinibatchStdDev(2): "MinibatchStdDev(2)",
    nn.Residual(nn.Tanh()): "Residual(Tanh())",
    nn.Skip(nn.Tanh(), nn.ReLU()): "Skip(Sequential(Tanh(), ReLU()))",
}


@pytest.mark.parametrize(("layer", "name"), EVERY.items(), ids=EVERY.values())
def test_a_layer_is_shown_as_it_is_written(layer, name):
    assert repr(layer) == name


def test_what_costs_nothing_counts_nothing():
    assert nn.Linear(3, 2).multiply_adds((5, 3)) == 30
    for layer, shape in ((nn.Tanh(), (4, 3)), (nn.BatchNorm(3), (4, 3)), (nn.Flatten(), (4, 3))):
        assert layer.multiply_adds(shape) == 0


def test_attention_counts_its_four_matrices_and_its_two_products():
    # Per pixel 16 -> 2, 2, 8 and back, and for each of the 6 pixels looked at 2 + 8.
    per_pixel = 16 * (2 + 2 + 8 + 8) + 6 * (2 + 8)
    assert nn.SelfAttention(16).multiply_adds((3, 4, 6, 16)) == 3 * 24 * per_pixel


DEFAULTS = {
    nn.Linear: {"bias": True, "rng": None},
    nn.Conv2d: {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "padding_mode": "zeros",
        "bias": True,
        "rng": None,
    },
    nn.ConvTranspose2d: {
        "stride": 1,
        "padding": 0,
        "output_padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": True,
        "rng": None,
    },
    nn.BatchNorm: {"eps": 1e-5, "momentum": 0.1},
    nn.LayerNorm: {"eps": 1e-5},
    nn.InstanceNorm: {"eps": 1e-5, "affine": False},
    nn.LeakyReLU: {"slope": 0.2},
    nn.Dropout: {"p": 0.5, "rng": None, "always": False},
    nn.Embedding: {"rng": None},
    nn.Upsample: {"factor": 2},
    nn.Pack: {"m": 2},
    nn.InstanceNoise: {"std": 0.1, "rng": None},
    nn.Augment: {"rng": None},
    nn.MinibatchStdDev: {"group_size": 4, "eps": 1e-8},
    nn.initial.normal: {"std": 0.02, "norm_mean": 1.0},
    nn.initial.kaiming_normal: {"slope": 0.2},
}


@pytest.mark.parametrize("what", DEFAULTS, ids=lambda what: what.__name__)
def test_defaults(what):
    assert defaults(what) == DEFAULTS[what]


LAYERS = [
    layer
    for name in nn.__all__
    if inspect.isclass(layer := getattr(nn, name)) and issubclass(layer, nn.Layer)
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_a_layer_trains_and_computes_every_gradient_unless_it_is_told_otherwise(layer):
    assert defaults(layer.forward).pop("train") is True
    both = {"param_grads": True, "input_grad": True}
    assert defaults(layer.backward) == both
    assert defaults(layer.double_backward) == both
    assert set(defaults(layer.forward)) <= {"train", "bias"}
    assert defaults(layer.forward).get("bias", True) is True


# ---------------------------------------------------------------- what they take and refuse

SHAPES = [
    (nn.Linear(3, 2), [(4, 3)], [(3,), (4, 2), (4, 3, 1), (4, 3, 3)]),
    (nn.Conv2d(3, 2, kernel_size=2), [(4, 2, 2, 3), (1, 5, 2, 3)], [(4, 3), (4, 2, 3), (4, 2, 2, 2), (4, 1, 2, 3), (4, 2, 1, 3), (4, 2, 2, 2, 3)]),
    (nn.ConvTranspose2d(3, 2, kernel_size=3, padding=1), [(4, 1, 1, 3)], [(4, 3), (4, 1, 3), (4, 1, 1, 2), (4, 0, 1, 3), (4, 1, 0, 3)]),
    (nn.ConvTranspose2d(3, 2, kernel_size=1, padding=1), [(4, 3, 3, 3)], [(4, 2, 3, 3), (4, 3, 2, 3)]),
    (nn.BatchNorm(3), [(4, 3), (4, 5, 3), (4, 1, 2, 3)], [(3,), (4, 2), (4, 3, 3, 2), (4, 3, 2), (4, 1, 2, 1, 3)]),
    (nn.LayerNorm(2, 3), [(4, 2, 3), (4, 5, 2, 3)], [(2, 3), (4, 3, 2), (4, 3), (4, 2, 3, 1)]),
    (nn.InstanceNorm(3), [(4, 1, 2, 3), (4, 2, 1, 3)], [(4, 3), (4, 1, 1, 3), (4, 2, 2, 2), (4, 2, 3), (4, 2, 2, 3, 3)]),
    (nn.Upsample(2), [(4, 1, 2, 3)], [(4, 3), (4, 2, 3), (4, 1, 1, 2, 3)]),
    (nn.Augment("contrast"), [(4, 1, 2, 3)], [(4, 3), (4, 2, 3), (4, 1, 1, 2, 3)]),
    (nn.MinibatchStdDev(2), [(4, 3), (4, 1, 1, 3), (1, 3), (2, 3)], [(4,), (4, 2, 3), (0, 3), (3, 3), (5, 3), (4, 1, 1, 1, 3)]),
    (nn.Pack(2), [(4, 3), (4, 1, 2, 3)], [(4,), ()]),
    (nn.Flatten(), [(4, 3), (4, 1, 2, 3)], [(4,), ()]),
    (nn.Reshape(6), [(4, 6), (4, 2, 3)], [(4, 5), (4, 3), (6,)]),
    (nn.Embedding(5, 2), [(4,)], [(4, 1), ()]),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "good", "bad"), SHAPES, ids=lambda x: repr(x) if isinstance(x, nn.Layer) else "")  # fmt: skip
def test_shapes_that_fit_and_shapes_that_do_not(layer, good, bad):
    for shape in good:
        layer.output_shape(shape)
    for shape in bad:
        with pytest.raises(ValueError, match=r"got an input of shape|got a batch of"):
            layer.output_shape(shape)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (lambda: nn.LeakyReLU(0), lambda: nn.LeakyReLU(-0.1)),
        (lambda: nn.Dropout(0), lambda: nn.Dropout(1)),
        (lambda: nn.Pack(1), lambda: nn.Pack(0)),
        (lambda: nn.MinibatchStdDev(1), lambda: nn.MinibatchStdDev(0)),
        (lambda: nn.InstanceNoise(0), lambda: nn.InstanceNoise(-0.1)),
        (lambda: nn.InstanceNoise(0), lambda: nn.InstanceNoise(float("nan"))),
        (lambda: nn.Reshape(1), lambda: nn.Reshape(0)),
        (lambda: nn.Reshape(2, 1), lambda: nn.Reshape(2, 0)),
        (lambda: nn.Upsample(1), lambda: nn.Upsample(0)),
        (lambda: nn.Upsample((1, 2)), lambda: nn.Upsample((2, 0))),
        (lambda: nn.Conv2d(1, 1, kernel_size=1, stride=1, padding=0), lambda: nn.Conv2d(1, 1, kernel_size=0)),
        (lambda: nn.ConvTranspose2d(1, 1, kernel_size=1, stride=2, output_padding=1), lambda: nn.ConvTranspose2d(1, 1, kernel_size=1, stride=2, output_padding=2)),
        (lambda: nn.ConvTranspose2d(1, 1, kernel_size=1, stride=(2, 3), output_padding=(1, 2)), lambda: nn.ConvTranspose2d(1, 1, kernel_size=1, stride=(2, 3), output_padding=(2, 1))),
    ],
)  # fmt: skip
def test_the_first_value_out_of_range_is_refused(right, wrong):
    right()
    with pytest.raises(ValueError):
        wrong()


def test_labels_of_the_first_and_last_class_and_no_others():
    layer = nn.Embedding(3, 2)
    layer.forward(numpy.array([0, 2]))
    layer.forward(numpy.array([], int))
    for wrong, words in (
        ([0, 3], "labels from 0 to 3, but needs 0 to 2"),
        ([-1, 2], "from -1 to 2"),
    ):
        with pytest.raises(ValueError, match=words):
            layer.forward(numpy.array(wrong))


# ---------------------------------------------------------------- layers of the field's nets


def test_numbers_along_a_line_are_counted_as_on_a_plane():
    line = nn.Conv1d(4, 6, kernel_size=5, padding=2, groups=2)
    assert line.multiply_adds((3, 8, 4)) == 3 * 8 * 6 * 5 * 2
    assert line.multiply_adds((3, 8, 4)) == nn.Conv2d(
        4, 6, kernel_size=(1, 5), padding=(0, 2), groups=2
    ).multiply_adds((3, 1, 8, 4))


def test_a_transposed_convolution_along_a_line_begins_as_the_plane_s():
    """Each output is met by k in / (groups stride) weights: the bound is one over its root."""
    drawn = nn.ConvTranspose1d(64, 64, kernel_size=4, stride=2, groups=2, rng=rng())
    bound = 1 / numpy.sqrt(4 * 64 / 2 / 2)
    assert 0.95 * bound < numpy.abs(drawn.weight.value).max() <= bound


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_an_image_is_enlarged_by_hand(mode):
    x = numpy.array([[[[1.0], [3.0]]]], "float32")
    y, _ = nn.Resize((1, 4), mode=mode).forward(x)
    expected = {"nearest": [1, 1, 3, 3], "bilinear": [1, 1.5, 2.5, 3]}[mode]
    assert y[0, 0, :, 0].tolist() == expected


def test_one_pixel_is_spread_by_the_binomial_filter():
    x = numpy.zeros((1, 1, 5, 1), "float32")
    x[0, 0, 2] = 1
    row = nn.Interpolate().forward(x)[0][0, 0].reshape(-1)
    assert (row[row > 0] / row.max()).tolist() == pytest.approx([1 / 3, 1, 1, 1 / 3])


def test_noise_of_two_channels_has_two_strengths():
    layer = nn.LearntNoise(2, rng=rng())
    _, cache = layer.forward(numpy.ones((1, 1, 1, 2), "float32"))
    (n,) = cache.saved
    layer.backward(numpy.array([[[[1.0, 3.0]]]], "float32"), cache)
    assert layer.strength.grad.tolist() == pytest.approx([n.item(), 3 * n.item()])


RESAMPLED = [
    nn.Upsample(2), nn.Interpolate(), nn.Interpolate(3, taps=(1, 2, 3, 1)), nn.Downsample(2),
    nn.Blur(), nn.Resize((5, 3)), nn.Resize((3, 9), mode="bilinear"), nn.AveragePool(2),
    nn.PixelUnshuffle(2), nn.PixelShuffle(2),
]  # fmt: skip


@pytest.mark.parametrize("layer", RESAMPLED, ids=repr)
def test_the_way_back_is_the_adjoint(layer):
    """Of a linear map, with ⟨A x, dy⟩ = ⟨x, Aᵀ dy⟩."""
    x = rng(1).standard_normal((2, 4, 6, 4))
    y, cache = layer.forward(x)
    dy = rng(2).standard_normal(y.shape)
    assert (y * dy).sum() == pytest.approx((x * layer.backward(dy, cache)).sum(), rel=1e-12)


def test_defaults_and_names_of_pools():
    assert of(nn.MaxPool(), numpy.arange(4.0).reshape(1, 2, 2, 1)) == [[[[3]]]]
    assert of(nn.AveragePool(), numpy.arange(4.0).reshape(1, 2, 2, 1)) == [[[[1.5]]]]
    assert repr(nn.AveragePool((2, 3), stride=1)) == "AveragePool((2, 3), stride=1, padding=0)"


def test_conditional_batch_norm_takes_vectors_and_images_only():
    layer = nn.ConditionalBatchNorm(3, classes=2)
    assert layer.output_shape((5, 3)) == (5, 3)
    assert layer.output_shape((5, 2, 2, 3)) == (5, 2, 2, 3)
    with pytest.raises(ValueError, match="features come last"):
        layer.output_shape((5, 2, 3))


def test_minibatch_discrimination_by_hand():
    layer = nn.MinibatchDiscrimination(1, rows=1, length=2).astype("float64")
    layer.weight.value = numpy.array([[[1.0, 2]]])
    y = of(layer, numpy.array([[0.0], [1], [3]]))  # 3, 9 and 6 apart
    near, far, middle = numpy.exp([-3.0, -9, -6])
    expected = [[0, near + far], [1, near + middle], [3, far + middle]]
    numpy.testing.assert_allclose(y, expected, rtol=1e-12)


def test_adain_by_hand():
    layer = nn.AdaIN(1, style_features=1, eps=0).astype("float64")
    layer.affine.weight.value = numpy.array([[1.0, 5]])
    y, _ = layer.forward((numpy.array([1.0, 3]).reshape(1, 1, 2, 1), numpy.array([[2.0]])))
    assert y.ravel().tolist() == [7, 13]  # a = 2, b = 10


def test_the_mean_square_has_a_small_eps():
    x = numpy.full((1, 4), 1e-3, "float32")
    assert of(nn.PixelNorm(), x)[0] == pytest.approx([1 / numpy.sqrt(1.01)] * 4, rel=1e-4)
