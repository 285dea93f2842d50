"""Modes, Fréchet and kernel distances: against closed forms, SciPy and brute force."""

import math

import numpy
import pytest
from defaults import defaults
from hypothesis import given
from hypothesis import strategies as st

from minigan import data, metrics
from minigan.metrics import blocks, modes
from minigan.metrics.frechet import moments, trace_of_root

RING, GRID = data.ring_centres(radius=1.0), data.grid_centres()


def rng(seed=0):
    return numpy.random.default_rng(seed)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that their seams are crossed."""
    monkeypatch.setattr(blocks, "BLOCK", 50)


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize(
    ("law", "centres", "std", "kl"),
    [
        (lambda n, r: data.ring(n, rng=r, radius=1.0, std=0.01), RING, 0.01, 0.0014),
        (lambda n, r: data.grid(n, rng=r), GRID, 0.05, 0.0048),
    ],
)
def test_the_ideal_sampler_gets_the_values_of_theory(law, centres, std, kl):
    reports = [metrics.mode_report(law(2500, rng(seed)), centres, std) for seed in range(40)]
    assert {r.covered for r in reports} == {len(centres)}
    # Standard errors of these means: 0.033 % and (K - 1)^½ / (2^½ N 40^½).
    assert numpy.mean([r.high_quality for r in reports]) == pytest.approx(0.9889, abs=0.0010)
    error = math.sqrt((len(centres) - 1) / 2) / 2500 / math.sqrt(40)
    assert numpy.mean([r.reverse_kl for r in reports]) == pytest.approx(kl, abs=3 * error)
    high_quality, expected_kl = metrics.ideal_modes(len(centres), 2500)
    assert high_quality == pytest.approx(1 - math.exp(-4.5))
    assert expected_kl == pytest.approx(kl, abs=0.0001)


def test_modes_by_hand():
    centres = numpy.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0], [9.0, 9.0]])
    samples = numpy.array(
        [[0.0, 0.2], [0.0, 0.31], [1.0, 0.29], [1.1, 0.0], [5.0, 5.0], [7.0, 7.0]]
    )
    report = metrics.mode_report(samples, centres, 0.1)
    assert report.counts == (1, 2, 1, 0)
    assert (report.covered, report.modes, report.samples) == (3, 4, 6)
    assert report.high_quality == pytest.approx(4 / 6)
    q = numpy.array([1, 2, 1]) / 4
    assert report.reverse_kl == pytest.approx((q * numpy.log(4 * q)).sum())
    assert report.total_variation == pytest.approx((0 + 0.25 + 0 + 0.25) / 2)
    assert metrics.mode_report(samples, centres, 0.1, sigmas=3.2).counts == (2, 2, 1, 0)
    assert metrics.mode_report(samples, centres, 0.1, min_share=0.3).covered == 1
    assert metrics.mode_report(samples, centres, 0.1, min_share=0.0).covered == 3
    assert (
        str(report) == "3 of 4 modes, 66.7 % of 6 samples of high quality, reverse KL 0.3466 nats"
    )


def test_a_collapsed_generator_and_one_that_hits_nothing():
    one = metrics.mode_report(numpy.repeat(RING[:1], 100, axis=0), RING, 0.01)
    assert (one.covered, one.high_quality) == (1, 1.0)
    assert one.reverse_kl == pytest.approx(math.log(8))
    assert one.total_variation == pytest.approx(7 / 8)
    none = metrics.mode_report(numpy.zeros((100, 2), "float32"), RING, 0.01)
    assert (none.covered, none.high_quality, none.reverse_kl, none.total_variation) == (
        0,
        0.0,
        math.inf,
        1.0,
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_reverse_kl_lies_between_its_bounds_and_doesnt_know_the_order(counts):
    kl = modes.reverse_kl(tuple(counts))
    assert 0 <= kl <= math.log(len(counts)) + 1e-12
    assert kl == pytest.approx(modes.reverse_kl(tuple(sorted(counts))), abs=1e-12)


def test_modes_in_blocks(small_blocks):
    samples = data.grid(333, rng=rng())
    expected = numpy.bincount(
        [int(numpy.argmin(((p - GRID) ** 2).sum(1))) for p in samples
         if ((p - GRID) ** 2).sum(1).min() <= 0.15**2], minlength=25)  # fmt: skip
    assert metrics.mode_report(samples, GRID, 0.05).counts == tuple(expected)


# ---------------------------------------------------------------- Fréchet


def covariance(d, seed, rank=None):
    a = rng(seed).standard_normal((d, rank or 2 * d))
    return a @ a.T / a.shape[1]


@pytest.mark.parametrize("d", [1, 2, 7, 40])
def test_frechet_against_scipy(d):
    linalg = pytest.importorskip("scipy.linalg")
    c1, c2, m1, m2 = (
        covariance(d, 1),
        covariance(d, 2),
        rng(3).standard_normal(d),
        rng(4).standard_normal(d),
    )
    root = linalg.sqrtm(c1 @ c2).real
    expected = ((m1 - m2) ** 2).sum() + numpy.trace(c1 + c2 - 2 * root)
    assert metrics.frechet_gaussian(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_frechet_by_the_eigenvalues_of_the_product(d):
    """tr (C₁C₂)^½ is the sum of the roots of the eigenvalues of C₁C₂, which are positive."""
    c1, c2 = covariance(d, 1), covariance(d, 2)
    m1, m2 = rng(3).standard_normal((2, d))
    roots = numpy.sqrt(numpy.linalg.eigvals(c1 @ c2).real).sum()
    expected = ((m1 - m2) ** 2).sum() + numpy.trace(c1) + numpy.trace(c2) - 2 * roots
    assert metrics.frechet_gaussian(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_commuting_covariances():
    q, _ = numpy.linalg.qr(rng().standard_normal((5, 5)))
    a, b = numpy.array([1.0, 4.0, 9.0, 0.25, 2.0]), numpy.array([2.0, 4.0, 1.0, 1.0, 0.5])
    expected = ((numpy.sqrt(a) - numpy.sqrt(b)) ** 2).sum() + 3.0**2
    mean = numpy.zeros(5)
    got = metrics.frechet_gaussian(mean, (q * a) @ q.T, mean + 3.0 * q[0], (q * b) @ q.T)
    assert got == pytest.approx(expected, rel=1e-12)


def test_frechet_of_singular_covariances():
    d = 30
    u, v = numpy.eye(d)[0], numpy.ones(d) / math.sqrt(d)
    # Rank one each: tr (uuᵀ vvᵀ)^½ = |u·v|.
    got = trace_of_root(4 * numpy.outer(u, u), 9 * numpy.outer(v, v))
    assert got == pytest.approx(6 / math.sqrt(d), rel=1e-10)
    low = covariance(d, 1, rank=3)
    assert trace_of_root(low, low) == pytest.approx(numpy.trace(low), rel=1e-12)
    zero = numpy.zeros((d, d))
    assert metrics.frechet_gaussian(u, zero, v, zero) == pytest.approx(((u - v) ** 2).sum())
    assert metrics.frechet_gaussian(u, zero, u, low) == pytest.approx(numpy.trace(low))


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_frechet_is_symmetric_and_zero_only_at_itself(d, seed):
    c1, c2, m1, m2 = (
        covariance(d, seed),
        covariance(d, seed + 1),
        *rng(seed).standard_normal((2, d)),
    )
    there, back = metrics.frechet_gaussian(m1, c1, m2, c2), metrics.frechet_gaussian(m2, c2, m1, c1)
    assert there == pytest.approx(back, rel=1e-9)
    assert there > 0
    assert metrics.frechet_gaussian(m1, c1, m1, c1) == pytest.approx(0, abs=1e-12)


def test_moments_are_float64_and_know_no_cancellation(small_blocks):
    x = (rng().standard_normal((500, 3)) * [1, 2, 3] + 1000).astype("float32")
    mean, cov = moments(x)
    assert mean.dtype == cov.dtype == "float64"
    wide = x.astype("float64")
    numpy.testing.assert_allclose(mean, wide.mean(axis=0), rtol=1e-13)
    numpy.testing.assert_allclose(cov, numpy.cov(wide.T), rtol=1e-10, atol=1e-10)


def test_frechet_distance_of_samples():
    x = rng(1).standard_normal((20_000, 4)).astype("float32")
    y = 2 * rng(2).standard_normal((20_000, 4)).astype("float32") + 1
    # |μ|² + Σ (1 - 2)² = 4 + 4
    assert metrics.frechet_distance(x, y) == pytest.approx(8, rel=0.02)
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-10)


def test_fewer_samples_than_features_is_fine():
    x, y = rng(1).standard_normal((5, 20)), rng(2).standard_normal((6, 20))
    linalg = pytest.importorskip("scipy.linalg")
    (m1, c1), (m2, c2) = moments(x), moments(y)
    tiny = 1e-13 * numpy.eye(20)
    expected = ((m1 - m2) ** 2).sum() + numpy.trace(
        c1 + c2 - 2 * linalg.sqrtm((c1 + tiny) @ (c2 + tiny)).real
    )
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------- kernel distance


def slow_mmd2(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (m * n)


def test_mmd_by_brute_force(small_blocks):
    x, y = rng(1).standard_normal((13, 3)), rng(2).standard_normal((9, 3)) + 0.5
    assert metrics.mmd2(x, y) == pytest.approx(slow_mmd2(x.tolist(), y.tolist()), rel=1e-12)


def test_mmd_against_sklearn():
    kernel = pytest.importorskip("sklearn.metrics.pairwise").polynomial_kernel
    x, y = rng(1).standard_normal((60, 7)), rng(2).standard_normal((40, 7)) ** 2
    xx, yy, xy = kernel(x), kernel(y), kernel(x, y)  # degree 3, gamma 1/d, coef0 1
    expected = (
        (xx.sum() - numpy.trace(xx)) / (60 * 59)
        + (yy.sum() - numpy.trace(yy)) / (40 * 39)
        - 2 * xy.mean()
    )
    assert metrics.mmd2(x.astype("float32"), y.astype("float32")) == pytest.approx(
        expected, rel=1e-5
    )


def test_mmd_is_unbiased():
    """The mean over many draws from one law is 0, where the biased estimate's is clearly
    positive.
    """
    estimates = [metrics.mmd2(*rng(seed).standard_normal((2, 8, 2))) for seed in range(1500)]
    error = numpy.std(estimates) / math.sqrt(len(estimates))
    assert abs(numpy.mean(estimates)) < 3 * error
    assert min(estimates) < 0


def test_the_kernel_distance_of_a_shift_in_closed_form():
    # Constant points: k(x, x) + k(y, y) - 2 k(x, y) with x = 0, y = 1: 1 + 8 - 2.
    got = metrics.kernel_distance(
        numpy.zeros((30, 4)), numpy.ones((20, 4)), rng=rng(), subsets=3, subset_size=10
    )
    assert got == metrics.KernelDistance(mean=7.0, std=0.0, subsets=3, subset_size=10)


def test_subsets_are_drawn_from_the_generator():
    x, y = rng(1).standard_normal((300, 4)), rng(2).standard_normal((200, 4))
    draws = [
        metrics.kernel_distance(x, y, rng=rng(s), subsets=5, subset_size=50) for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    whole = metrics.kernel_distance(x[:200], y, rng=rng(), subsets=2)
    assert whole.subset_size == 200
    assert whole.mean == pytest.approx(metrics.mmd2(x[:200], y))


def test_the_kernel_distance_is_the_mean_and_spread_over_the_subsets():
    x, y, g = rng(1).standard_normal((30, 4)), rng(2).standard_normal((20, 4)), rng(3)
    estimates = [
        metrics.mmd2(x[g.choice(30, 7, replace=False)], y[g.choice(20, 7, replace=False)])
        for _ in range(4)
    ]
    got = metrics.kernel_distance(x, y, rng=rng(3), subsets=4, subset_size=7)
    assert got.mean == pytest.approx(numpy.mean(estimates), rel=1e-12)
    assert got.std == pytest.approx(numpy.std(estimates), rel=1e-12)
    assert (got.subsets, got.subset_size) == (4, 7)


def test_a_gaussian_s_sample_of_high_quality_lies_within_three_sigmas():
    share, kl = metrics.ideal_modes(8, 100, sigmas=2.0)
    assert share == pytest.approx(1 - math.exp(-2))
    assert kl == pytest.approx(7 / (200 * share))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (metrics.mode_report, {"sigmas": 3.0, "min_share": None}),
        (metrics.ideal_modes, {"sigmas": 3.0}),
        (metrics.kernel_distance, {"subsets": 50, "subset_size": 1000}),
        (metrics.prdc, {"k": 5}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_the_defaults_are_the_usual_ones(what, expected):
    assert defaults(what) == expected


# ---------------------------------------------------------------- what is refused


X = numpy.zeros((10, 2))
BAD = X.copy()
BAD[3, 1] = numpy.nan


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: metrics.mode_report(X, numpy.zeros((4, 3)), 1.0),
            "The samples have 2 features each, the centres 3",
        ),
        (lambda: metrics.mode_report(X[0], RING, 1.0), "The samples have shape (2,)"),
        (lambda: metrics.mode_report(BAD, RING, 1.0), "The samples hold NaN or infinity"),
        (lambda: metrics.mode_report(X, RING, 0.0), "std and sigmas must be positive, got std=0.0"),
        (lambda: metrics.mode_report(X, RING, 1.0, sigmas=-1), "got std=1.0 and sigmas=-1"),
        (lambda: metrics.mode_report(X, RING, 1.0, min_share=2), "between 0 and 1, got 2"),
        (lambda: metrics.mode_report(X, RING, 1.0, min_share=-0.1), "between 0 and 1, got -0.1"),
        (lambda: metrics.frechet_distance(X[:1], X), "N >= 2"),
        (lambda: metrics.frechet_gaussian(X[0], X[:2], X[0], X), "got shapes"),
        (lambda: metrics.kernel_distance(X, X, rng=rng(), subsets=0), "got 0 of 1000"),
        (lambda: metrics.kernel_distance(X, X, rng=rng(), subset_size=1), "got 50 of 1"),
    ],
)
def test_bad_input_gets_a_sentence(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


def test_what_is_no_array_or_no_generator_is_a_type_error():
    with pytest.raises(TypeError, match="Expected a NumPy or CuPy array, got list"):
        metrics.mode_report([[0.0, 0.0]], RING, 1.0)
    with pytest.raises(TypeError, match="rng is int"):
        metrics.kernel_distance(X, X, rng=0)


def test_whole_numbers_and_half_precision_are_widened():
    points = numpy.array([[1, 0], [0, 1], [-1, 0]])
    assert metrics.mode_report(points, RING, 0.01).covered == 3
    assert metrics.mode_report(points.astype("float16"), RING, 0.01).covered == 3
