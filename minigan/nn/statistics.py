"""Statistics that layers follow while they train, and how to leave them alone for a while."""

from __future__ import annotations

from typing import Any

from minigan.nn.layer import Layer


class frozen_statistics:
    """Leave the running statistics of a net alone while this context lasts: the means and variances
    of `BatchNorm`, the singular vectors of `SpectralNorm`.

    The generator's step sends fakes through D in training mode, yet D is not the one that learns
    there.

    Parameters
    ----------
    net
        Any layer or net. What its layers follow is frozen where they have an attribute
        `track_statistics`, which this context sets to False and back.
    """

    def __init__(self, net: Layer) -> None:
        self._layers = [
            layer for _, layer in net.layers() if getattr(layer, "track_statistics", False)
        ]

    def __enter__(self) -> None:
        for layer in self._layers:
            layer.track_statistics = False

    def __exit__(self, *exception: Any) -> None:
        for layer in self._layers:
            layer.track_statistics = True
