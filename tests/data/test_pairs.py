"""Pairs of pictures: the named sets, folders, and their stream."""

import json

import numpy
import pytest
from PIL import Image
from zoo_files import zoo_folder

from minigan import data

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return zoo_folder(tmp_path_factory.mktemp("zoo"))


@pytest.mark.parametrize("name", data.PAIRS)
def test_no_picture_is_in_both_splits(name, folder):
    train, test = (data.pairs(name, data_dir=folder, split=split) for split in ("train", "test"))
    assert test.aligned == (name != "digits-kana")
    # The inputs of different faces may be the same.
    for kind in ("b",) if name in ("avatars-edges", "avatars-holes") else ("a", "b"):
        seen, held = (
            {image.tobytes() for image in getattr(part, kind).images} for part in (train, test)
        )
        assert not seen & held


def test_glasses_are_learnt_from_other_people_than_they_are_tested_on():
    train = data.pairs("avatars-glasses")
    assert not train.aligned
    plain = data.avatars().images
    numpy.testing.assert_array_equal(train.a.images, plain[:5000])
    wearers = data.avatars(glasses=True).images[5000:10_000]
    numpy.testing.assert_array_equal(train.b.images, wearers)


def test_digits_and_kana_are_two_kinds_of_any_number(folder):
    """A run of the recipe looks at them in colour, at its own size."""
    found = data.pairs("digits-kana", data_dir=folder, a_shape=(16, 16, 3), b_shape=(16, 16, 3))
    assert (found.a.image_shape, found.b.image_shape) == ((16, 16, 3), (16, 16, 3))
    kept = len(data.digits()) // 6 * 5 + len(data.digits()) % 6
    assert (len(found.a), len(found.b)) == (kept, 17)


def test_outlines_are_where_colours_change():
    image = numpy.zeros((1, 4, 4, 3), "uint8")
    image[0, 2:, 1:] = (200, 0, 0)
    black = data.edges(image)[0, ..., 0] == 0
    expected = numpy.zeros((4, 4), bool)
    expected[2, 1:] = expected[2:, 1] = True
    numpy.testing.assert_array_equal(black, expected)


def test_a_quarter_of_a_picture_is_missing_somewhere_in_it():
    images = numpy.full((200, 8, 6, 3), 7, "uint8")
    cut = data.holes(images, numpy.random.default_rng(0))
    grey = (cut == 128).all(axis=-1)
    assert (grey.sum(axis=(1, 2)) == 4 * 3).all()
    assert (cut[~grey] == 7).all()
    corners = {tuple(numpy.argwhere(picture)[0]) for picture in grey}
    assert corners == {(i, j) for i in range(5) for j in range(4)}
    assert (images == 7).all()


# ---------------------------------------------------------------- folders


def _write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = numpy.random.default_rng(seed).integers(0, 256, SHAPE, dtype="uint8")
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_folder_with_two_subfolders(tmp_path):
    a = [_write(tmp_path / "a" / f"{i}.png", i) for i in range(7)]
    b = [_write(tmp_path / "b" / f"{i}.png", 100 + i) for i in range(7)]
    train, test = (
        data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE, split=split)
        for split in ("train", "test")
    )
    numpy.testing.assert_array_equal(train.a.images, [a[i] for i in (0, 1, 2, 3, 4, 6)])
    numpy.testing.assert_array_equal(test.b.images, [b[5]])
    grey = data.pairs(tmp_path, a_shape=(4, 4, 1), b_shape=SHAPE)
    assert grey.a.image_shape == (4, 4, 1)
    assert any("grey" in note for note in grey.notes)


def test_a_folder_of_pictures_side_by_side(tmp_path):
    for i in range(6):
        both = [_write(tmp_path / "x.png", seed) for seed in (i, 100 + i)]
        Image.fromarray(numpy.concatenate(both, axis=1)).save(tmp_path / f"{i}.png")
    (tmp_path / "x.png").unlink()
    test = data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE, split="test")
    numpy.testing.assert_array_equal(test.a.images[0], both[0])
    numpy.testing.assert_array_equal(test.b.images[0], both[1])


def _flat(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


@pytest.mark.parametrize("width", [31, 32, 33])
def test_pictures_side_by_side_may_be_a_little_wider_or_narrower(tmp_path, width):
    for i in range(6):
        _flat(tmp_path / "train" / f"{i}.png", 16, width)
    assert len(data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE)) == 5


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(
    ("folders", "size", "words"),
    [
        (("",), (16, 16), "has 16x16 pixels: put the two kinds .* into subfolders a and b"),
        (("",), (9, 16), "side by side is 2 times as wide as high, but .* has 9x16 pixels"),
        (("",), (16, 64), "has 16x64 pixels"),
        (("x", "y", "z"), (16, 16), "put the two kinds of pictures into subfolders a and b"),
        (("train", "val"), (16, 16), "put the two kinds of pictures into subfolders a and b"),
        (("photos", "sketches"), (16, 16), "rename the subfolders photos and sketches to a"),
        (("testA", "testB"), (16, 16), "rename the subfolders testA and testB to a"),
        (("test/a", "test/b", "train/A", "train/B"), (16, 16), "but train in it has: give .*train"),
        (("x/trainA", "x/trainB"), (8, 16), "but x in it has: give .*x"),
    ],
)
def test_ordinary_pictures_are_not_cut_into_pairs(tmp_path, folders, size, words, aligned):
    for folder in folders:
        for i in range(6):
            _flat(tmp_path / folder / f"{i}.png", *size)
    with pytest.raises(data.DataError, match=words) as refusal:
        data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE, aligned=aligned)
    assert "\n" not in str(refusal.value)


def test_the_ordinary_picture_among_pairs_side_by_side_is_named(tmp_path):
    for i in range(6):
        _flat(tmp_path / f"{i}.png", 16, 16 if i == 3 else 32)
    with pytest.raises(data.DataError, match=r"3\.png has 16x16 .* or leave the picture out"):
        data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE)


def test_side_by_side_is_twice_the_width_of_the_wanted_shape(tmp_path):
    for i in range(6):
        _flat(tmp_path / f"{i}.png", 16, 16)
    assert len(data.pairs(tmp_path, a_shape=(16, 8, 3), b_shape=(16, 8, 3))) == 5


def test_a_picture_whose_partner_cannot_be_read_is_left_out(tmp_path):
    """Otherwise all the pictures after it would get the partners of others."""
    for i in range(9):
        _write(tmp_path / "a" / f"{i}.png", i)
        _write(tmp_path / "b" / f"{i}.png", i)
    (tmp_path / "a" / "2.png").write_bytes(b"no picture")
    (tmp_path / "b" / "5.png").write_bytes(b"no picture")
    found = data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE)
    assert len(found) == 6  # of seven, the sixth is for tests
    numpy.testing.assert_array_equal(found.a.images, found.b.images)
    assert [note.partition(":")[0] for note in found.notes] == ["1 file passed over"] * 2


def test_pictures_belong_together_by_name_and_not_by_order(tmp_path):
    """The ends of these names sort otherwise: x.apng < x.b.png < x.png."""
    for i, name in enumerate(("x", "x.b", *"123456")):
        pixels = _write(tmp_path / "a" / f"{name}.png", i)
        (tmp_path / "b").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "b" / f"{name}.apng", format="PNG")
    (tmp_path / "b" / "x.b.apng").rename(tmp_path / "b" / "x.b.png")
    found = data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE)
    numpy.testing.assert_array_equal(found.a.images, found.b.images)


@pytest.mark.parametrize(("there", "missing"), [("A", "b"), ("trainB", "traina")])
def test_one_of_two_subfolders_is_no_pair_side_by_side(there, missing, tmp_path):
    for i in range(6):
        _write(tmp_path / there / f"{i}.png", i)
    with pytest.raises(data.DataError, match=f"a subfolder {there}, but none named {missing}"):
        data.pairs(tmp_path, a_shape=SHAPE, b_shape=SHAPE)


def test_folders_that_hold_no_pairs(tmp_path):
    for i in range(6):
        _write(tmp_path / "a" / f"{i}.png", i)
        _write(tmp_path / "b" / f"{i + 1}.png", i)
    shapes = {"a_shape": SHAPE, "b_shape": SHAPE}
    with pytest.raises(data.DataError, match="a picture '0' in only one of a and b"):
        data.pairs(tmp_path, **shapes)
    loose = data.pairs(tmp_path, aligned=False, **shapes)
    assert not loose.aligned
    with pytest.raises(data.DataError, match=r"choose one of avatars-edges, .*did you mean"):
        data.pairs("avatar-edges", **shapes)
    with pytest.raises(ValueError, match="give a_shape and b_shape"):
        data.pairs(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(data.DataError, match=r"x\.zip is a file, .*: unpack it"):
        data.pairs(tmp_path / "x.zip", **shapes)
    with pytest.raises(data.DataError, match="pairs have no split 'val'"):
        data.pairs("avatars-edges", split="val")
    for path in (tmp_path / "a").glob("[1-5].png"):
        path.unlink()
        (tmp_path / "b" / path.name).unlink()
    with pytest.raises(data.DataError, match="has 1 pairs: at least 6 are needed"):
        data.pairs(tmp_path, aligned=False, split="test", **shapes)


# ---------------------------------------------------------------- the stream


def numbered(n, start=0):
    images = numpy.arange(start, start + n, dtype="uint8")[:, None, None, None]
    return data.Dataset("numbers", images)


def _numbers(images):
    return numpy.rint((images.ravel() + 1) * 127.5).astype(int)


def test_pairs_stay_together_and_others_do_not():
    together = data.Pairs(numbered(30), numbered(30, 100))
    a, b = next(data.PairBatches(together, 10, numpy.random.default_rng(0)))
    numpy.testing.assert_array_equal(_numbers(a) + 100, _numbers(b))
    loose = data.PairBatches(
        data.Pairs(numbered(20), numbered(30, 100), aligned=False), 10, numpy.random.default_rng(0)
    )
    drawn = [next(loose) for _ in range(2)]
    assert sorted(_numbers(numpy.concatenate([a for a, _ in drawn]))) == list(range(20))
    assert (_numbers(drawn[0].a) + 100 != _numbers(drawn[0].b)).any()
    assert loose.per_epoch == 2


@pytest.mark.parametrize("aligned", [True, False])
def test_a_stream_goes_on_where_it_was(aligned):
    def stream(seed):
        pairs = data.Pairs(numbered(20), numbered(20, 100), aligned=aligned)
        return data.PairBatches(pairs, 8, numpy.random.default_rng(seed))

    first, second = stream(0), stream(1)
    next(first)
    state = first.state_dict()
    arrays = {k: v for k, v in state.items() if isinstance(v, numpy.ndarray)}
    plain = json.loads(json.dumps({k: v for k, v in state.items() if k not in arrays}))
    second.load_state_dict(arrays | plain)
    for _ in range(4):
        ours, theirs = next(second), next(first)
        numpy.testing.assert_array_equal(ours.a, theirs.a)
        numpy.testing.assert_array_equal(ours.b, theirs.b)


def test_a_state_that_fits_in_part_changes_nothing():
    pairs = data.Pairs(numbered(20), numbered(20, 100), aligned=False)
    first, second = (data.PairBatches(pairs, 8, numpy.random.default_rng(i)) for i in range(2))
    next(first)
    before, state = second.state_dict(), first.state_dict()
    with pytest.raises(ValueError, match="at position 99"):
        second.load_state_dict(state | {"position_1": 99})
    after = second.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        numpy.testing.assert_equal(after[name], value)


def test_drawn_pairs_belong_together():
    a, b = data.Pairs(numbered(30), numbered(30, 100)).draw(5, numpy.random.default_rng(0))
    numpy.testing.assert_array_equal(_numbers(a) + 100, _numbers(b))
    few = data.Pairs(numbered(3), numbered(3, 100)).draw(7, numpy.random.default_rng(0))
    assert len(few.a) == len(few.b) == 7


def test_pairs_need_equally_many():
    with pytest.raises(ValueError, match="3 pictures in 'numbers' but 4 in"):
        data.Pairs(numbered(3), numbered(4))
