"""Arrays and their description in one safe file: safetensors, written atomically.

There is no pickle: a checkpoint from an unknown source can hold wrong numbers, but can't run code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.backend import Array
from minigan.files import written_whole

FORMAT = 1
"""Version of the file format; increased when older versions of minigan can't read new files."""


class CheckpointError(ValueError):
    """A checkpoint that can't be read or used; the message says what to do."""


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], meta: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON-serialisable description to one file.

    Parameters
    ----------
    path
        The file, usually ``*.safetensors``. Its folder must exist.
    arrays
        Arrays by name, on any device and of any memory layout.
    meta
        Anything that JSON can hold; names that are numbers become text.

    Raises
    ------
    ValueError
        If the folder doesn't exist, or two names would be the same as text, as 1 and ``"1"``.
    TypeError
        If an array or an entry of the description can't be written, which the message names, or
        either of the two isn't a dictionary.
    OSError
        If the disk is full or not writable; an older file of that name is then left unchanged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save as serialise

    _require_dictionaries(arrays, meta)
    for name in map(str, arrays):
        if name == "__metadata__" or not _is_unicode(name):
            raise TypeError(f"{path} can't hold an array named {name!a}; rename it.")
    packed = _named([(str(name), _packed(name, array)) for name, array in arrays.items()])
    described = _described(meta)
    # A single key: the writer puts several in an order that differs from run to run.
    description = {"minigan": json.dumps(
        {"format": FORMAT, "digest": _digest(packed, described), "meta": described}
    )}  # fmt: skip
    try:
        content = serialise(packed, metadata=description)
    except (SafetensorError, KeyError) as error:
        raise TypeError(f"{path} can't hold these arrays ({_first_line(error)}).") from None
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def _is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8; half of a surrogate pair can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_dictionaries(arrays: Any, meta: Any) -> None:
    for what, given, fit in (("arrays", arrays, "net.state_dict()"), ("description", meta, "{}")):
        if not isinstance(given, Mapping):
            raise TypeError(
                f"The {what} of a checkpoint must be a dictionary, such as {fit}, but got "
                f"{type(given).__name__}."
            )


def _packed(name: Any, array: Array) -> NDArray[Any]:
    """Return an array on the host, contiguous and in native byte order.

    Some versions of the writer store the memory of a transposed or strided array as if it were
    contiguous: the numbers end up in the wrong order without an error.
    """
    plain = backend.to_numpy(array)
    if plain.dtype.kind not in "biuf" or plain.dtype.itemsize > 8:
        raise TypeError(
            f"The array {name!r} is {plain.dtype}, but a checkpoint holds real numbers of up to 64 "
            "bits; convert it, for example with array.astype('float64')."
        )
    native = numpy.ascontiguousarray(plain, plain.dtype.newbyteorder("="))
    return native.reshape(plain.shape)  # ascontiguousarray turns 0-d arrays into 1-d ones


def _described(meta: Mapping[str, Any]) -> str:
    """Write a description as JSON, scalars of an array library as plain numbers."""
    parts = []
    for name, entry in meta.items():
        try:
            parts.append(f"{json.dumps(str(name))}: {json.dumps(entry, default=_number)}")
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(
                f"The entry {name!r} of the description can't be written as JSON ({error}); use "
                "numbers, text, lists and dictionaries."
            ) from None
    described = "{" + ", ".join(parts) + "}"
    json.loads(described, object_pairs_hook=_named)
    return described


def _named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of all pairs; none may replace another."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Two entries of a checkpoint are both called {twice!r} when their names are written "
            "as text; give each a name of its own."
        )
    return found


def _number(value: Any) -> Any:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"it contains {type(value).__name__}")


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save` wrote: NumPy arrays by name, and the description.

    Raises
    ------
    CheckpointError
        If there is no such file, it can't be opened, is truncated or altered, or a newer minigan
        wrote it. Sizes in the header are checked against the size of the file before memory is
        allocated.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no checkpoint {path}; give the path of a file that minigan saved."
        )
    try:
        with path.open("rb") as raw:
            raw.read(1)  # whatever is wrong from here on is in the file's content
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be opened: {str(error.strerror or error).lower()}; make it readable, or "
            "use another one."
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            described = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(
            f"{path} can't be read as a checkpoint ({_first_line(error)}); it is truncated or not "
            "a safetensors file, use an older one."
        ) from None
    return arrays, _description(path, described, arrays)


def _description(
    path: Path, written: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    try:
        whole = json.loads(written["minigan"])
        version, digest, described = whole["format"], whole.get("digest"), str(whole.get("meta"))
        if not isinstance(version, int) or version < 1:
            raise TypeError("the format isn't a positive integer")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise CheckpointError(
            f"{path} wasn't written by minigan; give a checkpoint of a run."
        ) from None
    if version > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}, but this version of minigan reads up to {FORMAT}; "
            "update minigan."
        )
    if digest != _digest(arrays, described):
        raise CheckpointError(f"{path} has been altered since it was written; use an older one.")
    try:
        return dict(json.loads(described))
    except (TypeError, ValueError, RecursionError):
        raise CheckpointError(
            f"{path} wasn't written by minigan; give a checkpoint of a run."
        ) from None


def _digest(arrays: Mapping[str, NDArray[Any]], described: str) -> str:
    """Hash the whole content of a file: safetensors itself doesn't detect a flipped bit."""
    digest = hashlib.blake2b(described.encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view("uint8").data)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Prepend ``prefix/`` to each name."""
    return {f"{prefix}/{name}": a for name, a in arrays.items()}


def under(prefix: str, arrays: Mapping[str, Array], *, separator: str = "/") -> dict[str, Array]:
    """Return the arrays whose names begin with ``prefix/``, with this prefix removed."""
    start = f"{prefix}{separator}"
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
