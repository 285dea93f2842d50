"""Errors about data, in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "choices"]


class DataError(ValueError):
    """A data set that is missing, damaged or not as requested.

    The message is one sentence: which file or name, what is wrong with it, and what to do.
    """


def choices(name: str, known: Iterable[str]) -> str:
    """List the known names, and suggest the one closest to `name`.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    str
        ``"choose one of a, b, c"``, followed by ``" (did you mean 'b'?)"`` if one is close.
    """
    names = list(known)
    nearest = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"choose one of {', '.join(names)}{hint}"
