"""InfoGAN: both players' gradients as a whole, who moves, what is drawn, and its runs."""

import dataclasses

import numpy
import pytest
from whole_games import Still, checked, moved

from minigan import data, gan, nn, optim, recipes
from minigan.metrics import matched_accuracy
from minigan.runs import sources, training
from minigan.runs.assembly import assemble
from minigan.runs.evaluation import evaluate
from minigan.runs.folder import open_run

K, M, LATENT = 3, 2, 5
RECIPE = recipes.get("infogan")


def game(seed=0, optimizer=Still, numbers=M, **options):
    rng = numpy.random.default_rng(seed)
    G = nn.Sequential(
        nn.ConcatenateLabels(K), nn.Linear(LATENT + K, 6, rng=rng), nn.BatchNorm(6), nn.Tanh(),
        nn.Linear(6, 4, rng=rng),
    )  # fmt: skip
    guess = nn.Sequential(nn.Linear(6, 4, rng=rng), nn.Tanh(), nn.Linear(4, K + numbers, rng=rng))
    D = nn.Sequential(
        nn.Linear(4, 6, rng=rng), nn.Tanh(), nn.Branches(nn.Linear(6, 1, rng=rng), guess)
    )
    for net in (G, D):
        net.astype("float64")
    return gan.InformationGame(
        G, D, optimizer(G, lr=0.1), optimizer(D, lr=0.1), latent=gan.Latent(LATENT, "uniform"),
        categories=K, numbers=numbers, **options,
    )  # fmt: skip


def batch(seed=1, n=7):
    rng = numpy.random.default_rng(seed)
    return rng.standard_normal((n, 4)), rng.uniform(-1, 1, (n, LATENT)), rng.integers(0, K, n)


def unread(logits, z, category, numbers=M):
    """The cross entropy and half the squared distance, sample by sample."""
    total = 0.0
    for row, u, c in zip(logits, z, category, strict=True):
        q = numpy.exp(row[1 : 1 + K])
        total -= numpy.log(q[c] / q.sum())
        for i in range(numbers):
            total += (row[1 + K + i] - u[LATENT - numbers + i]) ** 2 / 2
    return total / len(logits)


def losses_of(model, real, z, category):
    """Both players' losses, spelt out."""
    fake = model.generator.forward((z, category), train=True)[0]
    of_real, of_fake = (model.discriminator(x) for x in (real, fake))
    told = model.information * unread(of_fake, z, category, model.numbers)
    d = numpy.logaddexp(0, -of_real[:, 0]).mean() + numpy.logaddexp(0, of_fake[:, 0]).mean()
    return d + told, numpy.logaddexp(0, -of_fake[:, 0]).mean() + told


@pytest.mark.parametrize("numbers", [M, 0])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_both_players_as_a_whole(seed, numbers):
    model = game(seed, numbers=numbers, information=0.7)
    drawn = batch(seed)
    report = model.discriminator_step(*drawn)
    assert report["loss_d"] == pytest.approx(losses_of(model, *drawn)[0])
    assert not model.generator.flat().grad.any()
    checked(lambda: losses_of(model, *drawn)[0], model.discriminator, seed)
    before = model.discriminator.flat().grad.copy()
    report = model.generator_step(drawn[1], drawn[0], drawn[2])
    assert report["loss_g"] == pytest.approx(losses_of(model, *drawn)[1])
    numpy.testing.assert_array_equal(model.discriminator.flat().grad, before)
    checked(lambda: losses_of(model, *drawn)[1], model.generator, seed)


def test_who_moves_in_each_step():
    model, (real, z, category) = game(optimizer=optim.SGD), batch()
    assert moved(model, lambda: model.discriminator_step(real, z, category)) == {"discriminator"}
    assert moved(model, lambda: model.generator_step(z, real, category)) == {"generator"}


def test_a_round_learns_the_codes_and_not_the_labels_of_the_data():
    model, rng = game(discriminator_steps=2), numpy.random.default_rng(0)
    batches, z = model.draw(iter([(batch()[0], None)] * 2), rng)
    assert len(batches) == 2
    assert z.shape == (7, LATENT)
    assert all(b.labels.max() < K for b in batches)
    assert set(model.play(batches, z)) == {"loss_d", "d_real", "d_fake", "loss_g"}


def test_the_codes_are_learnt():
    """Two clusters of data, two codes: D finds out which is which by what G makes of them."""
    rng = numpy.random.default_rng(0)
    G = nn.Sequential(nn.ConcatenateLabels(2), nn.Linear(3, 1, rng=rng))
    D = nn.Sequential(nn.Linear(1, 8, rng=rng), nn.Tanh(), nn.Linear(8, 3, rng=rng))
    model = gan.InformationGame(
        G, D, optim.Adam(G, lr=0.01), optim.Adam(D, lr=0.01), latent=gan.Latent(1), categories=2,
        numbers=0,
    )  # fmt: skip
    x = numpy.where(numpy.arange(64) % 2, 2.0, -2.0).astype("float32")[:, None]
    for _ in range(300):
        model.play(*model.draw(iter([(x, None)]), rng))
    assert matched_accuracy(model.classify(x), numpy.arange(64) % 2) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="this one reads codes too"):
        game(penalties=[lambda *_: 0])
    model = game()
    model.generator = nn.Linear(LATENT, 4).astype("float64")
    with pytest.raises(ValueError, match="G needs a category for each sample"):
        model.generator_step(batch()[1])


def test_a_run_needs_no_labels_and_makes_a_row_for_each_code(tmp_path, classifiers):
    digits = data.digits()
    samples = dataclasses.replace(data.load("digits", image_shape=(16, 16, 1)), labels=None)
    assembly = assemble(RECIPE, RECIPE.settings, samples, seed=0)
    assert assembly.classes == sources.classes(RECIPE, digits) == tuple(range(10))
    folder = training.train(
        "infogan", out=tmp_path / "run", steps=3, batch_size=8, frames=0, progress=False
    )
    run = open_run(folder)
    assert run.sample(4, label=3).shape == (4, 16, 16, 1)
    row = evaluate(run, count=100, cache_dir=classifiers)["test images in the right cluster"]
    assert 0.1 <= row.value < 0.6
    assert row.floor == 1
