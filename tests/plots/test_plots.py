"""Figures and pictures: shapes, ranges, files read back, refusals, nothing left behind."""

import os
import re
import subprocess
import sys
from types import MappingProxyType

import numpy
import pytest
from PIL import Image

from minigan import plots
from minigan.plots import curves
from minigan.plots import losses as losses_module
from minigan.plots import points as points_module

RING = numpy.stack(
    [numpy.cos(numpy.arange(8) * numpy.pi / 4), numpy.sin(numpy.arange(8) * numpy.pi / 4)], axis=1
).astype(numpy.float32)


@pytest.fixture
def rng():
    return numpy.random.default_rng(0)


def bump(points):
    return numpy.exp(-(points**2).sum(axis=1))


def run_of(rows, rng):
    noise = rng.normal(size=(2, rows))
    return {
        "step": numpy.arange(rows) * 10.0,
        "loss_d": 1.386 + 0.1 * noise[0],
        "loss_g": 0.9 + 0.1 * noise[1],
        "d_real": numpy.linspace(0.9, 0.5, rows),
        "d_fake": numpy.linspace(0.1, 0.5, rows),
    }


# ------------------------------------------------------------ importing ---------------------------


def test_importing_and_drawing_leave_no_global_state():
    code = """
import sys
import minigan.plots as plots
assert not {"matplotlib", "PIL"} & set(sys.modules), "imported too early"
import matplotlib
before = matplotlib.rcParams.copy()  # dict() would look for a backend, with pyplot
import numpy
figure = plots.points_figure(numpy.zeros((3, 2)), numpy.ones((3, 2)), limits=(-2, 2))
plots.figure_to_array(figure)
figure._repr_png_()
assert matplotlib.rcParams.copy() == before, "settings changed"
assert "matplotlib.pyplot" not in sys.modules, "pyplot imported"
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_style_and_colours_cannot_be_changed():
    assert isinstance(plots.STYLE, MappingProxyType)
    assert set(plots.COLOURS) == {"real", "fake", "discriminator", "generator"}
    with pytest.raises(TypeError):
        plots.COLOURS["real"] = "red"


def test_style_is_made_of_settings_that_matplotlib_knows():
    import matplotlib

    with matplotlib.rc_context(dict(plots.STYLE)):
        assert matplotlib.rcParams["axes.grid"]


# ------------------------------------------------------------ images ------------------------------


@pytest.mark.parametrize("dtype", [numpy.float16, numpy.float32, numpy.float64])
def test_to_uint8_maps_the_range_and_clips(dtype):
    values = numpy.array([-9.0, -1.0, 0.0, 1.0, numpy.inf], dtype=dtype)
    pixels = plots.to_uint8(values)
    assert pixels.dtype == numpy.uint8
    assert pixels.tolist() == [0, 0, 128, 255, 255]


def test_to_uint8_gives_every_byte_back():
    every = numpy.arange(256, dtype=numpy.uint8)
    assert numpy.array_equal(plots.to_uint8(every / numpy.float32(127.5) - 1), every)


def test_to_uint8_refuses_nan_and_bytes():
    with pytest.raises(ValueError, match="1 NaN of 3"):
        plots.to_uint8(numpy.array([0.0, numpy.nan, 1.0]))
    with pytest.raises(TypeError, match="dtype uint8"):
        plots.to_uint8(numpy.zeros(3, numpy.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_places_images_row_by_row(channels, rng):
    images = rng.uniform(-1, 1, (5, 4, 6, channels)).astype(numpy.float32)
    before = images.copy()
    grid = plots.image_grid(images, columns=3, padding=2, scale=2)
    assert grid.shape == (2 * (8 + 2) + 2, 3 * (12 + 2) + 2, channels)
    assert grid.dtype == numpy.uint8
    fourth = grid[12:20, 2:14][::2, ::2]
    assert numpy.array_equal(fourth, plots.to_uint8(images[3]))
    assert numpy.array_equal(grid[13:20:2, 3:14:2], fourth)
    assert (grid[12:20, 30:] == 255).all()
    assert numpy.array_equal(images, before)


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (7, 3), (8, 4), (10, 5), (64, 8)])
def test_grid_is_near_square_by_default(n, columns):
    grid = plots.image_grid(numpy.zeros((n, 3, 3, 1)), padding=0, scale=1)
    assert grid.shape == (-(-n // columns) * 3, columns * 3, 1)


@pytest.mark.parametrize("size", [8, 28, 500])
def test_small_images_are_enlarged_and_large_ones_are_not(size):
    grid = plots.image_grid(numpy.zeros((4, size, size, 1)))
    assert grid.shape[1] >= 400
    assert grid.shape[1] < 2 * 400 or grid.shape[1] == 2 * size + 6


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 8, 8, 2), (0, 8, 8, 1), (8, 8)])
def test_grid_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=re.escape(f"images have shape {shape}")):
        plots.image_grid(numpy.zeros(shape))


@pytest.mark.parametrize(("name", "value"), [("columns", 0), ("padding", -1), ("scale", 0)])
def test_grid_refuses_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        plots.image_grid(numpy.zeros((2, 4, 4, 1)), **{name: value})


def test_latent_strip_is_one_row(rng):
    strip = plots.latent_strip(rng.uniform(-1, 1, (9, 8, 8, 3)), padding=1, scale=2)
    assert strip.shape == (18, 9 * 17 + 1, 3)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_saved_grid_reads_back(channels, mode, tmp_path, rng):
    images = rng.uniform(-1, 1, (6, 8, 8, channels))
    plots.save_grid(tmp_path / "grid.png", images)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.mode == mode
        assert numpy.array_equal(
            numpy.asarray(picture).reshape(picture.height, picture.width, -1),
            plots.image_grid(images),
        )
    assert os.listdir(tmp_path) == ["grid.png"]


# ------------------------------------------------------------ written whole or not at all ---------


class Broken:
    def savefig(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")


def test_a_failing_writer_leaves_the_old_file(tmp_path, monkeypatch):
    old, film = tmp_path / "a.png", tmp_path / "a.gif"
    for file in (old, film):
        file.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        plots.save_figure(Broken(), old)

    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save_grid(old, numpy.zeros((1, 4, 4, 1)))
    with pytest.raises(OSError, match="disk full"):
        plots.save_gif(film, [numpy.zeros((4, 4, 1), numpy.uint8)])
    assert film.read_bytes() == b"old"
    assert old.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a.gif", "a.png"]


def test_a_film_under_the_name_of_another_format_is_refused(tmp_path):
    for name in ("a.png", "a.mp4", "a.jpeg"):
        with pytest.raises(ValueError, match=f"the file is to be {name}; let its name end in .gif"):
            plots.save_gif(tmp_path / name, [numpy.zeros((4, 4, 1), numpy.uint8)])
    assert os.listdir(tmp_path) == []


def test_saving_into_no_folder_or_over_a_folder_is_refused(tmp_path):
    frame = numpy.zeros((4, 4, 1), numpy.uint8)
    with pytest.raises(ValueError, match="does not exist; create it first"):
        plots.save_gif(tmp_path / "none" / "a.gif", [frame])
    with pytest.raises(ValueError, match="it is a folder"):
        plots.save_gif(tmp_path, [frame])
    with pytest.raises(ValueError, match="does not exist"):
        plots.save_grid(tmp_path / "none" / "a.png", numpy.zeros((1, 4, 4, 1)))
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------ points ------------------------------


def test_points_figure_draws_the_landscape_in_its_colours():
    asked = []

    def landscape(places):
        asked.append(places)
        return bump(places)[:, None]

    figure = plots.points_figure(
        RING, RING / 2, limits=(-2, 2), landscape=landscape, arrows=RING, title="step 1"
    )
    assert asked[0].dtype == numpy.float32
    assert asked[0].shape[1] == 2
    assert asked[0].min() == -2
    assert asked[0].max() == 2
    axes, bar = figure.axes
    assert bar.get_ylabel() == "D(x): probability of real"
    assert axes.get_xlim() == axes.get_ylim() == (-2, 2)
    assert axes.get_title(loc="left") == "step 1"
    pixels = plots.figure_to_array(figure)
    assert pixels.shape == (560, 640, 3)
    centre, corner = pixels[275, 305].astype(int), pixels[70, 100].astype(int)
    assert centre[2] > centre[0], "likely real is blue"
    assert corner[0] > corner[2], "likely fake is orange"


def test_the_landscape_lies_in_the_plane_as_the_points_do():
    asked = []

    def right(places):
        asked.append(places)
        return places[:, 0] > 0.5

    figure = plots.points_figure(
        numpy.zeros((0, 2)), numpy.zeros((0, 2)), limits=(0, 1, -3, 3), landscape=right
    )
    x, y = asked[0].T
    assert (x.min(), x.max(), y.min(), y.max()) == (0, 1, -3, 3)
    pixels = plots.figure_to_array(figure).astype(int)
    for place in ((0.25, -2), (0.25, 2), (0.75, -2), (0.75, 2)):
        column, row = figure.axes[0].transData.transform(place)
        red, _, blue = pixels[len(pixels) - int(row), int(column)]
        assert (blue > red) == (place[0] > 0.5), place


def test_points_outside_are_counted():
    fake = numpy.array([[0.0, 0.0], [9.0, 0.0], [numpy.nan, 0.0]])
    figure = plots.points_figure(RING, fake, limits=(-2, 2, -3, 3), arrows=numpy.ones((3, 2)))
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["real", "fake (2 outside)"]
    assert figure.axes[0].get_ylim() == (-3, 3)
    assert plots.figure_to_array(figure).shape == (560, 560, 3)


def quiver_of(figure):
    from matplotlib.quiver import Quiver

    return [artist for artist in figure.axes[0].get_children() if isinstance(artist, Quiver)]


def test_arrows_point_where_they_are_told(rng):
    fake = rng.normal(size=(50, 2))
    arrows = rng.normal(size=(50, 2)) * 1e-7
    arrows[0] *= 1e6
    (quiver,) = quiver_of(plots.points_figure(RING, fake, limits=(-2, 2), arrows=arrows))
    drawn = numpy.stack([quiver.U, quiver.V], axis=1)
    cosine = (
        (drawn * arrows).sum(axis=1)
        / numpy.linalg.norm(drawn, axis=1)
        / numpy.linalg.norm(arrows, axis=1)
    )
    assert cosine.min() > 0.999
    assert numpy.linalg.norm(drawn, axis=1).max() < 0.2 * 4
    (quiver,) = quiver_of(
        plots.points_figure(RING, RING, limits=(-2, 2), arrows=RING, arrow_scale=0.25)
    )
    assert numpy.allclose(quiver.U, RING[:, 0] * 0.25)


def test_many_arrows_are_thinned_and_zero_ones_left_out(rng):
    fake = rng.normal(size=(500, 2))
    (quiver,) = quiver_of(plots.points_figure(RING, fake, limits=(-2, 2), arrows=fake))
    assert 60 <= len(quiver.U) <= points_module.MOST_ARROWS
    assert (
        quiver_of(plots.points_figure(RING, fake, limits=(-2, 2), arrows=numpy.zeros_like(fake)))
        == []
    )
    one = numpy.zeros((40, 2))
    one[3] = 1.0
    (quiver,) = quiver_of(plots.points_figure(RING, fake[:40], limits=(-2, 2), arrows=one))
    assert quiver.U[3] == pytest.approx(0.08 * 4 / numpy.sqrt(2))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_landscape_is_drawn(value):
    figure = plots.points_figure(
        RING, RING, limits=(-1, 1), landscape=lambda p: numpy.full(len(p), value)
    )
    assert plots.figure_to_array(figure).std() > 0


def test_points_figure_says_what_is_wrong():
    with pytest.raises(ValueError, match="real points have shape"):
        plots.points_figure(numpy.zeros((3, 3)), RING, limits=(-1, 1))
    with pytest.raises(ValueError, match="fake points have shape"):
        plots.points_figure(RING, numpy.zeros(3), limits=(-1, 1))
    with pytest.raises(ValueError, match="one \\(dx, dy\\) per fake point"):
        plots.points_figure(RING, RING, limits=(-1, 1), arrows=RING[:3])
    with pytest.raises(ValueError, match="apply the sigmoid"):
        plots.points_figure(RING, RING, limits=(-1, 1), landscape=lambda p: p[:, 0] * 5)
    with pytest.raises(ValueError, match="values from nan"):
        plots.points_figure(RING, RING, limits=(-1, 1), landscape=lambda p: p[:, 0] * numpy.nan)
    with pytest.raises(ValueError, match="one D\\(x\\) per point"):
        plots.points_figure(RING, RING, limits=(-1, 1), landscape=lambda p: p)
    for limits in [(1, -1), (0, 1, 2), (0, 1, 2, 2), (0, numpy.inf)]:
        with pytest.raises(ValueError, match="limits are"):
            plots.points_figure(RING, RING, limits=limits)


# ------------------------------------------------------------ losses ------------------------------


@pytest.mark.parametrize("rows", [0, 1, 2, 15, 400])
def test_losses_of_any_length(rows, rng):
    figure = plots.losses_figure(run_of(rows, rng), title="ring")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (nats)", "probability of real"]
    assert figure.axes[1].get_xlabel() == "training step"
    assert plots.figure_to_array(figure).shape == (650, 900, 3)


def test_a_run_that_was_never_finite_is_drawn():
    rows = {name: numpy.full(3, numpy.nan) for name in ("step", "loss_d", "loss_g")}
    axes = plots.losses_figure(rows, reference=False).axes[0]
    assert axes.get_ylim() == (0, 1)
    assert texts_of(axes) == set()


def texts_of(axes):
    return {text.get_text() for text in axes.texts}


def test_reference_lines_are_optional(rng):
    with_lines = plots.losses_figure(run_of(30, rng)).axes[0]
    heights = [line.get_ydata()[0] for line in with_lines.lines if line.get_linestyle() == ":"]
    assert heights == pytest.approx([2 * numpy.log(2), numpy.log(2)])
    assert any("2 ln 2" in text for text in texts_of(with_lines))
    assert texts_of(plots.losses_figure(run_of(30, rng), reference=False).axes[0]) == {
        "discriminator",
        "generator",
    }


def test_outputs_that_are_no_probabilities_are_drawn_whole(rng):
    rows = run_of(30, rng)
    rows["d_real"], rows["d_fake"] = rows["d_real"] + 3, rows["d_fake"] - 3
    axes = plots.losses_figure(rows, reference=False, probabilities=False).axes[1]
    assert axes.get_ylabel() == "output of D"
    assert texts_of(axes) == {"D(x) on real", "D(G(z)) on fake"}
    low, high = axes.get_ylim()
    assert low < numpy.median(rows["d_fake"]) < numpy.median(rows["d_real"]) < high


def test_a_game_without_probabilities_has_one_panel(rng):
    rows = run_of(30, rng)
    figure = plots.losses_figure(
        {k: rows[k] - 3 for k in ("step", "loss_d", "loss_g")}, reference=False
    )
    (axes,) = figure.axes
    assert axes.get_ylim()[0] < 0
    assert plots.figure_to_array(figure).shape == (400, 900, 3)


def test_unknown_values_are_passed_over(rng):
    rows = run_of(60, rng)
    rows["loss_g"][5::2] = numpy.nan
    rows["loss_d"][-1] = numpy.inf
    rows["d_real"][:] = numpy.nan
    figure = plots.losses_figure(rows)
    assert "D(x) on real" not in texts_of(figure.axes[1])
    assert all(numpy.isfinite(line.get_ydata()).all() for line in figure.axes[0].lines)
    assert plots.figure_to_array(figure).std() > 0


def test_rows_whose_step_is_unknown_are_passed_over(rng):
    rows = run_of(10, rng)
    rows["step"][[0, 4]] = numpy.nan, numpy.inf
    line = plots.losses_figure(rows).axes[0].lines[0]
    assert line.get_xdata().tolist() == [10, 20, 30, 50, 60, 70, 80, 90]
    numpy.testing.assert_array_equal(line.get_ydata(), numpy.delete(rows["loss_d"], [0, 4]))


@pytest.mark.parametrize(("end", "edge"), [(1e6, 1), (-1e6, 0)])
def test_a_curve_that_ends_outside_has_its_label_at_the_edge(rng, end, edge):
    rows = run_of(1000, rng)
    rows["loss_g"][-1] = end
    axes = plots.losses_figure(rows, smooth=0.0).axes[0]
    (label,) = (text for text in axes.texts if text.get_text() == "generator")
    assert label.xy == (1, edge)
    assert 0 <= label.xyann[1] <= 1
    others = [text.xy[1] for text in axes.texts if text is not label]
    assert len(others) == 3
    assert all(0 < height < 1 for height in others)


def test_a_rare_spike_does_not_flatten_the_rest(rng):
    rows = run_of(1000, rng)
    rows["loss_g"][500] = 1e6
    assert plots.losses_figure(rows).axes[0].get_ylim()[1] < 5


def test_smoothing_is_the_symmetric_weighted_mean(rng):
    values, weight = rng.normal(size=30), 0.7
    weights = weight ** numpy.abs(numpy.arange(30)[:, None] - numpy.arange(30))
    expected = weights @ values / weights.sum(axis=1)
    assert numpy.allclose(curves.smoothed(values, weight), expected)
    rows = run_of(30, rng)
    raw, mean = plots.losses_figure(rows, smooth=0.5).axes[0].lines[:2]
    assert numpy.array_equal(raw.get_ydata(), rows["loss_d"])
    assert mean.get_ydata().std() < raw.get_ydata().std()
    assert numpy.array_equal(
        plots.losses_figure(rows, smooth=0.0).axes[0].lines[0].get_ydata(), rows["loss_d"]
    )


def test_a_colour_has_one_meaning_and_no_two_curves_look_alike():
    names = ["loss_d", "loss_g", "d_real", "d_fake", "loss_d_b", "grad_norm_g", "cycle", "reach"]
    found = curves.looks(names)
    colours = {name: colour for name, (colour, _) in found.items()}
    assert colours["loss_d"] == colours["loss_d_b"] == plots.COLOURS["discriminator"]
    assert colours["loss_g"] == colours["grad_norm_g"] == plots.COLOURS["generator"]
    assert (colours["d_real"], colours["d_fake"]) == (plots.COLOURS["real"], plots.COLOURS["fake"])
    assert not {colours["cycle"], colours["reach"]} & set(plots.COLOURS.values())
    assert len({str(look) for look in found.values()}) == len(names)
    assert len({str(look) for look in curves.looks("abcdefg"[:5]).values()}) == 5
    assert found["loss_d"] == curves.looks(["loss_d"])["loss_d"]


@pytest.mark.parametrize("places", [[0.5, 0.5, 0.5], [0.0, 0.0], [0.95, 1.0, 1.0, 1.0], [0.1, 0.9]])
def test_labels_never_overlap_nor_leave_the_panel(places):
    moved = losses_module._apart(places)
    assert min(numpy.diff(moved)) >= 0.1 - 1e-9
    assert min(moved) >= 0
    assert max(moved) <= 1


def test_losses_figure_says_what_is_wrong(rng):
    rows = run_of(5, rng)
    with pytest.raises(ValueError, match="'d_fake' is missing"):
        plots.losses_figure({k: v for k, v in rows.items() if k != "d_fake"})
    with pytest.raises(ValueError, match="'loss_g' has shape \\(4,\\)"):
        plots.losses_figure(rows | {"loss_g": numpy.zeros(4)})
    with pytest.raises(ValueError, match="smooth is 1"):
        plots.losses_figure(rows, smooth=1)


# ------------------------------------------------------------ figures to files and pixels ---------


def test_saved_figure_reads_back(tmp_path, rng):
    figure = plots.losses_figure(run_of(5, rng))
    plots.save_figure(figure, tmp_path / "losses.png", dpi=50)
    with Image.open(tmp_path / "losses.png") as picture:
        assert picture.size == (450, 325)
    plots.save_figure(figure, str(tmp_path / "losses.svg"))
    assert b"<svg" in (tmp_path / "losses.svg").read_bytes()
    with pytest.raises(ValueError, match="not supported"):
        plots.save_figure(figure, tmp_path / "losses.nothing")
    assert sorted(os.listdir(tmp_path)) == ["losses.png", "losses.svg"]


def test_figure_to_array_leaves_the_figure_as_it_was():
    figure = plots.points_figure(RING, RING, limits=(-2, 2))
    canvas = figure.canvas
    small = plots.figure_to_array(figure, dpi=50)
    assert small.shape == (280, 280, 3)
    assert small.dtype == numpy.uint8
    assert figure.canvas is canvas
    assert figure.dpi == 100
    assert numpy.array_equal(plots.figure_to_array(figure), plots.figure_to_array(figure))


def test_a_notebook_gets_a_png():
    png = plots.points_figure(RING, RING, limits=(-2, 2))._repr_png_()
    assert png.startswith(b"\x89PNG")


# ------------------------------------------------------------ animations --------------------------


def frames_of(path):
    with Image.open(path) as film:
        out, durations = [], []
        for i in range(film.n_frames):
            film.seek(i)
            out.append(numpy.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
        return out, durations, film.info.get("loop")


def test_grey_gif_reads_back(tmp_path, rng):
    levels = numpy.array([0, 85, 170, 255], dtype=numpy.uint8)
    film = [levels[rng.integers(0, 4, (20, 30, 1))] for _ in range(5)]
    plots.save_gif(tmp_path / "a.gif", film, milliseconds=100, last_milliseconds=900, colours=4)
    frames, durations, loop = frames_of(tmp_path / "a.gif")
    assert loop == 0
    assert durations == [100] * 4 + [900]
    for read, frame in zip(frames, film, strict=True):
        assert numpy.array_equal(read[:, :, :1], frame)


def test_a_colour_gif_of_few_colours_is_exact(tmp_path, rng):
    colours = rng.integers(0, 256, (20, 3)).astype(numpy.uint8)
    film = [colours[rng.integers(0, 20, (16, 16))] for _ in range(3)]
    plots.save_gif(tmp_path / "a.gif", film)
    frames, _, _ = frames_of(tmp_path / "a.gif")
    assert all(numpy.array_equal(a, b) for a, b in zip(frames, film, strict=True))


def test_a_gif_of_many_colours_is_close_and_keeps_white(tmp_path):
    ramp = numpy.linspace(0, 255, 64).astype(numpy.uint8)
    picture = numpy.stack(
        [*numpy.meshgrid(ramp, ramp), numpy.full((64, 64), 128, numpy.uint8)], axis=2
    ).repeat(2, 0)
    picture[:40] = 255
    plots.save_gif(tmp_path / "a.gif", [picture, picture[:, ::-1]])
    (first, _), _, _ = frames_of(tmp_path / "a.gif")
    assert (first[:40] == 255).all()
    assert numpy.abs(first.astype(int) - picture).mean() < 20


def test_a_palette_has_the_colours_of_every_frame_and_pixel(tmp_path):
    film = [numpy.zeros((20, 20, 3), "uint8") for _ in range(17)]
    film[1][...] = (255, 0, 0)
    film[3][7, 7] = (0, 0, 255)
    plots.save_gif(tmp_path / "a.gif", film)
    frames, durations, _ = frames_of(tmp_path / "a.gif")
    assert (frames[1] == (255, 0, 0)).all()
    assert frames[3][7, 7].tolist() == [0, 0, 255]
    assert sum(durations) == 16 * 120 + 1500


def test_alike_frames_are_shown_for_as_long_as_a_gif_can(tmp_path):
    film = [numpy.zeros((4, 4, 1), "uint8")] * 200 + [numpy.full((4, 4, 1), 255, "uint8")]
    plots.save_gif(tmp_path / "a.gif", film, milliseconds=4000)
    assert frames_of(tmp_path / "a.gif")[1] == [655_350, 1500]


@pytest.mark.parametrize("setting", [{"columns": 2.0}, {"padding": 0.5}, {"scale": 1.5}])
def test_pixels_and_columns_are_whole_numbers(setting):
    with pytest.raises(TypeError, match="must be an integer"):
        plots.image_grid(numpy.zeros((4, 4, 4, 1)), **setting)
    with pytest.raises(TypeError, match="use an integer"):
        plots.Animation(maximum=2.5)


def test_a_film_of_figures_is_small(tmp_path, rng):
    film = plots.Animation()
    for i in range(6):
        fake = rng.normal(size=(100, 2))
        figure = plots.points_figure(
            RING, fake, limits=(-3, 3), landscape=bump, arrows=fake, title=f"step {i}"
        )
        film.add(plots.figure_to_array(figure))
    film.save(tmp_path / "a.gif")
    assert os.path.getsize(tmp_path / "a.gif") < 6 * 40_000
    frames, durations, _ = frames_of(tmp_path / "a.gif")
    assert durations == [120] * 5 + [1500]
    assert (frames[-1][0, 0] == 255).all()


def test_save_gif_says_what_is_wrong(tmp_path):
    path, frame = tmp_path / "a.gif", numpy.zeros((4, 4, 3), numpy.uint8)
    with pytest.raises(ValueError, match="at least one frame"):
        plots.save_gif(path, [])
    with pytest.raises(ValueError, match="frame 1 has shape"):
        plots.save_gif(path, [frame, frame[:2]])
    with pytest.raises(ValueError, match="frame 0 has shape"):
        plots.save_gif(path, [frame[:, :, 0]])
    with pytest.raises(TypeError, match="frame 0 has dtype float64"):
        plots.save_gif(path, [frame * 0.5])
    with pytest.raises(ValueError, match="colours is 300"):
        plots.save_gif(path, [frame], colours=300)
    with pytest.raises(ValueError, match="need at least 20 ms"):
        plots.save_gif(path, [frame], milliseconds=5)
    with pytest.raises(ValueError, match="at most 655,350 in a GIF"):
        plots.save_gif(path, [frame], last_milliseconds=655_360)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("length", "maximum"), [(0, 5), (5, 5), (6, 5), (1000, 80), (3, 2)])
def test_thin_keeps_both_ends(length, maximum):
    kept = plots.thin(range(length), maximum)
    assert len(kept) == min(length, maximum)
    assert kept == sorted(set(kept))
    if length:
        assert (kept[0], kept[-1]) == (0, length - 1)


def test_a_film_of_one_frame_at_most_is_refused():
    with pytest.raises(ValueError, match="maximum is 1"):
        plots.thin([1, 2, 3], 1)
    with pytest.raises(ValueError, match="maximum is 1"):
        plots.Animation(maximum=1)


@pytest.mark.parametrize("maximum", [2, 3, 8, 9])
def test_animation_stays_short_even_and_up_to_date(maximum):
    film = plots.Animation(maximum=maximum)
    for i in range(100):
        film.add(numpy.full((2, 2, 1), i, numpy.uint8))
        kept = [int(frame[0, 0, 0]) for frame in film.frames]
        assert len(kept) == len(film) <= maximum
        assert kept[0] == 0
        assert kept[-1] == i
        gaps = set(numpy.diff(kept[:-1]).tolist())
        assert len(gaps) <= 1
        assert len(kept) == i + 1 if i < maximum - 1 else len(kept) >= maximum // 2


def test_animation_copies_and_checks_frames():
    film = plots.Animation()
    frame = numpy.zeros((2, 2, 3), numpy.uint8)
    film.add(frame)
    frame += 1
    assert film.frames[0].max() == 0
    with pytest.raises(ValueError, match="frame 1 has shape"):
        film.add(numpy.zeros((3, 2, 3), numpy.uint8))
    assert len(film) == 1


# ------------------------------------------------------------ metrics.csv -------------------------


def test_metrics_read_back(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step, loss_d\n0,1.5\n10,\n20,nan\n", encoding="utf-8")
    columns = plots.read_metrics(path)
    assert list(columns) == ["step", "loss_d"]
    assert columns["step"].tolist() == [0.0, 10.0, 20.0]
    assert columns["loss_d"][0] == 1.5
    assert numpy.isnan(columns["loss_d"][1:]).all()
    assert columns["step"].dtype == numpy.float64


def test_metrics_of_no_row_and_of_one_column(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss_d\n")
    assert [values.shape for values in plots.read_metrics(path).values()] == [(0,), (0,)]
    path.write_text("fid\n1\n\n3\n")
    assert numpy.array_equal(plots.read_metrics(path)["fid"], [1.0, numpy.nan, 3.0], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no header"),
        ("step,,loss\n", "has no header"),
        ("step,step\n1,2\n", "'step' more than once"),
        ("step,loss\n1,2\n3\n", "line 3 of .* has 1 cells where the header names 2"),
        ("step,loss\n1,2\n\n", "line 3 of .* has 0 cells"),
        ("step,loss\n1,two\n", "line 2 of .* has 'two' in the column 'loss'"),
    ],
)
def test_broken_metrics_are_refused(text, message, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        plots.read_metrics(path)


def test_unreadable_metrics_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot read"):
        plots.read_metrics(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="cannot read"):
        plots.read_metrics(tmp_path / "a.csv")


# ------------------------------------------------------------ benchmarks --------------------------


def test_ratio_chart_draws_one_bar_per_measure():
    figure = plots.ratio_chart(
        {"one thread": [0.9, 1.3, numpy.nan], "two threads": [1.4, 2.1, 1.2]},
        groups=["ring", "digits", "mnist"],
        errors={"one thread": [0.1, 0.1, numpy.nan], "two threads": [[0.1] * 3, [0.3] * 3]},
        baseline="PyTorch",
        title="Training step",
    )
    (axes,) = figure.axes
    assert [patch.get_width() for patch in axes.patches] == [0.9, 1.3, 0.0, 1.4, 2.1, 1.2]
    assert {"not measured", "2.10×"} <= texts_of(axes)
    assert "PyTorch" in axes.get_xlabel()
    assert axes.get_xlim()[1] > 2.4
    assert axes.get_legend() is not None
    assert plots.figure_to_array(figure).shape[1] == 900


def test_ratio_chart_of_one_series_needs_no_legend():
    (axes,) = plots.ratio_chart({"ours": [0.2]}, groups=["ring"]).axes
    assert axes.get_legend() is None
    assert axes.get_xlim()[1] > 1


def test_ratio_chart_says_what_is_wrong():
    with pytest.raises(ValueError, match="got 0 series"):
        plots.ratio_chart({}, groups=["a"])
    with pytest.raises(ValueError, match="got 6 series"):
        plots.ratio_chart({str(i): [1.0] for i in range(6)}, groups=["a"])
    for wrong in ([1.0, 2.0], [-1.0], [numpy.inf]):
        with pytest.raises(ValueError, match="the ratios of 'a'"):
            plots.ratio_chart({"a": wrong}, groups=["x"])
    with pytest.raises(ValueError, match="errors name the series 'b'"):
        plots.ratio_chart({"a": [1.0]}, groups=["x"], errors={"b": [1.0]})
    with pytest.raises(ValueError, match="the errors of 'a'"):
        plots.ratio_chart({"a": [1.0]}, groups=["x"], errors={"a": [-1.0]})


def test_names_in_chinese_get_a_font_where_there_is_one(monkeypatch):
    from matplotlib import font_manager

    from minigan.plots import style

    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["SimHei", "Verdana"])
    style._fonts.cache_clear()
    assert style._fonts() == ["DejaVu Sans", "SimHei"]
    style._fonts.cache_clear()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_table_may_begin_with_the_mark_of_a_spreadsheet(tmp_path, mark):
    (tmp_path / "metrics.csv").write_bytes(mark + b"step,loss_d\n1,2.5\n")
    table = plots.read_metrics(tmp_path / "metrics.csv")
    assert {name: values.tolist() for name, values in table.items()} == {
        "step": [1.0], "loss_d": [2.5],
    }  # fmt: skip
