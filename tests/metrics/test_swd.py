"""Sliced Wasserstein distance: closed forms, brute force, and ProGAN's own computation of the image
version.
"""

import math

import numpy
import pytest
from defaults import defaults
from hypothesis import given
from hypothesis import strategies as st

from minigan import metrics
from minigan.metrics import blocks, swd


def rng(seed=0):
    return numpy.random.default_rng(seed)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000))
def test_on_a_line_by_brute_force(n, m, seed):
    """With every point m times and n times, there are as many on both sides, to be paired in order."""
    a, b = rng(seed).standard_normal((3, n)), rng(seed + 1).standard_normal((3, m)) + 0.3
    pairs = numpy.sort(a.repeat(m, axis=1)) - numpy.sort(b.repeat(n, axis=1))
    assert swd.wasserstein_on_lines(a, b) == pytest.approx(abs(pairs).mean(), rel=1e-9)


def test_one_dimension_is_the_wasserstein_distance_itself():
    x, y = rng(1).standard_normal((50, 1)), rng(2).standard_normal((70, 1))
    expected = swd.wasserstein_on_lines(x.T, y.T)
    assert metrics.sliced_wasserstein(x, y, rng=rng(), directions=7) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("block", [64, 2**23])
def test_a_shift_in_the_plane_in_closed_form(monkeypatch, block):
    """All points move by t: on a line of angle θ by |t cos θ|, on average over directions 2 |t| /
    π.
    """
    monkeypatch.setattr(blocks, "BLOCK", block)
    x = rng(1).standard_normal((20, 2))
    got = metrics.sliced_wasserstein(x, x + numpy.array([3.0, 4.0]), rng=rng(), directions=20_000)
    assert got == pytest.approx(2 * 5 / math.pi, rel=0.01)
    assert metrics.sliced_wasserstein(x, x[::-1], rng=rng()) == pytest.approx(0, abs=1e-12)


# ------------------------------------------------------------ images, as ProGAN's published code do

KERNEL = numpy.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256.0


def convolved(images, kernel):
    """SciPy's convolve with mode="mirror", for a symmetric kernel of 5x5."""
    height, width = images.shape[2:]
    padded = numpy.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    return sum(
        kernel[i, j] * padded[:, :, i : i + height, j : j + width] for i, j in numpy.ndindex(5, 5)
    )


def reference_pyramid(images):
    """Karras et al.'s sliced_wasserstein.py, channels first."""
    level = images.transpose(0, 3, 1, 2).astype("float64")
    levels = []
    while min(level.shape[2:]) // 2 >= 16:
        down = convolved(level, KERNEL)[:, :, ::2, ::2]
        up = numpy.zeros_like(level)
        up[:, :, ::2, ::2] = down
        levels.append(level - convolved(up, KERNEL * 4.0))
        level = down
    return [*levels, level]


@pytest.mark.parametrize("shape", [(64, 64, 3), (32, 48, 1), (28, 28, 1), (33, 35, 2)])
def test_the_pyramid_is_progans(shape):
    images = rng().uniform(-1, 1, (3, *shape))
    got, expected = swd._pyramid(images), reference_pyramid(images)
    assert [level.shape[1:3] for level in got] == [level.shape[2:] for level in expected]
    for mine, its in zip(got, expected, strict=True):
        numpy.testing.assert_allclose(mine.transpose(0, 3, 1, 2), its, atol=1e-12)


def reference_distance(a, b, seed, patches, directions):
    """ProGAN's get_descriptors, finalize_descriptors and sliced_wasserstein, with our random
    numbers.
    """
    draw, out = rng(seed), []
    for x, y in zip(reference_pyramid(a), reference_pyramid(b), strict=True):
        descriptors = []
        for level in (x, y):
            n, channels, height, width = level.shape
            top, left = (
                draw.integers(0, height - 6, (n, patches)),
                draw.integers(0, width - 6, (n, patches)),
            )
            some = numpy.stack([
                level[i, :, top[i, j] : top[i, j] + 7, left[i, j] : left[i, j] + 7]
                for i in range(n) for j in range(patches)
            ])  # fmt: skip
            some -= some.mean(axis=(0, 2, 3), keepdims=True)
            some /= some.std(axis=(0, 2, 3), keepdims=True)
            descriptors.append(some.transpose(0, 2, 3, 1).reshape(n * patches, -1))
        sphere = draw.standard_normal((49 * channels, directions))
        sphere /= numpy.sqrt((sphere**2).sum(axis=0))
        a_line, b_line = (numpy.sort(d @ sphere, axis=0) for d in descriptors)
        out.append(1000 * numpy.abs(a_line - b_line).mean())
    return out


def test_the_patch_distance_is_progans(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 3000)
    a, b = rng(1).uniform(-1, 1, (5, 32, 40, 3)), rng(2).standard_normal((5, 32, 40, 3))
    got = metrics.patch_distance(a, b, rng=rng(7), patches=20, directions=30)
    assert [size for size, _ in got.levels] == [32, 16]
    assert [d for _, d in got.levels] == pytest.approx(
        reference_distance(a, b, 7, 20, 30), rel=1e-9
    )
    assert got.average == pytest.approx(numpy.mean([d for _, d in got.levels]))


def test_the_patch_distance_sees_blur_and_no_difference_where_there_is_none():
    sharp = rng(1).standard_normal((60, 32, 32, 1)).astype("float32")
    fresh = rng(2).standard_normal((90, 32, 32, 1)).astype("float32")
    blurred = swd._smooth(fresh)
    floor = metrics.patch_distance(fresh, sharp, rng=rng(), directions=64).average
    assert metrics.patch_distance(blurred, sharp, rng=rng(), directions=64).average > 2 * floor


def test_black_images_are_measured_and_not_divided_by_zero():
    black = numpy.full((3, 16, 16, 1), -1.0, "float32")
    noise = rng().standard_normal((3, 16, 16, 1)).astype("float32")
    assert metrics.patch_distance(black, black, rng=rng()).average == 0
    # All patches at 0 against N(0, 1) along each direction (nearly: neighbours share pixels): E|N|
    # = 0.798.
    assert metrics.patch_distance(black, noise, rng=rng()).average == pytest.approx(798, rel=0.1)


def test_each_set_is_judged_by_its_own_rounding():
    """Constants of any size leave nothing but rounding in the levels: it isn't enlarged to 1."""
    small = numpy.full((2, 32, 32, 1), 1e-3, "float32")
    large = numpy.full_like(small, 1234.567)
    for pair in ((small, large), (large, small)):
        assert metrics.patch_distance(*pair, rng=rng()).average < 1


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (metrics.sliced_wasserstein, {"directions": 512}),
        (metrics.patch_distance, {"patches": 128, "directions": 512}),
    ],
)
def test_the_defaults_are_progans(what, expected):
    assert defaults(what) == expected


def test_the_smallest_images_and_numbers():
    noise = rng().standard_normal((2, 16, 17, 1))
    got = metrics.patch_distance(noise, noise + 0.5, rng=rng(), patches=1, directions=1)
    assert [size for size, _ in got.levels] == [16]
    assert metrics.sliced_wasserstein(noise[0, 0], noise[0, 0], rng=rng(), directions=1) == 0


IMAGES = numpy.zeros((2, 16, 16, 1), "float32")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: metrics.patch_distance(IMAGES[:, :15], IMAGES[:, :15], rng=rng()),
            "15x16 pixels, but at least",
        ),
        (
            lambda: metrics.patch_distance(IMAGES, IMAGES[:, :, :, [0, 0]], rng=rng()),
            "both need the same",
        ),
        (
            lambda: metrics.patch_distance(IMAGES[0], IMAGES, rng=rng()),
            "a non-empty (N, H, W, C) is needed",
        ),
        (
            lambda: metrics.patch_distance(IMAGES, IMAGES * numpy.nan, rng=rng()),
            "reference images hold NaN",
        ),
        (lambda: metrics.patch_distance(IMAGES, IMAGES, rng=rng(), patches=0), "got 0 and 512"),
        (lambda: metrics.patch_distance(IMAGES, IMAGES, rng=rng(), directions=0), "got 128 and 0"),
        (
            lambda: metrics.sliced_wasserstein(IMAGES[0, 0], IMAGES[0, 0], rng=rng(), directions=0),
            "directions=0",
        ),
    ],
)
def test_bad_input_gets_a_sentence(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


def test_bytes_are_no_images_here():
    with pytest.raises(TypeError, match="are uint8, but floating-point images in"):
        metrics.patch_distance((IMAGES * 255).astype("uint8"), IMAGES, rng=rng())


def test_smoothing_keeps_the_size_and_what_is_flat():
    """By hand, reflected at the border: (1, 4, 6, 4, 1)/16 of 0 0 16 0 0."""
    images = numpy.zeros((1, 5, 5, 1))
    images[:, :, 2] = 16
    smooth = swd._smooth(images)
    assert smooth.shape == images.shape
    assert smooth[0, 3, :, 0].tolist() == [2, 4, 6, 4, 2]
