"""Exercise 23: labels: the embedding, and the projection discriminator."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import embedding as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One label, different ones, a label that repeats, a batch."""

    def given(labels: list[int], k: int, c: int) -> dict[str, Any]:
        n = len(labels)
        shapes = {
            "table": (k, c),
            "h": (n, c),
            "w": (c, 1),
            "b": (1,),
            "dy": (n, c),
            "dlogits": (n, 1),
        }
        return {m: rng.standard_normal(s) for m, s in shapes.items()} | {
            "labels": numpy.array(labels)
        }

    return [
        Case("one label", given([0], 1, 1)),
        Case("different labels", given([2, 0], 3, 2)),
        Case("a label that repeats", given([1, 1], 2, 1)),
        Case("labels in falling order, one unused", given([3, 2, 0], 4, 2)),
        Case("the last label doesn't occur", given([1, 0], 3, 2)),
        Case("6 samples, 4 labels, 3 numbers", given([1, 3, 1, 0, 3, 1], 4, 3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Both pairs of functions."""
    given.gradient = given.dy
    first = play_pair(
        code, given, "table labels", "dtable", forward="embed_forward", backward="embed_backward"
    )
    given.done |= first
    given.dy = given.dlogits
    names = {"forward": "project_forward", "backward": "project_backward", "y": "logits"}
    second = play_pair(code, given, "h table labels w b", "dh dtable dw db", **names)
    return first | {("dtable2" if n == "dtable" else n): v for n, v in second.items()}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The logit's three terms, and dh's two."""
    h, rows = given.h, given.table[given.labels]
    parts = {
        "h · w": h @ given.w,
        "the bias b": 0 * h[:, :1] + given.b,
        "h · table[label]": (h * rows).sum(axis=1, keepdims=True),
    }
    dh = {
        "the term of w": given.dlogits * given.w.T,
        "the term of the label's row": given.dlogits * rows,
    }
    return {"logits": (parts, {}), "dh": (dh, {})}


EMBED = (
    "def embed_backward(dy, cache):\n    labels, shape = cache\n"
    "    t = np.zeros(shape, dy.dtype)\n    {}\n    return t\n"
)


def _project(
    logits: str = "h @ w + b + (h * R).sum(1, keepdims=True)",
    dh: str = "dy * (w.T + R)",
    add: str = "np.add.at(t, labels, dy * h)",
    dw: str = "h.T @ dy",
    db: str = "dy.sum(0)",
) -> str:
    return (
        "def project_forward(h, table, labels, w, b):\n    R = table[labels]\n"
        f"    return {logits}, (h, R, labels, table.shape, w)\n"
        "def project_backward(dy, cache):\n    h, R, labels, shape, w = cache\n"
        f"    t = np.zeros(shape, dy.dtype)\n    {add}\n    return {dh}, t, {dw}, {db}\n"
    )


EXERCISE = Exercise(
    number=23,
    name="embedding",
    title="Labels: the embedding, and the projection discriminator",
    asks=("embed_forward", "embed_backward", "project_forward", "project_backward"),
    outputs={
        "y": Output("the rows that were looked up", part="embedding"),
        "dtable": Output("the gradient of the table", Slope("y", "dy", "table")),
        "logits": Output("the logits of the projection discriminator", part="projection"),
        "dh": Output("the gradient of the features", Slope("logits", "dlogits", "h")),
        "dtable2": Output(
            "the gradient of the table, through the projection", Slope("logits", "dlogits", "table")
        ),
        "dw": Output("the gradient of w", Slope("logits", "dlogits", "w")),
        "db": Output("the gradient of b", Slope("logits", "dlogits", "b")),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "a label that repeats keeps the last row only, with t[labels] = … and with "
            "t[labels] += … alike: use np.add.at",
            EMBED.format("t[labels] = dy"),
        ),
        Variant(
            "a label that repeats keeps the last row only, with t[labels] = … and with "
            "t[labels] += … alike: use np.add.at",
            EMBED.format("t[labels] += dy"),
        ),
        Variant(
            "there are only as many rows as the largest label that occurs: the table's shape is K",
            "def embed_backward(dy, cache):\n    labels, shape = cache\n"
            "    return np.eye(labels.max() + 1, dtype=dy.dtype)[labels].T @ dy\n",
        ),
        Variant(
            "each row is divided by how often its label occurs: sum, don't average",
            EMBED.format(
                "np.add.at(t, labels, dy); t /= np.maximum(np.bincount(labels, "
                "minlength=len(t)), 1)[:, None]"
            ),
        ),
        Variant(
            "the rows are in the order of the samples, not of the labels",
            EMBED.format("t[np.arange(len(labels)) % len(t)] += dy"),
        ),
        Variant(
            "every row gets the sum over all samples: only those with its label",
            EMBED.format("t += dy.sum(0)"),
        ),
        Variant(
            "the first occurrence of each label alone is kept",
            EMBED.format("t[labels[::-1]] = dy[::-1]"),
        ),
        Variant(
            "it is divided by N: a layer sums over the samples",
            EMBED.format("np.add.at(t, labels, dy / len(dy))"),
        ),
        Variant(
            "the gradient is subtracted: the optimizer is what subtracts",
            EMBED.format("np.add.at(t, labels, -dy)"),
        ),
        Variant(
            "the table's gradient is zero: what np.add.at adds must be kept", EMBED.format("pass")
        ),
        Variant(
            "the rows are in the order of the samples: look up table[labels]",
            "def embed_forward(table, labels):\n    return table[np.arange(len(labels)) % "
            "len(table)], (labels, table.shape)\n",
        ),
        Variant(
            "the rows are sorted by label: keep the order of the batch",
            "def embed_forward(table, labels):\n    return table[np.sort(labels)], (labels, "
            "table.shape)\n",
        ),
        Variant(
            "a label that repeats keeps the last row only, with t[labels] = … and with "
            "t[labels] += … alike: use np.add.at",
            _project(add="t[labels] = dy * h"),
        ),
        Variant(
            "a label that repeats keeps the last row only, with t[labels] = … and with "
            "t[labels] += … alike: use np.add.at",
            _project(add="t[labels] += dy * h"),
        ),
        Variant(
            "the table's gradient lacks the features: it is dy h, row by row",
            _project(add="np.add.at(t, labels, dy + 0 * h)"),
        ),
        Variant(
            "dh lacks the label's row: h is in two terms of the logit",
            _project(dh="dy * w.T + 0 * R"),
        ),
        Variant("dh lacks w: h is in two terms of the logit", _project(dh="dy * R")),
        Variant("dy is forgotten in dh", _project(dh="w.T + R")),
        Variant(
            "dw contains the label's row: w is multiplied by h alone", _project(dw="(h * R).T @ dy")
        ),
        Variant("db is a mean: sum over the samples", _project(db="dy.mean(0)")),
        Variant(
            "dw is divided by N: a layer sums over the samples", _project(dw="h.T @ dy / len(h)")
        ),
        Variant(
            "the projection isn't summed over the features",
            _project("h @ w + b + (h * R).mean(1, keepdims=True)"),
        ),
        Variant("the term of the label is missing in the logit", _project("h @ w + b")),
        Variant(
            "the term h · w is missing in the logit", _project("b + (h * R).sum(1, keepdims=True)")
        ),
        Variant("the bias is forgotten", _project("h @ w + (h * R).sum(1, keepdims=True)")),
        Variant(
            "each sample is multiplied by every row, not by its label's alone",
            _project("h @ w + b + (h @ R.T).sum(1, keepdims=True)"),
        ),
        Variant(
            "the logits have lost an axis: (N, 1), so sum with keepdims=True",
            _project("(h @ w)[:, 0] + b + (h * R).sum(1)"),
        ),
        Variant(
            "(N, 1) and (N,) together make (N, N): sum with keepdims=True",
            _project("h @ w + b + (h * R).sum(1)"),
        ),
    ),
    hints=(
        "Looking a row up is a copy; its adjoint adds the gradient back to where the row came "
        "from.",
        "NumPy's t[labels] += dy looks each row up before adding, so repeated labels count "
        "once. np.add.at(t, labels, dy) "
        "goes one by one.",
        "dh = dy * (w.T + rows), dtable by np.add.at(dtable, labels, dy * h), dw = h.T @ dy, db "
        "= dy.sum(axis=0).",
    ),
    explanation=(
        "An embedding is a linear layer whose input is one-hot: its gradient is xᵀ dy, computed "
        "without the zeros. "
        "The += that silently drops repeats shows only when a batch has two samples of a class, "
        "which is nearly "
        "always. The projection asks: do these features point where this class points? It beats "
        "pasting the label "
        "beside the features."
    ),
    library="minigan/nn/embedding.py, minigan/nn/conditional.py",
    paper="Miyato and Koyama 2018",
    tutorial="13-conditions",
)
