"""Settings and inputs at the edge of what makes sense: right, or refused in a sentence."""

import warnings

import numpy
import pytest

from minigan import latent, losses, nn


def seeded(seed=0):
    return numpy.random.default_rng(seed)


def single(*shape):
    return numpy.ones(shape, "float32")


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_dropout_keeps_its_share_with_every_generator(kind):
    rng = numpy.random.Generator(getattr(numpy.random, kind)(0))
    y, _ = nn.Dropout(0.25, rng=rng).forward(single(1000, 100))
    assert (y > 0).mean() == pytest.approx(0.75, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_weights_without_a_direction():
    layer = nn.Linear(3, 2, rng=seeded())
    layer.weight.value[:, 1] = 0
    with pytest.raises(ValueError, match=r"weights of output 1 of .* are all 0"):
        nn.WeightNorm(layer)
    layer.weight.value[...] = 1
    norm = nn.WeightNorm(layer)
    layer.weight.value[...] = 0  # as a loaded state may be
    y, cache = norm.forward(single(4, 3))
    norm.backward(numpy.ones_like(y), cache)
    assert all(numpy.isfinite(p.grad).all() for p in norm.parameters().values())
    numpy.testing.assert_array_equal(y, numpy.broadcast_to(layer.bias.value, y.shape))


@pytest.mark.parametrize("wrong", [{"lr_multiplier": 0.0}, {"gain": numpy.nan}])
def test_equalised_needs_numbers_that_scale(wrong):
    with pytest.raises(ValueError, match="finite gain and a positive lr_multiplier"):
        nn.Equalised(nn.Linear(2, 2, rng=seeded()), **wrong)


@pytest.mark.parametrize("labels", [[3, 0], [-1, 0]])
@pytest.mark.parametrize("features", [None, 2])
def test_labels_out_of_range_are_refused_one_hot_or_not(labels, features):
    layer = nn.ConcatenateLabels(3, features=features)
    with pytest.raises(ValueError, match="but needs 0 to 2"):
        layer((single(2, 4), numpy.array(labels)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Equalised(nn.Linear(2, 2, rng=seeded()), gain=numpy.sqrt(2), rng=seeded()),
        lambda: nn.PixelNorm(eps=numpy.float64(1e-8)),
        lambda: nn.InstanceNoise(numpy.float64(0.1), rng=seeded()),
        lambda: nn.BatchNorm(2, eps=numpy.float64(1e-5)),
    ],
)
def test_a_number_of_numpys_doesnt_change_the_precision(build):
    assert build().forward(single(4, 2))[0].dtype == "float32"


def test_a_number_of_numpys_doesnt_change_the_precision_later_or_in_losses():
    noise = nn.InstanceNoise(0.1, rng=seeded())
    noise.std = numpy.linspace(0.1, 0, 5)[1]
    assert noise.forward(single(4, 2))[0].dtype == "float32"
    assert losses.huber(single(2), 0.0, delta=numpy.float64(1))[1].dtype == "float32"
    smooth = losses.cross_entropy(single(1, 2), numpy.array([0]), smoothing=numpy.float64(0.1))
    assert smooth[1].dtype == "float32"


def virtual(reference, seed=0):
    net = nn.Sequential(nn.Linear(3, 2, rng=seeded(seed)), nn.VirtualBatchNorm(2, reference=4))
    return nn.WithReference(net, reference)


def test_a_loaded_reference_leaves_the_callers_data_alone():
    images = seeded().standard_normal((100, 3)).astype("float32")
    before = images.copy()
    virtual(images[:4]).load_state_dict(virtual(images[50:54], 1).state_dict())
    numpy.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("reference", [[[1.0, 2.0, 3.0]] * 4, numpy.ones((4, 3), "u1")])
def test_a_reference_is_an_array_of_floats(reference):
    with pytest.raises(TypeError, match="reference"):
        virtual(reference)


@pytest.mark.parametrize("offset", [0, 500.1, 1e4])
def test_virtual_batch_norm_holds_far_from_zero(offset):
    x = (offset + seeded().standard_normal((16, 3, 3, 2))).astype("float32")
    layer = nn.VirtualBatchNorm(2, reference=4)
    found = layer.forward(x)[0]
    exact = layer.astype("float64").forward(x.astype("float64"))[0]
    numpy.testing.assert_allclose(found, exact, atol=1e-5 * max(offset, 1))
    flat = nn.VirtualBatchNorm(1, reference=4).forward(numpy.full((8, 4, 4, 1), offset, "float32"))
    assert numpy.isfinite(flat[0]).all()


def test_what_lies_beyond_the_end_of_a_sequence_makes_no_difference():
    layer = nn.GRU(2, 3, last=True, rng=seeded())
    x, lengths = seeded(1).standard_normal((2, 4, 2)).astype("float32"), numpy.array([2, 4])
    y, cache = layer.forward((x, lengths))
    dx = layer.backward(numpy.ones_like(y), cache)
    strange = x.copy()
    strange[0, 2:] = numpy.nan
    other, cache = layer.forward((strange, lengths))
    numpy.testing.assert_array_equal(other, y)
    numpy.testing.assert_array_equal(layer.backward(numpy.ones_like(y), cache), dx)


@pytest.mark.parametrize("lengths", [numpy.array([5, 1]), numpy.array([-1, 2]), [2, 4]])
def test_lengths_lie_within_the_sequences(lengths):
    with pytest.raises(ValueError, match="GRU"):
        nn.GRU(2, 3)((single(2, 4, 2), lengths))


def test_integers_of_numpy_are_integers_and_true_isnt():
    two = numpy.int64(2)
    assert nn.Conv2d(3, 4, kernel_size=two, stride=two).output_shape((1, 4, 4, 3)) == (1, 2, 2, 4)
    assert nn.GroupNorm(two, 4).output_shape((1, 4)) == (1, 4)
    assert nn.Upsample(two).output_shape((1, 2, 2, 1)) == (1, 4, 4, 1)
    for build in (lambda: nn.Conv2d(3, 4, kernel_size=True), lambda: nn.GroupNorm(True, 4)):
        with pytest.raises(ValueError, match="True"):
            build()


def test_nan_logits_make_no_word():
    for hard in (False, True):
        layer = nn.GumbelSoftmax(hard=hard, rng=seeded())
        assert numpy.isnan(layer(numpy.full((1, 3), numpy.nan, "float32"))).all()
    hard = nn.GumbelSoftmax(hard=True, rng=seeded())(seeded().standard_normal((9, 3)))
    assert set(numpy.unique(hard)) == {0.0, 1.0}


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Residual(1),
        lambda: nn.Branches([nn.Tanh()]),
        lambda: nn.Fade(nn.Tanh(), None),
        lambda: nn.Styled(1),
        lambda: nn.Sequential(1),
    ],
)
def test_what_is_made_of_layers_takes_nothing_else(build):
    with pytest.raises(TypeError, match="needs layers, got"):
        build()


def test_a_slice_of_a_net_is_a_net():
    net = nn.Sequential(nn.Linear(2, 3, rng=seeded()), nn.Tanh(), nn.Linear(3, 1, rng=seeded()))
    x = single(4, 2)
    assert isinstance(net[:2], nn.Sequential)
    numpy.testing.assert_array_equal(net[2:](net[:2](x)), net(x))
    assert net[0] is net.sequence[0]


def test_gaussians_have_a_row_for_each_sample():
    with pytest.raises(ValueError, match=r"needs \(N, features\)"):
        losses.kl_gaussians(single(4), single(4))
    with pytest.raises(TypeError, match="log_variance"):
        losses.kl_gaussians(single(2, 2), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, *_ = losses.kl_gaussians(single(1, 1), single(1, 1), target_log_variance=-1000.0)
    assert loss == numpy.inf


@pytest.mark.parametrize("weights", [[0, 0, 1.0], [-1, 1, 1.0], [numpy.nan, 1, 1]])
def test_weights_of_classes_are_positive(weights):
    with pytest.raises(ValueError, match="needs positive ones"):
        losses.cross_entropy(single(2, 3), numpy.array([0, 1]), weights=numpy.array(weights))


def test_weights_of_classes_are_an_array():
    with pytest.raises(TypeError, match="the weights"):
        losses.cross_entropy(single(2, 3), numpy.array([0, 1]), weights=[1, 2, 3])


def test_latents_of_another_shape_are_refused():
    z = seeded().standard_normal((5, 3))
    with pytest.raises(ValueError, match=r"one latent of shape \(d,\)"):
        latent.sweep(z, 2, [1, 2, 3])
    with pytest.raises(ValueError, match="a boolean for each"):
        latent.separating(z, numpy.array([1, 1, 0, 0], bool))
    with pytest.raises(ValueError, match="all the same"):
        latent.separating(numpy.zeros((5, 3)), numpy.array([1, 1, 0, 0, 0], bool))
    with pytest.raises(ValueError, match="list of indices"):
        latent.arithmetic(z, 0, [1], [2])


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (6, 6)])
def test_the_directions_of_a_weight_are_its_left_singular_vectors(shape):
    weight = seeded().standard_normal(shape)
    directions, gains = latent.factorised(weight, shape[0])
    numpy.testing.assert_allclose(directions @ directions.T, numpy.eye(shape[0]), atol=1e-12)
    lengths = numpy.linalg.norm(directions @ weight, axis=1)
    numpy.testing.assert_allclose(lengths, gains, atol=1e-10)
