"""Write ``tutorials/README.md``, which shows a figure of each tutorial where there is no site.

``python docs/make_figures.py`` takes the figures from the outputs of the last ``python
docs/build.py``; they go to ``docs/images/tutorials``.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import build
import jupytext
from PIL import Image

PICTURES = build.DOCS / "images" / "tutorials"
CHOSEN = {"02": 1, "04": 1, "05": 1, "06": 2, "08": 1, "09": 2, "11": 1, "12": 1, "23": 1, "24": 1}
"""Which of its figures stands for a tutorial, counted from 0, where it isn't the first."""
WIDTH, COLOURS = 640, 64
HEAD = """# The course

Tutorials, to be read beside the source. Each is a notebook, which `pip install -e '.[course]'` and
`python docs/build.py notebooks` make for JupyterLab; with all figures and outputs, they are pages of the site that
`python docs/build.py` builds. Before the first, there is [a GAN in 150 lines of NumPy](gan_from_nothing.py).
This page is written by `python docs/make_figures.py`.
"""


def figures(path: Path) -> list[bytes]:
    """Return the figures of a tutorial, as they were drawn in the last build."""
    drawn = build.pictures_of(build.with_outputs(jupytext.read(path)))
    return [base64.b64decode(picture["image/png"]) for picture in drawn]


def save(picture: bytes, path: Path) -> None:
    """Write a smaller copy of a figure, with few colours: everybody clones it."""
    with Image.open(io.BytesIO(picture)) as image:
        size = WIDTH, round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(COLOURS).save(path, optimize=True)


def main() -> int:
    """Write the figures and the page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    lines = [HEAD]
    for path in sorted(build.TUTORIALS.glob("[0-9][0-9]-*.md")):
        drawn = figures(path)
        if not drawn:
            raise SystemExit(f"{path.name} has no outputs yet; run python docs/build.py first.")
        number = path.name[:2]
        name = f"{number}.png"
        save(drawn[CHOSEN.get(number, 0)], PICTURES / name)
        found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        title = found.group(1) if found else path.stem
        lines.append(f"## [{title}]({path.name})\n")
        lines.append(
            f'<img src="../docs/images/tutorials/{name}" alt="A figure of {title}" width="480px">\n'
        )
    (build.TUTORIALS / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
