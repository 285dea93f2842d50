"""Each exercise: untouched is not begun, the solution is right, usual mistakes are named."""

import ast
import functools
import types
from functools import partial
from pathlib import Path

import numpy
import pytest

from minigan.learn import both, checking, judge, parts, slips, starter, usual
from minigan.learn.course import NAMES, course, exercise, find
from minigan.learn.language import Speaker
from minigan.learn.pupil import attempt

ROOT = Path(__file__).parents[2]
SAY = Speaker("en")
VARIANTS = [(e.name, i) for e in course() for i in range(len(e.variants))]


def verdict_of(name, code, **options):
    """Judge code in this process."""
    chosen = exercise(name)
    return judge.judged(
        chosen, lambda givens: [attempt(chosen, code, g) for g in givens], **options
    )


def with_functions(name, code):
    """The solution with some functions replaced; the right one is `solved`."""
    names = starter.namespace(exercise(name))
    if code.startswith("def "):
        names["solved"] = names[code.partition("(")[0].removeprefix("def ")]
    exec(code, names)
    return types.SimpleNamespace(**{n: v for n, v in names.items() if not n.startswith("__")})


@pytest.mark.parametrize("name", NAMES)
def test_the_file_to_fill_in_is_not_begun_and_holds_no_answer(name):
    chosen = exercise(name)
    text = starter.starter(chosen, SAY)
    verdict = judge.unwritten(chosen, text, "x.py")
    assert verdict.state == "not begun"
    assert verdict.status == 3
    assert verdict.points() == 0
    bodies = dict(starter.functions(ast.parse(text)))
    for asked in chosen.asks:
        assert ast.get_docstring(bodies[asked])
        assert [type(s) for s in bodies[asked].body[1:]] == [ast.Raise]
    assert not [f for f in bodies if f.startswith("_")]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name, seed):
    chosen = exercise(name)
    assert judge.unwritten(chosen, starter.solution(chosen), "x.py") is None
    verdict = verdict_of(name, chosen.solution, seed=seed)
    assert verdict.ok, "\n".join(verdict.lines(SAY))
    assert verdict.points() == 1
    assert all(verdict.parts().values())
    assert verdict.rows


@functools.cache
def planted(name, index):
    """The verdict on a usual mistake."""
    return verdict_of(name, with_functions(name, exercise(name).variants[index].code))


@pytest.mark.parametrize(("name", "index"), VARIANTS)
def test_a_usual_mistake_is_wrong_and_named(name, index):
    verdict = planted(name, index)
    assert verdict.state == "wrong"
    assert verdict.points() < 1
    told = [f.cause.msgid for f in verdict.findings if f.cause is not None]
    assert exercise(name).variants[index].words in told, "\n".join(verdict.lines(SAY))
    assert verdict.case is not None


def test_every_exercise_has_its_mistakes_hints_and_explanation():
    for chosen in course():
        assert len({v.words for v in chosen.variants}) >= 3, chosen.stem
        assert len(chosen.hints) >= 3, chosen.stem
        assert len(chosen.explanation) > 200, chosen.stem
        assert chosen.outputs.keys() == {
            n
            for n in parts.answer(chosen, chosen.solution, chosen.drawn(0)[-1].given)
            if n[0] != "_"
        }


def test_an_exercise_is_found_by_stem_word_and_number():
    assert {find(n).name for n in ("ex02_linear", "ex02_linear.py", "linear", "2", "02")} == {
        "linear"
    }
    with pytest.raises(ValueError, match="did you mean linear"):
        find("liner")


# ---------------------------------------------------------------- mistakes that nobody foresaw


def told(name, code):
    """What is said of the first wrong output: the cause."""
    verdict = verdict_of(name, with_functions(name, code))
    assert not verdict.ok
    return "\n".join(str(f.cause) for f in verdict.findings)


LINEAR = "def backward(dy, cache):\n    x, w = cache\n    return {}, {}, {}\n"
UNFORESEEN = [
    ("linear", LINEAR.format("dy @ w.T", "3 * x.T @ dy", "dy.sum(0)"), "same factor, 3"),
    ("linear", LINEAR.format("dy @ w.T", "x.T @ dy + 0.5 * w", "dy.sum(0)"), "0.5.*w"),
    ("linear", LINEAR.format("0 * x", "x.T @ dy", "dy.sum(0)"), "zero everywhere"),
    ("linear", "def forward(x, w, b):\n    return x @ w - b, (x, w)\n", "bias b has the wrong sign"),
    ("linear", "def forward(x, w, b):\n    return x @ w, (x, w)\n", "bias b is missing"),
    ("sgd", "def sgd_step(w, g, v, *, lr, momentum):\n    v = momentum * v + 2 * g\n    return w - lr * v, v\n", "g is off by the factor 2"),
    ("tanh", "def tanh_backward(dy, cache):\n    return dy * (1 - cache ** 3)\n", "cache \\*\\* 3` stands where"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n    m = beta1 * m + (1 - beta1) * g\n    v = beta2 * v + (1 - beta2) * g * g\n    return w - lr * m / (1 - beta1 ** t) / (np.sqrt(v / (1 - beta2 ** t)) - eps), m, v\n", "- eps` stands where .* \\+ eps` belongs"),
    ("linear", LINEAR.format("dy @ w.T", "x.T @ dy", "dy.max(0)"), "max.*stands where .*sum"),
    ("d_step", "def discriminator_step(D, optimizer, real, fake):\n    D.zero_grad(); total = 0\n"
     "    for x, t, c in ((real, 1, 2), (fake, 0, 3)):\n        l, k = D.forward(x); v, d = bce_with_logits(l, t)\n"
     "        D.backward(d / c, k); total += v / 2\n    optimizer.step(); return total\n", "comes from the fakes is off by the factor 0.6667"),
    ("adam", "def adam_step(w, g, m, v, t, **options):\n    return solved(w, g + 0.01 * w, m, v, t, **options)\n", "in the case “a large eps”, 0.003 × w has come in"),
    ("adam", "def adam_step(w, g, m, v, t, *, eps, **options):\n    return solved(w, g, m, v, t, eps=min(eps, 5e-4), **options)\n", "right up to the case .*a large eps"),
    ("bce", "def bce_with_logits(logits, target):\n    loss, d = solved(logits, target)\n    return loss / np.log(2), d\n", "same factor, 1.4427"),
    ("bce", "def bce_with_logits(logits, target):\n    loss, d = solved(np.clip(logits, -40, 40), target)\n    return loss, d\n", "clipped"),
    ("bce", "def bce_with_logits(logits, target):\n    loss, d = solved(logits, target)\n    return loss, d.ravel()\n", "axis of length 1 has been lost"),
    ("chain", "class Linear(Linear):\n    def backward(self, dy, cache):\n        self.dw += cache.T @ dy; self.db += dy.sum(0)\n        return dy @ self.dw.T\n", "self.dw.T` stands where"),
    ("linear", LINEAR.format("dy @ w.T", "x.T @ dy", "dy.sum(1)"), "axis=1.* stands where .*axis=0"),
    ("linear", LINEAR.format("dy @ w.T", "(x[:, :, None] * dy[:, None])", "dy.sum(0)"), "sum over one axis is missing"),
    ("linear", LINEAR.format("dy @ w.T", "(x.T @ dy).sum(1)", "dy.sum(0)"), "summed over one axis too many"),
    ("dropout", "def forward(x, keep, rng, train):\n    m = rng.binomial(1, keep, x.shape) / keep if train else 1.0 + 0 * x\n    return x * m, m\n", "drawn in another way"),
    ("unfold", "def unfold(x, k, stride):\n    return np.moveaxis(solved(x, k, stride), -1, 3)\n", "axes are in another order"),
    ("conv", "def backward(dy, cache):\n    dx, dw, db = solved(dy, cache)\n    g = cache[3]\n    return dx[:, g:-g] if g == 0 else dx, dw, db\n", "a slice is empty"),
    ("pairs", "def least_squares_g(fake):\n    loss, d = solved(fake)\n    return loss - 0.5, d\n", "same number, -0.5"),
    ("pairs", "def hinge_d(real, fake):\n    loss, a, b = solved(real, fake)\n    return loss + np.maximum(0, 1 + fake).mean(), a, b\n", "part of the fakes is off by the factor 2"),
    ("wasserstein", "def critic_step(critic, optimizer, real, fake, c):\n    loss = solved(critic, optimizer, real, fake, 1e9)\n    critic.arrays = np.clip(critic.arrays, -c, c)\n    return loss\n", "one array at a time"),
    ("embedding", "def project_backward(dy, cache):\n    dh, dtable, dw, db = solved(dy, cache)\n    return dy.mean() * dh / dy, dtable, dw, db\n", "dy.mean\\(\\)"),
    ("vae", "def kl(mu, logvar):\n    loss, dmu, dl = solved(mu, logvar)\n    return loss, dmu, -dl\n", "^the sign is wrong"),
    ("vae", starter.solution(exercise("vae")).replace("+ divergence", "+ 4 * divergence")
     .replace("[dmu + more_mu, dlogvar + more", "[4 * dmu + more_mu, 4 * dlogvar + more"), "KL is off by the factor 4"),
    ("tanh", "def tanh_backward(dy, cache):\n    return dy * (1 - cache) ** 2\n", r"\(1 - cache\) \*\* 2` stands where"),
    ("tanh", "def sigmoid_backward(dy, y):\n    return dy * y - y * y\n", "-dy y² is missing; -1 × y² has come in"),
    ("spectral", "def forward(w, u, v):\n    s = u @ w @ v + 0.01\n    return w / s, (w / s, s, u, v)\n", r"\+ 0.01` stands where"),
    ("spectral", "def backward(dy, cache):\n    y, s, u, v = cache\n    return (dy + (dy * y).sum() * np.outer(u, v)) / s**2\n", "two mistakes at once: .*wrong sign.*σ twice"),
    ("spectral", "def backward(dy, cache):\n    y, s, u, v = cache\n    return (dy - (dy * y).sum(1, keepdims=True) * np.outer(u, v)) / s\n", r"sum\(axis=1, keepdims=True\)"),
    ("embedding", "def embed_backward(dy, cache):\n    return solved(np.ones_like(dy), cache)\n", r"np.ones_like\(dy\)` in the place of"),
    ("embedding", "def project_backward(dy, cache):\n    h, rows, labels, shape, w = cache\n    dh, dtable, dw, db = solved(dy, (0 * h + w.T, *cache[1:]))\n    return dh, dtable, h.T @ dy, db\n", r"dy \* w.T` stands|dy \* w.T\)` stands"),
    ("unfold", "def fold(patches, shape, stride):\n    return solved(patches, shape, stride) / patches.shape[3] ** 2\n", "1 / k²"),
    ("unfold", "def unfold(x, k, stride):\n    return solved(x[:, : x.shape[1] - stride], k, stride)\n", r"\(height - k\) // stride` stands where"),
    ("conv_transpose", "def forward(x, w, b, stride, padding):\n    y, cache = solved(x, w, b, stride, padding)\n    return y[:, :-1], cache\n", "along axis 1 it is too short by 1"),
    ("conv", "def forward(x, w, b, stride, padding):\n    return solved(x, w[::-1], b, stride, padding)[0], solved(x, w, b, stride, padding)[1]\n", r"np.flip\(w, axis=0\)"),
    ("conv", "def backward(dy, cache):\n    p, w, s, g = cache\n    dx, dw, db = solved(dy, (p, w, s, 0))\n    return dx[:, 1:-1, 1:-1], dw, db\n", "right only where padding is 1"),
    ("conv_transpose", "def backward(dy, cache):\n    dx, dw, db = solved(dy, cache)\n    return dx, dw / np.prod(dx.shape[1:3]), db\n", r"1 / \(x.shape\[1\] · x.shape\[2\]\)"),
    ("difference", "def slope(f, x, h=1e-5):\n    return solved(f, x, h).ravel()\n", "in another shape: reshape"),
    ("bce", "def bce_with_logits(logits, target):\n    return solved(logits, target)[0], solved(logits, 1 - target)[1] * len(logits)\n", r"targets are exchanged.*besides.*5 \(logits.shape"),
    ("bce", "def bce_with_logits(logits, target):\n    return solved(logits, np.round(target))\n", r"np.round\(target\)"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, **options):\n    new, m, v = solved(w, g, m, v, t, lr=lr * (1 - beta1**t), beta1=beta1, **options)\n    return 2 * w - new, m, v\n", "m isn't corrected.*besides, the sign is wrong"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g\n    return w - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2 ** (t + 1))) + eps), m, v\n", r"beta2 \*\* \(t \+ 1\)` stands where"),
    ("leaky_relu", "def backward(dy, cache):\n    return solved(dy, cache).astype(int)\n", "array of whole numbers"),
    ("leaky_relu", "def backward(dy, cache):\n    return solved(dy, cache), cache\n", "several things stand"),
    ("leaky_relu", "def backward(dy, cache):\n    x, slope = cache\n    return np.where(x > 0, dy, dy / slope)\n", r"where x < 0 is off by the factor 11.11 \(1 / slope²\)"),
    ("batchnorm_forward", "def forward(x, gamma, beta, m, v, **options):\n    return solved(x, beta, gamma, m, v, **options)\n", "`gamma, beta` in the place of `beta, gamma`"),
    ("linear", "def forward(x, w, b):\n    return solved(x - x.mean(0), w, b)[0], (x, w)\n", r"`x - x.mean\(axis=0\)` in the place of `x`"),
    ("chain", "class Chain(Chain):\n    def backward(self, dy, cache):\n        super().backward(dy, cache)\n        return dy\n", "it is d_real itself"),
    ("g_step", "def generator_step(G, D, optimizer, z):\n    back = G.backward\n    G.backward = lambda dy, cache: back(dy, cache, param_grads=False)\n    return solved(G, D, optimizer, z)\n", "told to leave the gradients alone"),
    ("g_step", "def generator_step(G, D, optimizer, z):\n    back, G.zero_grad = D.backward, lambda: None\n    D.backward = lambda dy, cache, param_grads=True: back(dy, cache)\n    return solved(G, D, optimizer, z)\n", "G's gradients aren't zeroed first(?s:.*)D's gradients have changed"),
    ("d_step", "def discriminator_step(D, optimizer, real, fake):\n    back = D.backward\n    D.backward = lambda dy, cache: back(2 * dy, cache)\n    loss = 2 * solved(D, optimizer, real, fake)\n    D.zero_grad()\n    return loss\n", "the half is forgotten: the loss is ½"),
    ("conv_transpose", "def forward(x, w, b, stride, padding):\n    return solved(x, w, 0 * b + b.sum(), stride, padding)\n", r"`b.sum\(\)` in the place of `b`"),
    ("chain", "class Linear(Linear):\n    def forward(self, x):\n        self.x = x\n        return super().forward(x)[0], None\n    def backward(self, dy, cache):\n        return super().backward(dy, self.x)\n", "keep what backward needs in the cache"),
    ("wasserstein", "def critic_step(critic, optimizer, real, fake, c):\n    return solved(critic, optimizer, real, fake, c / 2)\n", "`c / 2` in the place of `c`"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "words"), UNFORESEEN)
def test_a_mistake_without_a_rule_is_explained_by_regression(name, code, words):
    import re

    assert re.search(words, told(name, code)), told(name, code)


UNTRUE = [
    ("leaky_relu", "def forward(x, slope):\n    return x > 0, (x, slope)\n", "a slice is empty"),
    ("linear", LINEAR.format("dy @ w.T", "x.T @ dy + 0j", "dy.sum(0)"), "a slice is empty"),
    ("pairs", "def hinge_d(real, fake):\n    l, r, f = solved(real, fake)\n    return l, np.where(real < 1, 1, 0), f\n", "cuts fractions off"),
    ("linear", LINEAR.format("dy @ w.T", "3 * x.T @ dy", "dy.sum(0)"), "shape"),
    ("linear", LINEAR.format("dy @ w.T", "x.T @ dy / 5", "dy.sum(0)"), "shape"),
    ("difference", "def slope(f, x, h=1e-5):\n    return 3.0 * np.asarray(x)**2\n", "off by the same number"),
    ("difference", "def slope(f, x, h=1e-5):\n    return (f(x + h) - f(x - h)) / (2 * h)\n", "summed over everything"),
    ("linear", "def forward(x, w, b):\n    return np.maximum(x @ w + b, 0), (x, w)\n", "never written$"),
    ("leaky_relu", "def backward(dy, cache):\n    x, slope = cache\n    return np.where(slope > 0, dy, slope * dy)\n", "in other cases"),
    ("leaky_relu", "def forward(x, slope):\n    y, cache = solved(x, slope)\n    return y.astype('float32'), cache\n", "other numbers than the right ones"),
    ("wasserstein", "def critic_loss(real, fake):\n    l, r, f = solved(real, fake)\n    return l, r, np.ones_like(fake)\n", "scaled, not clipped"),
    ("bce", "def bce_with_logits(logits, target):\n    l, t = logits, target.reshape(-1, 1)\n    p = 1 / (1 + np.exp(-l))\n"
     "    return -(t * np.log(p + 1e-10) + (1 - t) * np.log(1 - p + 1e-10)).mean(), solved(logits, target)[1]\n", "is clipped,"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "words"), UNTRUE)
def test_what_isnt_so_is_not_said(name, code, words):
    import re

    assert not re.search(words, told(name, code)), told(name, code)


LUCKY = [
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n    return solved(w, g, m, v, t, lr=lr, beta1=1 - beta1, beta2=beta2, eps=eps)\n"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n    return solved(w, g, m, v, t, lr=lr, beta1=0.5, beta2=beta2, eps=eps)\n"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):\n    return solved(w, g, m, v, t, lr=lr, beta1=beta1, beta2=0.9, eps=eps)\n"),
    ("adam", "def adam_step(w, g, m, v, t, *, lr, **more):\n    return solved(w, g, m, v, t, lr=0.01, **more)\n"),
    ("sgd", "def sgd_step(w, g, v, *, lr, momentum):\n    return solved(w, g, v, lr=0.1, momentum=momentum)\n"),
    ("penalty", "def r1(x, w1, w2, slope, gamma):\n    return solved(x, w1, w2, slope, 3.0)\n"),
    ("penalty", "def gp(x, w1, w2, slope, lam):\n    return solved(x, w1, w2, slope, 10.0)\n"),
    ("penalty", "def input_gradient(x, w1, w2, slope):\n    return solved(x, w1, w2, 0.2)\n"),
    ("penalty_tanh", "def gp(x, w1, w2, lam):\n    return solved(x, w1, w2, 10.0)\n"),
    ("batchnorm_forward", "def forward(x, gamma, beta, running_mean, running_var, *, momentum, eps, train):\n"
     "    return solved(x, gamma, beta, running_mean, running_var, momentum=momentum, eps=eps if train else momentum, train=train)\n"),
    ("difference", "def slope(f, x, h=1e-5):\n    return abs(solved(f, x, h))\n"),
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("name", "code"), LUCKY)
def test_no_answer_is_right_by_luck(name, code, seed):
    assert not verdict_of(name, with_functions(name, code), seed=seed).ok


@pytest.mark.parametrize("name", ["leaky_relu", "sgd", "adam", "batchnorm_forward", "bce"])
def test_a_case_alone_is_explained_like_all_together(name):
    """What is told of a case is also true of the others."""
    for index, variant in enumerate(exercise(name).variants):
        whole = {str(f.cause) for f in planted(name, index).findings}
        number = planted(name, index).case[0]
        code = with_functions(name, variant.code)
        alone = {str(f.cause) for f in verdict_of(name, code, case=number).findings}
        assert alone <= whole, variant.words


def test_a_slip_that_crashes_is_named_where_it_stands(tmp_path):
    path = tmp_path / "ex02_linear.py"
    right = starter.solution(exercise("linear"))

    def told_of(line):
        path.write_text(right.replace("dy @ w.T", line))
        return "\n".join(
            str(f.cause) for f in checking.check_file(exercise("linear"), path).findings
        )

    assert "`(dy @ w, x.T @ dy, dy.sum(axis=0))` stands where" in told_of("dy @ w")
    assert "two shapes don't fit in a product" in told_of("0 * dy @ (w + 0)")
    assert "a name that isn't known there" in told_of("dy @ weight.T")


OTHERWISE = [
    ("bce", "def bce_with_logits(logits, target):\n    loss, d = solved(logits, target)\n    return float(loss), d\n"),
    ("difference", "def slope(f, x, h=1e-5):\n    return solved(f, np.array(x, dtype=float), h)\n"),
    ("linear", "def backward(dy, cache):\n    x, w = cache\n    return [np.einsum('no,io->ni', dy, w), np.einsum('ni,no->io', x, dy), dy.sum(0)]\n"),
    ("bce", "def bce_with_logits(logits, target):\n    t = target[:, None]\n    p = np.where(logits > 0, 1 / (1 + np.exp(-abs(logits))), np.exp(-abs(logits)) / (1 + np.exp(-abs(logits))))\n"
     "    return np.mean(np.logaddexp(0, logits) - t * logits), (p - t) / logits.size\n"),
    ("conv", "def forward(x, w, b, stride, padding):\n    p = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))\n    k = len(w)\n"
     "    v = np.lib.stride_tricks.sliding_window_view(p, (k, k), (1, 2))[:, ::stride, ::stride]\n"
     "    return np.einsum('nhwcij,ijco->nhwo', v, w) + b, (p, w, stride, padding)\n"),
    ("batchnorm_closed", "def backward(dy, cache):\n    x_hat, s, gamma = cache\n    n, dbeta, dgamma = len(dy), dy.sum(0), (dy * x_hat).sum(0)\n"
     "    return gamma / s / n * (n * dy - dbeta - x_hat * dgamma), dgamma, dbeta\n"),
    ("embedding", "def embed_backward(dy, cache):\n    labels, (rows, _) = cache\n    return (labels == np.arange(rows)[:, None]).astype(dy.dtype) @ dy\n"),
    ("d_step", "def discriminator_step(D, optimizer, real, fake):\n    a, p = D.forward(real)\n    b, q = D.forward(fake)\n    D.zero_grad()\n"
     "    u, da = bce_with_logits(a, np.ones_like(a)); v, db = bce_with_logits(b, np.zeros_like(b))\n"
     "    D.backward(0.5 * db, q); D.backward(0.5 * da, p); optimizer.step()\n    return 0.5 * (u + v)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code"), OTHERWISE, ids=[name for name, _ in OTHERWISE])
def test_a_right_answer_written_otherwise_is_right(name, code):
    verdict = verdict_of(name, with_functions(name, code))
    assert verdict.ok, "\n".join(verdict.lines(SAY))


def test_a_function_that_is_wrong_is_wrong_where_others_call_it():
    """As in the reader's file, where r1 and gp call the input_gradient that stands there."""
    code = "def input_gradient(x, w1, w2, slope):\n    return solved(x, w1, w2, 1 - slope)\n"
    verdict = verdict_of("penalty", with_functions("penalty", code))
    causes = {f.output: str(f.cause) for f in verdict.findings}
    assert causes["g"] == causes["r1"] == causes["gp"]
    assert "`1 - slope` in the place of `slope`" in causes["g"]


def test_what_follows_from_another_output_is_not_told_twice():
    code = "def backward(dy, cache):\n    return solved(dy, cache) + dy\n"
    verdict = verdict_of("spectral", with_functions("spectral", code))
    assert [f.output for f in verdict.findings] == ["dw"]
    assert [row.name for row in verdict.rows if row.state != "right"] == ["dw", "along"]


@pytest.mark.parametrize("name", ["adam", "dropout"])
def test_two_usual_mistakes_are_made_at_once(name):
    """Most pairs give what neither of the two gives."""
    chosen = exercise(name)
    given = chosen.drawn(0)[-1].given
    pairs = both.known(name)
    outs = [usual.played(chosen, pair.variant, given) for pair in pairs]
    alone = [found[-1] for _, found in usual.mistakes(name, 0)]
    new = [
        out for out in outs if isinstance(out, dict) and not any(map(partial(alike, out), alone))
    ]
    assert len(new) > len(pairs) / 2 > 10


def alike(one, other):
    """Whether two mistakes give the same."""
    return isinstance(other, dict) and all(numpy.array_equal(one[n], other[n]) for n in one)


def test_crashes_are_told_apart_by_what_came_before():
    """Both end in too few caches; in one of them y is wrong as well."""
    code = "class Chain(Chain):\n    def forward(self, x):\n        y, c = super().forward(x)\n"
    assert "leaves no cache" in told("chain", f"{code}        return y, [c[0], c[2]]\n")
    left_out = "class Chain(Chain):\n    def __init__(self, layers):\n"
    left_out += "        self.layers, self.used = layers, layers[:-1]\n    def forward(self, x):\n"
    left_out += (
        "        c = []\n        for layer in self.used:\n            x, k = layer.forward(x)\n"
    )
    left_out += "            c.append(k)\n        return x, c\n"
    assert "the last layer is left out" in told("chain", left_out)


def test_forward_and_backward_are_told_apart():
    """Where forward is wrong, a backward that is its derivative is right."""
    code = "def forward(x, w, b):\n    return 2 * x @ w + b, (x, w)\n"
    code += "def backward(dy, cache):\n    x, w = cache\n    return 2 * dy @ w.T, 2 * x.T @ dy, dy.sum(0)\n"
    verdict = verdict_of("linear", with_functions("linear", code))
    assert verdict.parts() == {"y": False, "dx": True, "dw": True, "db": True, "conduct": True}
    assert "right derivative of your own y" in "\n".join(verdict.lines(SAY))


def test_forward_is_judged_while_backward_is_missing_or_crashes():
    for body in ("raise NotImplementedError", "return dy @ nothing"):
        code = f"def backward(dy, cache):\n    {body}\n"
        verdict = verdict_of("linear", with_functions("linear", code))
        found = verdict.parts()
        assert found == {"y": True, "dx": False, "dw": False, "db": False, "conduct": False}
        assert [row.state for row in verdict.rows] == ["right", "missing", "missing", "missing"]
        wrong = code + "def forward(x, w, b):\n    return x @ w, (x, w)\n"
        verdict = verdict_of("linear", with_functions("linear", wrong))
        assert verdict.points() == 0
        assert "the bias b is missing" in "\n".join(verdict.lines(SAY))
    json = verdict.as_json(SAY)
    assert json["outputs"][1]["error"] is None


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_early_is_what_comes_out(name):
    chosen, done = exercise(name), {}
    given = chosen.drawn(0)[-1].given
    copies = {n: v.copy() if isinstance(v, numpy.ndarray) else v for n, v in given.items()}
    out = parts.run(chosen, chosen.solution, copies, done)
    assert all(numpy.array_equal(done[n], out[n]) for n in done)


def test_shapes_conduct_and_dtypes_are_told_apart():
    forward = "def forward(x, w, b):\n    {}\n    return {}, (x, w)\n"
    cases = {
        "shape": forward.format("pass", "(x @ w + b).T"),
        "conduct": forward.format("y = x @ w + b; x *= 1.0001", "y"),
    }
    for kind, code in cases.items():
        verdict = verdict_of("linear", with_functions("linear", code))
        assert kind in {f.kind for f in verdict.findings}
    wide = forward.format("pass", "x @ w + b + np.zeros(len(b))")
    (finding,) = verdict_of("linear", with_functions("linear", wide)).findings
    assert "float64: take the dtype" in str(finding.text)
    complex_ = forward.format("pass", "(x @ w + b).astype(complex)")
    assert verdict_of("linear", with_functions("linear", complex_)).findings[0].kind == "shape"


def test_what_a_call_leaves_behind_is_conduct():
    code = "kept = {}\ndef forward(x, w, b):\n    kept['x'] = x, w\n    return x @ w + b, None\n"
    code += (
        "def backward(dy, cache):\n    x, w = kept['x']\n    return dy @ w.T, x.T @ dy, dy.sum(0)\n"
    )
    verdict = verdict_of("linear", with_functions("linear", code))
    assert "keep what backward needs in the cache" in "\n".join(verdict.lines(SAY))


def test_a_forward_that_is_right_only_at_the_cases_is_wrong():
    code = "calls = []\ndef forward(x, w, b):\n    calls.append(1)\n"
    code += "    return (x @ w + b) * (1 if len(calls) <= 10 else 2), (x, w)\n"
    verdict = verdict_of("linear", with_functions("linear", code))
    assert verdict.status == 1
    assert "close to these inputs" in "\n".join(verdict.lines(SAY))


def test_the_smallest_failing_case_comes_with_its_numbers():
    verdict = verdict_of(
        "linear",
        with_functions("linear", LINEAR.format("dy @ w.T", "x.T @ dy / len(x)", "dy.sum(0)")),
    )
    assert verdict.case[0] == 3
    alone = verdict_of(
        "linear",
        with_functions("linear", LINEAR.format("dy @ w.T", "x.T @ dy / len(x)", "dy.sum(0)")),
        case=3,
    )
    assert not alone.ok
    x = next(line for line in verdict.shown if line.startswith("x = "))
    numpy.testing.assert_allclose(
        eval(x.removeprefix("x = "), {"np": numpy}),
        exercise("linear").drawn(0)[2].given["x"],
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="cases 1 to 5"):
        verdict_of("linear", exercise("linear").solution, case=9)


def test_the_page_names_the_tutorial_of_each_exercise():
    page = (ROOT / "docs" / "howto" / "learn.md").read_text("utf-8")
    for chosen in course():
        link = f"[{int(chosen.tutorial[:2])}](../../tutorials/{chosen.tutorial}.md)"
        assert f"| `{chosen.stem}` | {chosen.title} | {link} |" in page
        assert (ROOT / "tutorials" / f"{chosen.tutorial}.md").is_file()
        text = starter.solution(chosen)
        assert f"Tutorial {int(chosen.tutorial[:2])} " in text, chosen.stem


@pytest.mark.parametrize("name", ["chain", "vae"])
def test_slips_leave_the_solution_as_it_was_and_most_of_them_are_wrong(name):
    chosen = exercise(name)
    right = parts.answer(chosen, chosen.solution, chosen.drawn(0)[-1].given)
    found = slips.played(name, 0, len(chosen.drawn(0)))
    ran = [outs for _, outs in found if isinstance(outs, dict)]
    changed = [any(not numpy.array_equal(outs[o], right[o]) for o in right) for outs in ran]
    assert len(ran) > 100
    assert sum(changed) > 0.5 * len(ran)
    again = parts.answer(chosen, chosen.solution, chosen.drawn(0)[-1].given)
    assert all(numpy.array_equal(again[o], right[o]) for o in right)


def test_where_forward_is_wrong_its_own_slopes_judge_or_the_reference_does():
    code = "def forward(x, w, b):\n    return {} + b, (x, w)\n" + LINEAR.format(
        "3 * dy @ w.T", "x.T @ dy", "dy.sum(0)"
    )
    for wrong, against, words in (
        ("2 * x @ w", "calculus", "finite differences of your own y give"),
        ("1j * x @ w", "reference", "the right number is"),
    ):
        verdict = verdict_of("linear", with_functions("linear", code.format(wrong)))
        (row,) = [row for row in verdict.rows if row.name == "dx"]
        (finding,) = [f for f in verdict.findings if f.output == "dx"]
        assert row.against == against
        assert numpy.isfinite(row.error)
        assert words in str(finding.text)
