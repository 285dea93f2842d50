"""Whole evaluations: the floor beside each value, good samples near it, bad ones far from it; and
on a device.
"""

import csv
import io
import json
import math

import numpy
import pytest
from defaults import defaults
from strict_array import StrictNamespace

from minigan import backend, data, metrics
from minigan.metrics import classifier as module
from minigan.metrics import evaluate


def rng(seed=0):
    return numpy.random.default_rng(seed)


@pytest.fixture(scope="module")
def digits():
    return metrics.split(data.digits())


@pytest.fixture(scope="module")
def classifier(digits):
    return metrics.train_classifier(*digits, steps=60)


def evaluated(samples, digits, classifier, **kwargs):
    return metrics.evaluate_images(
        samples, *digits, classifier, rng=rng(), patch_images=20, **kwargs
    )


def test_how_many_are_compared_by_default():
    images = {
        "count": 10_000,
        "patch_images": 2_000,
        "neighbour_images": 1_000,
        "k": 5,
        "say": None,
    }
    assert defaults(metrics.evaluate_images) == images
    assert defaults(metrics.evaluate_points) == {"count": 2_500, "k": 5, "say": None}


BETTER = {"lower": lambda a, b: a < b, "higher": lambda a, b: a > b}


def test_real_images_are_at_the_floor_and_noise_is_far_from_it(digits, classifier):
    # Drawn at random: neighbours in the file are of one writer.
    good = evaluated(digits[0].sample(400, rng(4)), digits, classifier)
    bad = evaluated(rng(1).uniform(-1, 1, (400, 16, 16, 1)).astype("float32"), digits, classifier)
    assert [r.metric for r in good.rows] == [r.metric for r in bad.rows]
    assert len(good.rows) == 11
    for mine, other in zip(good.rows, bad.rows, strict=True):
        if mine.better in BETTER:
            assert BETTER[mine.better](mine.value, other.value), mine.metric
    fd = next(r for r in good.rows if r.metric.startswith("LeNet-FD"))
    assert "not FID" in fd.metric
    assert 0.5 * fd.floor < fd.value < 2 * fd.floor
    assert bad[fd.metric].value > 10 * fd.floor


def test_the_facts_say_how_many_images_were_looked_at(digits, classifier):
    samples = digits[0].batch(numpy.arange(700))
    table = evaluated(samples, digits, classifier, neighbour_images=50)
    assert list(table.facts.values()) == [700, 700, 359, str(classifier), 20, 50]
    table = evaluated(samples, digits, classifier, count=100)
    assert list(table.facts.values())[:3] == [100, 100, 100]


def test_copies_of_training_images_show_in_the_neighbours(digits):
    table = evaluated(digits[0].batch(numpy.arange(100)), digits, None)
    row = table["distance to nearest training image, median"]
    assert row.value == 0
    assert row.floor > 1
    share = table["samples closer to a training image than test images are"]
    assert (share.value, share.floor) == (1, 0.5)
    names = ["sliced Wasserstein x1000, 16 px", row.metric, share.metric]
    assert [r.metric for r in table.rows] == names
    assert table.facts["classifier"] == "none"


def test_one_class_only_shows_in_the_class_shares(digits, classifier):
    train = digits[0]
    fives = train.batch(numpy.flatnonzero(train.labels == 5))
    row = evaluated(fives, digits, classifier)["class shares, total variation"]
    assert row.value > 0.75
    assert row.floor < 0.25


def test_a_part_of_the_data_is_precise_and_the_whole_is_complete(digits, classifier):
    train = digits[0]
    fours = [data.Dataset("fours", s.images[s.labels == 4]) for s in digits]
    table = evaluated(fours[0].batch(numpy.arange(140)), digits, classifier)
    assert table["precision (k=5)"].value > 0.9 > 0.5 > table["recall (k=5)"].value
    floors = evaluated(train.sample(300, rng(1)), (train, fours[1]), classifier)
    assert floors["recall (k=5)"].floor > 0.9 > 0.5 > floors["precision (k=5)"].floor


def test_samples_and_floor_are_both_measured_against_the_test_images(digits, classifier):
    train, test = digits
    negative = data.Dataset("negative", -test.images)
    samples = train.sample(300, rng(1))
    right, wrong = (evaluated(samples, (train, s), classifier) for s in (test, negative))
    for name in ("LeNet-FD (version 1; not FID)", "kernel distance of LeNet features",
                 "sliced Wasserstein x1000, 16 px"):  # fmt: skip
        largest = max(abs(right[name].value), abs(right[name].floor))
        assert min(wrong[name].value, wrong[name].floor) > 3 * largest, name
    for name in ("precision (k=5)", "coverage (k=5)"):
        assert max(wrong[name].value, wrong[name].floor) < 0.3, name
    name = "distance to nearest training image, median"
    assert wrong[name].value == right[name].value == 0
    assert wrong[name].floor > 3 * right[name].floor


def test_costly_metrics_look_at_fewer_images(digits, monkeypatch):
    looked_at = {"patch_distance": [], "copying": []}

    def recorded(name):
        measure = getattr(evaluate, name)

        def call(*sets, **options):
            looked_at[name].append(tuple(map(len, sets)))
            return measure(*sets, **options)

        monkeypatch.setattr(evaluate, name, call)

    recorded("patch_distance")
    recorded("copying")
    evaluated(digits[0].batch(numpy.arange(100)), digits, None, neighbour_images=30)
    assert looked_at == {
        "patch_distance": [(20, 20), (20, 20)],
        "copying": [(30, len(digits[0]), 30)],
    }


def test_levels_of_larger_images_and_images_too_small_for_patches():
    images = rng().uniform(-1, 1, (40, 32, 32, 3)).astype("float32")
    train = data.Dataset("noise", images)
    table = metrics.evaluate_images(images[:20], train, train, None, rng=rng())
    names = [r.metric for r in table.rows][:3]
    assert names == [f"sliced Wasserstein x1000, {part}" for part in ("32 px", "16 px", "average")]
    small = data.Dataset("small", images[:, :8, :8])
    table = metrics.evaluate_images(small.images, small, small, None, rng=rng())
    assert [r.metric for r in table.rows] == [
        "distance to nearest training image, median",
        "samples closer to a training image than test images are",
    ]


def test_images_are_told_what_doesnt_fit(digits):
    with pytest.raises(
        ValueError,
        match=r"samples have shape \(8, 8, 1\), but the images of 'digits' \(16, 16, 1\)",
    ):
        evaluated(numpy.zeros((5, 8, 8, 1), "float32"), digits, None)
    with pytest.raises(ValueError, match="The samples hold NaN"):
        evaluated(numpy.full((5, 16, 16, 1), numpy.nan, "float32"), digits, None)
    with pytest.raises(ValueError, match="numbers of images to evaluate must be positive"):
        evaluated(numpy.zeros((5, 16, 16, 1), "float32"), digits, None, count=0)
    with pytest.raises(TypeError, match="rng is NoneType"):
        metrics.evaluate_images(numpy.zeros((5, 16, 16, 1), "float32"), *digits, None, rng=None)


# ---------------------------------------------------------------- points


@pytest.mark.parametrize("name", ["ring", "grid", "spiral", "moons"])
def test_points_of_the_law_are_at_the_floor_and_others_are_not(name):
    law = data.distribution(name)
    said = []
    good = metrics.evaluate_points(law.sample(3000, rng(5)), law, rng=rng(), say=said.append)
    bad = metrics.evaluate_points(law.sample(3000, rng(5)) * 0.5, law, rng=rng())
    assert good.facts["samples"] == 2500
    assert said[-1] == "precision, recall, density, coverage"
    for mine, other in zip(good.rows, bad.rows, strict=True):
        assert not BETTER[mine.better](other.value, mine.value), mine.metric
        assert (
            mine.value == pytest.approx(mine.floor, rel=0.15) or abs(mine.value - mine.floor) < 0.05
        ), mine.metric
    assert bad["sliced Wasserstein"].value > 5 * bad["sliced Wasserstein"].floor
    assert len(good.rows) == (10 if law.centres is not None else 5)


def test_a_mixture_gets_its_modes():
    law = data.distribution("grid")
    table = metrics.evaluate_points(law.sample(2500, rng(1))[:, ::-1].copy(), law, rng=rng())
    assert table["modes covered, of 25 (one sample)"].value == 25
    collapsed = numpy.repeat(law.centres[:3], 100, axis=0)
    table = metrics.evaluate_points(collapsed, law, rng=rng())
    assert table["modes covered, of 25 (1 % of samples)"].value == 3
    assert table["reverse KL of modes, nats"].value == pytest.approx(math.log(25 / 3))
    assert table["high-quality samples, %"].value == 100
    assert table["high-quality samples, %"].floor == pytest.approx(98.9, abs=2.5)


def test_points_of_one_mode_are_precise_and_not_complete():
    law = data.distribution("ring")
    points = law.sample(4000, rng(1))
    one = points[abs(points - law.centres[0]).max(axis=1) < 5 * law.std]
    table = metrics.evaluate_points(one, law, rng=rng())
    assert table["precision (k=5)"].value > 0.9 > 0.5 > table["recall (k=5)"].value


def test_few_points_lower_k_and_one_is_refused():
    law = data.distribution("ring")
    table = metrics.evaluate_points(law.sample(4, rng()), law, rng=rng())
    assert "coverage (k=3)" in [r.metric for r in table.rows]
    with pytest.raises(ValueError, match="N >= 2"):
        metrics.evaluate_points(law.sample(1, rng()), law, rng=rng())
    with pytest.raises(ValueError, match="got count=1"):
        metrics.evaluate_points(law.sample(9, rng()), law, rng=rng(), count=1)


# ---------------------------------------------------------------- the table

TABLE = metrics.Table(
    {"samples": 10_000, "classifier": "none, or so"},
    (
        metrics.Row("reverse KL", math.inf, 0.00478123, "lower"),
        metrics.Row("modes, covered", 7, 25, "higher"),
        metrics.Row("negative", -1e-6, 12345.6, "as the floor"),
    ),
)


def test_the_table_as_text():
    assert TABLE.text().splitlines() == [
        "samples: 10,000",
        "classifier: none, or so",
        "",
        "metric           samples     floor  better",
        "------------------------------------------------",
        "reverse KL      infinite  0.004781  lower",
        "modes, covered         7        25  higher",
        "negative          -1e-06    12,346  as the floor",
    ]


def test_columns_are_as_wide_as_their_numbers():
    wide = metrics.Table({}, (metrics.Row("a", 12345678.0, 1, "lower"),))
    assert wide.text().splitlines()[1:] == [
        "metric     samples  floor  better",
        "---------------------------------",
        "a       12,345,678      1  lower",
    ]


def test_the_table_as_csv_and_json():
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert [r["metric"] for r in rows] == ["reverse KL", "modes, covered", "negative"]
    assert [float(r["floor"]) for r in rows] == [0.00478123, 25, 12345.6]
    assert float(rows[0]["value"]) == math.inf
    back = json.loads(json.dumps(TABLE.to_dict(), allow_nan=False))
    assert back["facts"] == {"samples": 10_000, "classifier": "none, or so"}
    assert back["rows"][0] == {
        "metric": "reverse KL",
        "value": None,
        "floor": 0.00478123,
        "better": "lower",
    }


def test_a_column_with_one_value_in_all_rows():
    assert {r["step"] for r in csv.DictReader(io.StringIO(TABLE.csv(step=5)))} == {"5"}


def test_rows_by_name():
    assert TABLE["negative"].floor == 12345.6
    with pytest.raises(KeyError):
        TABLE["positive"]
    with pytest.raises(ValueError, match="better must be one of"):
        metrics.Row("x", 1.0, 1.0, "bigger")


# ---------------------------------------------------------------- on a device


def test_images_are_scored_on_a_device_as_on_the_cpu(digits, classifier):
    device = StrictNamespace().backend
    samples = digits[0].batch(numpy.arange(150)) * numpy.float32(0.9)
    here = evaluated(samples, digits, classifier)
    moved = metrics.train_classifier(*digits, steps=1)
    moved.net.load_state_dict(classifier.net.state_dict())
    moved.net.to(device)
    there = evaluated(device.asarray(samples), digits, moved)
    for mine, its in zip(here.rows, there.rows, strict=True):
        assert (mine.value, mine.floor) == pytest.approx(
            (its.value, its.floor), rel=1e-3, abs=1e-6
        ), mine.metric


@pytest.mark.parametrize("name", ["ring", "spiral"])
def test_points_are_scored_on_a_device_as_on_the_cpu(name):
    device, law = StrictNamespace().backend, data.distribution(name)
    samples = law.sample(300, rng(3))
    here = metrics.evaluate_points(samples, law, rng=rng())
    there = metrics.evaluate_points(device.asarray(samples), law, rng=rng())
    for mine, its in zip(here.rows, there.rows, strict=True):
        assert (mine.value, mine.floor) == pytest.approx((its.value, its.floor), rel=1e-5), (
            mine.metric
        )


def test_two_devices_dont_mix_silently():
    device = StrictNamespace().backend
    x = numpy.zeros((10, 2), "float32")
    for call in (
        lambda: metrics.prdc(device.asarray(x), x),
        lambda: metrics.nearest_neighbours(device.asarray(x), x),
        lambda: metrics.patch_distance(
            device.asarray(numpy.zeros((2, 16, 16, 1), "float32")),
            numpy.zeros((2, 16, 16, 1), "float32"),
            rng=rng(),
        ),
    ):
        with pytest.raises(TypeError, match=r"backend.get\(device\).asarray"):
            call()


@pytest.mark.gpu
def test_images_are_scored_on_the_gpu_as_on_the_cpu(digits, classifier):
    try:
        device = backend.get("cuda")
    except ValueError as error:
        pytest.skip(str(error))
    samples = digits[0].batch(numpy.arange(150)) * numpy.float32(0.9)
    here = evaluated(samples, digits, classifier)
    moved = metrics.train_classifier(*digits, steps=1)
    moved.net.load_state_dict(classifier.net.state_dict())
    there = evaluated(device.asarray(samples), digits, moved.to("cuda"))
    for mine, its in zip(here.rows, there.rows, strict=True):
        assert (mine.value, mine.floor) == pytest.approx(
            (its.value, its.floor), rel=1e-2, abs=1e-5
        ), mine.metric


def test_the_recipe_isnt_changed_without_a_new_version():
    """Weights cached under one version must be of one recipe: raise VERSION with any of these."""
    recipe = (
        module.VERSION,
        module.FEATURES,
        module._SMALLEST,
        module._CHANNELS,
        module._SEED,
        module._EPOCHS,
        module._FEWEST_STEPS,
        module._BATCH,
        module._RATE,
        module._SHIFT,
        module._DROPOUT,
    )
    assert recipe == (1, 64, 7, 32, 0, 7, 600, 128, 2e-3, 2, 0.3)


def test_pairs_are_compared_with_the_truth_and_with_plain_answers():
    truth = numpy.zeros((2, 4, 4, 1))
    truth[:, ::2] = 0.5
    table = metrics.evaluate_pairs(
        truth + 0.1, truth - 0.3, truth, mean=numpy.full((4, 4, 1), 0.5), way=" there"
    )
    assert table.facts == {
        "held-out pairs there": 2,
        "L1 of the mean picture there": 0.25,
        "L1 of the input left alone there": 0.3,
    }
    row, sharp = table["L1 distance from the truth there"], table["sharpness there"]
    assert (row.value, row.floor) == (pytest.approx(0.1), 0)
    assert sharp.value == pytest.approx(sharp.floor)
    other = metrics.evaluate_pairs(truth, truth[..., 0], truth, mean=truth[0])
    assert "L1 of the input left alone" not in other.facts


def test_the_mean_picture_and_the_sharpness_of_the_truth_do_not_depend_on_the_outputs():
    truth = numpy.zeros((2, 4, 4, 1))
    truth[:, ::2] = 0.5
    outputs, mean = numpy.full_like(truth, 0.4), numpy.full((4, 4, 1), 0.5)
    table = metrics.evaluate_pairs(outputs, truth, truth, mean=mean)
    assert table.facts["L1 of the mean picture"] == 0.25
    row, sharp = table["L1 distance from the truth"], table["sharpness"]
    assert row.value == pytest.approx((0.1 + 0.4) / 2)
    # Of neighbours across and down, only those down differ, by 0.5.
    assert (sharp.value, sharp.floor) == (0, 0.25)
