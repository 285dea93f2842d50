"""Slow motion: one iteration in ten frames, with all that goes up and down the two nets.

The library itself plays the round, with layers that are listened to (`minigan.play.heard`); so what
is shown is what happened. Five frames are D's turn, five are G's:

====  ==============  ==============================================================================
1, 6  ``generate``    z goes up through G, layer by layer
2, 7  ``judge``       D on reals and fakes, on fakes alone in G's turn; the logits
3, 8  ``loss``        the loss, and the first cotangent: its derivative for each logit
4, 9  ``backward``    the walk down; in D's turn it ends at the fake batch, in G's it passes
                      through D to the points and down into G
5, 10 ``step``        the optimizer's step
====  ==============  ==============================================================================
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, gan, nn
from minigan.backend import Array
from minigan.gan.game import Batch
from minigan.play.heard import Call, listening

Frame = dict[str, Any]
BINS = 24
FRAMES = ("generate", "judge", "loss", "backward", "step")
"""The frames of each turn."""


def motion(scene: Any, game: gan.Game) -> tuple[list[Frame], dict[str, Array]]:
    """Play one round, exactly as a trainer does, and return its ten frames and its report.

    Parameters
    ----------
    scene
        Where the game is shown, with its trainer.
    game
        The game, between two `nn.Sequential`.

    Raises
    ------
    ValueError
        If a player isn't a chain of layers.
    """
    chains = [_chain(game.generator), _chain(game.discriminator)]
    batches, z = game.draw(scene.trainer.source, scene.trainer.rng)
    for batch in batches[:-1]:
        game.discriminator_step(*batch)
    shown = _Turn(scene, game, *chains)
    frames, report = shown.of_discriminator(batches[-1])
    more, last = shown.of_generator(z, batches[-1])
    game.end_round()
    scene.trainer.step += 1
    for index, frame in enumerate(frames + more):
        frame |= {"index": index, "step": scene.trainer.step}
    return frames + more, report | last


def sources(game: gan.Game) -> dict[str, dict[str, str]]:
    """Return the source of each kind of layer in a game: its formulas, forward and backward."""
    layers = [layer for net in game.players().values() for layer in _chain(net)]
    kinds = {type(layer) for layer in layers}
    return {kind.__name__: _source(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)}


def _source(kind: type[nn.Layer]) -> dict[str, str]:
    found = {way: inspect.cleandoc(inspect.getsource(getattr(kind, way)))
             for way in ("forward", "backward")}  # fmt: skip
    return {"about": inspect.getdoc(kind) or "", **found}


def _chain(net: nn.Layer) -> nn.Sequential:
    if not isinstance(net, nn.Sequential):
        raise ValueError(
            f"Slow motion needs players that are chains of layers, got {type(net).__name__}; play "
            "whole rounds of this game."
        )
    return net


class _Turn:
    """The turns of both players, and what is seen of them."""

    def __init__(
        self, scene: Any, game: gan.Game, generator: nn.Sequential, discriminator: nn.Sequential
    ) -> None:
        self.scene, self.game, self.G, self.D = scene, game, generator, discriminator

    def of_discriminator(self, batch: Batch) -> tuple[list[Frame], dict[str, Array]]:
        """Let D take its step; return five frames."""
        before, land = _values(self.D), self._landscape()
        with listening(self.G) as in_g, listening(self.D) as in_d:
            report = self.game.discriminator_step(*batch)
        n = len(batch.real)
        forward, backward, others = _judged(passes(in_d), n)
        fake, logits = in_g[-1].left, forward[-1]["left"]
        real_logits, fake_logits = logits[: len(logits) // 2], logits[len(logits) // 2 :]
        seen = self._plane(fake, batch.real) | {"landscape": land}
        common = {"turn": "discriminator", **seen}
        frames = [
            {"key": "generate", "layers": {"generator": _forward(in_g)}},
            {"key": "judge", "layers": {"discriminator": _described(forward)},
             "logits": _histograms(real=real_logits, fake=fake_logits)},
            {"key": "loss", "loss": _number(report["loss_d"]), **self._objective(),
             **_cotangents(real_logits, fake_logits, backward[-1]["arrived"])},
            {"key": "backward", "stop": True, "walks": others,
             "penalty": _number(report.get("penalty")),
             "layers": {"discriminator": _with_gradients(_described(backward), self.D)}},
            {"key": "step", "layers": {"discriminator": _moves(self.D, before)},
             "landscape_after": self._landscape()},
        ]  # fmt: skip
        return [common | frame for frame in frames], report

    def of_generator(self, z: Array, batch: Batch) -> tuple[list[Frame], dict[str, Array]]:
        """Let G take its step; return five frames."""
        before = _values(self.G)
        with listening(self.G) as in_g, listening(self.D) as in_d:
            report = self.game.generator_step(z, batch.real, batch.labels)
        ways = passes(in_d)
        up, down = (next(p for p in ways if p[0].way == way) for way in ("forward", "backward"))
        fake, logits, d_logits = _samples(up[0].arrived), up[-1].left, down[0].arrived
        in_g_up, in_g_down = (next(p for p in passes(in_g) if p[0].way == way)
                              for way in ("forward", "backward"))  # fmt: skip
        common = {"turn": "generator", "landscape": self._landscape()} | self._plane(fake, None)
        layers = {"discriminator": _backward(down), "generator": _backward(in_g_down)}
        layers["generator"] = _with_gradients(layers["generator"], self.G)
        push = -numpy.asarray(in_g_down[0].arrived) * len(logits)
        frames = [
            {"key": "generate", "layers": {"generator": _forward(in_g_up)}},
            {"key": "judge", "layers": {"discriminator": _forward(up)},
             "logits": _histograms(fake=logits)},
            {"key": "loss", "loss": _number(report["loss_g"]), **self._objective(),
             **_cotangents(None, logits, d_logits)},
            {"key": "backward", "layers": layers, **self._arrows(push)},
            {"key": "step", "layers": {"generator": _moves(self.G, before)},
             **self._plane_after(z, batch.labels)},
        ]  # fmt: skip
        return [common | frame for frame in frames], report

    # What is seen depends on whether samples are points.

    def _landscape(self) -> NDArray[Any] | None:
        from minigan.play.scenes import shades

        places = getattr(self.scene, "places", None)
        return None if places is None else shades(self.game.landscape(places))

    def _objective(self) -> Frame:
        return {"objective": self.game.objective.name}

    def _plane(self, fake: Array, real: Array | None) -> Frame:
        if self.scene.kind != "plane":
            return {}
        return {"fake": numpy.array(fake)} | ({} if real is None else {"real": numpy.array(real)})

    def _arrows(self, push: NDArray[Any]) -> Frame:
        return {"arrows": push} if self.scene.kind == "plane" else {}

    def _plane_after(self, z: Array, labels: Array | None) -> Frame:
        if self.scene.kind != "plane":
            return {}
        return {"fake_after": self.game.sample(z, labels, averaged=False)}


# ---------------------------------------------------------------- the ways up and down


def passes(calls: Iterable[Call]) -> list[list[Call]]:
    """Split calls into walks: in each, every layer is called once, in one direction."""
    walks: list[list[Call]] = []
    for call in calls:
        goes_on = bool(walks) and walks[-1][-1].way == call.way and _next(walks[-1][-1], call)
        walks[-1:] = [[*walks[-1], call]] if goes_on else [*walks[-1:], [call]]
    return walks


def _next(before: Call, call: Call) -> bool:
    return call.layer == before.layer + (-1 if call.way == "backward" else 1)


def _judged(walks: list[list[Call]], n: int) -> tuple[list[Frame], list[Frame], list[Frame]]:
    """Return the way up and the way down of both batches, and the walks of penalties in words."""
    ups = [walk for walk in walks if walk[0].way == "forward"]
    downs = [walk for walk in walks if walk[0].way == "backward"]
    together = 1 if len(_samples(ups[0][0].arrived)) == 2 * n else 2
    mine = [*ups[:together], *downs[:together]]
    others = [{"way": w[0].way, "norms": [_norm(call.left) for call in w]}
              for w in walks if not any(w is own for own in mine)]  # fmt: skip
    return _joined(ups[:together]), _joined(downs[:together])[::-1], others


def _joined(walks: Sequence[list[Call]]) -> list[Frame]:
    """The arrays of a walk, of both batches one behind the other."""
    return [
        {"layer": calls[0].layer, "arrived": _stacked(c.arrived for c in calls),
         "left": _stacked(c.left for c in calls), "param_grads": calls[0].param_grads}
        for calls in zip(*walks, strict=True)
    ]  # fmt: skip


def _stacked(arrays: Iterable[Any]) -> Any:
    found = [backend.to_numpy(_samples(a)) for a in arrays if a is not None]
    return numpy.concatenate(found) if found else None


def _samples(a: Any) -> Any:
    """What labels come beside, where they do."""
    return a[0] if isinstance(a, tuple) else a


def _forward(calls: list[Call]) -> list[Frame]:
    return _described(_joined([calls]))


def _backward(calls: list[Call]) -> list[Frame]:
    return _described(_joined([calls])[::-1])


def _described(walk: list[Frame]) -> list[Frame]:
    """Numbers about each layer of a walk, the first layer first."""
    return [
        {"layer": step["layer"], "param_grads": step["param_grads"],
         "arrived": _about(step["arrived"]), "left": _about(step["left"])}
        for step in walk
    ]  # fmt: skip


def _about(a: Any) -> Frame | None:
    if a is None:
        return None
    return {
        "shape": list(a.shape), "norm": _norm(a), "mean": _number(abs(a).mean()),
        "histogram": histogram(a),
    }  # fmt: skip


def histogram(values: Any, low: float | None = None, high: float | None = None) -> Frame:
    """Return counts of the finite values in `BINS` bins, between their ends or those given."""
    finite = numpy.asarray(values, "float64").ravel()
    finite = finite[numpy.isfinite(finite)]
    if len(finite) == 0:
        return {"low": 0.0, "high": 1.0, "counts": [0] * BINS}
    low = float(finite.min()) if low is None else low
    high = float(finite.max()) if high is None else high
    high = high if high > low else low + 1e-6 + abs(low) * 1e-6
    counts, _ = numpy.histogram(finite, bins=BINS, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}


def _histograms(**logits: Array) -> Frame:
    """Histograms between the same ends."""
    every = numpy.concatenate([backend.to_numpy(x).ravel() for x in logits.values()])
    ends = histogram(every)
    return {name: histogram(x, ends["low"], ends["high"]) for name, x in logits.items()}


def _cotangents(real: Array | None, fake: Array, d_logits: Array) -> Frame:
    """Each logit beside the derivative of the loss with respect to it, times the batch size."""
    n, m = 0 if real is None else len(real), len(fake)
    scaled = numpy.asarray(d_logits)[:, 0] * m
    pairs = {"fake": numpy.stack([numpy.asarray(fake)[:, 0], scaled[n:]], axis=1)}
    if real is not None:
        pairs["real"] = numpy.stack([numpy.asarray(real)[:, 0], scaled[:n]], axis=1)
    return {"cotangents": pairs}


# ---------------------------------------------------------------- weights


def _values(net: nn.Layer) -> dict[str, Array]:
    return {name: p.value.copy() for name, p in net.parameters().items()}


def _with_gradients(walk: list[Frame], net: nn.Layer) -> list[Frame]:
    gradients = _by_layer({name: _norm(p.grad) for name, p in net.parameters().items()})
    return [step | {"gradients": gradients.get(step["layer"], {})} for step in walk]


def _moves(net: nn.Sequential, before: Mapping[str, Array]) -> list[Frame]:
    """How far each layer's parameters have moved, and how large they were."""
    moved = {name: _norm(p.value - before[name]) for name, p in net.parameters().items()}
    size = {name: _norm(value) for name, value in before.items()}
    moves, sizes = _by_layer(moved), _by_layer(size)
    return [{"layer": i, "moved": moves.get(i, {}), "size": sizes.get(i, {})}
            for i in range(len(net))]  # fmt: skip


def _by_layer(numbers: Mapping[str, float | None]) -> dict[int, dict[str, float | None]]:
    """``{"0.weight": 1.0}`` as ``{0: {"weight": 1.0}}``."""
    split = [(name.partition("."), number) for name, number in numbers.items()]
    return {
        int(index): {rest: number for (_, _, rest), number in group}
        for index, group in itertools.groupby(split, key=lambda item: item[0][0])
    }


def _norm(a: Any) -> float | None:
    return (
        None
        if a is None
        else _number(numpy.linalg.norm(backend.to_numpy(_samples(a)).ravel().astype("float64")))
    )


def _number(value: Any) -> float | None:
    """Return a number that JSON can hold; None if there is none, or it isn't finite."""
    number = None if value is None else float(value)
    return number if number is not None and numpy.isfinite(number) else None
