"""Lines of text: grammars that decide, files of one's own, and what is said of what was cut."""

import importlib

import numpy
import pytest

from minigan import data
from minigan.data.text import decoded


@pytest.mark.parametrize(
    ("name", "grammar"), [("sentences", data.ENGLISH), ("motifs", data.MOTIFS)]
)
def test_what_a_grammar_draws_it_accepts(name, grammar):
    text = data.text(name)
    assert len(text) == 20_000
    assert text.accepts("") is False
    assert all(map(grammar.accepts, text.lines))
    assert {word for row in text.codes for word in row} <= set(range(len(text.vocabulary)))
    again = data.text(name)
    numpy.testing.assert_array_equal(text.codes, again.codes)
    assert data.text(name, split="test").lines[:50] != text.lines[:50]


def test_english_has_forty_words_and_a_million_sentences():
    assert len(data.ENGLISH.words) == 40
    one, several = 3 * 7 * 6, 4 * 7 * 6
    someone = one + several
    assert data.ENGLISH.count() == someone * (2 * 2 * someone + 4 * someone * 3)


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("a small cat sees the dogs", True),
        ("a small cat see the dogs", False),
        ("two cats sleep near a king", True),
        ("two cats sleep near a kings", False),
        ("two cats sleep", False),
        ("the foxes chase every lazy girl often", True),
        ("the foxes chase every lazy girl often today", False),
        ("the the foxes chase every girl", False),
    ],
)
def test_agreement_is_decided(line, valid):
    assert data.ENGLISH.accepts(line) is valid


@pytest.mark.parametrize(
    ("strand", "valid"),
    [
        ("TTGACAACGTTATAATACGT", True),
        ("ACTTGACAACGTAATATAAT", True),
        ("TTGACAACGTATATAATACG", True),
        ("TTGACAACGTACGTATAATA", False),  # 7 apart
        ("TTGACTACGTTATAATACGT", False),
        ("TTGACAACGTTATAATACG", False),  # too short
    ],
)
def test_motifs_are_decided(strand, valid):
    assert data.MOTIFS.accepts(strand) is valid


def test_a_batch_is_one_hot_and_reads_as_the_line():
    text = data.text("sentences")
    batch = text.batch([3, 5])
    assert batch.shape == (2, 8, 41)
    assert batch.dtype == numpy.float32
    numpy.testing.assert_array_equal(batch.sum(axis=2), 1)
    assert decoded(batch, text.vocabulary) == [text.lines[3], text.lines[5]]


def test_what_follows_the_end_is_left_out():
    assert decoded(numpy.array([[1, 2, 0, 1], [0, 1, 1, 1], [2, 2, 2, 2]]), ("", "a", "b")) == [
        "ab", "", "bbbb",
    ]  # fmt: skip


def written(folder, text, name="own.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_ones_own_are_split_into_words_or_characters(tmp_path):
    words = data.text(written(tmp_path, "the  cat sat\n\n a dog ran \n" * 10))
    assert words.vocabulary == ("", "a", "cat", "dog", "ran", "sat", "the")
    assert words.separator == " "
    assert set(words.lines) == {"the cat sat", "a dog ran"}
    assert words.accepts is None
    assert words.notes == ()
    characters = data.text(written(tmp_path, "emma\nolivia\nada\n" * 10))
    assert characters.separator == ""
    assert set(characters.lines) == {"emma", "olivia", "ada"}
    assert "characters" in repr(characters)
    assert "words" in repr(words)


def test_every_tenth_line_is_held_out(tmp_path):
    path = written(tmp_path, "".join(f"{i:02}\n" for i in range(40)))
    train, test = (data.text(path, split=split) for split in ("train", "test"))
    assert test.lines == ["09", "19", "29", "39"]
    assert len(train) == 36
    assert train.vocabulary == test.vocabulary


def test_what_was_cut_and_left_out_is_said(tmp_path):
    long = data.text(written(tmp_path, "abcde\nab\n" * 5), length=3)
    assert long.notes == ("5 of 10 lines were cut to their first 3 characters",)
    assert set(long.lines) == {"abc", "ab"}
    assert data.text(written(tmp_path, "x" * 50 + "\nxx\nx\n")).length == 32
    rare = "".join(f"w{i} w{i}\n" for i in range(255)) + "rare words here\n"
    kept = data.text(written(tmp_path, rare))
    assert len(kept.vocabulary) == 256
    assert kept.notes[0].startswith("1 of 256 lines were left out: they have words beyond the 255")


def test_nobody_decides_on_sentences_that_were_cut():
    cut, whole = (data.text("sentences", length=length) for length in (3, 8))
    assert cut.accepts is None
    assert len(cut.notes) == 1
    assert whole.accepts is not None
    assert whole.notes == ()


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path, "one\ntwo\n")
    monkeypatch.setattr(importlib.import_module("minigan.data.text"), "LARGEST", 8)
    assert data.text(path).lines == ["one"]
    path.write_text("one\ntwo!\n")
    with pytest.raises(data.DataError, match="has 9 bytes: give a file of at most 8"):
        data.text(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "0 usable lines: give a file with"), (b"\n \n", "0 usable lines"),
     (b"one\n", "1 usable line: "), (b"ab\n\xff\xfe\n", "isn't text in UTF-8"),
     (b"".join(b"a%d a%d b%d\n" % (i, i, i) for i in range(255)),
      r"0 usable lines \(255 of 255 lines .* words beyond the 255 .* of 510\): give lines of fewer")],
)  # fmt: skip
def test_what_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=message) as caught:
        data.text(path)
    assert "\n" not in str(caught.value)


def test_unknown_texts_and_splits_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    with pytest.raises(data.DataError, match="did you mean 'sentences'"):
        data.text("sentence")
    with pytest.raises(data.DataError, match=r"needs the file names\.txt: give its folder"):
        data.text("names")
    with pytest.raises(data.DataError, match="is none"):
        data.text("names", data_dir=tmp_path)
    with pytest.raises(ValueError, match="split 'valid'"):
        data.text("sentences", split="valid")
    with pytest.raises(ValueError, match="at least 1"):
        data.text("sentences", length=0)


def test_names_are_read_from_their_folder(tmp_path):
    written(tmp_path, "emma\nolivia\nada\n", "names.txt")
    assert data.text("names", data_dir=tmp_path).lines == ["emma", "olivia"]


def test_batches_of_lines_go_through_all_of_them():
    text = data.text("motifs")
    batches = data.Batches(text, 100, numpy.random.default_rng(0))
    lines, labels = next(batches)
    assert lines.shape == (100, 20, 5)
    assert labels is None
    assert batches.per_epoch == 200
