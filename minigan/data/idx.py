"""IDX, the format of the MNIST family: a header, then the array, big-endian.

======================  ==========================================================================
bytes                   meaning
======================  ==========================================================================
2                       zero
1                       type: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
1                       rank r
4 r                     size of each dimension, unsigned
the rest                the elements, last dimension fastest
======================  ==========================================================================

Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".

Sizes in the header aren't trusted: it may claim terabytes, and a gzip stream of a kilobyte may
expand to a megabyte. Memory is allocated only for data that are really there.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data import limits
from minigan.data.errors import DataError

__all__ = ["read_idx", "write_idx"]

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_CODES = {numpy.dtype(dtype).newbyteorder("="): code for code, dtype in _DTYPES.items()}
_MAX_RANK = 64
_CHUNK = 1 << 20
# Deflate's largest compression ratio (zlib's technical notes); the slack is for very short streams.
_MAX_RATIO, _SLACK = 1032, 1024


def read_idx(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> npt.NDArray[Any]:
    """Read an array from an IDX file, gzipped or not (detected by content, not by name).

    Parameters
    ----------
    path : path_like
    max_bytes : int, optional
        Size in bytes of the largest array that is accepted; by default that of
        `minigan.data.limits`, a gigabyte unless ``MINIGAN_MAX_BYTES`` says otherwise.

    Returns
    -------
    ndarray
        In native byte order, writeable, with the dtype and shape given in the header.

    Raises
    ------
    DataError
        If the file cannot be read, isn't an IDX file, or contains fewer or more bytes than its
        header says.
    """
    path = Path(path)
    max_bytes = limits.max_bytes() if max_bytes is None else max_bytes
    if not path.is_file():
        raise DataError(f"{path} is not a file: give an existing IDX file")
    try:
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            if raw.peek(2)[:2] != b"\x1f\x8b":
                return _read(raw, path, size, max_bytes)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(unpacked, path, size * _MAX_RATIO + _SLACK, max_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): download it again") from error


def write_idx(path: str | os.PathLike[str], array: npt.ArrayLike) -> None:
    """Write an array as an IDX file, gzipped if the name ends in ``.gz``.

    The same array always gives the same bytes, and the file is written whole or not at all.

    Parameters
    ----------
    path : path_like
    array : array_like of uint8, int8, int16, int32, float32 or float64, rank 1 to 64

    Raises
    ------
    TypeError
        If IDX has no code for the dtype.
    ValueError
        If the rank is 0 or a dimension does not fit in 32 bits.
    """
    path, array = Path(path), numpy.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise TypeError(f"IDX cannot hold {array.dtype}: convert to {', '.join(map(str, _CODES))}")
    if array.ndim == 0 or max(array.shape) >= 1 << 32:
        raise ValueError(
            f"IDX cannot hold shape {array.shape}: rank 1 or more and sizes below 2**32 are needed"
        )
    header = bytes([0, 0, code, array.ndim]) + numpy.array(array.shape, dtype=">u4").tobytes()
    payload = header + array.astype(_DTYPES[code]).tobytes()
    if path.suffix == ".gz":
        payload = gzip.compress(payload, mtime=0)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(payload)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(stream: io.BufferedIOBase, path: Path, holds: int, max_bytes: int) -> npt.NDArray[Any]:
    dtype, shape = _header(stream, path)
    expected = math.prod(shape) * dtype.itemsize
    if expected > holds:
        raise DataError(
            f"{path} claims {expected} bytes, shape {shape} of {dtype.name}, but cannot hold them: "
            "it is truncated or damaged, download it again"
        )
    # A size of zero doesn't make the others harmless: NumPy refuses (0, 2**32 - 1, 2**32 - 1) too.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > max_bytes:
        raise DataError(
            f"{path} claims shape {shape} of {dtype.name}, more than max_bytes={max_bytes}: if "
            "that is meant, set MINIGAN_MAX_BYTES, or max_bytes in Python, to a larger number"
        )
    payload = _read_up_to(stream, expected + 1)
    if len(payload) < expected:
        raise DataError(
            f"{path} is truncated: it has {len(payload)} of {expected} bytes; download it again"
        )
    if len(payload) > expected:
        raise DataError(
            f"{path} has more than the {expected} bytes that its header claims: download it again"
        )
    return (
        numpy.frombuffer(payload, dtype=dtype)
        .reshape(shape)
        .astype(dtype.newbyteorder("="), copy=False)
    )


def _header(stream: io.BufferedIOBase, path: Path) -> tuple[numpy.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if (
        len(magic) < 4
        or magic[:2] != b"\0\0"
        or magic[2] not in _DTYPES
        or not 1 <= magic[3] <= _MAX_RANK
    ):
        raise DataError(
            f"{path} is not an IDX file: it starts with {magic.hex(' ') or 'nothing'} instead of "
            "two zero bytes, a type code and a rank; give another file"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path} is truncated: it ends inside its header; download it again")
    shape = numpy.frombuffer(sizes, dtype=">u4").tolist()
    return numpy.dtype(_DTYPES[magic[2]]), tuple(shape)


def _read_up_to(stream: io.BufferedIOBase, limit: int) -> bytearray:
    """Read up to `limit` bytes; memory is allocated only as they arrive."""
    payload = bytearray()
    while len(payload) < limit:
        chunk = stream.read(min(_CHUNK, limit - len(payload)))
        if not chunk:
            break
        payload += chunk
    return payload
