"""Compile the catalogues of `minigan learn`: ``python docs/make_catalogue.py``, with Babel."""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

CATALOGUES = Path(__file__).resolve().parents[1] / "minigan" / "learn" / "locale"


def compiled(path: Path) -> bytes:
    """Return what belongs into the ``.mo`` file of a ``.po`` file."""
    with path.open("rb") as stream:
        catalogue = read_po(stream)
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


if __name__ == "__main__":
    for source in CATALOGUES.rglob("*.po"):
        source.with_suffix(".mo").write_bytes(compiled(source))
