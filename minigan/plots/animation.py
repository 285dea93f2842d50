"""Training as a short animation: frames collected, thinned out, and written as a small GIF."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy
from numpy.typing import NDArray

from minigan.files import written_whole
from minigan.plots.images import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

T = TypeVar("T")

SAMPLED = 2**17
"""About as many rare colours decide what the palette's means are."""
LONGEST = 655_350
"""Most milliseconds for which a GIF can show a frame."""


def thin(frames: Sequence[T], maximum: int = 80) -> list[T]:
    """Keep at most `maximum` items, evenly spaced, always including the first and the last.

    Parameters
    ----------
    frames
        Any sequence.
    maximum
        Largest number of items to keep, at least 2.

    Returns
    -------
    list
        The kept items in their original order.

    Raises
    ------
    ValueError
        If `maximum` is below 2.
    """
    _check_maximum(maximum)
    if len(frames) <= maximum:
        return list(frames)
    return [frames[round(i)] for i in numpy.linspace(0, len(frames) - 1, maximum).tolist()]


class Animation:
    """Frames of a run of unknown length, in bounded memory.

    When there are too many frames, every other one is dropped, and from then on only every second
    new frame is kept, and so on. At any time, the kept frames cover the whole run evenly, including
    the newest one.

    Parameters
    ----------
    maximum
        Largest number of frames kept, at least 2.

    Raises
    ------
    ValueError
        If `maximum` is below 2.
    """

    def __init__(self, *, maximum: int = 80) -> None:
        _check_maximum(maximum)
        self.maximum = maximum
        self._kept: list[Pixels] = []
        self._newest: Pixels | None = None
        self._seen = 0
        self._stride = 1

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames(self) -> list[Pixels]:
        """The kept frames from first to newest, each uint8 ``(H, W, C)``."""
        return self._kept if self._newest is None else [*self._kept, self._newest]

    def add(self, frame: Pixels) -> None:
        """Add a frame.

        Parameters
        ----------
        frame
            uint8 ``(H, W, C)``, C 1 or 3, of the same shape as the previous frames. It is copied.

        Raises
        ------
        TypeError
            If the frame is not uint8.
        ValueError
            If its shape differs from that of the first frame, or isn't that of an image.
        """
        first = self._kept[0] if self._kept else frame
        copy = _checked_frame(frame, first, self._seen).copy()
        due = self._seen % self._stride == 0
        self._seen += 1
        if not due:
            self._newest = copy
            return
        self._newest = None
        self._kept.append(copy)
        # One place is left for the newest frame, if it falls between two kept ones.
        if len(self._kept) == self.maximum:
            self._stride *= 2
            # If the number is even, the newest frame has an odd index and isn't among the kept.
            self._newest = None if self.maximum % 2 else copy
            self._kept = self._kept[::2]

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        milliseconds: int = 120,
        last_milliseconds: int = 1500,
        colours: int | None = None,
    ) -> None:
        """Write the animation; parameters and errors are those of :func:`save_gif`."""
        save_gif(
            path,
            self.frames,
            milliseconds=milliseconds,
            last_milliseconds=last_milliseconds,
            colours=colours,
        )


def save_gif(
    path: str | os.PathLike[str],
    frames: Iterable[Pixels],
    *,
    milliseconds: int = 120,
    last_milliseconds: int = 1500,
    colours: int | None = None,
) -> None:
    """Write an endlessly repeating GIF, atomically.

    All frames share one palette, chosen from all pixels of the animation, so that colours don't
    change from frame to frame and unchanged regions cost nothing; up to `colours` of them are kept
    as they are. Consecutive identical frames are stored once and shown for their total time, up to
    `LONGEST`.

    Parameters
    ----------
    path
        The file; its folder must exist.
    frames
        uint8 arrays ``(H, W, C)`` of one shape, C 1 (grey) or 3; at least one.
    milliseconds, last_milliseconds
        How long to show each frame, and the last one, 20 to `LONGEST` (GIF counts in hundredths of
        a second, and viewers slow down if a frame has less than two).
    colours
        Size of the palette, 2 to 256; fewer colours make a smaller file. By default 48, or 16
        levels of grey.

    Raises
    ------
    TypeError
        If a frame is not uint8.
    ValueError
        If there is no frame, one differs in shape, the folder does not exist, the file's name ends
        in another suffix than .gif, or a setting is out of range.
    """
    if Path(path).suffix.lower() not in (".gif", ""):
        raise ValueError(
            f"an animation is written as a GIF, but the file is to be {Path(path).name}; let its "
            "name end in .gif"
        )
    film = list(frames)
    if not film:
        raise ValueError(
            "an animation needs at least one frame but got none; add a frame before saving"
        )
    if colours is None:
        colours = 16 if film[0].shape[-1] == 1 else 48
    if not 2 <= colours <= 256:
        raise ValueError(
            f"colours is {colours} but a GIF palette has 2 to 256; leave it out for the default"
        )
    if not (20 <= milliseconds <= LONGEST and 20 <= last_milliseconds <= LONGEST):
        raise ValueError(
            f"frames are shown for {milliseconds} and {last_milliseconds} ms but need at least 20 "
            f"ms, and at most {LONGEST:,} in a GIF; use another time"
        )
    images = _in_one_palette([_checked_frame(f, film[0], i) for i, f in enumerate(film)], colours)
    times = [milliseconds] * (len(images) - 1) + [last_milliseconds]
    (first, *rest), durations = _joined(images, times)
    with written_whole(path) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=durations,
            loop=0,
            optimize=False,
        )


def _joined(images: list[PillowImage], times: list[int]) -> tuple[list[PillowImage], list[int]]:
    """Join consecutive identical images: Pillow would, too, but for any time."""
    kept, durations = images[:1], times[:1]
    for image, time in zip(images[1:], times[1:], strict=True):
        if image.tobytes() == kept[-1].tobytes():
            durations[-1] = min(durations[-1] + time, LONGEST)
        else:
            kept.append(image)
            durations.append(time)
    return kept, durations


def _in_one_palette(film: list[Pixels], colours: int) -> list[PillowImage]:
    from PIL import Image

    if film[0].shape[2] == 1:
        # Grey images need no search for a palette: evenly spaced levels compress well with LZW.
        levels = numpy.rint(
            numpy.rint(numpy.arange(256) * ((colours - 1) / 255)) * (255 / (colours - 1))
        ).astype(numpy.uint8)
        return [Image.fromarray(levels[frame[:, :, 0]]) for frame in film]
    palette = _palette(film, colours)
    indexed = [Image.fromarray(_nearest(frame, palette)) for frame in film]
    for image in indexed:
        image.putpalette(palette.tobytes())
    return indexed


def _nearest(frame: Pixels, palette: Pixels) -> Pixels:
    """Index of the palette's colour nearest to each pixel, exactly; Pillow's search isn't exact."""
    found, where = numpy.unique(_codes(frame), return_inverse=True)
    near = palette.astype(numpy.float32)
    # |p - c|² without |p|², which is the same for every c.
    distances = (near**2).sum(axis=1) - 2 * (_colours(found).astype(numpy.float32) @ near.T)
    index: Pixels = distances.argmin(axis=1).astype(numpy.uint8)[where]
    return index.reshape(frame.shape[:2])


def _codes(pixels: Pixels) -> NDArray[numpy.int32]:
    """Encode each colour as one number: ``(..., 3)`` to ``(...)``."""
    codes: NDArray[numpy.int32] = pixels.astype(numpy.int32) @ numpy.array(
        [65536, 256, 1], dtype=numpy.int32
    )
    return codes


def _colours(codes: NDArray[numpy.int32]) -> Pixels:
    """Undo :func:`_codes`: ``(n,)`` to ``(n, 3)``."""
    return numpy.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(numpy.uint8)


def _palette(film: list[Pixels], colours: int) -> Pixels:
    """Choose a palette ``(n, 3)`` for the animation: the commonest colours, and means of the rest.

    Median cut alone returns means of boxes, which turn a figure's white into grey and merge the
    levels of its flat areas.
    """
    from PIL import Image

    pixels = numpy.zeros(2**24, "int32")  # of each colour
    for frame in film:
        codes, of_frame = numpy.unique(_codes(frame), return_counts=True)
        pixels[codes] += of_frame.astype("int32")
    found = numpy.flatnonzero(pixels).astype("int32")
    counts = pixels[found]
    order = numpy.argsort(-counts, kind="stable")
    exact = found[order][: len(found) if len(found) <= colours else colours // 2]
    if len(exact) == len(found):
        return _colours(exact)
    # Each colour counts once, not once per pixel: the rest are thin lines and edges, all rare.
    others = found[order][len(exact) :]
    rest = Image.fromarray(_colours(others[:: len(others) // SAMPLED + 1])[None])
    cut = rest.quantize(colours - len(exact), method=Image.Quantize.MEDIANCUT)
    return numpy.concatenate(
        [_colours(exact), numpy.array(cut.getpalette(), dtype=numpy.uint8).reshape(-1, 3)]
    )


def _checked_frame(frame: NDArray[Any], first: NDArray[Any], index: int) -> Pixels:
    if frame.dtype != numpy.uint8:
        raise TypeError(
            f"frame {index} has dtype {frame.dtype} but uint8 is needed; use to_uint8 or "
            "figure_to_array"
        )
    if frame.ndim != 3 or frame.shape[2] not in (1, 3) or frame.shape != first.shape:
        raise ValueError(
            f"frame {index} has shape {frame.shape} but (H, W, C) with C = 1 or 3, equal to the "
            f"first frame's {first.shape}, is needed; draw all frames at one size"
        )
    return frame


def _check_maximum(maximum: int) -> None:
    if not isinstance(maximum, int | numpy.integer):
        raise TypeError(f"maximum is {maximum!r} but a number of frames is needed; use an integer")
    if maximum < 2:
        raise ValueError(
            f"maximum is {maximum} but the first and the last frame are always kept; use 2 or more"
        )
