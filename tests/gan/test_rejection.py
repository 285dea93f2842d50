"""Rejection with D's help: what is kept, how much of it, and a judge that learns the log ratio."""

import numpy
import pytest

from minigan import gan, nn, optim
from minigan.gan.rejection import accepted, train_judge


class Given(nn.Layer, samplewise=True):
    """A judge that knows its answer."""

    def __init__(self, logit):
        self.logit = logit
        self.nothing = nn.Parameter(numpy.zeros(1, "float32"))  # says where the net is

    def forward(self, x, *, train=True):
        y = self.logit(x)
        return y, nn.Cache(self, y)

    def output_shape(self, shape):
        return shape[0], 1


def _wide(k, rng):
    return rng.standard_normal((k, 1)).astype("float32") * 2


# From N(0, 2²) to N(1, 1): log p/q = ln 2 - (x - 1)²/2 + x²/8, at most ln 2 + 1/6 at x = 4/3.
RATIO = Given(lambda x: numpy.log(2) - (x - 1) ** 2 / 2 + x**2 / 8)


def test_what_is_kept_has_the_law_of_the_data():
    rng = numpy.random.default_rng(0)
    found = accepted(lambda k: _wide(k, rng), RATIO, 50_000, rng=rng)
    assert found.samples.shape == (50_000, 1)
    assert found.samples.mean() == pytest.approx(1, abs=0.02)
    assert found.samples.std() == pytest.approx(1, abs=0.02)
    assert found.share == pytest.approx(numpy.exp(-numpy.log(2) - 1 / 6), abs=0.01)


def test_a_lower_quantile_keeps_more_and_is_the_smaller_of_both_densities():
    rng = numpy.random.default_rng(1)
    found = accepted(lambda k: _wide(k, rng), RATIO, 50_000, rng=rng, quantile=0.7)
    logits = RATIO.logit(_wide(200_000, numpy.random.default_rng(2)))
    level = numpy.quantile(logits, 0.7)
    weights = numpy.exp(numpy.minimum(logits - level, 0))
    x = _wide(200_000, numpy.random.default_rng(2))
    assert found.share == pytest.approx(weights.mean(), abs=0.02)
    assert found.samples.mean() == pytest.approx((weights * x).sum() / weights.sum(), abs=0.03)


def test_samples_may_have_labels_and_the_same_seeds_keep_the_same():
    def once():
        rng = numpy.random.default_rng(3)

        def draw(k):
            return _wide(k, rng), numpy.arange(k)

        judge = Given(lambda pair: pair[0] * 0 + pair[1][:, None] % 2 * 50.0)
        return accepted(draw, judge, 3000, rng=rng, block=1000)

    (x, labels), share = once()
    assert len(x) == len(labels) == 3000
    assert (labels % 2 == 1).all()
    assert share == pytest.approx(0.5)
    again = once().samples
    numpy.testing.assert_array_equal(x, again[0])
    numpy.testing.assert_array_equal(labels, again[1])


def test_a_judge_learns_the_log_ratio():
    rng = numpy.random.default_rng(0)
    judge = nn.Sequential(
        nn.Linear(1, 32, rng=rng), nn.Tanh(), nn.Linear(32, 32, rng=rng), nn.Tanh(),
        nn.Linear(32, 1, rng=rng),
    )  # fmt: skip
    optimizer = optim.Adam(judge, lr=0.01)
    losses = train_judge(
        judge, optimizer, lambda: _wide(256, rng) / 2 + 1, lambda: _wide(256, rng), steps=600,
        scheduler=optim.Scheduler([optimizer], optim.schedules.parse("linear"), steps=600),
    )  # fmt: skip
    assert losses.shape == (600,)
    x = numpy.linspace(-1, 3, 9, dtype="float32")[:, None]
    numpy.testing.assert_allclose(judge(x), RATIO.logit(x), atol=0.25)
    assert losses[-100:].mean() < losses[:5].mean()
    assert optimizer.lr < 1e-4


def test_a_rejection_adds_the_modes_that_a_smear_has_too_few_of():
    """G smears evenly over a line, the data have two narrow modes on it."""
    rng = numpy.random.default_rng(5)

    def modes(k):
        return (rng.choice([-1.0, 1.0], (k, 1)) + 0.1 * rng.standard_normal((k, 1))).astype("f4")

    def smear(k):
        return rng.uniform(-2, 2, (k, 1)).astype("float32")

    judge = nn.Sequential(
        nn.Linear(1, 64, rng=rng), nn.LeakyReLU(0.2), nn.Linear(64, 64, rng=rng),
        nn.LeakyReLU(0.2), nn.Linear(64, 1, rng=rng),
    )  # fmt: skip
    optimizer = optim.Adam(judge, lr=0.005)
    train_judge(
        judge, optimizer, lambda: modes(256), lambda: smear(256), steps=800,
        scheduler=optim.Scheduler([optimizer], optim.schedules.parse("linear"), steps=800),
    )  # fmt: skip
    found = accepted(smear, judge, 4000, rng=rng, quantile=0.99).samples
    away = abs(abs(found) - 1)
    assert (away < 0.3).mean() > 0.95
    assert numpy.sqrt((away[away < 0.3] ** 2).mean()) == pytest.approx(0.1, rel=0.2)
    assert (found > 0).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n": 0}, "n and block must be positive, got 0 and 10"),
        ({"block": 0}, "n and block must be positive, got 5 and 0"),
        ({"quantile": 0}, "above 0 and at most 1, got 0"),
        ({"quantile": float("nan")}, "above 0 and at most 1, got nan"),
        ({"judge": Given(lambda x: x[:, 0])}, r"of shape \(10, 1\); it gave \(10,\)"),
        ({"judge": Given(lambda x: x * numpy.nan)}, "it gave some that are not finite"),
    ],
)
def test_refusals(change, why):
    rng = numpy.random.default_rng(0)
    wanted = {"judge": RATIO, "n": 5, "quantile": 1.0, "block": 10} | change
    judge, n = wanted.pop("judge"), wanted.pop("n")
    with pytest.raises(ValueError, match=why):
        accepted(lambda k: _wide(k, rng), judge, n, rng=rng, **wanted)


def test_a_hopeless_search_ends():
    rng = numpy.random.default_rng(0)
    first = iter([True])
    judge = Given(lambda x: x * 0 - (0.0 if next(first, False) else 50.0))
    with pytest.raises(ValueError, match="only 10 were kept, of 10,000 that are wanted"):
        accepted(lambda k: _wide(k, rng), judge, 10_000, rng=rng, block=10)


def test_small_blocks_are_not_hopeless():
    rng = numpy.random.default_rng(0)
    assert len(accepted(lambda k: _wide(k, rng), RATIO, 10_000, rng=rng, block=2).samples) == 10_000


def test_a_judge_cannot_be_trained_for_fewer_steps_than_none():
    with pytest.raises(ValueError, match="can't be trained for -1 steps; give 0 or more"):
        train_judge(RATIO, None, None, None, steps=-1)


def test_names():
    assert gan.accepted is accepted
    assert gan.train_judge is train_judge
