"""How to freeze the running statistics of a net for a while."""

from __future__ import annotations

from typing import Any

from minigan.nn.layer import Layer


class frozen_statistics:
    """A context in which the running statistics of a net don't change.

    These are the means and variances of `BatchNorm` and the singular vectors of `SpectralNorm`. The
    generator's step sends fakes through D in training mode, although D isn't the one that learns
    there.

    Parameters
    ----------
    net
        Any layer or net. Its layers with an attribute `track_statistics` are frozen: this context
        sets it to False and back.
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
