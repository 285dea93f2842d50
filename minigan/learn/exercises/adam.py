"""Exercise 7: Adam."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Variant, several
from minigan.learn.solutions import adam as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """The first step, whose length is the rate; later ones; gradients of 0."""

    def given(
        shape: tuple[int, ...],
        steps: int,
        eps: float = 1e-8,
        t: int = 1,
        lr: float = 0.01,
        betas: tuple[float, float] = (0.5, 0.9),
    ) -> dict[str, Any]:
        later = t > 1
        return {
            "w": rng.standard_normal(shape),
            "g": rng.standard_normal((steps, *shape)),
            "m": rng.standard_normal(shape) * later,
            "v": rng.uniform(0.1, 1, shape) * later,
            "t": t,
            "lr": lr,
            "beta1": betas[0],
            "beta2": betas[1],
            "eps": eps,
        }

    zero = given((2,), 1)
    return [
        Case("the first step", given((1,), 1)),
        Case("the first step, with a gradient of 0", zero | {"g": 0 * zero["g"]}),
        Case("two steps", given((1,), 2)),
        Case("the tenth step", given((2, 3), 1, t=10, lr=0.1, betas=(0.9, 0.95))),
        Case("a large eps", given((3, 4), 1, 0.1, 3, betas=(0.7, 0.8))),
        Case("four steps", given((3, 4), 4, 1e-3, lr=0.02, betas=(0.6, 0.95))),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Take steps, each with the next gradient."""
    w, m, v = given.w, given.m, given.v
    named = {n: getattr(given, n) for n in ("lr", "beta1", "beta2", "eps")}
    for k, g in enumerate(given.g):
        result = code.adam_step(w, g, m, v, given.t + k, **named)
        w, m, v = several(result, "w, m, v", "adam_step")
    return {"m": m, "v": v, "w": w}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The two averages."""
    if len(given.g) != 1:
        return {}
    g = given.g[0]
    m = {"β1 m": given.beta1 * given.m, "(1 - β1) g": (1 - given.beta1) * g}
    v = {"β2 v": given.beta2 * given.v, "(1 - β2) g²": (1 - given.beta2) * g * g}
    return {"m": (m, {"g²": g * g}), "v": (v, {"g": g})}


def _code(
    m: str = "beta1 * m + (1 - beta1) * g",
    v: str = "beta2 * v + (1 - beta2) * g * g",
    m_hat: str = "m / (1 - beta1**t)",
    v_hat: str = "v / (1 - beta2**t)",
    w: str = "w - lr * M / (np.sqrt(V) + eps)",
) -> str:
    return (
        "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n"
        f"    m0, v0 = m, v\n    m = {m}\n    v = {v}\n    M, V = {m_hat}, {v_hat}\n"
        f"    return {w}, m, v\n"
    )


EXERCISE = Exercise(
    number=7,
    name="adam",
    title="Adam",
    asks=("adam_step",),
    outputs={
        "m": Output("the average of the gradient"),
        "v": Output("the average of its square"),
        "w": Output("the new weights"),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the bias correction is missing: divide m by 1 - β1^t and v by 1 - β2^t",
            _code(m_hat="m", v_hat="v"),
        ),
        Variant("m isn't corrected: divide it by 1 - β1^t", _code(m_hat="m")),
        Variant("v isn't corrected: divide it by 1 - β2^t", _code(v_hat="v")),
        Variant(
            "t is counted from 0: 1 - β^0 is 0; t is 1 in the first step",
            _code(m_hat="m / (1 - beta1**(t - 1))", v_hat="v / (1 - beta2**(t - 1))"),
        ),
        Variant(
            "t is counted from 2: t is 1 in the first step already",
            _code(m_hat="m / (1 - beta1**(t + 1))", v_hat="v / (1 - beta2**(t + 1))"),
        ),
        Variant(
            "the corrections use 1 - β, not 1 - β^t: they fade as t grows",
            _code(m_hat="m / (1 - beta1)", v_hat="v / (1 - beta2)"),
        ),
        Variant(
            "the corrections use β t or β / t: it is β to the power of t",
            _code(m_hat="m / (1 - beta1 * t)", v_hat="v / (1 - beta2 * t)"),
        ),
        Variant(
            "the corrections are multiplied: divide by 1 - β^t",
            _code(m_hat="m * (1 - beta1**t)", v_hat="v * (1 - beta2**t)"),
        ),
        Variant("the root is missing: divide by √v̂, not by v̂", _code(w="w - lr * M / (V + eps)")),
        Variant("eps stands inside the root: √v̂ + eps", _code(w="w - lr * M / np.sqrt(V + eps)")),
        Variant(
            "eps is added to √v, before the correction: it belongs to √v̂",
            _code(
                m_hat="m / (1 - beta1**t)",
                v_hat="v",
                w="w - lr * M * np.sqrt(1 - beta2**t) / (np.sqrt(V) + eps)",
            ),
        ),
        Variant(
            "eps is added to m̂: it belongs to √v̂, the denominator",
            _code(w="w - lr * (M + eps) / np.sqrt(V)"),
        ),
        Variant(
            "eps is forgotten: where the gradient is 0, this is 0 / 0",
            _code(w="w - lr * M / np.sqrt(V)"),
        ),
        Variant(
            "the corrected averages are returned: m and v go on uncorrected, m̂ and v̂ are "
            "for this step alone",
            "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n"
            "    m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)\n"
            "    v = (beta2 * v + (1 - beta2) * g * g) / (1 - beta2**t)\n"
            "    return w - lr * m / (np.sqrt(v) + eps), m, v\n",
        ),
        Variant(
            "β1 and β2 are exchanged: β1 belongs to the gradient, β2 to its square",
            _code(
                "beta2 * m + (1 - beta2) * g",
                "beta1 * v + (1 - beta1) * g * g",
                "m / (1 - beta2**t)",
                "v / (1 - beta1**t)",
            ),
        ),
        Variant(
            "β1 and β2 are exchanged in the corrections",
            _code(m_hat="m / (1 - beta2**t)", v_hat="v / (1 - beta1**t)"),
        ),
        Variant("v averages g, not g²", _code(v="beta2 * v + (1 - beta2) * g")),
        Variant("v averages |g|, not g²", _code(v="beta2 * v + (1 - beta2) * abs(g)")),
        Variant(
            "v averages the square of m: it must be that of g",
            _code(v="beta2 * v + (1 - beta2) * m * m"),
        ),
        Variant(
            "β and 1 - β are exchanged",
            _code("(1 - beta1) * m + beta1 * g", "(1 - beta2) * v + beta2 * g * g"),
        ),
        Variant(
            "the factor 1 - β is missing: these are averages, not sums",
            _code("beta1 * m + g", "beta2 * v + g * g"),
        ),
        Variant("the factor 1 - β1 is missing: m is an average, not a sum", _code("beta1 * m + g")),
        Variant(
            "the factor 1 - β2 is missing: v is an average, not a sum", _code(v="beta2 * v + g * g")
        ),
        Variant(
            "the sign is wrong: w - lr m̂ / (√v̂ + eps) goes downhill",
            _code(w="w + lr * M / (np.sqrt(V) + eps)"),
        ),
        Variant("g stands in the place of m̂", _code(w="w - lr * g / (np.sqrt(V) + eps)")),
        Variant(
            "the step uses the averages from before this gradient",
            _code(m_hat="m0 / (1 - beta1**t)", v_hat="v0 / (1 - beta2**t)"),
        ),
        Variant("the learning rate is forgotten", _code(w="w - M / (np.sqrt(V) + eps)")),
        Variant(
            "the numerator's average is squared or rooted: only v̂ gets the root",
            _code(w="w - lr * np.sqrt(abs(M)) / (np.sqrt(V) + eps)"),
        ),
        Variant(
            "m and v are returned in the wrong order: return w, m, v",
            _code().replace("eps), m, v", "eps), v, m"),
        ),
    ),
    hints=(
        "Four lines: m, v, the corrected ones, the step.",
        "In the first step m̂ is g and v̂ is g², whatever the betas are: so the step has the "
        "length lr. "
        "Does yours?",
        "m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t); w - lr * m_hat / "
        "(np.sqrt(v_hat) + eps). "
        "Return m and v, not the corrected ones.",
    ),
    explanation=(
        "The first step has the length lr in every coordinate: Adam doesn't care how large "
        "gradients are, "
        "only how steady. Without the correction it would be 0.1/√0.001 = 3.16 times as long, "
        "for β1 = 0.9 "
        "and β2 = 0.999. This is what makes one learning rate fit G and D, whose gradients "
        "differ by orders of magnitude; and β1 = 0.5 because in a game old gradients are stale."
    ),
    library="minigan/optim/adam.py",
    paper="Kingma and Ba 2015, algorithm 1",
    tutorial="05-adam",
)
