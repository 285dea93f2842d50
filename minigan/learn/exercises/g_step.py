"""Exercise 9: the generator's step, through the discriminator."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn import given as given_ready
from minigan.learn.exercises.common import Recorder, left, net_arrays, net_of
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import g_step as solution

NAMES = (
    "w of G's first layer",
    "b of G's first layer",
    "w of G's last layer",
    "b of G's last layer",
)


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One sample, a batch."""

    def given(n: int, latent: int, hidden: int, features: int) -> dict[str, Any]:
        g = net_arrays(rng, "g", (latent, hidden, features))
        return {"z": rng.standard_normal((n, latent))} | g | net_arrays(rng, "d", (features, 3, 1))

    return [
        Case("one sample", given(1, 1, 1, 1)),
        Case("three samples", given(3, 2, 4, 2)),
        Case("6 samples", given(6, 3, 5, 2)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """One step."""
    generator, judge = net_of(given, "g"), net_of(given, "d")
    before = [g.copy() for g in judge.grads]
    optimizer = Recorder(generator)
    (loss,) = several(
        code.generator_step(generator, judge, optimizer, given.z), "loss", "generator_step"
    )
    grads = {f"g{i}": g for i, g in enumerate(optimizer.seen)}
    touched = sum(abs(a - b).sum() for a, b in zip(judge.grads, before, strict=True))
    return {
        "loss": loss,
        **grads,
        "steps": numpy.array(float(optimizer.steps)),
        "touched": numpy.array(float(touched)),
        **left(generator),
        "_judge": left(judge)["_left"],
    }


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """G's gradient, and what else may have come in."""

    def gradient(target: float, raw: bool = False) -> list[Any]:
        g, d = net_of(given, "g"), net_of(given, "d")
        g.zero_grad()
        fake, cache = g.forward(given.z)
        logits, seen = d.forward(fake)
        dfake = d.backward(given_ready.bce_with_logits(logits, target)[1], seen)
        g.backward(0 * fake - 1 / len(fake) if raw else dfake, cache)
        return g.grads

    right, other, raw = gradient(1), gradient(0), gradient(1, raw=True)
    return {
        f"g{i}": (
            {"the gradient through D": right[i]},
            {
                "what was there before (zero G's gradients first)": getattr(given, f"g_old{i}"),
                "the gradient for the target 0": other[i],
                "the gradient of -1/N straight into G": raw[i],
            },
        )
        for i in range(4)
    }


def _code(
    zero: str = "G.zero_grad()",
    target: str = "1",
    dfake: str = "D.backward(dlogits, cache_d, param_grads=False)",
    step: str = "optimizer.step()",
    more: str = "pass",
    pull: str = "G.backward(dfake, cache_g)",
    end: str = "return loss",
) -> str:
    return (
        "def generator_step(G, D, optimizer, z):\n"
        f"    {zero}\n    fake, cache_g = G.forward(z)\n    logits, cache_d = D.forward(fake)\n"
        f"    loss, dlogits = bce_with_logits(logits, {target})\n    {more}\n"
        f"    dfake = {dfake}\n    {pull}\n    {step}\n    {end}\n"
    )


MINIMAX = (
    "this is the minimax loss, log(1 - D(G(z))), whose gradient vanishes where D is sure: the "
    "non-saturating one, with the target 1, is asked for"
)
EXERCISE = Exercise(
    number=9,
    name="g_step",
    title="The generator's step, through the discriminator",
    asks=("generator_step",),
    outputs={
        "loss": Output("G's loss"),
        **{
            f"g{i}": Output(
                f"the gradient of {n} when the optimizer steps",
                Slope("loss", None, f"g{i}"),
                "gradients",
            )
            for i, n in enumerate(NAMES)
        },
        "steps": Output("the number of steps of the optimizer"),
        "touched": Output("by how much D's gradients have changed"),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the target is 0: G would learn to be recognised as fake; it is 1 for G",
            _code(target="0"),
        ),
        Variant(MINIMAX, _code(target="0", more="loss, dlogits = -loss, -dlogits")),
        Variant(
            "-1/N goes straight into G: what goes there is D.backward(dlogits, ...), the "
            "gradient with respect to the samples",
            _code(dfake="0 * fake - 1 / len(fake)"),
        ),
        Variant(
            "dlogits goes straight into G: pull it through D first, D.backward(dlogits, ...)",
            _code(dfake="dlogits + 0 * fake"),
        ),
        Variant(
            "D's gradients have changed: call D.backward with param_grads=False",
            _code(dfake="D.backward(dlogits, cache_d)"),
        ),
        Variant(
            "D's gradients have been zeroed: leave them to D's own step",
            _code(dfake="(D.backward(dlogits, cache_d), D.zero_grad())[0]"),
        ),
        Variant("D's gradients are zeroed, not G's", _code(zero="D.zero_grad()")),
        Variant(
            "G's gradients aren't zeroed first: what earlier steps left is still there",
            _code(zero="pass"),
        ),
        Variant(
            "G's gradients are zeroed before the optimizer's step, which then does nothing",
            _code(step="G.zero_grad(); optimizer.step()"),
        ),
        Variant("the optimizer never steps", _code(step="pass")),
        Variant(
            "G's backward is told to leave the gradients alone (param_grads=False): that is for D",
            _code(pull="G.backward(dfake, cache_g, param_grads=False)"),
        ),
        Variant("the optimizer steps twice", _code(step="optimizer.step(); optimizer.step()")),
        Variant(
            "G's backward is never called: pull what D returned through G, too", _code(pull="pass")
        ),
        Variant(
            "the sign is wrong: the optimizer goes downhill by itself",
            _code(pull="G.backward(-dfake, cache_g)"),
        ),
        Variant(
            "the samples themselves go into G's backward: it needs their gradient",
            _code(dfake="fake"),
        ),
        Variant(
            "it is divided by N once too often: the loss is a mean already",
            _code(pull="G.backward(dfake / len(z), cache_g)"),
        ),
        Variant(
            "the half belongs to D's loss, which has two parts: G's has one",
            _code(more="loss, dlogits = loss / 2, dlogits / 2"),
        ),
        Variant(
            "the half belongs to D's loss, which has two parts: G's has one",
            _code(more="dlogits = dlogits / 2"),
        ),
        Variant(
            "the optimizer steps before the gradients are there: step last",
            _code(zero="G.zero_grad(); optimizer.step()", step="pass"),
        ),
        Variant(
            "the loss is that of the weights after the step: return the one before it",
            _code(end="return bce_with_logits(D.forward(G.forward(z)[0])[0], 1)[0]"),
        ),
        Variant(
            "D's probability is returned, not the loss",
            _code(end="return (1 / (1 + np.exp(-logits))).mean()"),
        ),
        Variant(
            "the samples that D has judged are returned, not the loss", _code(end="return fake")
        ),
        Variant(
            "the logits are in the place of dlogits: hand the loss's gradient to D.backward",
            _code(dfake="D.backward(logits, cache_d, param_grads=False)"),
        ),
        Variant(
            "a target of 0.9 is label smoothing, which belongs to D's real samples alone",
            _code(target="0.9"),
        ),
        Variant(
            "N is missing: the gradient of the mean has the factor 1/N, which "
            "bce_with_logits has put into dlogits already",
            _code(pull="G.backward(dfake * len(z), cache_g)"),
        ),
    ),
    hints=(
        "Forward twice: z through G, the samples through D. Then backward twice, in reverse.",
        "What D.backward returns is dL/dfake: just what G.backward takes.",
        "dfake = D.backward(dlogits, cache_d, param_grads=False); G.backward(dfake, cache_g); "
        "optimizer.step().",
    ),
    explanation=(
        "This is the idea of the GAN in three lines: D is a loss function that is learnt, and "
        "its backward "
        "map tells G in which direction each pixel should change. param_grads=False keeps D "
        "from learning "
        "to be fooled. Now everything is yours: `minigan learn train ring` trains on your "
        "linear layers, "
        "losses, Adam and steps."
    ),
    library="minigan/gan/game.py",
    paper="Goodfellow et al. 2014, section 3",
    tutorial="01-the-game",
)
