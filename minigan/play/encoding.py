"""Frames as JSON, with arrays as their bytes in base 64."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy


def encode(frame: Any) -> bytes:
    """Return a frame as one line of JSON in UTF-8; numbers that aren't finite become null.

    An array becomes ``{"shape": [...], "f4": "..."}``, its bytes little-endian and in base 64; or
    ``"u1"`` for bytes.
    """
    return json.dumps(_plain(frame), allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, numpy.ndarray):
        return _array(value)
    if isinstance(value, numpy.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(array: Any) -> dict[str, Any]:
    kind = "u1" if array.dtype == numpy.uint8 else "f4"
    raw = numpy.ascontiguousarray(array, f"<{kind}").tobytes()
    return {"shape": list(array.shape), kind: base64.b64encode(raw).decode()}
