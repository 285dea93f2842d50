"""What is said, in the reader's language, through gettext.

A sentence is kept as a pattern and its values until it is printed, so that one verdict can be
printed in any language. The catalogues are in ``locale``; ``python docs/make_catalogue.py``
compiles them.
"""

from __future__ import annotations

import gettext
import locale
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

LANGUAGES = {"en": "English", "zh": "简体中文"}
CATALOGUES = Path(__file__).parent / "locale"
PLACE = re.compile(r"\{(\w+)\}")


def printable(text: str) -> str:
    """Return a text from elsewhere on one line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


class Text(NamedTuple):
    """A sentence: ``str(text)`` is English, ``Speaker(text)`` any language."""

    msgid: str
    values: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return self.msgid.format(**self.values) if self.values else self.msgid


class Speaker:
    """Translates.

    Parameters
    ----------
    language
        ``"en"`` or ``"zh"``.

    Raises
    ------
    ValueError
        If it is neither.
    """

    def __init__(self, language: str = "en") -> None:
        if language not in LANGUAGES:
            raise ValueError(
                f"There is no language {language!r}; use one of {', '.join(LANGUAGES)}."
            )
        self.language = language
        self._patterns: list[tuple[re.Pattern[str], str]] | None = None
        self._catalogue = gettext.translation(
            "learn", CATALOGUES, [{"zh": "zh_CN"}.get(language, language)], fallback=True
        )

    def __call__(self, text: Text | str, **values: Any) -> str:
        """Say a text, or a pattern with its values."""
        msgid, values = (
            (text.msgid, dict(text.values)) if isinstance(text, Text) else (text, values)
        )
        if self.language == "en":
            return str(Text(msgid, values))
        if msgid and not values:
            return self._said(msgid)
        translated = self._catalogue.gettext(msgid) if msgid else ""
        return translated.format(**{name: self._value(v) for name, v in values.items()})

    def ended(self, text: Text | str) -> str:
        """Say a sentence that is kept without its full stop, with it."""
        return self(text).rstrip(".") + ("。" if self.language == "zh" else ".")

    def _value(self, value: Any) -> Any:
        if isinstance(value, Text):
            return self(value)
        return self._said(value) if isinstance(value, str) and value else value

    def _said(self, sentence: str) -> str:
        """Translate a finished sentence, which another part of the library has put together."""
        found = self._catalogue.gettext(sentence)
        if found != sentence:
            return found
        for pattern, msgid in self._known():
            if match := pattern.fullmatch(sentence):
                parts = {n: self._said(v) if v else "" for n, v in match.groupdict().items()}
                return self._catalogue.gettext(msgid).format(**parts)
        return sentence

    def _known(self) -> list[tuple[re.Pattern[str], str]]:
        """Return the patterns with places, those with the longest fixed text first."""
        if self._patterns is None:
            known = getattr(self._catalogue, "_catalog", {})
            placed = sorted(
                (
                    m
                    for m in known
                    if isinstance(m, str) and len(PLACE.sub("", m)) > 3 and PLACE.search(m)
                ),
                key=lambda m: -len(PLACE.sub("", m)),
            )
            self._patterns = [(_pattern(m), m) for m in placed]
        return self._patterns


def _pattern(msgid: str) -> re.Pattern[str]:
    pieces = PLACE.split(msgid)
    seen: set[str] = set()
    parts = []
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            parts.append(re.escape(piece))
        else:
            parts.append(f"(?P={piece})" if piece in seen else f"(?P<{piece}>.*?)")
            seen.add(piece)
    return re.compile("".join(parts), re.DOTALL)


@cache
def speaker(language: str) -> Speaker:
    """Return a speaker, read once."""
    return Speaker(language)


def usual() -> str:
    """Return the language of the reader's locale, English unless it is Chinese."""
    asked = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), None)
    asked = asked or locale.getlocale()[0] or ""
    return "zh" if asked.lower().startswith(("zh", "chinese")) else "en"
