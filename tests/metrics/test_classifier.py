"""The classifier that lends its features: accuracy, cache, and what it refuses."""

import dataclasses
import os

import numpy
import pytest
from defaults import defaults

from minigan import checkpoint, data, metrics, nn
from minigan.metrics import classifier as module
from minigan.metrics.frechet import moments


@pytest.fixture(scope="module")
def digits():
    return metrics.split(data.digits())


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """The digits' classifier by its real recipe (6 s on two cores), and the folder that it is kept
    in.
    """
    folder = tmp_path_factory.mktemp("classifiers") / "not yet there"
    losses = []
    result = metrics.classifier_for(
        *digits, cache_dir=folder, progress=lambda *report: losses.append(report)
    )
    return result, folder, losses


@pytest.fixture
def quick(monkeypatch):
    """A recipe of three steps."""
    monkeypatch.setattr(module, "_FEWEST_STEPS", 3)
    monkeypatch.setattr(module, "_EPOCHS", 0)


def test_it_learns_the_digits(trained):
    classifier, _, reports = trained
    assert classifier.accuracy >= 0.98
    assert classifier.tested == 359
    assert [(step, steps) for step, steps, _ in reports] == [(i + 1, 600) for i in range(600)]
    assert (
        numpy.mean([loss for *_, loss in reports[-50:]])
        < 0.1
        < numpy.mean([loss for *_, loss in reports[:10]])
    )
    assert f"{100 * classifier.accuracy:.2f} % of 359 test images correct" in str(classifier)


def test_the_accuracy_is_that_of_the_test_images(trained, digits):
    classifier, test = trained[0], digits[1]
    assert (classifier.classify(test) == test.labels).mean() == classifier.accuracy
    shuffled = dataclasses.replace(test, labels=numpy.roll(test.labels, 1))
    assert (classifier.classify(shuffled) == shuffled.labels).mean() < 0.5


def test_the_cache_gives_the_same_classifier_back(trained, digits):
    classifier, folder, _ = trained
    assert [p.name for p in folder.iterdir()] == [f"{classifier.key}.safetensors"]

    def never(*report):
        raise AssertionError("trained again")

    again = metrics.classifier_for(*digits, cache_dir=folder, progress=never)
    assert (again.accuracy, again.tested, again.key) == (classifier.accuracy, 359, classifier.key)
    numpy.testing.assert_array_equal(again.features(digits[1]), classifier.features(digits[1]))


def test_features_are_those_before_the_last_layer(trained, digits):
    classifier, test = trained[0], digits[1]
    images = test.batch(numpy.arange(300))
    features = classifier.features(images)
    assert features.shape == (300, module.FEATURES)
    assert features.dtype == "float32"
    numpy.testing.assert_allclose(features, classifier.net[0](images), rtol=1e-4, atol=1e-5)
    last = classifier.net[1][1]
    logits = features @ last.weight.value + last.bias.value
    numpy.testing.assert_array_equal(logits.argmax(axis=1), classifier.classify(images))
    numpy.testing.assert_allclose(
        classifier.features(test, [5, 3]), features[[5, 3]], rtol=1e-4, atol=1e-5
    )


def test_a_move_to_the_device_it_lives_on_changes_nothing(trained, digits):
    before = trained[0].features(digits[1])
    assert trained[0].to("cpu") is trained[0]
    numpy.testing.assert_array_equal(trained[0].features(digits[1]), before)


def test_lenet_fd_is_the_frechet_distance_of_features(trained, digits):
    classifier, (train, test) = trained[0], digits
    floor = metrics.frechet_classifier_distance(train, test, classifier)
    noise = numpy.random.default_rng(0).uniform(-1, 1, (300, 16, 16, 1)).astype("float32")
    assert metrics.frechet_classifier_distance(noise, test, classifier) > 20 * floor > 0
    a, b = moments(classifier.features(train)), moments(classifier.features(test))
    assert floor == pytest.approx(metrics.frechet_gaussian(*a, *b))


@pytest.mark.parametrize(
    ("shape", "classes", "flat"),
    [((28, 28, 1), 10, 3136), ((64, 64, 3), 5, 2048), ((8, 40, 3), 2, 640)],
)
def test_the_net_fits_other_images(shape, classes, flat):
    net = module.build_net(shape, classes, rng=numpy.random.default_rng(0))
    assert net.output_shape((4, *shape)) == (4, classes)
    assert net[0].parameters()[f"{len(net[0]) - 2}.weight"].shape == (flat, module.FEATURES)


def test_the_net_by_hand():
    """Halved to 7 pixels or fewer, or until one side is 1; 32, 64, 128 and again 128 channels."""
    for shape, layers in (
        ((7, 7, 1), []),
        ((8, 7, 1), [32]),
        ((16, 16, 1), [32, 64]),
        ((128, 128, 3), [32, 64, 128, 128, 128]),
        ((2, 100, 1), [32]),
    ):
        net = module.build_net(shape, 3, rng=numpy.random.default_rng(0))
        convolutions = [layer for layer in net[0] if isinstance(layer, nn.Conv2d)]
        assert [layer.out_channels for layer in convolutions] == layers
        assert all(layer.bias is None for layer in convolutions)
        slopes = [layer.slope for layer in net[0] if isinstance(layer, nn.LeakyReLU)]
        assert slopes == [0.1] * (len(layers) + 1)
    assert [type(layer) for layer in net[1]] == [nn.Dropout, nn.Linear]
    assert (net[1][0].p, module.FEATURES) == (0.3, 64)


def test_how_long_it_is_trained():
    assert [module._default_steps(n) for n in (1, 10_970, 10_972, 60_000)] == [600, 600, 600, 3281]
    assert defaults(metrics.split) == {"test_share": 0.2, "seed": 0}


@pytest.mark.parametrize(("share", "left"), [(0.125, 1), (0.875, 7)])
def test_each_split_keeps_an_image(share, left):
    eight = data.Dataset("eight", numpy.zeros((8, 8, 8, 1), "uint8"))
    assert [len(part) for part in metrics.split(eight, test_share=share)] == [8 - left, left]
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"A test share of {wrong} of 8 images"):
            metrics.split(eight, test_share=wrong)


# ---------------------------------------------------------------- split


def test_split_is_a_partition_always_the_same(digits):
    train, test = digits
    assert (len(train), len(test)) == (1438, 359)
    whole = data.digits()
    pixels = numpy.concatenate([train.images, test.images]).reshape(1797, -1)
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, whole.images.reshape(1797, -1)))
    assert (
        numpy.bincount(test.labels).min() >= 25
    )  # the file goes 0 1 2 ... 9 0 1 2: no class may be missing
    for one, other in zip(metrics.split(whole), digits, strict=True):
        numpy.testing.assert_array_equal(one.images, other.images)
        numpy.testing.assert_array_equal(one.labels, other.labels)
    assert not numpy.array_equal(metrics.split(whole, seed=1)[1].images, test.images)


def test_split_without_labels_and_of_too_little():
    few = data.Dataset("few", numpy.zeros((4, 8, 8, 1), "uint8"))
    train, test = metrics.split(few, test_share=0.25)
    assert (len(train), len(test), test.labels) == (3, 1, None)
    with pytest.raises(
        ValueError, match=r"A test share of 0.01 of 4 images leaves one split empty"
    ):
        metrics.split(few, test_share=0.01)


# ---------------------------------------------------------------- the cache


def test_training_is_the_same_every_time(digits, quick):
    one, two = (metrics.train_classifier(*digits) for _ in range(2))
    numpy.testing.assert_array_equal(one.net.flat().value, two.net.flat().value)
    longer = metrics.train_classifier(*digits, steps=4)
    assert not numpy.array_equal(longer.net.flat().value, one.net.flat().value)


def test_the_key_names_contents_and_version(digits, quick, monkeypatch):
    train, test = digits
    key = metrics.train_classifier(train, test).key
    assert key.startswith("lenet-digits-")
    assert key.endswith("-v1")
    changed = train.images.copy()
    changed[0, 8, 8, 0] = 0.123
    assert metrics.train_classifier(dataclasses.replace(train, images=changed), test).key != key
    relabelled = dataclasses.replace(test, labels=test.labels[::-1].copy())
    assert metrics.train_classifier(train, relabelled).key != key
    assert metrics.train_classifier(
        dataclasses.replace(train, name="../My Set"), test
    ).key.startswith("lenet-my-set-")
    monkeypatch.setattr(module, "VERSION", 2)
    assert metrics.train_classifier(train, test).key.endswith("-v2")


@pytest.mark.parametrize("damage", ["truncated", "empty", "another net", "no description"])
def test_a_damaged_cache_is_replaced(digits, quick, tmp_path, damage):
    first = metrics.classifier_for(*digits, cache_dir=tmp_path)
    path = tmp_path / f"{first.key}.safetensors"
    if damage == "another net":
        checkpoint.save(path, {"w": numpy.zeros(3)}, {"accuracy": 1.0, "tested": 1, "classes": 10})
    elif damage == "no description":
        checkpoint.save(path, first.net.state_dict(), {})
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 5000])
    calls = []
    again = metrics.classifier_for(
        *digits, cache_dir=tmp_path, progress=lambda *report: calls.append(report)
    )
    assert len(calls) == 3
    numpy.testing.assert_array_equal(again.net.flat().value, first.net.flat().value)
    metrics.classifier_for(
        *digits, cache_dir=tmp_path, progress=lambda *report: calls.append(report)
    )
    assert len(calls) == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_cache_that_cant_be_written_is_told_before_the_training(digits, tmp_path):
    file = tmp_path / "a file"
    file.write_text("in the way")

    def never(*report):
        raise AssertionError("trained for nothing")

    with pytest.raises(
        OSError, match=r"weights can't be written to .*give another folder as cache_dir"
    ):
        metrics.classifier_for(*digits, cache_dir=file / "inside", progress=never)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_read_only_cache_is_told(digits, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="give another folder as cache_dir"):
        metrics.classifier_for(*digits, cache_dir=tmp_path)


def test_without_a_folder_the_platforms_cache_is_used(digits, quick, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    classifier = metrics.classifier_for(*digits)
    assert (tmp_path / "minigan" / "classifiers" / f"{classifier.key}.safetensors").is_file()


# ---------------------------------------------------------------- what is refused


def test_data_that_cant_be_learnt_are_refused(digits):
    train, test = digits
    with pytest.raises(
        ValueError, match=r"test images of 'digits' have no labels.*classifier=None"
    ):
        metrics.train_classifier(train, dataclasses.replace(test, labels=None))
    small = dataclasses.replace(test, images=test.images[:, :8])
    with pytest.raises(ValueError, match=r"shape \(16, 16, 1\), the test images \(8, 16, 1\)"):
        metrics.train_classifier(train, small)
    with pytest.raises(ValueError, match="have one label; a classifier needs two or more"):
        metrics.train_classifier(dataclasses.replace(train, labels=0 * train.labels), test)
    with pytest.raises(ValueError, match="a label 10,009, but a classifier learns"):
        metrics.train_classifier(dataclasses.replace(train, labels=10_000 + train.labels), test)


def test_images_that_it_wasnt_made_for_are_refused(trained):
    classifier = trained[0]
    with pytest.raises(
        ValueError, match=r"shape \(28, 28, 1\), but the classifier of digits was trained on"
    ):
        classifier.features(numpy.zeros((2, 28, 28, 1), "float32"))
    with pytest.raises(ValueError, match="The images hold NaN or infinity"):
        classifier.features(numpy.full((2, 16, 16, 1), numpy.nan, "float32"))
    with pytest.raises(ValueError, match="no images to classify"):
        classifier.features(numpy.zeros((0, 16, 16, 1), "float32"))


def test_a_shift_moves_each_image_and_repeats_the_border():
    images = numpy.arange(2 * 6 * 6 * 1, dtype="float32").reshape(2, 6, 6, 1)
    seen = set()
    for seed in range(200):
        for before, after in zip(
            images, module._shifted(images, numpy.random.default_rng(seed)), strict=True
        ):
            padded = numpy.pad(before, ((2, 2), (2, 2), (0, 0)), mode="edge")
            found = [
                (i, j)
                for i in range(5)
                for j in range(5)
                if (padded[i : i + 6, j : j + 6] == after).all()
            ]
            assert len(found) == 1
            seen.update(found)
    assert len(seen) == 25


def test_every_epoch_is_a_permutation():
    rng = numpy.random.default_rng(0)
    batches = list(module._minibatches(256 + 7, 5, rng))
    assert [len(b) for b in batches] == [128] * 5
    assert (
        len(set(numpy.concatenate(batches[:2]).tolist()))
        == len(set(numpy.concatenate(batches[2:4]).tolist()))
        == 256
    )
    assert [len(b) for b in module._minibatches(10, 3, rng)] == [10] * 3
