"""The tutorials' form: what makes them notebooks, their parts, their links, and the helper that
shows source.

That they run is checked where they run: ``python docs/build.py`` executes them, and an error in a
cell fails it."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from minigan import gan, nn
from minigan import tutorial as module
from minigan.tutorial import show

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9][0-9]-*.md"))
PAGES = [*TUTORIALS, *sorted((ROOT / "docs" / "howto").glob("*.md"))]
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells(text):
    """Code of each cell, without its options."""
    return [re.sub(r"\A(:\w+:[^\n]*\n)+", "", body) for body in CELL.findall(text)]


def prose(text):
    """Everything but the cells."""
    return CELL.sub("", text)


@pytest.fixture(params=TUTORIALS, ids=lambda path: path.stem)
def text(request):
    return request.param.read_text(encoding="utf-8")


def test_the_course_is_whole():
    assert [path.name[:2] for path in TUTORIALS] == [f"{n:02d}" for n in range(1, 25)]


@pytest.mark.parametrize("page", ["docs/notebooks.md", "docs/index.md", "tutorials/README.md"])
def test_pages_list_the_whole_course(page):
    listed = (ROOT / page).read_text(encoding="utf-8")
    assert [path.stem for path in TUTORIALS if path.stem not in listed] == []


def test_is_a_notebook(text):
    _, front, _ = text.split("---\n", 2)
    assert "format_name: myst" in front
    assert "name: python3" in front
    assert cells(text)


def test_has_its_parts(text):
    words = prose(text)
    assert "**At the end you will understand**" in words
    assert re.search(r"^\*\*You need\*\* \S", words, re.MULTILINE)
    for heading in ("## What goes wrong", "## Exercises", "## Questions", "## Further reading"):
        assert words.count(f"\n{heading}\n") == 1
    questions = words[words.index("\n## Questions\n") : words.index("\n## Further reading\n")]
    assert len(re.findall(r"^\*\*[123]\.\*\* ", questions, re.MULTILINE)) == 3
    assert (
        questions.count("<details>")
        == questions.count("<summary>")
        == questions.count("</details>")
        == 3
    )
    reading = words[words.index("\n## Further reading\n") :]
    assert len(re.findall(r"^\* ", reading, re.MULTILINE)) >= 3


def test_exercises_and_figures_are_numbered(text):
    words = prose(text)
    exercises = words[words.index("\n## Exercises\n") : words.index("\n## Questions\n")]
    assert re.findall(r"^\*\*([A-Z])\.\*\* ", exercises, re.MULTILINE) == ["A", "B"]
    captions = re.findall(r"^\*Figure (\d+)\. .*\*$", words, re.MULTILINE)
    assert captions == [str(n + 1) for n in range(len(captions))]
    assert captions


def test_number_of_the_heading_is_that_of_the_file():
    for path in TUTORIALS:
        assert re.search(r"^# (\d+)\. ", path.read_text(encoding="utf-8"), re.MULTILINE)[1] == str(
            int(path.name[:2])
        )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_cells_are_python(path):
    for code in cells(path.read_text(encoding="utf-8")):
        ast.parse(code)


def links(path):
    """Targets of the links of a page that lead to other files."""
    return re.findall(r"\]\((?!https?://|#)([^)#\s]+)", prose(path.read_text(encoding="utf-8")))


def test_there_are_links_between_pages():
    """What the next test goes through is found at all."""
    assert sum(len(links(path)) for path in PAGES) > 150
    assert all(links(path) for path in TUTORIALS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_between_pages_lead_somewhere(path):
    for target in links(path):
        # The site has the tutorials beside its own pages: the build puts them there.
        placed = (
            ROOT / target.removeprefix("../")
            if target.startswith("../tutorials/")
            else path.parent / target
        )
        assert placed.exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_formulas_are_closed(path):
    words = re.sub(r"```.*?```", "", prose(path.read_text(encoding="utf-8")), flags=re.DOTALL)
    words = re.sub(r"`[^`\n]*`", "", words)
    assert words.count("$$") % 2 == 0
    for paragraph in words.replace("$$", "").split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph


def test_the_game_has_sixty_lines():
    text = TUTORIALS[0].read_text(encoding="utf-8")
    game = next(body for body in CELL.findall(text) if body.startswith(":tags: [game]"))
    lines = [line for line in game.splitlines()[1:] if line.strip()]
    assert len(lines) <= 60


# ---------------------------------------------------------------- show


def test_show_is_the_live_source():
    shown = str(show(nn.Linear.backward))
    assert shown.startswith("# minigan/nn/linear.py, method Linear.backward\ndef backward(")
    assert '"""Map dy (N, out) to dx (N, in)."""' in shown
    ast.parse(shown)


def test_show_without_docstrings_keeps_the_code():
    shown = str(show(nn.Linear, docstrings=False))
    assert '"""' not in shown
    body = ast.parse(shown).body[0]
    assert isinstance(body, ast.ClassDef)
    names = [f.name for f in body.body if isinstance(f, ast.FunctionDef)]
    assert names[:3] == ["__init__", "forward", "backward"]


def test_show_keeps_a_body_that_is_only_a_docstring():
    # Otherwise what is shown would be no Python.
    shown = str(show(gan.Callback, docstrings=False))
    ast.parse(shown)
    assert "Called after every step" in shown


def test_show_several_and_modules():
    shown = str(show(nn.LeakyReLU.forward, gan.Game.generator_step, module))
    places = [
        shown.index(f"# minigan/{place}\n")
        for place in (
            "nn/activations.py, method LeakyReLU.forward",
            "gan/game.py, method Game.generator_step",
            "tutorial.py",
        )
    ]
    assert places == sorted(places)


def test_show_is_a_code_block_in_a_notebook():
    source = show(nn.Sequential.backward)
    markdown = source._repr_markdown_()
    assert markdown == f"```python\n{source.text}\n```"
    assert repr(source) == source.text


def test_show_of_a_function_outside_of_the_library():
    assert str(show(cells)).startswith("# tests/test_tutorials.py, function cells\n")


@pytest.mark.parametrize("nothing", [(), (3,), (len,)])
def test_show_says_what_it_needs(nothing):
    with pytest.raises(TypeError, match=r"give it one|has no Python source"):
        show(*nothing)


# ---------------------------------------------------------------- the README

READMES = sorted(ROOT.glob("README*.md"))


def examples(path):
    return re.findall(
        r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.stem)
def test_the_whole_gan_of_the_readme_plays(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = examples(path)[0]
    assert code.count("range(1000)") == 1
    exec(code.replace("range(1000)", "range(2)"), {})
    assert (tmp_path / "digits.png").stat().st_size > 1000


def test_the_layer_of_the_readme_is_the_source():
    """But for its docstrings and types."""
    for method in ast.parse(examples(ROOT / "README.md")[1]).body:
        (source,) = ast.parse(
            textwrap.dedent(inspect.getsource(getattr(nn.Linear, method.name)))
        ).body
        assert [ast.unparse(line) for line in method.body] == [
            ast.unparse(line) for line in source.body[1:]
        ]
        assert [a.arg for a in method.args.args] == [a.arg for a in source.args.args]


# ---------------------------------------------------------------- the Chinese catalogues

CATALOGUES = sorted((ROOT / "docs" / "locale" / "zh_CN" / "LC_MESSAGES").rglob("*.po"))


def parts(words):
    """What a translation has to keep: formulas, code and the targets of links."""
    formulas = re.findall(r"(?<![$\\])\$(?!\$)(.+?)\$", words)
    return (
        set(formulas),
        set(re.findall(r"`([^`]+)`", words)),
        set(re.findall(r"\]\(([^)]+)\)", words)),
    )


def translated(path):
    """The messages of a catalogue that have a translation."""
    pofile = pytest.importorskip("babel.messages.pofile")
    with path.open("rb") as file:
        return [message for message in pofile.read_po(file) if message.id and message.string]


def test_there_are_translations_with_formulas_code_and_links():
    """What the next test goes through is found at all."""
    kept = [parts(message.string) for path in CATALOGUES for message in translated(path)]
    formulas, code, targets = (sum(map(len, each)) for each in zip(*kept, strict=True))
    assert len(kept) > 2000
    assert (formulas > 1000, code > 500, targets > 250) == (True, True, True)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_translations_keep_formulas_code_and_links(path):
    for message in translated(path):
        assert parts(message.string) == parts(message.id), message.id


def test_what_is_translated_in_full():
    pofile = pytest.importorskip("babel.messages.pofile")
    for name in ("index", *(f"tutorials/{path.stem}" for path in TUTORIALS[:4])):
        path = ROOT / "docs" / "locale" / "zh_CN" / "LC_MESSAGES" / f"{name}.po"
        with path.open("rb") as file:
            messages = [message for message in pofile.read_po(file) if message.id]
        assert len(messages) > 10
        assert sum(bool(message.string) for message in messages) > 0.75 * len(messages)
