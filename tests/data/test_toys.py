import subprocess
import sys

import numpy
import pytest
from defaults import defaults

from minigan import data

NAMES = ["ring", "grid", "parabola", "gaussian-curve", "spiral", "moons"]


def rng(seed=0):
    return numpy.random.default_rng(seed)


def nearest(points, centres):
    distances = numpy.linalg.norm(points[:, None] - centres, axis=2)
    return distances.argmin(axis=1), distances.min(axis=1)


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, minigan.data;"
        "print([m for m in ('matplotlib', 'pooch', 'PIL', 'tqdm', 'requests') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_law_draws_float32_points_inside_its_window_from_its_generator_alone(name):
    law = data.distribution(name)
    points = law.sample(2000, rng())
    assert law.name == name
    assert points.shape == (2000, 2)
    assert points.dtype == numpy.float32
    for axis, (low, high) in enumerate(law.limits):
        assert low < points[:, axis].min()
        assert points[:, axis].max() < high
    numpy.testing.assert_array_equal(points, law.sample(2000, rng()))
    assert not numpy.array_equal(points, law.sample(2000, rng(1)))


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_mixtures_have_as_many_equal_modes_as_centres_with_their_spread(name, modes):
    law = data.distribution(name)
    assert law.centres.shape == (modes, 2)
    points = law.sample(20_000, rng())
    which, distance = nearest(points, law.centres)
    counts = numpy.bincount(which, minlength=modes)
    numpy.testing.assert_allclose(counts, 20_000 / modes, rtol=0.15)
    # In two dimensions the squared distance has mean 2 std², and 1 - exp(-9/2) lies within 3 std.
    assert numpy.mean(distance**2) == pytest.approx(2 * law.std**2, rel=0.05)
    assert numpy.mean(distance <= 3 * law.std) == pytest.approx(1 - numpy.exp(-4.5), abs=0.005)


def test_ring_centres_are_distinct_and_evenly_spaced_on_the_circle():
    centres = data.ring_centres(modes=8, radius=2.0)
    numpy.testing.assert_allclose(numpy.linalg.norm(centres, axis=1), 2, rtol=1e-6)
    gaps = numpy.linalg.norm(centres - numpy.roll(centres, 1, axis=0), axis=1)
    numpy.testing.assert_allclose(gaps, 2 * 2 * numpy.sin(numpy.pi / 8), rtol=1e-5)
    numpy.testing.assert_allclose(centres[0], [2, 0], atol=1e-6)


def test_grid_centres_are_the_published_ones():
    ticks = [-4, -2, 0, 2, 4]
    assert {tuple(c) for c in data.grid_centres().tolist()} == {
        (x, y) for x in ticks for y in ticks
    }
    numpy.testing.assert_array_equal(
        data.grid_centres(side=2, spacing=1), [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    )


def test_curves_without_noise_lie_on_their_equations():
    x, y = data.parabola(500, rng=rng(), std=0).T
    numpy.testing.assert_allclose(y, x**2, atol=1e-6)
    x, y = data.gaussian_curve(500, rng=rng(), width=0.5, std=0).T
    numpy.testing.assert_allclose(y, numpy.exp(-(x**2) / 0.5), atol=1e-6)
    x, y = data.spiral(500, rng=rng(), turns=1.5, std=0).T.astype(numpy.float64)
    radius = numpy.hypot(x, y)
    numpy.testing.assert_allclose(numpy.cos(2 * numpy.pi * 1.5 * radius), x / radius, atol=1e-4)
    numpy.testing.assert_allclose(numpy.sin(2 * numpy.pi * 1.5 * radius), y / radius, atol=1e-4)
    x, y = data.moons(500, rng=rng(), std=0).T
    upper = numpy.isclose(numpy.hypot(x, y), 1, atol=1e-5) & (y >= -1e-6)
    lower = numpy.isclose(numpy.hypot(x - 1, y - 0.5), 1, atol=1e-5) & (y <= 0.5 + 1e-6)
    assert numpy.all(upper | lower)
    assert upper.mean() == pytest.approx(0.5, abs=0.1)


def test_x_of_the_curves_is_uniform_and_the_spiral_is_even_along_its_length():
    x = data.parabola(20_000, rng=rng(), std=0)[:, 0]
    numpy.testing.assert_allclose(numpy.histogram(x, 10, (-1, 1))[0], 2000, rtol=0.1)
    radius = numpy.linalg.norm(data.spiral(20_000, rng=rng(), std=0), axis=1)
    numpy.testing.assert_allclose(numpy.histogram(radius**2, 10, (0, 1))[0], 2000, rtol=0.1)


def test_noise_has_the_standard_deviation_asked_for():
    clean = data.parabola(20_000, rng=rng(), std=0)
    noisy = data.parabola(20_000, rng=rng(), std=0.1)
    numpy.testing.assert_allclose((noisy - clean).std(axis=0), 0.1, rtol=0.03)


def test_parameters_reach_the_law_its_centres_and_its_window():
    law = data.distribution("ring", modes=3, radius=5.0, std=0.5)
    assert law.std == 0.5
    numpy.testing.assert_array_equal(law.centres, data.ring_centres(modes=3, radius=5.0))
    assert law.limits[0][1] > 6
    numpy.testing.assert_array_equal(
        law.sample(9, rng()), data.ring(9, rng=rng(), modes=3, radius=5.0, std=0.5)
    )
    assert data.distribution("spiral").centres is None
    assert data.distribution("spiral").std is None


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (data.ring_centres, {"modes": 8, "radius": 2.0}),
        (data.grid_centres, {"side": 5, "spacing": 2.0}),
        (data.ring, {"modes": 8, "radius": 2.0, "std": 0.02}),
        (data.grid, {"side": 5, "spacing": 2.0, "std": 0.05}),
        (data.parabola, {"std": 0.02}),
        (data.gaussian_curve, {"width": 0.3, "std": 0.02}),
        (data.spiral, {"turns": 2.0, "std": 0.02}),
        (data.moons, {"std": 0.05}),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_the_defaults_are_those_of_the_papers(law, expected):
    assert defaults(law) == expected


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("ring", ((-3.06, 3.06), (-3.06, 3.06))),
        ("grid", ((-6.15, 6.15), (-6.15, 6.15))),
        ("parabola", ((-1.48, 1.48), (-0.48, 1.48))),
        ("gaussian-curve", ((-1.48, 1.48), (-0.48, 1.48))),
        ("spiral", ((-1.48, 1.48), (-1.48, 1.48))),
        ("moons", ((-1.6, 2.6), (-1.1, 1.6))),
    ],
)
def test_windows_leave_room_around_the_points(name, window):
    numpy.testing.assert_allclose(data.distribution(name).limits, window, rtol=1e-12)


def test_the_smallest_values_that_mean_something():
    assert data.ring_centres(modes=1, radius=3.0).tolist() == [[3, 0]]
    assert data.grid_centres(side=1).tolist() == [[0, 0]]
    assert data.ring(1, rng=rng(), std=0.0).shape == (1, 2)
    for name in NAMES:
        assert data.distribution(name, std=0.0).sample(1, rng()).shape == (1, 2)


def test_laws_use_the_generator_in_a_fixed_order():
    """The same seed gives the same points in every version."""
    n, std = 5, 0.5
    g = rng(3)
    which, noise = g.integers(8, size=n), g.standard_normal((2, n))
    expected = data.ring_centres()[which] + std * noise.T
    numpy.testing.assert_allclose(data.ring(n, rng=rng(3), std=std), expected, rtol=1e-6)
    for law, height in (
        (data.parabola, lambda x: x * x),
        (data.gaussian_curve, lambda x: numpy.exp(-(x**2) / (2 * 0.3**2))),
    ):
        g = rng(3)
        x, noise = g.uniform(-1, 1, n), g.standard_normal((2, n))
        expected = [x + std * noise[0], height(x) + std * noise[1]]
        numpy.testing.assert_allclose(law(n, rng=rng(3), std=std).T, expected, rtol=1e-6)
    g = rng(3)
    radius, noise = numpy.sqrt(g.uniform(0, 1, n)), g.standard_normal((2, n))
    angle = 2 * numpy.pi * 2 * radius
    expected = radius * [numpy.cos(angle), numpy.sin(angle)] + std * noise
    numpy.testing.assert_allclose(data.spiral(n, rng=rng(3), std=std).T, expected, rtol=1e-6)
    g = rng(3)
    angle, lower, noise = g.uniform(0, numpy.pi, n), g.integers(0, 2, n), g.standard_normal((2, n))
    x = numpy.where(lower, 1 - numpy.cos(angle), numpy.cos(angle)) + std * noise[0]
    y = numpy.where(lower, 0.5 - numpy.sin(angle), numpy.sin(angle)) + std * noise[1]
    numpy.testing.assert_allclose(data.moons(n, rng=rng(3), std=std).T, [x, y], rtol=1e-6)


def test_unknown_names_and_parameters_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"no distribution 'rign'.*did you mean 'ring'\?"):
        data.distribution("rign")
    with pytest.raises(ValueError, match=r"'ring' has no parameter 'mode'.*did you mean 'modes'"):
        data.distribution("ring", mode=4)
    with pytest.raises(ValueError, match=r"no distribution 'xyzzy': choose one of [a-z, -]*moons$"):
        data.distribution("xyzzy")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("ring", {"modes": 0}),
        ("ring", {"radius": 0.0}),
        ("ring", {"std": -1.0}),
        ("grid", {"side": 0}),
        ("grid", {"spacing": -1.0}),
        ("gaussian-curve", {"width": 0.0}),
        ("spiral", {"turns": 0.0}),
        ("moons", {"std": float("nan")}),
    ],
)
def test_values_out_of_range_are_refused_at_once(name, bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        data.distribution(name, **bad)


@pytest.mark.parametrize("name", NAMES)
def test_drawing_no_points_is_refused(name):
    with pytest.raises(ValueError, match="n=0"):
        data.distribution(name).sample(0, rng())


@pytest.mark.parametrize("state", [{"rng": numpy.random.MT19937(0).state}, {"rng": {}}, {}])
def test_a_stream_continues_from_its_own_kind_of_generator_only(state):
    stream, other = (data.Stream(data.distribution("ring"), 4, rng(3)) for _ in range(2))
    with pytest.raises(ValueError, match=r"from a generator .*: resume with the same kind"):
        stream.load_state_dict(state)
    numpy.testing.assert_array_equal(next(stream)[0], next(other)[0])
