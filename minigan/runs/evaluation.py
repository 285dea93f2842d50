"""The evaluation of a run's samples: every metric that suits its data, each beside its floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from minigan import data, gan, metrics
from minigan.files import written_whole
from minigan.metrics.classifier import alike, obstacle
from minigan.recipes.text import TextRecipe
from minigan.recipes.translation import Translation
from minigan.runs import checks, sources
from minigan.runs.folder import Run

NEIGHBOURS = 8
"""Samples in ``neighbours.png``, and pairs of either kind in ``copies.png``."""
SUSPECTS = 1_000
"""Samples, and test images, among which those pairs are the closest."""
FEWEST = 4
"""Images that can be split into two parts of two."""
MOST_POINTS = 10_000
"""Points that are drawn, of which a quarter is scored."""
Keep = Callable[[str, Callable[[Path], None]], None]
"""Writes a file of the run's folder, given its name and what writes it to a path."""


def evaluate(
    run: Run,
    *,
    count: int = 10_000,
    seed: int = 0,
    which: str | None = None,
    device: str = "cpu",
    data_dir: str | None = None,
    cache_dir: str | None = None,
    say: Callable[[str], None] = lambda words: None,
    wrote: Callable[[Path], None] = lambda path: None,
) -> metrics.Table:
    """Draw samples and score them.

    This writes ``evaluation.csv`` and, for images, ``neighbours.png`` and ``copies.png`` to the
    run's folder, or says why it can't.

    Parameters
    ----------
    run
        A trained run.
    count
        Largest number of samples to score; for 2-D points, it is at most 2,500.
    seed
        Seed of the samples and of the random draws of the metrics.
    which
        The checkpoint, as for `Run.game`.
    device
        Where the samples are made.
    data_dir
        Folder with the data's files, if it isn't the one used for training.
    cache_dir
        Where the classifier is stored; by default the platform's cache folder.
    say
        Called with messages about the progress.
    wrote
        Called with each file that was written.

    Returns
    -------
    metrics.Table

    Raises
    ------
    ValueError
        If the run has no model, the data can't be read, or count is too small.
    """
    count = checks.whole("count", count)
    checks.seeded(seed)
    sources.require_there(run.config.data)

    def keep(name: str, write: Callable[[Path], None]) -> None:
        """Write a file; if that fails, say why, but don't lose the table for it."""
        path = run.folder / name
        try:
            run.folder.mkdir(parents=True, exist_ok=True)  # pretrained weights have none at first
            write(path)
        except OSError as error:
            say(f"{path} can't be written: {error.strerror or error}.")
        else:
            wrote(path)

    table = _table(run, count, seed, which, device, data_dir, cache_dir, say, keep)
    text = table.csv(step=run.step_at(which))
    keep("evaluation.csv", lambda path: _write(path, text))
    return table


def _table(
    run: Run, count: int, seed: int, which: str | None, device: str, data_dir: str | None,
    cache_dir: str | None, say: Callable[[str], None], keep: Keep,
) -> metrics.Table:  # fmt: skip
    if isinstance(run.recipe, Translation):
        if count < 1:
            raise ValueError(
                f"At least one picture is needed to evaluate a run, got count={count}."
            )
        return _of_translations(run, count, seed, which, device, data_dir, say, keep)
    if isinstance(run.recipe, TextRecipe):
        return _of_text(run, run.recipe, count, seed, which, device, data_dir)
    if run.recipe.makes_images and count < 2:
        raise ValueError(f"At least two samples are needed to evaluate a run, got count={count}.")
    each = run.recipe.sample_shape[0] if run.recipe.media == ".gif" else 1
    number = max(count // each, 1) if run.recipe.makes_images else min(max(count, 2), MOST_POINTS)
    samples = run.sample(number, seed=seed, device=device, which=which)
    rng = numpy.random.default_rng(seed)
    if not run.recipe.makes_images:
        law = run.load_data()
        sources.notice_change(run.config.fingerprint, run.config.data, law, say)
        return metrics.evaluate_points(samples, law, rng=rng, count=min(count, 2_500), say=say)
    # A generator without a tanh may go beyond what a picture can show.
    samples = numpy.clip(samples, -1, 1)
    whole, train, test = _splits(run, data_dir, say)
    made, samples = samples, run.recipe.compared(samples)
    classifier = _classifier_if_any(train, test, cache_dir, say)
    table = metrics.evaluate_images(samples, train, test, classifier, rng=rng, count=count, say=say)
    own = run.recipe.rows(made, whole, classifier)
    named = () if classifier is None else metrics.naming_rows(samples, test, classifier)
    # The samples are sorted by class; some of each shall be looked at.
    mixed = samples[numpy.random.default_rng(0).permutation(len(samples))]
    keep("neighbours.png", lambda path: draw_neighbours(path, mixed, train))
    keep("copies.png", lambda path: draw_copies(path, mixed, train, test))
    return replace(table, rows=(*own, *named, *table.rows, *_of_classes(run, which, test)))


def classifier_of(
    run: Run, *, data_dir: str | None = None, cache_dir: str | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> metrics.Classifier:  # fmt: skip
    """Return the classifier that a run's samples are judged with; arguments as for `evaluate`.

    Raises
    ------
    ValueError
        If the run's data have no labels.
    """
    sources.require_there(run.config.data)
    train, test = _splits(run, data_dir, say)[1:] if run.recipe.makes_images else (None, None)
    if train is None or test is None or train.labels is None:
        raise ValueError(
            f"The data of this run, {run.config.data}, have no labels of images to learn an "
            "attribute from; leave out --attribute."
        )
    return _classifier(train, test, cache_dir, say)


def _classifier_if_any(
    train: data.Dataset, test: data.Dataset, cache_dir: str | None, say: Callable[[str], None]
) -> metrics.Classifier | None:
    if train.labels is None:
        return None
    why = obstacle(train)
    if not why and min(len(train), len(test)) < 2:
        why = f"{min(len(train), len(test))} training or test image is too few."
    if why:
        say(f"No features of a classifier are compared: {why}")
        return None
    say("the classifier whose features are compared (trained once, then cached)")
    return _classifier(train, test, cache_dir, say)


def _classifier(
    train: data.Dataset, test: data.Dataset, cache_dir: str | None, say: Callable[[str], None]
) -> metrics.Classifier:
    try:
        return metrics.classifier_for(train, test, cache_dir=cache_dir, progress=_progress(say))
    except OSError as error:
        say(f"The classifier can't be kept, and is trained for this once ({error}).")
        return metrics.train_classifier(train, test, progress=_progress(say))


def _of_classes(run: Run, which: str | None, test: data.Dataset) -> tuple[metrics.Row, ...]:
    """Score a D that sorts images into classes of its own, against the labels of test images."""
    game = run.game(which)
    if test.labels is None or not isinstance(game, gan.InformationGame | gan.SemiSupervisedGame):
        return ()
    found = game.classify(test.batch(numpy.arange(len(test))))
    if isinstance(game, gan.SemiSupervisedGame):
        right = float((found == test.labels).mean())
        return (metrics.Row("test images that D classifies correctly", right, 1.0, "higher"),)
    right = metrics.matched_accuracy(found, test.labels)
    return (metrics.Row("test images in the right cluster", right, 1.0, "higher"),)


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _of_translations(
    run: Run, count: int, seed: int, which: str | None, device: str, data_dir: str | None,
    say: Callable[[str], None], keep: Keep,
) -> metrics.Table:  # fmt: skip
    """Translate held-out pictures; compare them with the truth, if it is known, and as images."""
    recipe, where = run.recipe, data_dir or run.config.data_dir
    assert isinstance(recipe, Translation)
    train, test = (recipe.load_split(run.config.data, where, s) for s in ("train", "test"))
    game: Any = run.game(which, device=device)
    rng = numpy.random.default_rng(seed)
    outputs = _translated(game, test.a, count, rng)
    seen, truth = replace(train.b, labels=None), _first(test.b, count)
    tables = [metrics.evaluate_images(outputs, seen, truth, None, rng=rng, say=say)]
    keep("neighbours.png", lambda path: draw_neighbours(path, outputs, seen))
    keep("copies.png", lambda path: draw_copies(path, outputs, seen, truth))
    if test.aligned:
        tables.insert(0, _against_truth(outputs, test.a, truth, seen))
        if isinstance(game, gan.CycleGame):
            back = _translated(game, test.b, count, rng, back=True)
            tables.insert(1, _against_truth(back, test.b, test.a, train.a, way=", back"))
    facts = {name: fact for table in tables for name, fact in table.facts.items()}
    return metrics.Table(facts, tuple(row for table in tables for row in table.rows))


def _of_text(
    run: Run, recipe: TextRecipe, count: int, seed: int, which: str | None, device: str,
    data_dir: str | None,
) -> metrics.Table:  # fmt: skip
    """Compare lines with those of the data that were held out."""
    where = data_dir or run.config.data_dir
    train, test = (recipe.load_split(run.config.data, where, s) for s in ("train", "test"))
    samples = run.sample(max(count, 1), seed=seed, device=device, which=which).argmax(axis=-1)
    return metrics.evaluate_text(
        samples, train, test, rng=numpy.random.default_rng(seed), count=count
    )


def _translated(
    game: Any, images: data.Dataset, count: int, rng: numpy.random.Generator, *, back: bool = False
) -> Any:
    inputs = images.batch(numpy.arange(min(count, len(images))))
    # A generator that adds to its input may go beyond what a picture can show.
    return numpy.clip(game.translate(inputs, rng, back=back), -1, 1)


def _against_truth(
    outputs: Any, inputs: data.Dataset, truth: data.Dataset, seen: data.Dataset, *, way: str = ""
) -> metrics.Table:
    chosen = numpy.arange(len(outputs))
    pieces = numpy.array_split(numpy.arange(len(seen)), -(-len(seen) // SUSPECTS))
    mean = sum(seen.batch(piece).sum(axis=0, dtype=float) for piece in pieces) / len(seen)
    return metrics.evaluate_pairs(
        outputs, inputs.batch(chosen), truth.batch(chosen), mean=mean, way=way
    )


def _first(images: data.Dataset, count: int) -> data.Dataset:
    return replace(images, images=images.images[:count], labels=None)


def draw_neighbours(path: Path, samples: Any, train: data.Dataset) -> None:
    """Draw some samples, each above its three nearest training images, to reveal copies."""
    from minigan.plots import save_grid

    shown = samples[:NEIGHBOURS]
    index: Any = metrics.nearest_neighbours(shown, train, k=min(3, len(train))).index
    save_grid(
        path,
        numpy.concatenate([shown, *(train.batch(column) for column in index.T)]),
        columns=len(shown),
    )


def draw_copies(path: Path, samples: Any, train: data.Dataset, test: data.Dataset) -> None:
    """Draw the samples that are closest to a training image, each above that image.

    Below them are the test images that are closest to one, in the same way: what happens without
    copying.
    """
    from minigan.plots import save_grid

    samples = samples[:SUSPECTS]
    unseen = test.batch(numpy.arange(min(SUSPECTS, len(test))))
    found = metrics.copying(samples, train, unseen)
    count = min(NEIGHBOURS, len(samples), len(unseen))
    ours, theirs = found.suspects(count), found.closest_unseen(count)
    pairs = (samples[ours], train.batch(found.index[ours]),
             unseen[theirs], train.batch(found.unseen_index[theirs]))  # fmt: skip
    save_grid(path, numpy.concatenate(pairs), columns=count)


def _splits(
    run: Run, data_dir: str | None, say: Callable[[str], None]
) -> tuple[Any, data.Dataset, data.Dataset]:
    """Training data as they are, and the images of both splits by which samples are evaluated.

    Data without a test split are split here.
    """
    name, recipe = run.config.data, run.recipe
    where = data_dir or run.config.data_dir
    whole = recipe.load(name, where)
    sources.notice_change(run.config.fingerprint, name, whole, say)
    if not isinstance(whole, data.Dataset):
        raise ValueError(
            f"The data of the recipe {recipe.name!r} are {type(whole).__name__}, but only a "
            "Dataset of images can be compared with samples; return one from its method load."
        )
    if whole.images.shape[1:] == recipe.sample_shape:
        test = recipe.load_test(name, where)
        alike = None if test is None else _renumbered(test, whole)
        if alike is not None:
            return whole, _images(run, whole), _images(run, alike)
        if test is not None:
            say(
                f"The labels of {test.name} don't mean the same as those of the training data, so "
                "a fifth of the training data is used in its place."
            )
    images = _images(run, whole)
    if len(images) < FEWEST:
        raise ValueError(
            f"{whole.name} has {len(images)} images, too few to set some aside for an evaluation: "
            f"at least {FEWEST} are needed; add some, or a folder test beside train."
        )
    train, test = metrics.split(images, test_share=max(0.2, 2 / len(images)))
    train = replace(train, name=whole.name)
    which = "that the nets saw" if recipe.sees_all else "set aside"
    return whole, train, replace(test, name=f"{whole.name}, a fifth {which}")


def _renumbered(test: data.Dataset, train: data.Dataset) -> data.Dataset | None:
    """Return test images whose labels mean what those of the training images do; None if they
    can't, or only one of the two has labels.
    """
    if train.labels is None or test.labels is None:
        return test if train.labels is test.labels else None
    if train.class_names is not None and set(test.class_names or ("",)) <= set(train.class_names):
        return alike(train, test)
    same = train.class_names == test.class_names and test.labels.max() <= train.labels.max()
    return test if same else None


def _images(run: Run, found: data.Dataset) -> data.Dataset:
    """Return the images of a data set by which samples are evaluated, with their labels."""
    if run.recipe.media is None:
        return found
    images = run.recipe.compared(found.batch(numpy.arange(len(found))))
    each = len(images) // len(found)
    labels = None if found.labels is None else found.labels.repeat(each)
    return data.Dataset(found.name, images, labels, found.source, found.class_names)


def _progress(say: Callable[[str], None]) -> Callable[[int, int, float], None]:
    def progress(step: int, steps: int, loss: float) -> None:
        if step % max(steps // 10, 1) == 0:
            say(f"training the classifier: step {step:,} of {steps:,}, loss {loss:.3f}")

    return progress
