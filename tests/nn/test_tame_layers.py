"""Layers that keep D tame or tell it what to judge: their gradients, and their second
derivatives.
"""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import gradcheck, nn
from minigan.gan import penalties

seeds = st.integers(0, 10_000)
CHANGES = ["brightness", "saturation", "contrast", "translation", "cutout"]


def generator(seed=0):
    return numpy.random.default_rng(seed)


def images(seed, n=4, height=8, width=9, channels=2):
    return generator(seed).normal(size=(n, height, width, channels))


def second_derivative_is_right(critic, x, seed):
    """⟨v, dx(dy)⟩ along random directions of every parameter, by central differences."""
    critic.astype("float64")
    rng = generator(seed)
    y, cache = critic.forward(x)
    dy, v = rng.normal(size=y.shape), rng.normal(size=x.shape)
    critic.zero_grad()
    critic.double_backward(v, dy, cache)
    parameters = critic.parameters()

    def number():
        _, cache = critic.forward(x)
        return (v * critic.backward(dy, cache, param_grads=False)).sum()

    gradcheck.check_scalar(
        number,
        {k: p.value for k, p in parameters.items()},
        {k: p.grad for k, p in parameters.items()},
        rng=seed,
    )


@given(seed=seeds, m=st.integers(1, 4), packs=st.integers(1, 3), train=st.booleans())
def test_pack(seed, m, packs, train):
    for x in (images(seed, m * packs, 3, 2, 2), generator(seed).normal(size=(m * packs, 3))):
        gradcheck.check(nn.Pack(m), x, rng=seed, train=train)


def test_pack_joins_neighbours_along_the_channels():
    x = numpy.arange(8.0).reshape(4, 2)
    y, _ = nn.Pack(2).forward(x)
    assert y.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert nn.Pack(2)(x).tolist() == [[0, 1, 0, 1], [2, 3, 2, 3], [4, 5, 4, 5], [6, 7, 6, 7]]
    with pytest.raises(ValueError, match="multiple of 3"):
        nn.Pack(3).forward(x)
    with pytest.raises(ValueError, match="at least one"):
        nn.Pack(0)


@given(seed=seeds)
def test_instance_noise(seed):
    layer = nn.InstanceNoise(0.3, rng=generator(seed))
    gradcheck.check(layer, images(seed), rng=seed)
    x = images(seed, 50)
    assert numpy.array_equal(layer(x), x)
    assert abs((layer.forward(x)[0] - x).std() - 0.3) < 0.02
    with pytest.raises(ValueError, match=">= 0"):
        nn.InstanceNoise(-1.0)


@given(seed=seeds, changes=st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4))
def test_augmentations_are_adjoint(seed, changes):
    gradcheck.check(nn.Augment(*changes, rng=generator(seed)), images(seed), rng=seed)


@given(seed=seeds)
def test_augmented_critic_has_second_derivatives(seed):
    critic = nn.Sequential(
        nn.Augment("brightness", "contrast", rng=generator(seed)),
        nn.Conv2d(2, 3, kernel_size=3),
        nn.Tanh(),
    )
    layer = critic[0].astype("float64")
    x = images(seed)
    _, cache = layer.forward(x)
    dy, v = images(seed + 1), images(seed + 2)
    _, tangent = layer.double_backward(v, dy, cache)
    assert (tangent * dy).sum() == pytest.approx((v * layer.backward(dy, cache)).sum(), rel=1e-10)


def test_what_the_augmentations_do():
    x = numpy.ones((200, 16, 16, 3))
    translated = nn.Augment("translation", rng=generator()).forward(x)[0]
    assert set(numpy.unique(translated)) == {0.0, 1.0}
    assert translated.sum() / x.sum() > 0.75
    holes = nn.Augment("cutout", rng=generator()).forward(x)[0]
    assert (holes.reshape(200, -1).mean(axis=1) >= 0.75 - 1e-9).all(), (
        "at most half of height and width"
    )
    assert holes.mean() < 0.9
    rows = (holes == 0).any(axis=(2, 3))
    found = {(int(hole.argmax()), int(hole.sum())) for hole in rows}
    places = [(max(centre - 4, 0), min(centre + 3, 15)) for centre in range(17)]
    assert found == {(first, last + 1 - first) for first, last in places}
    bright = nn.Augment("brightness", rng=generator()).forward(x)[0]
    assert 0.5 <= bright.min() < 0.6 < 1.4 < bright.max() <= 1.5
    colour = generator().normal(size=(100, 4, 4, 3))
    assert numpy.allclose(
        nn.Augment("saturation", rng=generator()).forward(colour)[0].mean(axis=3),
        colour.mean(axis=3),
    )
    assert numpy.allclose(
        nn.Augment("contrast", rng=generator()).forward(colour)[0].mean(axis=(1, 2, 3)),
        colour.mean(axis=(1, 2, 3)),
    )
    assert numpy.array_equal(nn.Augment(*CHANGES)(x), x)
    with pytest.raises(ValueError, match="choose from these"):
        nn.Augment("blur")


@given(seed=seeds, features=st.sampled_from([None, 3]), image=st.booleans())
def test_concatenated_labels(seed, features, image):
    layer = nn.ConcatenateLabels(5, features=features, rng=generator(seed))
    labels = generator(seed).integers(0, 5, 4)
    x = images(seed, 4, 3, 2) if image else generator(seed).normal(size=(4, 3))
    gradcheck.check(nn.Given(layer, labels), x, rng=seed)
    y = layer.astype("float64")((x, labels))
    assert y.shape == (*x.shape[:-1], x.shape[-1] + layer.features)
    if features is None:
        assert (labels == y[..., x.shape[-1] :].argmax(axis=-1).T).all()


@given(seed=seeds)
def test_projection(seed):
    rng = generator(seed)
    body = nn.Sequential(nn.Linear(3, 6, rng=rng), nn.Tanh())
    layer = nn.Projection(body, features=6, classes=4, rng=rng)
    layer.embedding.weight.value = rng.normal(size=(4, 6))
    labels = rng.integers(0, 4, 5)
    x = rng.normal(size=(5, 3))
    gradcheck.check(nn.Given(layer, labels), x, rng=seed)
    second_derivative_is_right(nn.Given(layer, labels), x, seed)


@given(seed=seeds)
def test_a_conditional_critic_can_be_penalised(seed):
    rng = generator(seed)
    critic = nn.Sequential(
        nn.ConcatenateLabels(3, features=2, rng=rng),
        nn.Linear(4, 5, rng=rng),
        nn.Tanh(),
        nn.Linear(5, 1, rng=rng),
    ).astype("float64")
    labels, x = rng.integers(0, 3, 6), rng.normal(size=(6, 2))
    seen = nn.Given(critic, labels)
    critic.zero_grad()
    penalties.gradient_penalty(seen, x)
    parameters = critic.parameters()
    gradcheck.check_scalar(
        lambda: penalties.gradient_penalty(seen, x),
        {k: p.value for k, p in parameters.items()},
        {k: p.grad.copy() for k, p in parameters.items()},
        rng=seed,
    )


def test_conditional_layers_refuse_what_is_no_pair():
    layer = nn.ConcatenateLabels(3)
    x, labels = numpy.zeros((2, 4)), numpy.zeros(2, int)
    for wrong, error, words in (
        (x, TypeError, "pair"),
        ((x, labels.astype(float)), TypeError, "integer labels"),
        ((x, labels[:1]), ValueError, "one label for each"),
    ):
        with pytest.raises(error, match=words):
            layer.forward(wrong)
    with pytest.raises(ValueError, match="body that gives"):
        nn.Projection(nn.Linear(4, 3), features=5, classes=2).output_shape((2, 4))
