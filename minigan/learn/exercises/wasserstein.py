"""Exercise 19: the critic of the Wasserstein GAN."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import Recorder, left, net_arrays, net_of
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import wasserstein as solution

NAMES = (
    "w of the first layer",
    "b of the first layer",
    "w of the last layer",
    "b of the last layer",
)


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One sample each, a batch, batches of two sizes."""

    def given(n: int, m: int, features: int, hidden: int, c: float) -> dict[str, Any]:
        batches = {
            "real": rng.standard_normal((n, features)),
            "fake": rng.standard_normal((m, features)),
        }
        scores = {"r": rng.standard_normal((n, 1)), "f": rng.standard_normal((m, 1))}
        return batches | scores | net_arrays(rng, "d", (features, hidden, 1)) | {"c": c}

    return [
        Case("one sample each", given(1, 1, 1, 1, 0.3)),
        Case("three samples each", given(3, 3, 2, 4, 0.5)),
        Case("5 real samples and 7 fakes", given(5, 7, 2, 3, 0.4)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """The loss of scores, then one step."""
    loss, dreal, dfake = several(
        code.critic_loss(given.r, given.f), "loss, dreal, dfake", "critic_loss"
    )
    given.done |= {"loss": loss, "dreal": dreal, "dfake": dfake}
    net = net_of(given, "d")
    optimizer = Recorder(net)
    (step_loss,) = several(
        code.critic_step(net, optimizer, given.real, given.fake, given.c), "loss", "critic_step"
    )
    grads = {f"g{i}": g for i, g in enumerate(optimizer.seen)}
    weights = {f"w{i}": numpy.asarray(a) for i, a in enumerate(net.arrays)}
    counts = {"steps": numpy.array(float(optimizer.steps)), **left(net)}
    return (
        {"loss": loss, "dreal": dreal, "dfake": dfake, "step_loss": step_loss}
        | grads
        | weights
        | counts
    )


def _step(
    zero: str = "critic.zero_grad()",
    dreal: str = "dreal",
    dfake: str = "dfake",
    before: str = "pass",
    step: str = "optimizer.step()",
    clip: str = "critic.arrays = [np.clip(a, -c, c) for a in critic.arrays]",
    end: str = "return loss",
) -> str:
    return (
        "def critic_step(critic, optimizer, real, fake, c):\n"
        f"    {zero}\n    a, p = critic.forward(real)\n    b, q = critic.forward(fake)\n"
        "    loss, dreal, dfake = critic_loss(a, b)\n"
        f"    critic.backward({dreal}, p)\n    critic.backward({dfake}, q)\n"
        f"    {before}\n    {step}\n    {clip}\n    {end}\n"
    )


def _loss(
    loss: str = "fake.mean() - real.mean()",
    dreal: str = "0 * real - 1 / len(real)",
    dfake: str = "0 * fake + 1 / len(fake)",
) -> str:
    return f"def critic_loss(real, fake):\n    return {loss}, {dreal}, {dfake}\n"


CLIP = "critic.arrays = [np.clip(a, -c, c) for a in critic.arrays]"


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The loss of given scores."""
    return {"loss": ({"mean(fake)": given.f.mean(), "-mean(real)": -given.r.mean()}, {})}


EXERCISE = Exercise(
    number=19,
    name="wasserstein",
    title="The critic of the Wasserstein GAN",
    asks=("critic_loss", "critic_step"),
    outputs={
        "loss": Output("the loss of given scores"),
        "dreal": Output("its gradient for the reals", Slope("loss", None, "r")),
        "dfake": Output("its gradient for the fakes", Slope("loss", None, "f")),
        "step_loss": Output("the loss that the step returns", part="step"),
        **{
            f"g{i}": Output(
                f"the gradient of {n} when the optimizer steps",
                Slope("step_loss", None, f"d{i}"),
                "step",
            )
            for i, n in enumerate(NAMES)
        },
        **{
            f"w{i}": Output(f"{n} after step and clipping", part="clipping", follows=f"g{i}")
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
            "the sign is wrong: the critic's loss is mean(fake) - mean(real)",
            _loss(
                "real.mean() - fake.mean()", "0 * real + 1 / len(real)", "0 * fake - 1 / len(fake)"
            ),
        ),
        Variant(
            "the gradients have the wrong signs: -1/N for reals, 1/M for fakes",
            _loss(dreal="0 * real + 1 / len(real)", dfake="0 * fake - 1 / len(fake)"),
        ),
        Variant(
            "the gradients aren't divided by the batch size: the loss takes means",
            _loss(dreal="0 * real - 1", dfake="0 * fake + 1"),
        ),
        Variant(
            "both gradients are divided by one batch size: reals and fakes have their own",
            _loss(dfake="0 * fake + 1 / len(real)"),
        ),
        Variant("the loss takes sums: it must take means", _loss("fake.sum() - real.sum()")),
        Variant(
            "this is a distance, not a signed difference: no absolute value",
            _loss("abs(fake.mean() - real.mean())"),
        ),
        Variant(
            "there is no half: the loss is mean(fake) - mean(real)",
            _loss(
                "(fake.mean() - real.mean()) / 2",
                "0 * real - 0.5 / len(real)",
                "0 * fake + 0.5 / len(fake)",
            ),
        ),
        Variant(
            "the weights are clipped before the step, which takes them out again: clip last",
            _step(before=CLIP, clip="pass"),
        ),
        Variant("the weights aren't clipped", _step(clip="pass")),
        Variant(
            "the weights are clipped from above only: to [-c, c]",
            _step(clip="critic.arrays = [np.minimum(a, c) for a in critic.arrays]"),
        ),
        Variant(
            "negative weights are cut off: clip to [-c, c], not to [0, c]",
            _step(clip="critic.arrays = [np.clip(a, 0, c) for a in critic.arrays]"),
        ),
        Variant(
            "the weights are scaled, not clipped: np.clip(a, -c, c)",
            _step(clip="critic.arrays = [a * c / abs(a).max() for a in critic.arrays]"),
        ),
        Variant(
            "the gradients are clipped, not the weights",
            _step(before="critic.grads = [np.clip(g, -c, c) for g in critic.grads]", clip="pass"),
        ),
        Variant(
            "the gradients are clipped as well: only the weights, after the step",
            _step(before="critic.grads = [np.clip(g, -c, c) for g in critic.grads]"),
        ),
        Variant(
            "only the weights of the first layer are clipped: all arrays are",
            _step(clip="critic.arrays[0] = np.clip(critic.arrays[0], -c, c)"),
        ),
        Variant(
            "the biases aren't clipped: all arrays are",
            _step(
                clip="critic.arrays = [np.clip(a, -c, c) if a.ndim > 1 else a for a in "
                "critic.arrays]"
            ),
        ),
        Variant(
            "the weights are clipped to [-1, 1]: use the c that is given",
            _step(clip="critic.arrays = [np.clip(a, -1, 1) for a in critic.arrays]"),
        ),
        Variant(
            "the weights are clipped to [-0.01, 0.01]: use the c that is given",
            _step(clip="critic.arrays = [np.clip(a, -0.01, 0.01) for a in critic.arrays]"),
        ),
        Variant("the gradients aren't zeroed first", _step(zero="pass")),
        Variant("the optimizer never steps", _step(step="pass")),
        Variant(
            "backward is told to leave the gradients alone (param_grads=False), but the critic is "
            "what learns here",
            _step().replace(", p)\n", ", p, False)\n").replace(", q)\n", ", q, False)\n"),
        ),
        Variant("real samples and fakes are exchanged", _step(dreal="-dreal", dfake="-dfake")),
        Variant("the optimizer steps twice", _step(step="optimizer.step(); optimizer.step()")),
        Variant(
            "the loss is returned with the other sign: mean(fake) - mean(real)",
            _step(end="return -loss"),
        ),
    ),
    hints=(
        "critic_step is exercise 8 with another loss, and one line more.",
        "Both batches go forward before the loss is known; each backward gets its own cache.",
        "zero_grad, forward twice, critic_loss, backward twice, step, then critic.arrays = "
        "[np.clip(a, -c, c) for a "
        "in critic.arrays].",
    ),
    explanation=(
        "Minus the loss estimates the Wasserstein distance (up to a factor): the first GAN loss "
        "whose value says how "
        "good the samples are. Clipping is the crudest way to bound the critic's slope; most "
        "weights end at ±c. "
        "Penalties (exercises 21 and 22) and spectral norm (20) are what came after."
    ),
    library="minigan/losses.py, minigan/optim/clipping.py",
    paper="Arjovsky, Chintala and Bottou 2017, algorithm 1",
    tutorial="11-wasserstein",
)
