"""The pages of the command line: every command has examples, and every example is understood."""

import importlib.util
import shlex
from pathlib import Path

import pytest

from minigan.cli import build_parser

PATH = Path(__file__).parents[1] / "docs" / "make_commands.py"


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("make_commands", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_examples_and_a_page(pages):
    commands = pages.parsers()
    assert set(commands) == set(pages.EXAMPLES) == set(pages.summaries())
    for name, parser in commands.items():
        text = pages.page(name, parser)
        assert text.startswith(f"# minigan {name}\n")
        flags = [flag for action in parser._actions for flag in action.option_strings]
        assert all(flag in text for flag in flags)
        assert "{objectives}" not in text
        assert "{penalties}" not in text


def test_every_example_is_understood(pages):
    for command, examples in pages.EXAMPLES.items():
        for text, _ in examples:
            words = shlex.split(text.partition(" > ")[0].removeprefix("eval "))
            words = shlex.split(words[0].strip("$()")) if len(words) == 1 else words
            options = build_parser().parse_args(words[1:])
            assert words[:2] == ["minigan", command]
            assert options.command is not None


def test_every_example_with_a_picture_is_understood(pages):
    for command, arguments in pages.SHOWN.items():
        build_parser().parse_args([command, *arguments, "-o", "x.png"])


def test_the_pages_are_written_and_unchanged_ones_left_alone(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PAGES", tmp_path / "commands")
    pages.write_pages()
    index = tmp_path / "commands" / "index.md"
    assert "| [`minigan train`](train.md) | train a recipe |" in index.read_text()
    before = index.stat().st_mtime_ns
    pages.write_pages()
    assert index.stat().st_mtime_ns == before
