"""How much a single file may unpack to: a small one can claim terabytes, or expand to gigabytes.

==========================  =============  ====================================================
environment variable        default        what it limits
==========================  =============  ====================================================
``MINIGAN_MAX_BYTES``       1,000,000,000  bytes of the array in one file, unpacked
``MINIGAN_MAX_PIXELS``      89,478,485     pixels of one picture (Pillow's own limit, 256 MiB
                                           of RGB)
==========================  =============  ====================================================
"""

from __future__ import annotations

import os

from minigan.data.errors import DataError

__all__ = ["max_bytes", "max_pixels"]


def max_bytes() -> int:
    """Return the largest size of an array in a file, in bytes.

    Raises
    ------
    DataError
        If ``MINIGAN_MAX_BYTES`` isn't a positive integer.
    """
    return _wanted("MINIGAN_MAX_BYTES", 10**9)


def max_pixels() -> int:
    """Return the largest number of pixels in a picture.

    Raises
    ------
    DataError
        If ``MINIGAN_MAX_PIXELS`` isn't a positive integer.
    """
    return _wanted("MINIGAN_MAX_PIXELS", 89_478_485)


def _wanted(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise DataError(f"{variable} must be a positive integer, got {text!r}: leave it out")
    return int(text)
