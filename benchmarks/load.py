"""A program that computes on one core for as long as the one that started it lives."""

from __future__ import annotations

import os

import numpy


def main() -> None:
    """Multiply matrices that fit into a cache."""
    a, b = numpy.random.default_rng(0).random((2, 256, 256), dtype="float32")
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(50):
            a @ b


if __name__ == "__main__":
    main()
