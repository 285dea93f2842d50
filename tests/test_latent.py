"""Moving through latent space: walks, arithmetic, sweeps, truncation; and the pictures of them."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minigan import gan, latent
from minigan.cli import main
from minigan.runs import exploring, training
from minigan.runs.folder import open_run

RNG = numpy.random.default_rng
Z = RNG(0).standard_normal((9, 16)).astype("float32")


# ---------------------------------------------------------------- walks


@pytest.mark.parametrize("path", [latent.linear, latent.spherical])
def test_walks_go_from_one_end_to_the_other(path):
    way = path(Z[0], Z[1], 7)
    assert way.shape == (7, 16)
    assert way.dtype == Z.dtype
    numpy.testing.assert_allclose(way[0], Z[0], atol=1e-6)
    numpy.testing.assert_allclose(way[-1], Z[1], atol=1e-6)


def test_the_straight_way_takes_equal_steps():
    steps = numpy.diff(latent.linear(Z[0], Z[1], 5), axis=0)
    numpy.testing.assert_allclose(
        steps, numpy.broadcast_to((Z[1] - Z[0]) / 4, steps.shape), atol=1e-6
    )


@given(st.integers(2, 40), st.integers(0, 1000))
def test_the_spherical_way_stays_on_the_sphere_and_turns_evenly(steps, seed):
    a, b = RNG(seed).standard_normal((2, 12))
    a, b = a / numpy.linalg.norm(a), b / numpy.linalg.norm(b)
    way = latent.spherical(a, b, steps)
    numpy.testing.assert_allclose(numpy.linalg.norm(way, axis=1), 1, atol=1e-9)
    angles = numpy.arccos(numpy.clip((way[1:] * way[:-1]).sum(axis=1), -1, 1))
    numpy.testing.assert_allclose(angles, numpy.arccos(a @ b) / (steps - 1), atol=1e-6)


def test_in_between_the_straight_way_leaves_the_shell_and_the_arc_does_not():
    z = RNG(0).standard_normal((2, 400))
    middle = {path: numpy.linalg.norm(path(*z, 3)[1]) for path in (latent.linear, latent.spherical)}
    assert middle[latent.linear] == pytest.approx(numpy.sqrt(200), rel=0.1)
    assert middle[latent.spherical] == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(("a", "b"), [((1, 0), (2, 0)), ((1, 0), (-1, 0)), ((0, 0), (1, 1))])
def test_without_an_arc_the_way_is_straight(a, b):
    a, b = numpy.array(a, float), numpy.array(b, float)
    numpy.testing.assert_allclose(latent.spherical(a, b, 5), latent.linear(a, b, 5))


def test_a_round_trip_passes_every_stop_once_and_comes_back():
    way = latent.walk(Z[:3], 4)
    assert way.shape == (12, 16)
    numpy.testing.assert_allclose(way[::4], Z[:3], atol=1e-6)
    numpy.testing.assert_allclose(way[9:], latent.spherical(Z[2], Z[0], 5)[1:-1], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: latent.linear(Z[0], Z[1][:3], 4), "the same shape"),
        (lambda: latent.linear(Z, Z, 4), "the same shape"),
        (lambda: latent.spherical(Z[0], Z[1], 1), "two steps"),
        (lambda: latent.walk(Z[:1], 4), "two stops"),
        (lambda: latent.walk(Z[:2], 0), "0 steps"),
        (lambda: latent.arithmetic(Z, [0], [], [1]), "must name at least one of 0 to 8, got none"),
        (lambda: latent.arithmetic(Z, [0.5], [1], [1]), r"one of 0 to 8, got \[0.5\]"),
        (lambda: latent.arithmetic(Z, [0], [9], [1]), r"got \[9\]"),
        (lambda: latent.arithmetic(Z, [-1], [2], [1]), r"got \[-1\]"),
        (lambda: latent.sweep(Z[0], 16, [1.0]), "coordinates 0 to 15, got 16"),
        (lambda: latent.sweep(Z[0], 0, []), "at least one value, got 0"),
        (lambda: latent.truncated(gan.Latent(3), 2, RNG(0), bound=0.0), "at least 0.01, got 0.0"),
        (lambda: latent.truncated(gan.Latent(3), 2, RNG(0), bound=float("nan")), "got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_between_whole_numbers_there_are_others(dtype):
    """Nothing is rounded or wrapped round, whatever type the latents have."""
    z = numpy.array([[0, 1, 1], [1, 0, 0], [1, 1, 0]], dtype)
    exact = z.astype("float64")
    numpy.testing.assert_array_equal(latent.linear(z[0], z[1], 3)[1], [0.5, 0.5, 0.5])
    for path in (latent.linear, latent.spherical):
        numpy.testing.assert_array_equal(path(z[0], z[1], 4), path(exact[0], exact[1], 4))
        assert path(z[0], Z[0, :3], 4).dtype == path(Z[0, :3], z[0], 4).dtype == "float64"
    numpy.testing.assert_array_equal(latent.walk(z, 3), latent.walk(exact, 3))
    numpy.testing.assert_array_equal(
        latent.arithmetic(z, [0, 1], [2], [1]), latent.arithmetic(exact, [0, 1], [2], [1])
    )
    assert latent.sweep(z[0], 1, [-0.25, 0.75])[:, 1].tolist() == [-0.25, 0.75]
    found = latent.influence(lambda z: z * [1, 2, 3], z, step=0.5)
    numpy.testing.assert_allclose(found, numpy.array([1, 2, 3]) / numpy.sqrt(3))


def test_latents_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError):
        latent.linear(Z[0] + 1j, Z[1], 3)


@pytest.mark.parametrize("wrong", ["x", 1.5, True, None])
def test_sizes_and_counts_are_whole_numbers(wrong):
    with pytest.raises(TypeError, match="The size of a Latent must be a whole number, got"):
        gan.Latent(wrong)
    with pytest.raises(TypeError, match="The number of latents must be a whole number, got"):
        gan.Latent(3).sample(wrong, RNG(0))
    for path in (latent.linear, latent.spherical):
        with pytest.raises(TypeError, match="The number of steps must be a whole number, got"):
            path(Z[0], Z[1], wrong)
    with pytest.raises(ValueError, match="must be 0 or more, got -1"):
        gan.Latent(3).sample(-1, RNG(0))
    assert gan.Latent(numpy.int64(3)).sample(numpy.int32(2), RNG(0)).shape == (2, 3)


# ---------------------------------------------------------------- arithmetic, sweeps, truncation


def test_arithmetic_is_on_means():
    result = latent.arithmetic(Z, [0, 1, 2], [3, 4], [5])
    numpy.testing.assert_allclose(result, Z[:3].mean(0) - Z[3:5].mean(0) + Z[5], rtol=1e-6)
    numpy.testing.assert_allclose(latent.arithmetic(Z, [0], [1], [1]), Z[0], atol=1e-6)


def test_a_sweep_changes_one_coordinate_only():
    swept = latent.sweep(Z[0], 3, [-1.0, 0.0, 2.0])
    assert swept[:, 3].tolist() == [-1, 0, 2]
    others = numpy.delete(numpy.arange(16), 3)
    numpy.testing.assert_array_equal(swept[:, others], numpy.repeat(Z[:1, others], 3, axis=0))


def test_influence_is_that_of_each_coordinate():
    slopes = numpy.array([0.0, 1.0, -3.0])
    found = latent.influence(lambda z: z * slopes, numpy.zeros((4, 3)), step=0.5)
    # Two steps of a half, over the three numbers of a sample.
    numpy.testing.assert_allclose(found, numpy.abs(slopes) / numpy.sqrt(3))


@pytest.mark.parametrize("kind", latent.KINDS)
@pytest.mark.parametrize("bound", [0.02, 0.5, 3.0])
def test_truncated_latents_follow_the_law_within_the_bound(kind, bound):
    law = gan.Latent(50, kind)
    z = latent.truncated(law, 400, RNG(0), bound=bound)
    assert (z.shape, z.dtype) == ((400, 50), "float32")
    assert numpy.abs(z).max() <= bound
    within = law.sample(40_000, RNG(1)).ravel()
    within = within[numpy.abs(within) <= bound]
    quantiles = [0.1, 0.25, 0.5, 0.75, 0.9]
    expected = numpy.quantile(within, quantiles)
    numpy.testing.assert_allclose(numpy.quantile(z, quantiles), expected, atol=0.03 * min(bound, 1))
    numpy.testing.assert_array_equal(z, latent.truncated(law, 400, RNG(0), bound=bound))


# ---------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return open_run(
        training.train(
            "digits",
            out=folder,
            steps=2,
            batch_size=8,
            frames=0,
            progress=False,
            checkpoint_every=1,
        )
    )


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ring"
    return open_run(
        training.train("ring", out=folder, steps=2, batch_size=8, frames=0, progress=False)
    )


def pixels(path):
    return numpy.asarray(Image.open(path)).astype(int)


def same(picture, expected):
    """Equal up to the rounding of a batch of another size."""
    numpy.testing.assert_allclose(picture, expected.astype(int), atol=1)


def grid(images, columns):
    from minigan.plots import image_grid

    return image_grid(images, columns=columns)[:, :, 0]


def test_a_strip_shows_both_walks_of_each_pair(digits, tmp_path):
    picture, film = exploring.interpolate(
        digits, tmp_path / "i.png", kind="both", rows=2, steps=5, seed=4
    )
    z = digits.recipe.latent.sample(3, RNG(4))
    sample = exploring.sampler(digits)
    walks = [
        path(a, b, 5)
        for a, b in ((z[0], z[1]), (z[1], z[2]))
        for path in (latent.spherical, latent.linear)
    ]
    same(pixels(picture), grid(numpy.concatenate([sample(w) for w in walks]), 5))
    # An untrained G's frames are too alike to be told apart in 16 greys; equal ones are stored
    # once.
    assert film.read_bytes().startswith(b"GIF89a")


def test_arithmetic_shows_groups_means_result_and_neighbours(digits, tmp_path):
    exploring.arithmetic(digits, tmp_path / "a.png", a=[0, 1, 5], b=[2], c=[3, 4], seed=7)
    drawn = pixels(tmp_path / "a.png")
    z = digits.recipe.latent.sample(6, RNG(7))
    sample = exploring.sampler(digits)
    result = latent.arithmetic(z, [0, 1, 5], [2], [3, 4])
    blank = numpy.full((16, 16, 1), -1, "float32")
    first = sample(numpy.stack([z[0], z[1], z[5], z[[0, 1, 5]].mean(axis=0)]))
    second = [*sample(numpy.stack([z[2], z[2]])), blank, blank]
    third = [*sample(numpy.stack([z[3], z[4], (z[3] + z[4]) / 2])), blank]
    fourth = [*sample(result[None]), blank, blank, blank]
    expected = grid(numpy.stack([*first, *second, *third, *fourth]), 4)
    assert drawn.shape == expected.shape
    side = drawn.shape[0] // 4
    # The last row goes on with neighbours.
    same(drawn[: 3 * side], expected[: 3 * side])
    same(drawn[3 * side :, :side], expected[3 * side :, :side])
    assert drawn[3 * side :, side:].std() > 0


def test_the_samples_are_numbered_as_minigan_sample_shows_them(digits):
    all_nine = exploring.sampler(digits)(digits.recipe.latent.sample(9, RNG(5)))
    numpy.testing.assert_allclose(digits.sample(3, seed=5), all_nine[:3], atol=1e-6)


def test_a_sweep_shows_the_strongest_coordinates_if_none_are_named(digits, tmp_path):
    rows = exploring.sweep(digits, tmp_path / "s.png", steps=3)
    influence = latent.influence(exploring.sampler(digits), digits.recipe.latent.sample(16, RNG(0)))
    assert rows == numpy.argsort(-influence)[:8].tolist()
    assert exploring.sweep(digits, tmp_path / "t.png", coordinates=[3, 1], steps=4, reach=1.5) == [
        3,
        1,
    ]
    z = digits.recipe.latent.sample(1, RNG(0))[0]
    values = numpy.linspace(-1.5, 1.5, 4)
    swept = numpy.concatenate([latent.sweep(z, coordinate, values) for coordinate in (3, 1)])
    same(pixels(tmp_path / "t.png"), grid(exploring.sampler(digits)(swept), 4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda run, path: exploring.interpolate(run, path, kind="curly"),
            "Unknown kind of walk 'curly'",
        ),
        (lambda run, path: exploring.interpolate(run, path, rows=0), "At least one walk"),
        (lambda run, path: exploring.sweep(run, path, steps=1), "at least two steps"),
        (lambda run, path: exploring.sweep(run, path, reach=-1.0), "positive reach"),
        (
            lambda run, path: exploring.sweep(run, path, coordinates=[64]),
            "coordinates 0 to 63, got 64",
        ),
        (
            lambda run, path: exploring.interpolate(run, path, label=3),
            "has no labels, got --label 3",
        ),
    ],
)
def test_bad_requests(digits, tmp_path, call, words):
    with pytest.raises(ValueError, match=words):
        call(digits, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_everything_from_the_command_line(digits, points, tmp_path, capsys):
    for i, run in enumerate((digits, points)):
        out = tmp_path / str(i)
        out.mkdir()
        for command in (
            ["interpolate", "--rows", "1", "--steps", "3", "-o", "i.png"],
            ["arithmetic", "-a", "1,2", "-b", "3", "-c", "4,5", "-o", "a.png"],
            ["latent", "--sweep", "0,1", "--steps", "3", "-o", "s.png"],
            ["latent"],
            ["sample", "-n", "4", "--truncation", "0.3", "-o", "t.png"],
        ):
            options = [str(out / word) if word.endswith(".png") else word for word in command[1:]]
            assert main([command[0], str(run.folder), *options]) == 0
        assert sorted(path.name for path in out.iterdir()) == [
            "a.png",
            "i.gif",
            "i.png",
            "s.png",
            "t.png",
        ]
    printed = capsys.readouterr().out
    assert "Coordinates 0, 1, one per row" in printed
    assert "Latents have 64 coordinates (normal)" in printed


def test_truncation_makes_samples_alike(digits):
    assert (
        digits.sample(40, truncation=0.1).std(axis=0).mean()
        < 0.5 * digits.sample(40).std(axis=0).mean()
    )


def test_a_checkpoint_can_be_explored(digits, tmp_path):
    pictures = []
    for which in ("1", "2", None):
        exploring.sweep(digits, tmp_path / "x.png", coordinates=[0], which=which)
        pictures.append(pixels(tmp_path / "x.png"))
    assert (pictures[0] != pictures[2]).any()
    numpy.testing.assert_array_equal(pictures[1], pictures[2])


# ---------------------------------------------------------------- directions


def test_directions_of_a_weight_are_its_left_singular_vectors():
    weight = numpy.random.default_rng(0).standard_normal((5, 8))
    directions, gains = latent.factorised(weight, 5)
    numpy.testing.assert_allclose(directions @ directions.T, numpy.eye(5), atol=1e-12)
    numpy.testing.assert_allclose(numpy.linalg.norm(directions @ weight, axis=1), gains)
    assert (numpy.diff(gains) < 0).all()
    values = numpy.linalg.eigvalsh(weight @ weight.T)[::-1]
    numpy.testing.assert_allclose(gains**2, values)
    assert (directions[numpy.arange(5), abs(directions).argmax(axis=1)] > 0).all()
    _, few = latent.factorised(numpy.ones((3, 1)), 3)
    numpy.testing.assert_allclose(few, [3**0.5, 0, 0])
    for count in (0, 6):
        with pytest.raises(ValueError, match="has 1 to 5 directions"):
            latent.factorised(weight, count)


def test_the_direction_of_an_attribute_separates_those_that_have_it():
    rng = numpy.random.default_rng(0)
    z = rng.standard_normal((4000, 3)) @ numpy.diag([5.0, 1.0, 1.0])
    z[:, 1] += z[:, 0]  # correlated, but it doesn't decide
    having = z[:, 1] - z[:, 0] + 0.1 * rng.standard_normal(4000) > 0
    n = latent.separating(z, having)
    numpy.testing.assert_allclose(n, numpy.array([-1, 1, 0]) / 2**0.5, atol=0.06)
    with pytest.raises(ValueError, match="1 of 4000 samples have the attribute"):
        latent.separating(z, numpy.arange(4000) == 3)
