"""Make the files of small data sets from npm packages: ``python datasets/make.py FOLDER``.

It needs npm and Node, and Pillow and NumPy here. It writes to FOLDER:

- ``avatars.npz`` (CC0; it comes with minigan, there with the faces' attributes too) and
  ``cartoons.npz`` ("Adventurer" by Lisa Wischofsky, CC BY 4.0): drawn by @dicebear from seeds,
  rendered by @resvg/resvg-js;
- ``emoji.npz``: Twemoji (CC BY 4.0) and Noto Emoji (Apache 2.0), of the packages
  emoji-datasource-twitter and emoji-datasource-google.

Files that are there already are replaced only with ``--force``. ``glyphs.npz`` and ``kana.npz`` are
made by ``letters.py``.
"""

import json
import tempfile
from pathlib import Path

import numpy
import writing
from PIL import Image

VERSIONS = {
    "@dicebear/core": "9.4.3",
    "@dicebear/pixel-art": "9.4.3",
    "@dicebear/adventurer": "9.4.3",
    "@resvg/resvg-js": "2.6.2",
    "emoji-datasource-twitter": "16.0.0",
    "emoji-datasource-google": "16.0.0",
}
DRAW = """
import { createAvatar } from '@dicebear/core';
import * as style from '%(style)s';
import { Resvg } from '@resvg/resvg-js';
import fs from 'fs';
const out = fs.openSync('%(out)s', 'w');
for (let i = 0; i < %(count)d; i++) {
  const svg = createAvatar(style, { seed: 'minigan-' + i, ...%(options)s }).toString();
  const fit = { mode: 'width', value: %(size)d };
  const look = { fitTo: fit, background: 'white', font: { loadSystemFonts: false } };
  const picture = new Resvg(svg, look);
  fs.writeSync(out, picture.render().pixels);
}
"""
NODE = "install Node, which brings node and npm"
BARE = {"hatProbability": 0, "beardProbability": 0, "accessoriesProbability": 0}


def main() -> None:
    """Install the packages into a temporary folder, and write the files."""
    parser = writing.arguments(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faces", type=writing.positive, default=12_000, help="number of faces")
    parser.add_argument(
        "--heads", type=writing.positive, default=3_000, help="number of cartoon heads"
    )
    options = parser.parse_args()
    names = ("avatars", "cartoons", "emoji")
    avatars, cartoons, both = writing.targets(options.folder, *names, force=options.force)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
        writing.call("npm", "install", "--silent", *wanted, cwd=root, install=NODE)
        faces = {
            view: draw(root, "@dicebear/pixel-art", 16, options.faces,
                       BARE | {"glassesProbability": probability})
            for view, probability in (("plain", 0), ("glasses", 100))
        }  # fmt: skip
        writing.save(avatars, **faces)
        heads = draw(root, "@dicebear/adventurer", 64, options.heads, {})
        writing.save(cartoons, images=heads)
        writing.save(both, **emoji(root / "node_modules"))


def draw(root: Path, style: str, size: int, count: int, options: dict) -> numpy.ndarray:
    """Draw faces of a style on white, uint8 (count, size, size, 3)."""
    values = {"style": style, "size": size, "count": count, "out": "faces.raw"}
    (root / "draw.mjs").write_text(DRAW % (values | {"options": json.dumps(options)}))
    writing.call("node", "draw.mjs", cwd=root, install=NODE)
    pixels = numpy.fromfile(root / "faces.raw", "uint8").reshape(count, size, size, 4)
    return numpy.ascontiguousarray(pixels[..., :3])


def emoji(modules: Path) -> dict[str, numpy.ndarray]:
    """Return both designs of each emoji, without skin tones, and the categories."""
    packages = {"twemoji": "twitter", "noto": "google"}
    listed = json.loads((modules / "emoji-datasource-twitter" / "emoji.json").read_text())
    chosen = [e for e in listed if e["has_img_twitter"] and e["has_img_google"]]
    chosen = [e for e in chosen if e["category"] != "Component"]
    chosen.sort(key=lambda e: e["sort_order"])
    names = sorted({e["category"] for e in chosen})
    designs = {
        design: numpy.stack([
            small(modules / f"emoji-datasource-{package}" / "img" / package / "64" / e["image"])
            for e in chosen
        ])
        for design, package in packages.items()
    }  # fmt: skip
    labels = numpy.array([names.index(e["category"]) for e in chosen], "uint8")
    return designs | {
        "labels": labels,
        "categories": numpy.array(names),
        "names": numpy.array([e["short_name"] for e in chosen]),
    }


def small(path: Path) -> numpy.ndarray:
    """Return a picture at 32 pixels on white."""
    with Image.open(path) as picture:
        coloured = picture.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    white.alpha_composite(coloured)
    return numpy.asarray(white.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
