"""Semi-supervised GAN: all gradients as a whole, who moves, its batches, and its runs."""

import dataclasses
import json

import numpy
import pytest
from killed_runs import check_that_it_resumes
from whole_games import Still, checked, moved

from minigan import data, gan, metrics, nn, optim, recipes
from minigan.data.partly import balanced
from minigan.gan.semisupervised import any_class
from minigan.runs import training
from minigan.runs.evaluation import evaluate
from minigan.runs.folder import open_run

K, LATENT = 3, 2
RECIPE = recipes.get("ssgan-digits")


def game(seed=0, optimizer=Still, **options):
    rng = numpy.random.default_rng(seed)
    G = nn.Sequential(
        nn.Linear(LATENT, 5, rng=rng), nn.BatchNorm(5), nn.Tanh(), nn.Linear(5, 4, rng=rng)
    )
    D = nn.Sequential(nn.Linear(4, 6, rng=rng), nn.Tanh(), nn.Linear(6, K, rng=rng))
    for net in (G, D):
        net.astype("float64")
    return gan.SemiSupervisedGame(
        G, D, optimizer(G, lr=0.1), optimizer(D, lr=0.1), latent=gan.Latent(LATENT), **options
    )


def drawn(seed=1):
    rng = numpy.random.default_rng(seed)
    x, u, (one, two) = (rng.standard_normal(s) for s in ((4, 4), (7, 4), (2, 7, LATENT)))
    return (x, rng.integers(0, K, 4), u), one, two


def classifiers_loss(model, x, y, u, fake):
    """Equations of section 5, sample by sample: the softmax over K + 1 classes spelt out."""
    known, real, false = (numpy.exp(model.discriminator(a)) for a in (x, u, fake))
    total = -numpy.mean([numpy.log(row[k] / row.sum()) for row, k in zip(known, y, strict=True)])
    total -= model.unlabelled * numpy.log(real.sum(axis=1) / (1 + real.sum(axis=1))).mean()
    return total - model.unlabelled * numpy.log(1 / (1 + false.sum(axis=1))).mean()


@pytest.mark.parametrize("unlabelled", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_the_classifier_as_a_whole(seed, unlabelled):
    model, ((x, y, u), z, _) = game(seed, unlabelled=unlabelled), drawn(seed)
    fake = model.generator.forward(z, train=True)[0]
    report = model.labelled_loss(x, y)
    report |= model.unlabelled_loss(u, fake)
    total = report["labelled"] + unlabelled * report["loss_d"]
    assert total == pytest.approx(classifiers_loss(model, x, y, u, fake))
    assert not model.generator.flat().grad.any()
    checked(lambda: classifiers_loss(model, x, y, u, fake), model.discriminator, seed)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_the_generator_as_a_whole(seed):
    model, ((_, _, u), _, z) = game(seed, feature_matching=0.7), drawn(seed)

    def loss():
        features = nn.Sequential(*list(model.discriminator)[:-1])
        gap = features(model.generator.forward(z, train=True)[0]).mean(axis=0) - features(u).mean(0)
        return 0.7 * (gap**2).sum()

    assert model.matching_loss(z, u)["loss_g"] == pytest.approx(loss())
    assert not model.discriminator.flat().grad.any()
    checked(loss, model.generator, seed)


@pytest.mark.parametrize(
    ("unlabelled", "moving"), [(1.0, {"discriminator", "generator"}), (0.0, {"discriminator"})]
)
def test_who_moves_in_a_round(unlabelled, moving):
    model = game(optimizer=optim.SGD, unlabelled=unlabelled)
    assert moved(model, lambda: model.play(*drawn())) == moving


def test_the_logit_of_any_class():
    logits = numpy.array([[1.0, 2.0, -1.0], [800.0, 0.0, 0.0], [-800.0, -800.0, -800.0]])
    s, p = any_class(logits)
    expected = [[numpy.log(numpy.exp(logits[0]).sum())], [800], [-800 + numpy.log(3)]]
    numpy.testing.assert_allclose(s, expected)
    numpy.testing.assert_allclose(p.sum(axis=1), 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="its own way of training D; leave out penalties, aux"):
        game(discriminator_steps=2)
    for changes in ({"penalties": ["r1"]}, {"discriminator_steps": 2}):
        with pytest.raises(ValueError, match="'ssgan-digits' has its own way of training D"):
            RECIPE.check(RECIPE.settings.changed(**changes))
    with pytest.raises(ValueError, match="labels must be a positive integer, got 0"):
        RECIPE.settings.changed(labels=0)
    with pytest.raises(ValueError, match="unlabelled must be a number of at least 0, got -1"):
        RECIPE.settings.changed(unlabelled=-1)
    images, rng = numpy.zeros((20, 16, 16, 1), "uint8"), numpy.random.default_rng(0)
    with pytest.raises(ValueError, match="has a label 11; leave the other classes out"):
        RECIPE.stream(data.Dataset("x", images, [0, 11] * 10), 4, rng)


# ---------------------------------------------------------------- batches


def some_data(n=40):
    rng = numpy.random.default_rng(0)
    images = rng.integers(0, 256, (n, 2, 2, 1), dtype="uint8")
    return data.Dataset("noise", images, numpy.arange(n) % 4)


def stream(batch_size=5, seed=3, labels=12):
    rng = numpy.random.default_rng(seed)
    return data.PartlyLabelled(some_data(), batch_size, rng, labels=labels)


def test_only_the_chosen_labels_are_ever_seen_equally_many_of_each_class():
    batches, seen = stream(), set()
    labels = some_data().labels
    assert (numpy.bincount(labels[batches.chosen]) == 3).all()
    for _ in range(30):
        x, y, u = next(batches)
        assert (len(x), len(y), len(u)) == (5, 5, 5)
        seen |= {(image.tobytes(), int(k)) for image, k in zip(x, y, strict=True)}
    of_chosen = zip(some_data().batch(batches.chosen), labels[batches.chosen], strict=True)
    assert seen == {(image.tobytes(), int(k)) for image, k in of_chosen}
    assert [len(part) for part in next(stream(batch_size=20))] == [12, 12, 20]


def test_batches_resume_bit_for_bit_and_with_the_same_labels():
    first, second = stream(), stream(seed=9)
    for _ in range(4):
        next(first)
    state = json.loads(json.dumps(first.state_dict(), default=lambda a: a.tolist()))
    next(second)
    second.load_state_dict(state)
    for _ in range(20):
        for ours, theirs in zip(next(second), next(first), strict=True):
            numpy.testing.assert_array_equal(ours, theirs)


def test_a_state_that_does_not_fit_leaves_the_stream_as_it_was():
    batches = stream()
    before = batches.state_dict()
    states = [stream(labels=8).state_dict(), before | {"permutation": [0]}, before | {"rng": {}}]
    for state in states:
        with pytest.raises(ValueError, match=r"resume with|pass everything"):
            batches.load_state_dict(state)
        after = batches.state_dict()
        assert after.keys() == before.keys()
        assert all(numpy.array_equal(after[k], before[k]) for k in before if k != "rng")
        assert after["rng"] == before["rng"]


def test_a_state_that_fails_half_way_leaves_the_order_of_the_labels_as_it_was():
    batches, ahead = stream(), stream()
    for _ in range(4):
        next(ahead)
    before, state = batches.state_dict(), ahead.state_dict()
    assert state["labelled_epoch"] != before["labelled_epoch"]
    with pytest.raises(ValueError, match="does not permute 40 examples"):
        batches.load_state_dict(state | {"permutation": [0]})
    after = batches.state_dict()
    assert after.keys() == before.keys()
    assert all(numpy.array_equal(after[k], before[k]) for k in before if k != "rng")
    assert after["rng"] == before["rng"]


def test_a_state_is_a_copy_in_both_directions():
    batches = stream()
    chosen = batches.chosen.copy()
    state = batches.state_dict()
    state["chosen"][...] = 0
    numpy.testing.assert_array_equal(batches.chosen, chosen)
    state["chosen"][...] = chosen
    batches.load_state_dict(state)
    state["chosen"][...] = 0
    numpy.testing.assert_array_equal(batches.chosen, chosen)


@pytest.mark.parametrize("wrong", [-1, -40, 40])
def test_a_state_with_labels_of_pictures_that_do_not_exist_is_refused(wrong):
    batches = stream()
    before, state = batches.chosen.copy(), batches.state_dict()
    state["chosen"][3] = wrong
    with pytest.raises(ValueError, match="of pictures outside 0 to 39: it is damaged"):
        batches.load_state_dict(state)
    numpy.testing.assert_array_equal(batches.chosen, before)


def test_labels_that_are_missing_or_too_few_are_refused():
    with pytest.raises(ValueError, match="3 labels are not enough for 4 classes"):
        balanced(some_data().labels, 3, numpy.random.default_rng(0))
    unlabelled = dataclasses.replace(some_data(), labels=None)
    with pytest.raises(ValueError, match="noise has no labels, but some are needed"):
        data.PartlyLabelled(unlabelled, 4, numpy.random.default_rng(0), labels=4)


# ---------------------------------------------------------------- runs


def learn(out, **options):
    given = {"steps": 6, "batch_size": 8, "frames": 0, "checkpoint_every": 2, "labels": 20}
    return training.train("ssgan-digits", out=out, device="cpu", progress=False, **given, **options)


def test_it_resumes_bit_for_bit_and_is_scored(tmp_path, classifiers):
    whole = learn(tmp_path / "whole")
    ours = check_that_it_resumes(learn, whole, tmp_path / "killed")
    assert len(ours["source/chosen"]) == 20
    table = evaluate(open_run(whole), count=50, cache_dir=classifiers)
    assert 0 < table["test images that D classifies correctly"].value < 1
    assert "test images of digits, a fifth set aside (reference)" in str(table)


def test_the_tests_pictures_are_never_trained_on():
    samples = RECIPE.load("digits", None)
    test = {image.tobytes() for image in metrics.split(samples)[1].images}
    trained = RECIPE.stream(samples, 8, numpy.random.default_rng(0)).data.images
    assert len(trained) == 1438
    assert not {image.tobytes() for image in trained} & test
