"""The page on the layout of the code: its tree is that of the package."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "layout.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the sdist has no docs")


@pytest.fixture(scope="module")
def make_layout():
    spec = importlib.util.spec_from_file_location("make_layout", DOCS / "make_layout.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tree_is_up_to_date(make_layout):
    text = PAGE.read_text(encoding="utf-8")
    assert make_layout.with_tree(text) == text, "run python docs/make_layout.py"


def test_a_page_without_marks_is_refused(make_layout):
    with pytest.raises(ValueError, match="needs the marks"):
        make_layout.with_tree("# A page\n")


@pytest.mark.parametrize(
    ("docstring", "first"),
    [
        (
            "Algorithm 1 of Goodfellow et al. 2014, spelt out. More.",
            "Algorithm 1 of Goodfellow et al. 2014, spelt out.",
        ),
        ("How good are the samples? Read on.", "How good are the samples?"),
        ("Numbers, e.g. 0.5, in two\nlines.\n\nMore.", "Numbers, e.g. 0.5, in two lines."),
        ("No full stop", "No full stop"),
    ],
)
def test_a_line_of_the_tree_is_the_first_sentence(make_layout, tmp_path, docstring, first):
    path = tmp_path / "module.py"
    path.write_text(f'"""{docstring}"""\n', encoding="utf-8")
    assert make_layout.purpose(path) == first
