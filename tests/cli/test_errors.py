"""What a command prints when something fails: a sentence, or a report of a mistake in minigan."""

import re

import numpy
import pytest

import minigan
from minigan import cli
from minigan.cli import errors, recipes


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run ``minigan recipes``, which raises an error; return the status and what is printed."""

    def run(error, *options):
        def list_recipes(namespace):
            raise error

        monkeypatch.setattr(recipes, "list_recipes", list_recipes)
        status = cli.main(["recipes", *options])
        out, err = capsys.readouterr()
        assert out == ""
        return status, err

    return run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("A size is 3."), "A size is 3."),
        (ValueError("a size is 3"), "a size is 3."),
        (ValueError(), "ValueError."),
        (
            MemoryError("Unable to allocate 7 TiB"),
            "There isn't enough memory (Unable to allocate 7 TiB); use smaller numbers, or less "
            "data.",
        ),
        (MemoryError(), "There isn't enough memory; use smaller numbers, or less data."),
        (
            OverflowError("int too large to convert to float"),
            "A number is too large (int too large to convert to float); use a smaller one.",
        ),
        (PermissionError(13, "Permission denied", "x/y"), "x/y can't be used: permission denied."),
    ],
)
def test_what_a_number_a_file_or_the_machine_causes_is_one_sentence(failing, error, said):
    assert failing(error) == (2, f"minigan: {said}\n")


def test_memory_that_numpy_cannot_have_is_one_sentence(failing):
    with pytest.raises(MemoryError) as caught:
        numpy.empty(2**57, "float64")
    status, said = failing(caught.value)
    assert status == 2
    assert said.startswith("minigan: There isn't enough memory (Unable to allocate 1.00 EiB for an")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        AttributeError("'NoneType' object has no attribute 'step'"),
        RuntimeError("two\nlines"),
        IndexError(),
        AssertionError(),
        ZeroDivisionError("division by zero"),
    ],
)
def test_anything_else_is_a_mistake_in_minigan_to_be_reported(failing, error):
    status, said = failing(error)
    assert status == 70
    assert "Traceback" not in said
    assert said.count("\n") == 1
    what = f"{type(error).__name__}: {' '.join(str(error).split())}".strip()
    assert said.startswith(f"minigan: this is a mistake in minigan, not in what you typed: {what}")
    assert re.search(r"\(test_errors\.py, line \d+\)\. Please report it", said)
    assert f"[minigan {minigan.__version__}, Python 3." in said


def test_a_traceback_is_there_for_those_who_ask(failing):
    for error in (ValueError("x"), KeyError("x")):
        with pytest.raises(type(error)):
            failing(error, "--traceback")


def test_notes_are_part_of_the_sentence():
    error = ValueError("A size is 3")
    error.add_note("in layer 2")
    assert errors.sentence(error) == "A size is 3 [in layer 2]."
