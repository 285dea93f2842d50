"""Draw letters and hiragana with fonts: ``python datasets/letters.py FONTS FOLDER``.

It needs Pillow. FONTS is a folder of ``.ttf``, ``.otf`` and ``.ttc`` files, at any depth; with
``--download`` (Debian or Ubuntu: it calls ``apt-get download`` and ``dpkg -x``) the packages in
`PACKAGES` are unpacked there first. It writes to FOLDER:

- ``glyphs.npz``: for each font that has them all, the digits and letters in 28x28 pixels, on a
  common baseline, capitals 17 pixels high;
- ``kana.npz``: for each font that has them all, ten hiragana under random affine maps, shuffled.

Files that are there already are replaced only with ``--force``.

They are pictures of letters, not the fonts, which are under licences of their own.
"""

import math
import string
import sys
from pathlib import Path

import numpy
import writing
from PIL import Image, ImageDraw, ImageFont

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
KANA = "おきすつなはまやれを"
SIDE, BASELINE, CAPITALS = 28, 22, 17
FINE = 4
"""Hiragana are drawn so many times larger, and made smaller when they have been mapped."""
PACKAGES = """
adf-accanthis adf-baskervald adf-berenis adf-gillius adf-ikarius adf-irianis adf-libris
adf-mekanus adf-oldania adf-romande adf-solothurn adf-switzera adf-tribun adf-universalis
adf-verana aoyagi-kouzan-t aoyagi-soseki breip bwht cantarell comfortaa croscore
crosextra-caladea crosextra-carlito dancingscript dejavu-core dejavu-extra dejima-mincho
dkg-handwriting ebgaramond ecolier-court fantasque-sans femkeklaver freefont-ttf hack havana
humor-sans inconsolata ipaexfont-mincho isabella junicode jura kaushanscript kiloji
klaudia-berenika klee konatu kouzan-mouhitsu kristi lato leckerli-one liberation linuxlibertine
lobster monoid mononoki motoya-l-maruberi okolaks oldstandard open-sans opendin osifont play
quattrocento roboto-unhinted rufscript sawarabi-mincho sil-gentium tuffy vlgothic vollkorn
yanone-kaffeesatz
"""
"""Without the ``fonts-`` that their names begin with."""


def main() -> None:
    """Draw what the arguments ask for."""
    parser = writing.arguments(__doc__)
    parser.add_argument("fonts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--download", action="store_true", help="unpack Debian's packages first")
    parser.add_argument(
        "--maps", type=writing.positive, default=60, help="affine maps of each hiragana"
    )
    options = parser.parse_args()
    if options.download:
        download(options.fonts)
    files = sorted(
        p for p in options.fonts.rglob("*") if p.suffix.lower() in (".ttf", ".otf", ".ttc")
    )
    if not files:
        sys.exit(
            f"There are no .ttf, .otf or .ttc files in {options.fonts}; name a folder with fonts."
        )
    paths = writing.targets(options.folder, "glyphs", "kana", force=options.force)
    for path, arrays in zip(paths, (glyphs(files), kana(files, maps=options.maps)), strict=True):
        if not len(arrays["images"]):
            print(f"No font there has all that {path.name} needs; it isn't written.")
            continue
        writing.save(path, **arrays)
        print(f"{path}: images {arrays['images'].shape}")


def download(place: Path) -> None:
    """Download and unpack the packages; one that isn't there is passed over."""
    writing.make(place)
    debian = "use Debian or Ubuntu, or leave --download out and name a folder with fonts"
    for package in PACKAGES.split():
        asked = ("apt-get", "download", f"fonts-{package}")
        if writing.call(*asked, cwd=place, install=debian, check=False):
            print(f"There is no package fonts-{package} here; its fonts are left out.")
    for file in sorted(place.resolve().glob("*.deb")):
        writing.call(
            "dpkg", "-x", file, file.with_name(file.name.split("_")[0]), cwd=place, install=debian
        )


def glyphs(files: list[Path]) -> dict[str, numpy.ndarray]:
    """Draw `LETTERS` with each font that has them: uint8 (fonts, 62, 28, 28)."""
    fonts = usable(files, LETTERS)
    drawn = {name: letters(font) for name, font in fonts if height(font) > 0}
    shape = (len(drawn), len(LETTERS), SIDE, SIDE)
    images = numpy.array(list(drawn.values()), "uint8").reshape(shape)
    names = numpy.array(list(drawn))
    return {"images": images, "characters": numpy.array(list(LETTERS)), "fonts": names}


def letters(font: ImageFont.FreeTypeFont) -> list[numpy.ndarray]:
    """Draw `LETTERS` around the middle, capitals `CAPITALS` pixels high."""
    fitted = font.font_variant(size=font.size * CAPITALS / height(font))
    return [picture(fitted, letter, (SIDE / 2, BASELINE), SIDE) for letter in LETTERS]


def height(font: ImageFont.FreeTypeFont) -> float:
    """Return how far an H rises above the baseline; in fonts of symbols it may not."""
    return -font.getbbox("H", anchor="ms")[1]


def kana(files: list[Path], *, maps: int, seed: int = 0) -> dict[str, numpy.ndarray]:
    """Draw `KANA` with each font that has them, `maps` times: uint8 (N, 28, 28)."""
    rng = numpy.random.default_rng(seed)
    images, labels, fonts, names = [], [], [], []
    for name, font in usable(files, KANA):
        for label, character in enumerate(KANA):
            images += [mapped(font, character, rng) for _ in range(maps)]
            labels += maps * [label]
            fonts += maps * [len(names)]
        names.append(name)
    order = rng.permutation(len(images))
    return {
        "images": numpy.array(images, "uint8").reshape(-1, SIDE, SIDE)[order],
        "labels": numpy.array(labels, "uint8")[order],
        "fonts": numpy.array(fonts, "uint8")[order],
        "characters": numpy.array(list(KANA)),
        "font_names": numpy.array(names),
    }


def mapped(
    font: ImageFont.FreeTypeFont, character: str, rng: numpy.random.Generator
) -> numpy.ndarray:
    """Draw a character, turned, sheared, scaled and shifted a little."""
    side = FINE * SIDE
    large = font.font_variant(size=0.8 * side)
    drawn = Image.fromarray(picture(large, character, (side / 2, side / 2), side, anchor="mm"))
    angle, shear = rng.normal(0, math.radians(5)), rng.normal(0, 0.08)
    turn = numpy.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = turn @ [[1, shear], [0, 1]] @ numpy.diag(rng.uniform(0.95, 1.25, 2))
    middle = numpy.full(2, side / 2)
    offset = middle - inverse @ (middle + rng.uniform(-1, 1, 2) * FINE)
    rows = numpy.column_stack([inverse, offset]).ravel()
    turned = drawn.transform((side, side), Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)
    return numpy.asarray(turned.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def picture(
    font: ImageFont.FreeTypeFont, text: str, at: tuple[float, float], side: int, *,
    anchor: str = "ms",
) -> numpy.ndarray:  # fmt: skip
    """Draw white on black, uint8 (side, side); by default `at` is on the baseline."""
    paper = Image.new("L", (side, side))
    ImageDraw.Draw(paper).text(at, text, 255, font=font, anchor=anchor)
    return numpy.asarray(paper)


def usable(files: list[Path], characters: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """Return the fonts that have all characters, and ``family|style|file`` for each."""
    found = []
    for file in files:
        try:
            font = ImageFont.truetype(file, 100)
        except OSError:
            print(f"{file} can't be read as a font; it is left out.")
            continue
        if not any(shape(font, c) in (shape(font, "\uffff"), None) for c in characters):
            found.append(("|".join([*map(str, font.getname()), file.stem]), font))
    return found


def shape(font: ImageFont.FreeTypeFont, character: str) -> bytes | None:
    """Return how a character looks, None if it can't be seen."""
    mask = font.getmask(character)
    return bytes(mask) if mask.getbbox() else None


if __name__ == "__main__":
    main()
