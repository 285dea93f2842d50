"""Pairs of pictures: what a game from images to images learns from.

The two pictures of a pair may show the same thing (edges and the face that they are drawn from), or
the two sets may only be of two kinds, without any pairs (plain faces, and other people's faces with
glasses).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data import zoo
from minigan.data.dataset import Batches, Dataset
from minigan.data.digits import digits
from minigan.data.errors import DataError, choices
from minigan.data.folder import fit, named_images, pictures, splits, subfolders

__all__ = ["PAIRS", "Pair", "PairBatches", "Pairs", "edges", "holes", "pairs"]

PAIRS = (
    *("avatars-edges", "avatars-glasses", "avatars-holes"),
    *("glyphs-bold", "emoji-designs", "digits-kana"),
)
HELD_OUT = 6
"""Every sixth pair, or family of fonts, is kept for tests."""
GREY = 128
"""What is in the holes."""
PEOPLE = 10_000
"""The faces that may be trained on for glasses; the others are for tests."""
MARGIN = 0.05
"""How far the width of two pictures side by side may be from twice that of one; an ordinary wide
picture, 16:9, is further away from it."""

Shape = tuple[int, int, int]
Images = npt.NDArray[numpy.float32]


class Pair(NamedTuple):
    """Pictures of both kinds, shapes (N, H, W, C) each, in [-1, 1]; the second may be missing."""

    a: Any
    b: Any = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures of two kinds.

    Attributes
    ----------
    a, b : Dataset
        What is translated, and what it shall become.
    aligned : bool
        Whether ``a.images[i]`` and ``b.images[i]`` belong together.

    Raises
    ------
    ValueError
        If they belong together, but there aren't equally many.
    """

    a: Dataset
    b: Dataset
    aligned: bool = True

    def __post_init__(self) -> None:
        if self.aligned and len(self.a) != len(self.b):
            raise ValueError(
                f"there are {len(self.a)} pictures in {self.a.name!r} but {len(self.b)} in "
                f"{self.b.name!r}: pairs need equally many"
            )

    def __len__(self) -> int:
        return min(len(self.a), len(self.b))

    @property
    def name(self) -> str:
        """The name of both, in reports."""
        return self.b.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What was changed when the images were loaded."""
        return tuple(dict.fromkeys((*self.a.notes, *self.b.notes)))

    def sample(self, n: int, rng: numpy.random.Generator) -> Images:
        """Draw `n` different pictures of the second kind, shape (n, H, W, C)."""
        return self.b.sample(n, rng)

    def draw(self, n: int, rng: numpy.random.Generator) -> Pair:
        """Draw `n` pairs, different ones as long as there are enough."""
        picked = [
            randomness.generator(rng).choice(len(kind), n, replace=n > len(kind))
            for kind in (self.a, self.b)
        ]
        if self.aligned:
            picked[1] = picked[0]
        return Pair(self.a.batch(picked[0]), self.b.batch(picked[1]))


class PairBatches(Iterator[Pair]):
    """An endless stream of minibatches of pairs, resumable bit for bit.

    Pictures that don't belong together are shuffled separately.

    Parameters
    ----------
    pairs : Pairs
    batch_size : int
        Between 1 and the number of pairs.
    rng : numpy.random.Generator
        Draws the permutations.

    Raises
    ------
    ValueError
        If `batch_size` is out of range.
    """

    def __init__(self, pairs: Pairs, batch_size: int, rng: numpy.random.Generator) -> None:
        self.pairs, self.batch_size, self.rng = pairs, batch_size, rng
        kinds = (pairs.b,) if pairs.aligned else (pairs.b, pairs.a)
        self._orders = [Batches(kind, batch_size, rng) for kind in kinds]

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch."""
        return len(self.pairs) // self.batch_size

    def __next__(self) -> Pair:
        indices = [order.next_indices() for order in self._orders]
        return Pair(self.pairs.a.batch(indices[-1]), self.pairs.b.batch(indices[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that determines the following batches; see `Batches.state_dict`."""
        return {
            f"{key}_{i}": value
            for i, order in enumerate(self._orders)
            for key, value in order.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the stream that returned `state` was.

        Raises
        ------
        ValueError
            As for `Batches.load_state_dict`; the stream is then unchanged.
        """
        before = self.state_dict()
        try:
            self._load(state)
        except BaseException:
            self._load(before)
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        for i, order in enumerate(self._orders):
            end = f"_{i}"
            own = {k.removesuffix(end): v for k, v in state.items() if k.endswith(end)}
            order.load_state_dict(own)


# ---------------------------------------------------------------- loading


def pairs(
    name_or_path: str | os.PathLike[str],
    *,
    a_shape: Shape | None = None,
    b_shape: Shape | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "train",
    aligned: bool = True,
) -> Pairs:
    """Load pairs of pictures by name or from a folder.

    Parameters
    ----------
    name_or_path : str or path_like
        One of

        - "avatars-edges": outlines of the embedded faces, and the faces;
        - "avatars-glasses": faces, and faces with glasses: of other people for training, of the
          same people for tests;
        - "avatars-holes": faces of which a square is missing, and the faces;
        - "glyphs-bold": letters and digits of regular fonts, and of their bold companions; the
          fonts of the tests are of other families;
        - "emoji-designs": Google's emoji, and Twitter's;
        - "digits-kana": digits and hiragana of ten kinds each, which don't belong together, in the
          tests neither;
        - a folder with subfolders ``a`` and ``b`` (or ``trainA`` and ``trainB``), whose files have
          the same names where they belong together; one whose partner can't be read is left out;
        - a folder of pictures, each of which shows a pair side by side, and so is twice as wide as
          the larger of the shapes.

        In a folder, every sixth pair is kept for tests, in the order of their names.
    a_shape, b_shape : (int, int, int), optional
        Height, width and channels of both; required for folders.
    data_dir : path_like, optional
        Folder with ``glyphs.npz``, ``emoji.npz`` or ``kana.npz``.
    split : {"train", "test"}
    aligned : bool
        Whether the pictures in a folder belong together; if not, ``a`` and ``b`` may have
        different numbers of files. The named sets know for themselves.

    Returns
    -------
    Pairs

    Raises
    ------
    DataError
        If there is no such set or folder, or it isn't one of pairs.
    ValueError
        If a shape is missing for a folder.
    """
    if split not in ("train", "test"):
        raise DataError(f"pairs have no split {split!r}: {choices(split, ('train', 'test'))}")
    name = os.fspath(name_or_path)
    if name in PAIRS:
        found = _NAMED[name](split == "test", data_dir)
    else:
        found = _folder(Path(os.path.expanduser(name)), a_shape, b_shape, split == "test", aligned)
    a = found.a if a_shape is None else fit(found.a, a_shape)
    return replace(found, a=a, b=found.b if b_shape is None else fit(found.b, b_shape))


def edges(images: npt.NDArray[Any], *, threshold: int = 24) -> npt.NDArray[numpy.uint8]:
    """Draw the outlines of pictures, black on white.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W, C)
    threshold : int
        Pixels whose colour differs by more than this from that on the left or above, in any
        channel, are black.

    Returns
    -------
    ndarray of uint8, shape (N, H, W, 1)
    """
    values = images.astype(numpy.int16)
    found = numpy.zeros(images.shape[:3], bool)
    found[:, 1:] |= abs(numpy.diff(values, axis=1)).max(axis=-1) > threshold
    found[:, :, 1:] |= abs(numpy.diff(values, axis=2)).max(axis=-1) > threshold
    return numpy.where(found, 0, 255).astype(numpy.uint8)[..., None]


def holes(images: npt.NDArray[Any], rng: numpy.random.Generator) -> npt.NDArray[numpy.uint8]:
    """Cut a grey square out of each picture, of half its height and width, anywhere in it.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W, C)
    rng : numpy.random.Generator
        Draws the places.

    Returns
    -------
    ndarray of uint8, shape (N, H, W, C)
    """
    rng, found = randomness.generator(rng), images.astype(numpy.uint8)
    inside = []
    for axis in (1, 2):
        side = images.shape[axis]
        first = rng.integers(0, side - side // 2 + 1, (len(images), 1))
        place = numpy.arange(side)
        inside.append((first <= place) & (place < first + side // 2))
    found[inside[0][:, :, None] & inside[1][:, None]] = GREY
    return found


def _set_aside(count: int, test: bool) -> npt.NDArray[numpy.bool_]:
    """Choose the entries of a split: every sixth is for tests."""
    kept = numpy.arange(count) % HELD_OUT == HELD_OUT - 1
    return kept if test else ~kept


def _part(kind: Dataset, images: Any, name: str) -> Dataset:
    return Dataset(name, numpy.ascontiguousarray(images), source=kind.source, notes=kind.notes)


def _edges(test: bool, data_dir: Any) -> Pairs:
    faces = zoo.avatars()
    images = faces.images[_set_aside(len(faces), test)]
    return Pairs(_part(faces, edges(images), "edges"), _part(faces, images, "avatars"))


def _holes(test: bool, data_dir: Any) -> Pairs:
    faces = zoo.avatars()
    cut = holes(faces.images, numpy.random.default_rng(0))
    kept = _set_aside(len(faces), test)
    return Pairs(_part(faces, cut[kept], "holes"), _part(faces, faces.images[kept], "avatars"))


def _glasses(test: bool, data_dir: Any) -> Pairs:
    plain, glasses = zoo.avatars(), zoo.avatars(glasses=True)
    first, second = slice(PEOPLE // 2), slice(PEOPLE // 2, PEOPLE)
    if test:
        first = second = slice(PEOPLE, None)
    a = _part(plain, plain.images[first], "avatars")
    return Pairs(a, _part(glasses, glasses.images[second], "avatars with glasses"), aligned=test)


def _bold(test: bool, data_dir: Any) -> Pairs:
    regular, bold = zoo.weights(data_dir=data_dir)
    chosen = _set_aside(len(regular), test)
    a, b = (
        Dataset(name, fonts[chosen].reshape(-1, *fonts.shape[2:], 1), source="fonts of Debian")
        for name, fonts in (("glyphs", regular), ("bold glyphs", bold))
    )
    return Pairs(a, b)


def _designs(test: bool, data_dir: Any) -> Pairs:
    noto, twemoji = (zoo.emoji(data_dir=data_dir, design=which) for which in ("noto", "twemoji"))
    chosen = _set_aside(len(noto), test)
    return Pairs(
        _part(noto, noto.images[chosen], "noto emoji"),
        _part(twemoji, twemoji.images[chosen], "twemoji"),
    )


def _kana(test: bool, data_dir: Any) -> Pairs:
    a, b = (
        _part(kind, kind.images[_set_aside(len(kind), test)], kind.name)
        for kind in (digits(), zoo.kana(data_dir=data_dir))
    )
    return Pairs(a, b, aligned=False)


_NAMED = {
    "avatars-edges": _edges,
    "avatars-glasses": _glasses,
    "avatars-holes": _holes,
    "glyphs-bold": _bold,
    "emoji-designs": _designs,
    "digits-kana": _kana,
}


# ---------------------------------------------------------------- folders

_KINDS = (("a", "b"), ("traina", "trainb"))


def _folder(
    root: Path, a_shape: Shape | None, b_shape: Shape | None, test: bool, aligned: bool
) -> Pairs:
    if root.is_file():
        raise DataError(
            f"{root} is a file, but pairs are read from a folder: unpack it, and give the folder"
        )
    if not root.is_dir():
        raise DataError(
            f"there are no pairs {str(root)!r}: {choices(str(root), PAIRS)}, or give a folder with "
            "subfolders a and b, or of pictures with a pair side by side"
        )
    if a_shape is None or b_shape is None:
        raise ValueError(f"{root} is a folder of pictures: give a_shape and b_shape to convert to")
    kinds = _kinds(root)
    if kinds is None:
        a, b = _side_by_side(root, a_shape, b_shape)
        rows = [numpy.arange(len(a))] * 2
    else:
        if aligned:
            _require_partners(*kinds)
        a, first = named_images(kinds[0], size=a_shape[:2], channels=a_shape[2])
        b, second = named_images(kinds[1], size=b_shape[:2], channels=b_shape[2])
        rows = _together(first, second) if aligned else [numpy.arange(len(a)), numpy.arange(len(b))]
    chosen = [row[_set_aside(len(row), test)] for row in rows]
    if not all(map(len, chosen)):
        raise DataError(f"{root} has {min(map(len, rows))} pairs: at least {HELD_OUT} are needed")
    a, b = (_part(k, k.images[c], k.name) for k, c in zip((a, b), chosen, strict=True))
    return Pairs(a, b, aligned=aligned)


def _together(a: list[Path], b: list[Path]) -> list[npt.NDArray[numpy.intp]]:
    """Return where the pictures are that both kinds have, by their names.

    One whose partner can't be read is left out; the notes say which that is.
    """
    places = {name: i for i, name in enumerate(_names(b))}
    both = [(i, places[name]) for i, name in enumerate(_names(a)) if name in places]
    return list(numpy.array(both, numpy.intp).reshape(-1, 2).T)


def _kinds(root: Path) -> tuple[Path, Path] | None:
    """Find the two subfolders of a folder; None if there aren't any.

    Raises
    ------
    DataError
        If there is only one of them, or they are further down.
    """
    found = _both(root)
    if found is not None:
        return found
    inside = _by_name(root)
    for there, missing in (*_KINDS, *(pair[::-1] for pair in _KINDS)):
        if there in inside:
            raise DataError(
                f"{root} has a subfolder {inside[there].name}, but none named {missing}: put the "
                "pictures of the other kind there"
            )
    below = [path for path in inside.values() if _both(path) is not None]
    if below:
        chosen = min(below, key=lambda path: (not path.name.lower().startswith("train"), path))
        raise DataError(
            f"{root} has no subfolders a and b, but {chosen.name} in it has: give {chosen}"
        )
    return None


def _both(root: Path) -> tuple[Path, Path] | None:
    inside = _by_name(root)
    found = ((inside[a], inside[b]) for a, b in _KINDS if a in inside and b in inside)
    return next(found, None)


def _by_name(root: Path) -> dict[str, Path]:
    return {name.lower(): root / name for name in subfolders(root)}


def _names(files: list[Path]) -> list[str]:
    return [path.with_suffix("").as_posix() for path in files]


def _require_partners(a: Path, b: Path) -> None:
    both = [_names([path.relative_to(kind) for path in pictures(kind)[0]]) for kind in (a, b)]
    for kind, names in zip((a, b), both, strict=True):
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise DataError(
                f"{kind} has several pictures {twice!r}, with different endings: give each pair a "
                "name of its own"
            )
    alone = sorted(set(both[0]) ^ set(both[1]))
    if alone:
        raise DataError(
            f"{a.parent} has a picture {alone[0]!r} in only one of {a.name} and {b.name}: give "
            "both pictures of a pair the same name"
        )


def _side_by_side(root: Path, a_shape: Shape, b_shape: Shape) -> tuple[Dataset, Dataset]:
    """Load pictures of twice the width, and cut them in the middle."""
    height, width = (max(sizes) for sizes in zip(a_shape[:2], b_shape[:2], strict=True))
    whole, _ = named_images(
        root,
        size=(height, 2 * width),
        channels=max(a_shape[2], b_shape[2]),
        check=lambda file, size: _require_wide(root, file, size, 2 * width / height),
    )
    halves = whole.images[:, :, :width], whole.images[:, :, width:]
    left, right = (_part(whole, half, whole.name) for half in halves)
    return fit(left, a_shape), fit(right, b_shape)


def _require_wide(root: Path, file: Path, size: tuple[int, int], wanted: float) -> None:
    """Refuse an ordinary picture, whose halves would be taken for a pair."""
    height, width = size
    if abs(width / height / wanted - 1) <= MARGIN:
        return
    names = subfolders(root)
    named = len(names) == 2 and not splits([(name, "") for name in names])
    remedy = (
        f"rename the subfolders {names[0]} and {names[1]} to a (what is translated) and b"
        if named
        else "put the two kinds of pictures into subfolders a and b"
    )
    raise DataError(
        f"a pair side by side is {wanted:.3g} times as wide as high, but {file} has "
        f"{height}x{width} pixels: {remedy}, or leave the picture out"
    )
