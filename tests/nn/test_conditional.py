"""Conditional games from data to picture: told labels, named labels, and what is refused."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import cli, data, gan, gradcheck, losses, nn, optim, recipes
from minigan.gan.objectives import with_classes
from minigan.runs import drawing, resuming, training
from minigan.runs.assembly import assemble
from minigan.runs.folder import open_run

CONDITIONAL = ["cgan-digits", "acgan-digits"]


class Still:
    """An optimizer that doesn't move."""

    def __init__(self, net):
        self.net, self.lr = net, 0.0

    def zero_grad(self):
        self.net.zero_grad()

    def step(self):
        pass


def game(outputs, seed=0, *, told=False, objective="non-saturating", **parts):
    rng = numpy.random.default_rng(seed)
    generator = nn.Sequential(nn.ConcatenateLabels(4), nn.Linear(7, 5, rng=rng), nn.Tanh()).astype(
        "float64"
    )
    layers = [nn.Linear(9 if told else 5, 6, rng=rng), nn.Tanh(), nn.Linear(6, outputs, rng=rng)]
    discriminator = nn.Sequential(*([nn.ConcatenateLabels(4)] if told else []), *layers).astype(
        "float64"
    )
    return gan.Game(generator, discriminator, Still(generator), Still(discriminator),
                    objective=gan.objective(objective), **parts)  # fmt: skip


def batch(seed, n=6):
    rng = numpy.random.default_rng(seed)
    return rng.normal(size=(n, 5)), rng.normal(size=(n, 3)), rng.integers(0, 4, n)


def gradients(net):
    parameters = net.parameters()
    return {k: p.value for k, p in parameters.items()}, {k: p.grad for k, p in parameters.items()}


# ---------------------------------------------------------------- the layers


def as_images(x):
    return x.reshape(len(x), 1, 2, -1)


LABELS = numpy.array([2, 0])
BOTH = numpy.arange(8.0).reshape(2, 4)


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("learnt", [False, True])
def test_labels_stand_behind_the_features_of_every_pixel(image, learnt):
    layer = nn.ConcatenateLabels(3, features=2 if learnt else None).astype("float64")
    code = numpy.eye(3)[LABELS]
    if learnt:
        layer.embedding.weight.value = numpy.array([[1, 2], [3, 4], [5, 6]])
        code = numpy.array([[5, 6], [1, 2]])
    x = as_images(BOTH) if image else BOTH
    beside = code[:, None, None, :].repeat(2, axis=2) if image else code
    expected = numpy.concatenate([x, beside], axis=-1)
    y, cache = layer.forward((x, LABELS))
    numpy.testing.assert_array_equal(y, expected)
    assert layer.output_shape(x.shape) == y.shape
    dy = numpy.arange(float(y.size)).reshape(y.shape)
    v = numpy.arange(float(x.size)).reshape(x.shape)
    curved, tangent = layer.double_backward(v, dy, cache)
    assert curved is None
    numpy.testing.assert_array_equal(tangent, numpy.concatenate([v, 0 * beside], axis=-1))
    dx = layer.backward(dy, cache, param_grads=False)
    numpy.testing.assert_array_equal(dx, dy[..., : x.shape[-1]])
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    assert layer.backward(dy, cache, input_grad=False) is None
    if learnt:
        rows = dy[..., x.shape[-1] :].reshape(2, -1, 2).sum(axis=1)
        numpy.testing.assert_array_equal(layer.embedding.weight.grad, [rows[1], [0, 0], rows[0]])


def test_a_projection_by_hand():
    """y = ⟨w + V[label], φ⟩ + b with φ = x."""
    layer = nn.Projection(nn.Flatten(), features=2, classes=3)
    assert (layer.embedding.weight.value == 0).all()
    assert (layer.bias.value == 0).all()
    assert abs(layer.weight.value).max() <= 0.5**0.5
    layer.weight.value, layer.bias.value = numpy.array([[1.0], [2.0]]), [10.0]
    layer.embedding.weight.value = numpy.array([[0, 1], [5, 5], [1, 0]])
    x = numpy.array([[1, 2], [3, 4]], "float32")
    y, cache = layer.forward((x, LABELS))
    assert y.tolist() == [[2 + 4 + 10], [3 + 12 + 10]]
    dy = numpy.array([[1.0], [2.0]], "float32")
    assert layer.backward(dy, cache).tolist() == [[2, 2], [2, 6]]
    assert layer.weight.grad.tolist() == [[1 + 6], [2 + 8]]
    assert layer.embedding.weight.grad.tolist() == [[6, 8], [0, 0], [1, 2]]
    assert layer.bias.grad.tolist() == [3]
    layer.zero_grad()
    _, tangent = layer.double_backward(x, dy, cache)
    assert tangent.tolist() == [[6], [15]]
    assert layer.weight.grad.tolist() == [[7], [10]]
    assert layer.embedding.weight.grad.tolist() == [[6, 8], [0, 0], [1, 2]]
    assert layer.bias.grad.tolist() == [0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.ConcatenateLabels(3, features=2, rng=numpy.random.default_rng(0)),
        lambda: nn.Projection(nn.Linear(4, 2), features=2, classes=3),
        lambda: nn.Sequential(nn.Beside(nn.Linear(4, 2)), nn.ConcatenateLabels(3)),
    ],
)
def test_a_layer_of_pairs_computes_only_what_is_asked_of_it(make):
    layer = make().astype("float64")
    layer = nn.Given(layer, LABELS)
    y, cache = layer.forward(BOTH)
    dx, dy = layer.backward(numpy.ones_like(y), cache), numpy.ones_like(y)
    full = {name: p.grad.copy() for name, p in layer.parameters().items()}
    assert all((grad != 0).any() for grad in full.values())
    layer.zero_grad()
    numpy.testing.assert_array_equal(layer.backward(dy, cache, param_grads=False), dx)
    numpy.testing.assert_array_equal(layer.backward_signals(dy, cache)[0], dx)
    layer.double_backward(BOTH, dy, cache, param_grads=False)
    assert all((p.grad == 0).all() for p in layer.parameters().values())
    assert layer.backward(dy, cache, input_grad=False) is None
    for name, p in layer.parameters().items():
        numpy.testing.assert_array_equal(p.grad, full[name])


def test_shapes_costs_and_names_of_layers_of_pairs():
    assert nn.ConcatenateLabels(3).output_shape((5, 2)) == (5, 5)
    assert nn.ConcatenateLabels(3, features=4).output_shape((5, 7, 8, 2)) == (5, 7, 8, 6)
    projection = nn.Projection(nn.Linear(4, 2), features=2, classes=3)
    assert projection.output_shape((5, 4)) == (5, 1)
    assert projection.multiply_adds((5, 4)) == 5 * (8 + 2)
    for body in (nn.Linear(4, 3), nn.Reshape(2, 2), nn.Upsample(1)):
        with pytest.raises(ValueError, match=r"but needs \(N, 2\); end it with Flatten"):
            nn.Projection(body, features=2, classes=3).output_shape(
                (5, 2, 1, 2) if isinstance(body, nn.Upsample) else (5, 4)
            )
    beside, given_labels = nn.Beside(nn.Linear(4, 2)), nn.Given(projection, LABELS)
    assert beside.output_shape((5, 4)) == (5, 2)
    assert given_labels.output_shape((5, 4)) == (5, 1)
    assert [repr(layer) for layer in (nn.ConcatenateLabels(3), nn.ConcatenateLabels(3, features=2), projection, beside, given_labels)] == [
        "ConcatenateLabels(3)", "ConcatenateLabels(3, features=2)", "Projection(features=2, classes=3)", "Beside(Linear(4, 2))",
        "Given(Projection(features=2, classes=3))",
    ]  # fmt: skip


def conditional_batch_norm():
    """Of labels: 0 stands for a = (1, 0) and b = (10, 20), 1 for a = (0, -1) and b = (0, 0)."""
    layer = nn.ConditionalBatchNorm(2, classes=2, eps=0).astype("float64")
    layer.affine.weight.value = numpy.array([[1.0, 0, 10, 20], [0, -1, 0, 0]])
    return layer


def test_conditional_batch_norm_by_hand():
    layer = conditional_batch_norm()
    x, labels = numpy.array([[1.0, 3], [3, 7]]), numpy.array([0, 1])
    y, cache = layer.forward((x, labels))  # means 2 and 5, deviations 1 and 2
    numpy.testing.assert_allclose(y, [[8, 19], [1, 0]])
    numpy.testing.assert_allclose(layer.running_mean, [0.2, 0.5], rtol=1e-6)
    numpy.testing.assert_allclose(layer.running_var, [1.1, 1.7], rtol=1e-6)
    layer.backward(numpy.ones((2, 2)), cache)
    numpy.testing.assert_allclose(layer.affine.weight.grad, [[-1, -1, 1, 1], [1, 1, 1, 1]])
    layer.zero_grad()
    layer.running_mean[...], layer.running_var[...] = [1, 2], [4, 9]
    y, cache = layer.forward((numpy.array([[3.0, 8]]), labels[:1]), train=False)
    numpy.testing.assert_allclose(y, [[12, 22]])
    numpy.testing.assert_allclose(layer.backward(numpy.ones((1, 2)), cache), [[1, 1 / 3]])
    numpy.testing.assert_allclose(layer.affine.weight.grad, [[1, 2, 1, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("shape", [(4, 2), (4, 2, 3, 2)])
@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_conditional_batch_norm(shape, train):
    rng = numpy.random.default_rng(3)
    x, labels = rng.standard_normal(shape), numpy.array([0, 1, 1, 0])
    of_labels = nn.Given(conditional_batch_norm(), labels)
    gradcheck.check(of_labels, x, rng=0, train=train)
    layer = nn.ConditionalBatchNorm(2, condition_features=3).astype("float64")
    layer.affine.weight.value = rng.standard_normal((3, 4))
    layer.running_mean[...], layer.running_var[...] = [0.5, -1], [2, 3]
    layer.track_statistics = False
    w, dy = rng.standard_normal((4, 3)), rng.standard_normal(shape)
    _, cache = layer.forward((x, w), train=train)
    dx, dw = layer.backward(dy, cache)

    def value():
        return (layer.forward((x, w), train=train)[0] * dy).sum()

    arrays = {"x": x, "w": w, "weight": layer.affine.weight.value}
    found = {"x": dx, "w": dw, "weight": layer.affine.weight.grad}
    assert gradcheck.check_scalar(value, arrays, found, rng=0).ok


def test_what_is_no_pair_is_refused():
    layer, x = nn.ConcatenateLabels(3), numpy.zeros((2, 4))
    for wrong in (x, (x,), (x, LABELS, LABELS), [x, LABELS]):
        with pytest.raises(TypeError, match=r"needs a pair \(x, labels\)"):
            layer.forward(wrong)
    for labels in (LABELS.astype(float), [2, 0], numpy.array([True, False])):
        with pytest.raises(TypeError, match="needs integer labels"):
            layer.forward((x, labels))
    for labels in (LABELS[:1], LABELS[:, None], numpy.array([0, 1, 2])):
        with pytest.raises(ValueError, match="got 2 samples and labels of shape"):
            layer.forward((x, labels))
    layer.forward((x, LABELS.astype("uint8")))


def test_whether_a_layer_of_pairs_trains_reaches_the_layer_inside():
    for make in (nn.Beside, lambda norm: nn.Given(nn.Sequential(nn.Beside(norm), nn.ConcatenateLabels(3)), LABELS)):  # fmt: skip
        norm = nn.BatchNorm(4)
        layer = make(norm)
        x = BOTH if isinstance(layer, nn.Given) else (BOTH, LABELS)
        layer.forward(x, train=False)
        assert (norm.running_mean == 0).all()
        layer.forward(x)
        assert (norm.running_mean != 0).any()


# ---------------------------------------------------------------- the game


@pytest.mark.parametrize("objective", sorted(gan.OBJECTIVES))
@given(seed=st.integers(0, 1000))
def test_gradients_of_a_discriminator_that_names_classes(objective, seed):
    ours = game(5, seed, objective=objective, auxiliary=0.7)
    real, z, labels = batch(seed + 1)
    D, G = ours.discriminator, ours.generator

    def both(kind):
        fake, truth = D(G((z, labels))), D(real)
        named = losses.cross_entropy(fake[:, 1:], labels)[0]
        if kind == "d":
            loss = ours.objective.discriminator(truth[:, :1], fake[:, :1])[0]
            return loss + 0.7 * (named + losses.cross_entropy(truth[:, 1:], labels)[0])
        return ours.objective.generator(fake[:, :1], truth[:, :1])[0] + 0.7 * named

    ours.discriminator_step(real, z, labels)
    assert gradcheck.check_scalar(lambda: both("d"), *gradients(D), rng=seed).ok
    ours.generator_step(z, real, labels)
    assert gradcheck.check_scalar(lambda: both("g"), *gradients(G), rng=seed).ok


@given(seed=st.integers(0, 1000))
def test_gradients_of_a_discriminator_that_is_told(seed):
    ours = game(1, seed, told=True)
    real, z, labels = batch(seed + 1)
    D, G = ours.discriminator, ours.generator
    ours.discriminator_step(real, z, labels)
    fake = G((z, labels))
    assert gradcheck.check_scalar(
        lambda: ours.objective.discriminator(D((real, labels)), D((fake, labels)))[0],
        *gradients(D),
        rng=seed,
    ).ok
    ours.generator_step(z, real, labels)
    assert gradcheck.check_scalar(
        lambda: ours.objective.generator(D((G((z, labels)), labels)), None)[0],
        *gradients(G),
        rng=seed,
    ).ok


def test_belief_is_that_of_the_first_logit():
    ours = game(5, auxiliary=1.0)
    real, z, labels = batch(1)
    report = ours.discriminator_step(real, z, labels)
    assert report["d_real"] == pytest.approx(losses.sigmoid(ours.discriminator(real)[:, 0]).mean())


def test_weight_of_the_classes():
    labels, logits = numpy.array([1, 0]), numpy.random.default_rng(0).normal(size=(2, 4))
    plain = gan.objective("hinge")
    for weight in (0.0, 2.0):
        loss, d = with_classes(plain, labels, weight).generator(logits, None)
        named, d_named = losses.cross_entropy(logits[:, 1:], labels)
        assert loss == pytest.approx(plain.generator(logits[:, :1], None)[0] + weight * named)
        assert numpy.allclose(d[:, 1:], weight * d_named)


def test_refusals_of_the_game():
    real, z, _ = batch(0)
    untold = game(5, auxiliary=1.0)
    untold.generator = nn.Linear(3, 5).astype("float64")
    with pytest.raises(ValueError, match="predicts classes needs labels"):
        untold.discriminator_step(real, z)
    with pytest.raises(ValueError, match="Penalties need a discriminator with one logit"):
        game(5, auxiliary=1.0, penalties=[lambda critic, real, fake: 0.0])


def test_balanced_labels_and_the_grid():
    assert drawing.balanced(7, 0) is None
    assert drawing.balanced(6, 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert numpy.bincount(drawing.balanced(1000, 10)).tolist() == [100] * 10
    assert drawing.layout(0, 64) == (64, None)
    assert drawing.layout(10, 64) == (60, 6)
    assert drawing.layout(64, 64) == (64, 1)
    assert drawing.layout(100, 64) == (100, None)  # a square is easier to look at than a column
    assert drawing.layout(1000, 64) == (600, None)  # as many as there are latents


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditional_recipes_train_sample_and_go_on(name, tmp_path, capsys):
    folder = training.train(
        name, out=tmp_path / "run", steps=3, batch_size=16, progress=False, frames=1
    )
    run = open_run(folder)
    seven = run.sample(5, label=7)
    assert seven.shape == (5, 16, 16, 1)
    assert not numpy.array_equal(seven, run.sample(5, label=6)), "the label counts"
    assert numpy.array_equal(run.sample(20)[14:16], run.sample(20, label=7)[14:16]), (
        "two of each class, in order"
    )
    assert (
        cli.main(["sample", str(folder), "--label", "7", "-n", "4", "-o", str(tmp_path / "a.png")])
        == 0
    )
    assert cli.main(["sample", str(folder), "-o", str(tmp_path / "b.png")]) == 0
    assert "60 samples" in capsys.readouterr().out
    assert cli.main(["sample", str(folder), "--label", "10", "-o", str(tmp_path / "c.png")]) == 2
    assert "has labels 0 to 9, got --label 10" in capsys.readouterr().err
    resuming.resume(folder, steps=4, progress=False)
    assert open_run(folder).step == 4


def test_a_grid_has_a_row_for_each_class(tmp_path):
    from PIL import Image

    folder = training.train(
        "cgan-digits", out=tmp_path / "run", steps=1, batch_size=16, progress=False, frames=0
    )
    with Image.open(folder / "samples.png") as picture:
        width, height = picture.size
    assert (width - 2 * 3) / 6 == pytest.approx((height - 2 * 3) / 10, rel=0.1), (
        "six columns, ten rows"
    )


def test_a_label_for_a_recipe_without_is_refused(tmp_path):
    folder = training.train("ring", out=tmp_path / "run", steps=1, progress=False, frames=0)
    with pytest.raises(ValueError, match="has no labels, got --label 1"):
        open_run(folder).sample(3, label=1)


def test_data_without_the_labels_needed():
    recipe = recipes.get("cgan-digits")
    digits = data.digits()
    without = data.Dataset(name="mine", images=digits.images)
    with pytest.raises(ValueError, match="mine has no labels; give data with labels"):
        assemble(recipe, recipe.settings, without, seed=0)
    more = data.Dataset(name="mine", images=digits.images, labels=digits.labels + 5)
    with pytest.raises(ValueError, match="has a label 14"):
        assemble(recipe, recipe.settings, more, seed=0)
    players = game(1, told=True)
    trainer = gan.Trainer(
        players,
        data.Batches(numpy.zeros((8, 5), "float32"), 4, numpy.random.default_rng(0)),
        latent=gan.Latent(3),
        rng=numpy.random.default_rng(0),
        conditional=True,
    )
    with pytest.raises(ValueError, match="the data have no labels"):
        trainer.train_step()


def test_a_conditional_generator_learns_what_it_is_told():
    """Label 0 at -1, label 1 at +1: G must put its samples where it's told."""
    rng = numpy.random.default_rng(0)
    generator = nn.Sequential(
        nn.ConcatenateLabels(2),
        nn.Linear(4, 16, rng=rng),
        nn.LeakyReLU(),
        nn.Linear(16, 1, rng=rng),
    )
    body = nn.Sequential(nn.Linear(1, 16, rng=rng), nn.LeakyReLU())
    discriminator = nn.Projection(body, features=16, classes=2, rng=rng)
    players = gan.Game(
        generator, discriminator, optim.Adam(generator, lr=3e-3), optim.Adam(discriminator, lr=3e-3)
    )
    for _ in range(300):
        labels = rng.integers(0, 2, 32)
        real = (2.0 * labels[:, None] - 1 + 0.1 * rng.normal(size=(32, 1))).astype("float32")
        z = rng.normal(size=(32, 2)).astype("float32")
        players.discriminator_step(real, z, labels)
        players.generator_step(z, real, labels)
    z = rng.normal(size=(200, 2)).astype("float32")
    means = [float(generator((z, numpy.full(200, k))).mean()) for k in (0, 1)]
    assert means[0] < -0.4
    assert means[1] > 0.4
