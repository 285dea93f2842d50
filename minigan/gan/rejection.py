r"""Discriminator rejection sampling: keep the samples that D can't tell from data (Azadi et al.
2019).

A generator is continuous: between two modes of the data it must put some samples, and how wide a
mode is and how many samples it gets, it learns only roughly. What is wrong with them D can see.
Leave G as it is, then, and train D to the end: its logit becomes (Goodfellow et al. 2014,
proposition 1)

.. math:: l(x) = \log \frac{p(x)}{q(x)},

with p the density of the data and q that of G's samples. Von Neumann's rejection makes samples of p
out of those of q: keep x with the probability

.. math:: a(x) = \min(1, e^{l(x) - M}).

What is kept has a density in proportion to :math:`q\,a`, which is :math:`\min(p, e^M q)` up to a
factor. With M the largest logit that is p itself, and a share :math:`e^{-M}` of all samples is
kept. A smaller M keeps more, and leaves too few samples where G makes the fewest: M is a quantile
of the logits, and takes the place of the shift γ in the paper's equation 8. Where G makes nothing,
nothing can be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, losses, nn, optim
from minigan.gan.base import in_batches, require_owner


class Accepted(NamedTuple):
    """What passed: samples (n, ...), or a tuple of arrays, and the share of those drawn."""

    samples: Any
    share: float


def train_judge(
    judge: nn.Layer, optimizer: optim.Optimizer, real: Callable[[], Any], fake: Callable[[], Any],
    *, steps: int, scheduler: optim.Scheduler | None = None,
) -> NDArray[numpy.float64]:  # fmt: skip
    """Train D alone, by cross entropy and without penalties, which would bend its logit.

    Parameters
    ----------
    judge
        Maps samples (N, ...), or pairs of samples and labels, to logits (N, 1); without batch norm,
        which would see batches of one kind here and mixed ones later.
    optimizer
        That of the judge.
    real, fake
        Each returns a batch of real samples, or of G's, at every call; on the host.
    steps
        Updates. Too few blur the logit, and with it what is kept.
    scheduler
        Changes the learning rate, if any; a rate that falls to 0 serves well.

    Returns
    -------
    ndarray of float64, shape (steps,)
        The losses, in nats; 2 ln 2 = 1.386 where nothing can be told apart.

    Raises
    ------
    ValueError
        If `steps` is negative, or the optimizer is another net's.
    """
    if steps < 0:
        raise ValueError(f"The judge can't be trained for {steps} steps; give 0 or more.")
    require_owner(optimizer, judge, (), "judge")
    found = numpy.empty(steps)
    for step in range(steps):
        optimizer.zero_grad()
        parts = [_learn(judge, real(), 1.0), _learn(judge, fake(), 0.0)]
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        found[step] = sum(parts)
    return found


def _learn(judge: nn.Layer, x: Any, answer: float) -> float:
    """Add the gradient of the cross entropy with one answer for a whole batch; return the loss."""
    ops = backend.of(next(iter(judge.parameters().values())).value)
    logits, cache = judge.forward(backend.tree.mapped(ops.asarray, x))
    loss, slope = losses.bce_with_logits(logits, answer)
    judge.backward(slope, cache, input_grad=False)
    return float(loss)


def accepted(
    draw: Callable[[int], Any], judge: nn.Layer, n: int, *, rng: numpy.random.Generator,
    quantile: float = 1.0, block: int = 10_000,
) -> Accepted:  # fmt: skip
    """Return n samples that the judge lets through.

    Parameters
    ----------
    draw
        ``draw(k)`` makes k samples (k, ...), or a tuple of arrays such as samples and labels; all
        on the host.
    judge
        Maps them to logits (k, 1); see `train_judge`.
    n
        How many to keep.
    rng
        Decides which ones.
    quantile
        M is this quantile of the logits of the first `block` samples, above 0 and at most 1.
    block
        Samples that are drawn at a time.

    Raises
    ------
    ValueError
        If `n` or `block` isn't positive, the quantile is out of range, the judge's logits have
        another shape or aren't finite, or of 100 blocks neither a hundredth of what is wanted nor
        more than a hundredth of what was drawn was kept.
    """
    if n < 1 or block < 1:
        raise ValueError(f"n and block must be positive, got {n} and {block}.")
    if not 0 < quantile <= 1:
        raise ValueError(f"The quantile must be above 0 and at most 1, got {quantile}.")
    level: float | None = None
    kept: list[list[Any]] = []
    had = blocks = 0
    while had < n:
        some = draw(block)
        logits = _logits(judge, some, block)
        level = float(numpy.quantile(logits, quantile)) if level is None else level
        passes = rng.random(block) < numpy.exp(numpy.minimum(logits - level, 0))
        kept.append([leaf[passes] for leaf in backend.tree.leaves(some)])
        had, blocks = had + int(passes.sum()), blocks + 1
        if blocks % 100 == 0:
            _require_progress(had, n, blocks, block)
    whole = [numpy.concatenate(arrays)[:n] for arrays in zip(*kept, strict=True)]
    return Accepted(backend.tree.replaced(some, whole), had / (blocks * block))


def _require_progress(had: int, n: int, blocks: int, block: int) -> None:
    """Refuse to go on where hundreds of blocks more would be needed, and next to nothing passes."""
    if had * 100 < n * blocks // 100 and had * 100 <= blocks * block:
        raise ValueError(
            f"Of {blocks * block:,} samples only {had:,} were kept, of {n:,} that are wanted; "
            "give a lower quantile, or train G for longer."
        )


def _logits(judge: nn.Layer, samples: Any, n: int) -> NDArray[numpy.float64]:
    found = in_batches(judge, samples, batch_size=1_000)
    if found.shape != (n, 1) or not numpy.isfinite(found).all():
        raise ValueError(
            f"The judge must give a finite logit for each of {n:,} samples, of shape ({n}, 1); it "
            f"gave {'some that are not finite' if found.shape == (n, 1) else found.shape}."
        )
    return found[:, 0].astype("float64")
