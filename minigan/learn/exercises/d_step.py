"""Exercise 8: the discriminator's step."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn import given as given_ready
from minigan.learn.exercises.common import Recorder, left, net_arrays, net_of
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import d_step as solution

NAMES = (
    "w of D's first layer",
    "b of D's first layer",
    "w of D's last layer",
    "b of D's last layer",
)


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One sample each, a batch, batches of two sizes."""

    def given(n: int, m: int, features: int, hidden: int) -> dict[str, Any]:
        batches = {
            "real": rng.standard_normal((n, features)),
            "fake": rng.standard_normal((m, features)),
        }
        return batches | net_arrays(rng, "d", (features, hidden, 1))

    return [
        Case("one sample each", given(1, 1, 1, 1)),
        Case("three samples each", given(3, 3, 2, 4)),
        Case("5 real samples and 7 fakes", given(5, 7, 2, 3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """One step."""
    net = net_of(given, "d")
    optimizer = Recorder(net)
    (loss,) = several(
        code.discriminator_step(net, optimizer, given.real, given.fake),
        "loss",
        "discriminator_step",
    )
    grads = {f"g{i}": g for i, g in enumerate(optimizer.seen)}
    return {"loss": loss, **grads, "steps": numpy.array(float(optimizer.steps)), **left(net)}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Half the reals' gradient and half the fakes'."""

    def gradient(x: Any, target: float) -> list[Any]:
        net = net_of(given, "d")
        net.zero_grad()
        logits, cache = net.forward(x)
        net.backward(given_ready.bce_with_logits(logits, target)[1] / 2, cache)
        return net.grads

    right = gradient(given.real, 1), gradient(given.fake, 0)
    wrong = gradient(given.real, 0), gradient(given.fake, 1)

    def loss(x: Any, target: float) -> Any:
        return given_ready.bce_with_logits(net_of(given, "d").forward(x)[0], target)[0] / 2

    halves = {
        "the half that comes from the real samples": loss(given.real, 1),
        "the half that comes from the fakes": loss(given.fake, 0),
    }
    return {"loss": (halves, {})} | {
        f"g{i}": (
            {
                "the half that comes from the real samples": right[0][i],
                "the half that comes from the fakes": right[1][i],
            },
            {
                "what was there before (zero the gradients first)": getattr(given, f"d_old{i}"),
                "the reals with the target 0": wrong[0][i],
                "the fakes with the target 1": wrong[1][i],
            },
        )
        for i in range(4)
    }


def _code(
    zero: str = "D.zero_grad()",
    targets: str = "(real, 1), (fake, 0)",
    dl: str = "dlogits / 2",
    loss: str = "loss / 2",
    step: str = "optimizer.step()",
    end: str = "return total",
) -> str:
    return (
        "def discriminator_step(D, optimizer, real, fake):\n"
        f"    {zero}\n    total = 0\n"
        f"    for x, target in ({targets}):\n"
        "        logits, cache = D.forward(x)\n"
        "        loss, dlogits = bce_with_logits(logits, target)\n"
        f"        D.backward({dl}, cache)\n        total = total + {loss}\n"
        f"    {step}\n    {end}\n"
    )


EXERCISE = Exercise(
    number=8,
    name="d_step",
    title="The discriminator's step",
    asks=("discriminator_step",),
    outputs={
        "loss": Output("D's loss"),
        **{
            f"g{i}": Output(
                f"the gradient of {n} when the optimizer steps",
                Slope("loss", None, f"d{i}"),
                "gradients",
            )
            for i, n in enumerate(NAMES)
        },
        "steps": Output("the number of steps of the optimizer"),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the labels are exchanged: the target is 1 for real samples and 0 for fakes",
            _code(targets="(real, 0), (fake, 1)"),
        ),
        Variant(
            "the half is forgotten: the loss is ½ (loss on real + loss on fake)",
            _code(dl="dlogits", loss="loss"),
        ),
        Variant("the half is forgotten in the gradient", _code(dl="dlogits")),
        Variant("the half is forgotten in the loss that is returned", _code(loss="loss")),
        Variant(
            "the gradients aren't zeroed first: what earlier steps left is still there",
            _code(zero="pass"),
        ),
        Variant(
            "the gradients are zeroed between the two batches, so the first one is lost",
            _code().replace(
                "        logits, cache", "        D.zero_grad()\n        logits, cache"
            ),
        ),
        Variant(
            "the gradients are zeroed before the optimizer's step, which then does nothing",
            _code(step="D.zero_grad(); optimizer.step()"),
        ),
        Variant("only the real samples are used", _code(targets="(real, 1),")),
        Variant("only the fakes are used", _code(targets="(fake, 0),")),
        Variant("the optimizer never steps", _code(step="pass")),
        Variant(
            "backward is told to leave the gradients alone (param_grads=False), but D is what "
            "learns here",
            _code().replace("/ 2, cache)", "/ 2, cache, param_grads=False)"),
        ),
        Variant(
            "the optimizer steps twice: add up both gradients, then take one step",
            _code(step="pass").replace(
                "        total =", "        optimizer.step()\n        total ="
            ),
        ),
        Variant(
            "both batches have the target 1: 0 for fakes", _code(targets="(real, 1), (fake, 1)")
        ),
        Variant(
            "both batches have the target 0: 1 for real samples",
            _code(targets="(real, 0), (fake, 0)"),
        ),
        Variant(
            "the real samples are used twice, the fakes never",
            _code(targets="(real, 1), (real, 0)"),
        ),
        Variant(
            "the fakes are used twice, the real samples never",
            _code(targets="(fake, 1), (fake, 0)"),
        ),
        Variant(
            "the loss of the last batch alone is returned",
            _code(loss="0 * loss", end="return loss / 2"),
        ),
        Variant(
            "the sign of the gradient is wrong: the optimizer goes downhill by itself",
            _code(dl="-dlogits / 2"),
        ),
        Variant(
            "the cache of the second batch is used for both: each backward needs its own",
            "def discriminator_step(D, optimizer, real, fake):\n    D.zero_grad(); n = "
            "min(len(real), len(fake))\n"
            "    a, c = D.forward(real); b, c = D.forward(fake)\n"
            "    p, dp = bce_with_logits(a, 1); q, dq = bce_with_logits(b, 0)\n"
            "    D.backward(np.resize(dp, b.shape) / 2, c); D.backward(dq / 2, c)\n"
            "    optimizer.step(); return (p + q) / 2\n",
        ),
        Variant(
            "real samples and fakes are judged as one batch, so that the larger batch "
            "counts more: take the mean of each, then half the sum",
            "def discriminator_step(D, optimizer, real, fake):\n    D.zero_grad()\n"
            "    x = np.concatenate([real, fake]); t = np.r_[np.ones(len(real)), "
            "np.zeros(len(fake))][:, None]\n"
            "    l, c = D.forward(x); loss, d = bce_with_logits(l, t); D.backward(d, c)\n"
            "    optimizer.step(); return loss\n",
        ),
        Variant(
            "the optimizer steps before the gradients are there: step last",
            _code(zero="D.zero_grad(); optimizer.step()", step="pass"),
        ),
        Variant(
            "the larger batch is cut to the size of the smaller one: use all samples of both",
            "def discriminator_step(D, optimizer, real, fake, right=discriminator_step):\n"
            "    n = min(len(real), len(fake))\n"
            "    return right(D, optimizer, real[:n], fake[:n])\n",
        ),
        Variant(
            "targets of 0.9 and 0.1 are label smoothing, which isn't asked for",
            _code(targets="(real, 0.9), (fake, 0.1)"),
        ),
        Variant(
            "a target of 0.9 for real samples is label smoothing, which isn't asked for",
            _code(targets="(real, 0.9), (fake, 0)"),
        ),
    ),
    hints=(
        "Zero, then for each of the two batches: forward, loss, backward. One step at the end.",
        "½ (a + b) has the gradient ½ da + ½ db: hand dlogits / 2 to backward. Gradients add up "
        "by themselves.",
        "For x, target in ((real, 1), (fake, 0)): logits, cache = D.forward(x); loss, dlogits = "
        "bce_with_logits(logits, target); D.backward(dlogits / 2, cache).",
    ),
    explanation=(
        "Backward stops at the fake batch: D.backward returns the gradient of the fakes, and "
        "nobody passes "
        "it on to G. Elsewhere this is called detach. The two batches go through D one after "
        "the other, "
        "because their losses are separate means; with batch norm in D it matters that they "
        "aren't mixed."
    ),
    library="minigan/gan/game.py",
    paper="Goodfellow et al. 2014, algorithm 1",
    tutorial="01-the-game",
)
