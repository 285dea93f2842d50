"""Messages between two processes: JSON, followed by the bytes of arrays.

Nothing that comes in is executed: neither pickles nor object arrays are understood.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy

from minigan.gradcheck.subject import Odd

LENGTH = struct.Struct("<Q")
LARGEST_HEADER, LARGEST_ARRAYS = 1 << 22, 1 << 30
KINDS = "fiubc"


class Garbled(Exception):
    """What came in isn't a message."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write a message: None, numbers, strings, lists, dicts, arrays and `Odd` in a dict."""
    arrays: list[Any] = []
    header = json.dumps(_pack(message, arrays)).encode()
    stream.write(LENGTH.pack(len(header)))
    stream.write(header)
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any]:
    """Read a message.

    Raises
    ------
    EOFError
        If the stream ends before it is complete.
    Garbled
        If it isn't one, or is too large.
    """
    (length,) = LENGTH.unpack(_read(stream, LENGTH.size))
    if length > LARGEST_HEADER:
        raise Garbled
    left = [LARGEST_ARRAYS]
    try:
        message = _unpack(json.loads(_read(stream, length)), stream, left)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Garbled from error
    if not isinstance(message, dict):
        raise Garbled
    return message


def _pack(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, Odd):
        return {"odd": str(value.kind)}
    if isinstance(value, numpy.ndarray):
        if value.dtype.kind not in KINDS or value.dtype.itemsize > 16:
            return {"odd": f"an array of {value.dtype}"}
        plain = numpy.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
        arrays.append(plain)
        return {"array": plain.dtype.str, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {"dict": [[str(k), _pack(v, arrays)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(v, arrays) for v in value]
    return value


def _unpack(value: Any, stream: BinaryIO, left: list[int]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, stream, left) for v in value]
    if not isinstance(value, dict):
        return value
    if "odd" in value:
        return Odd(str(value["odd"])[:100])
    if "dict" in value:
        return {str(k): _unpack(v, stream, left) for k, v in value["dict"]}
    dtype, shape = numpy.dtype(value["array"]), tuple(int(n) for n in value["shape"])
    if dtype.kind not in KINDS or min(shape, default=0) < 0:
        raise Garbled
    size = dtype.itemsize
    for n in shape:
        size *= n
    left[0] -= size
    if left[0] < 0:
        raise Garbled
    flat = numpy.frombuffer(_read(stream, size), dtype)
    return flat.reshape(shape).astype(dtype.newbyteorder("="))


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
