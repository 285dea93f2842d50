"""A common style for all figures, and figures as files and as pixels."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy

from minigan import forks
from minigan.files import written_whole
from minigan.plots.images import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = MappingProxyType(
    {"real": "#0072B2", "fake": "#D55E00", "discriminator": "#A8447B", "generator": "#009E73"}
)
"""The same colours in every figure: Okabe and Ito's colour-blind-safe set, with a darker purple."""

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "figure.facecolor": "white",
        "savefig.facecolor": "auto",
        "axes.facecolor": "white",
        "axes.edgecolor": "#444444",
        "axes.labelcolor": "black",
        "axes.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.titlesize": 14,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 13,
        "axes.unicode_minus": True,
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.8,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 12,
        "text.color": "black",
        "xtick.labelsize": 11,
        "ytick.labelsize": 11,
        "xtick.color": "#444444",
        "ytick.color": "#444444",
        "xtick.labelcolor": "black",
        "ytick.labelcolor": "black",
        "legend.frameon": True,
        "legend.framealpha": 0.9,
        "legend.edgecolor": "#CCCCCC",
        "legend.fontsize": 11,
        "lines.linewidth": 2.2,
        "hatch.linewidth": 0.8,
        "text.usetex": False,
        "mathtext.fontset": "dejavusans",
    }
)
"""The rcParams of all figures, read-only; use them with ``matplotlib.rc_context(dict(STYLE))``."""


class _Turn:
    """Whose turn it is to change settings that the whole process shares.

    Two threads inside ``rc_context`` would restore each other's settings.
    """

    def __init__(self) -> None:
        self.renew()
        forks.in_child(self.renew)

    def renew(self) -> None:
        """Make it nobody's turn."""
        self.lock = threading.RLock()


_TURN = _Turn()


CHINESE = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB",
    "WenQuanYi Micro Hei", "SimHei",
)  # fmt: skip
"""Fonts with the characters of names that the usual one lacks; the first that's there is used."""


@cache
def _fonts() -> list[str]:
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return [*STYLE["font.sans-serif"], *[name for name in CHINESE if name in installed][:1]]


@contextmanager
def styled() -> Iterator[None]:
    """Use :data:`STYLE` inside the block, and restore all settings after it."""
    import matplotlib

    # Any: some versions of matplotlib type the names of all settings individually.
    settings: Any = {**STYLE, "font.sans-serif": _fonts()}
    with _TURN.lock, matplotlib.rc_context(settings):
        yield


@cache
def _figure_class() -> type[Figure]:
    """Create the figure class on first use, since matplotlib must not be imported before."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that a notebook shows without pyplot."""

        def _repr_png_(self) -> bytes:
            from io import BytesIO

            buffer = BytesIO()
            with styled():
                self.savefig(buffer, format="png")
            return buffer.getvalue()

    return ShownFigure


def new_figure(*, width: float, height: float, layout: str | None = None) -> Figure:
    """Create an empty figure that is drawn with Agg and isn't registered with pyplot.

    Parameters
    ----------
    width, height
        Size in inches.
    layout
        Name of a matplotlib layout engine, or None for manually placed axes.

    Returns
    -------
    Figure
        At 100 dots per inch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    engine: Any = layout
    figure = _figure_class()(figsize=(width, height), dpi=100, layout=engine)
    FigureCanvasAgg(figure)
    return figure


def figure_to_array(fig: Figure, *, dpi: float | None = None) -> Pixels:
    """Render a figure to an array of pixels, for a frame of an animation.

    Parameters
    ----------
    fig
        Any matplotlib figure; it is left unchanged.
    dpi
        Dots per inch; by default the figure's own.

    Returns
    -------
    ndarray
        uint8 of shape ``(H, W, 3)``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, resolution = fig.canvas, fig.dpi
    try:
        fig.dpi = resolution if dpi is None else dpi
        agg: Any = FigureCanvasAgg(fig)
        with styled():
            agg.draw()
        return numpy.array(agg.buffer_rgba(), dtype=numpy.uint8)[:, :, :3].copy()
    finally:
        fig.dpi = resolution
        fig.set_canvas(canvas)


def save_figure(fig: Figure, path: str | os.PathLike[str], *, dpi: float = 150) -> None:
    """Write a figure to a file, atomically; the suffix of `path` determines the format.

    Parameters
    ----------
    fig
        Any matplotlib figure.
    path
        The file, such as ``losses.png`` or ``losses.svg``; its folder must exist.
    dpi
        Dots per inch, for raster formats.

    Raises
    ------
    ValueError
        If the folder doesn't exist, or the suffix isn't that of a format that matplotlib writes.
    """
    if not Path(path).suffix:
        raise ValueError(
            f"{path} has no suffix, which determines the format; add one, such as .png."
        )
    with written_whole(path) as temporary, styled():
        fig.savefig(temporary, dpi=dpi)
