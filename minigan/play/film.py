"""A game as an animated picture: frames that are kept as it is played, and drawn when asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import plots
from minigan.runs.drawing import captioned

MOST = 60
"""Frames that are kept; when there are more, every second one is forgotten."""
EVERY = 10
"""Steps between the first frames."""
SIDE = 360
"""Pixels of a picture of points along each axis."""
REAL, FAKE, ARROW, PAPER = (0, 114, 178), (184, 74, 0), (150, 158, 170), (255, 255, 255)
"""The page's colours by day."""

Frame = dict[str, Any]
Pixels = NDArray[numpy.uint8]


class Film:
    """Frames of a game, evenly apart, however long it goes on.

    Attributes
    ----------
    every
        Steps between two frames.
    frames
        Steps and frames, oldest first.
    """

    def __init__(self) -> None:
        self.every = EVERY
        self.frames: list[tuple[int, Frame]] = []

    def due(self, step: int) -> bool:
        """Return whether a frame is to be kept after this step."""
        return step % self.every == 0

    def add(self, step: int, frame: Frame) -> None:
        """Keep a frame; forget every second one if there are too many."""
        self.frames.append((step, frame))
        if len(self.frames) > MOST:
            self.every *= 2
            self.frames = [(s, frame) for s, frame in self.frames if s % self.every == 0]


def gif(start: Frame, frames: Sequence[tuple[int, Frame]]) -> bytes:
    """Return the frames of a game as an animated GIF, the step below each.

    Parameters
    ----------
    start
        What stays the same, see `minigan.play.state.PlaygroundState.start`.
    frames
        Steps and frames of a scene, at least one.
    """
    draw = DRAWN[start["kind"]]
    pictures = [captioned(draw(start, frame), f"step {step:,}") for step, frame in frames]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "game.gif"
        plots.save_gif(path, pictures)
        return path.read_bytes()


def _pictures(start: Frame, frame: Frame) -> Pixels:
    images = frame["pictures"].astype("float32") / 127.5 - 1
    return plots.image_grid(images, columns=start["columns"])


def _plane(start: Frame, frame: Frame) -> Pixels:
    from PIL import Image, ImageDraw

    ground = Image.fromarray(_landscape(frame["landscape"], start["side"]))
    canvas = ground.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(canvas)
    for x, y in _places(start, start["real"]):
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=REAL)
    for x, y in _places(start, frame["fake"]):
        pen.line((x - 2, y - 2, x + 2, y + 2), fill=FAKE)
        pen.line((x - 2, y + 2, x + 2, y - 2), fill=FAKE)
    return numpy.asarray(canvas)


def _dirac(start: Frame, frame: Frame) -> Pixels:
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (SIDE, SIDE), PAPER)
    pen = ImageDraw.Draw(canvas)
    tails, ways = start["field"][:, :2], start["field"][:, 2:]
    longest = numpy.hypot(*ways.T).max() or 1.0
    heads = tails + ways / longest * (start["limits"][1] - start["limits"][0]) / 16
    for tail, head in zip(_places(start, tails), _places(start, heads), strict=True):
        pen.line((*tail, *head), fill=ARROW)
    path = _places(start, frame["path"])
    pen.line(path, fill=FAKE, width=2)
    for colour, places in ((FAKE, path[-1:]), (REAL, _places(start, numpy.zeros((1, 2))))):
        for x, y in places:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), outline=colour, width=2)
    return numpy.asarray(canvas)


DRAWN: dict[str, Callable[[Frame, Frame], Pixels]] = {
    "plane": _plane,
    "dirac": _dirac,
    "pictures": _pictures,
}
"""Kind of a scene -> how one of its frames is drawn."""


def _landscape(shades: Pixels, side: int) -> Pixels:
    """Colour D's landscape as the page does: pale where D is undecided."""
    t = shades.reshape(side, side)[::-1, :, None] / 255
    weight = 0.62 * abs(2 * t - 1)
    ends = numpy.where(t > 0.5, numpy.array(REAL), numpy.array(FAKE))
    return (numpy.array(PAPER) * (1 - weight) + weight * ends).astype("uint8")


def _places(start: Frame, points: NDArray[Any]) -> list[tuple[float, float]]:
    """Return where points lie in the picture, those left out that aren't finite or far away."""
    x0, x1, y0, y1 = start["limits"]
    shares = (numpy.asarray(points, "float64") - (x0, y0)) / (x1 - x0, y1 - y0)
    near = shares[(abs(shares - 0.5) < 10).all(axis=1)]  # False for NaN
    return [(float(x * SIDE), float((1 - y) * SIDE)) for x, y in near]
