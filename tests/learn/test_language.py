"""Two languages: patterns keep their places, and the compiled catalogue is up to date."""

import ast
import gettext
import importlib.util
import io
import re
from pathlib import Path

import pytest

from minigan.cli import main
from minigan.learn import language, starter
from minigan.learn.course import course
from minigan.learn.language import Text

CHINESE = re.compile("[\u4e00-\u9fff]")
SOURCE = language.CATALOGUES / "zh_CN" / "LC_MESSAGES" / "learn.po"
SCRIPT = Path(__file__).parents[2] / "docs" / "make_catalogue.py"


@pytest.fixture(scope="module")
def catalogue():
    """The script that makes the catalogue."""
    pytest.importorskip("babel")
    spec = importlib.util.spec_from_file_location("make_catalogue", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_compiled_catalogue_is_up_to_date(catalogue):
    fresh = gettext.GNUTranslations(io.BytesIO(catalogue.compiled(SOURCE)))._catalog
    known = dict(language.Speaker("zh")._catalogue._catalog)
    fresh.pop("")  # the header holds a date
    known.pop("")
    assert known == fresh


def test_every_message_is_translated_and_no_translation_is_stale(catalogue):
    assert list(catalogue.odd(SOURCE)) == []
    assert len(catalogue.messages()) > 1000


def test_an_odd_catalogue_is_told(catalogue, tmp_path):
    text = SOURCE.read_text("utf-8")
    for old, new, complaint in (
        ('msgid "write this"', 'msgid "write that"', "no translation of 'write this'"),
        ('msgid "write this"', 'msgid "write that"', "nobody says 'write that'"),
        ('msgstr "请写这里"', 'msgstr ""', "is empty"),
        ("{solved}/{all}", "{solved}", "other places"),
    ):
        assert old in text
        path = tmp_path / "learn.po"
        path.write_text(text.replace(old, new), "utf-8")
        assert any(complaint in line for line in catalogue.odd(path))


def test_file_texts_hints_and_explanations_are_chinese():
    zh = language.speaker("zh")
    for chosen in course():
        texts = [*starter.docstrings(chosen), chosen.explanation]
        assert all(CHINESE.search(zh(text)) for text in texts), chosen.stem
        assert any(CHINESE.search(zh(hint)) for hint in chosen.hints)  # some hold code alone
        compile(starter.starter(chosen, zh), chosen.stem, "exec")
        answer = starter.shown(chosen, zh)
        assert CHINESE.search(answer)
        assert _code(answer) == _code(starter.solution(chosen))
        assert starter.shown(chosen, language.speaker("en")) == starter.solution(chosen)


def _code(text):
    """What a file does, without its docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.dump(tree)


def test_sentences_that_are_put_together_elsewhere_are_said_in_chinese():
    zh = language.speaker("zh")
    for sentence in (
        "the sign is wrong, and it is off by the factor 5, the batch size",
        "it is the right one minus 2 times what y would give in the place of dy",
        "ran for more than 5 s in one call: look for an endless loop, or allow more with "
        "--time-limit",
        "There is no exercise 'x'; `minigan learn status` lists them.",
    ):
        said = zh(Text("{what}", {"what": sentence}))
        assert CHINESE.search(said)
        assert "the" not in said.replace("the batch size", "").split()


def test_mistakes_in_a_command_are_said_in_chinese(tmp_path, capsys):
    assert main(["learn", "start", str(tmp_path / "a"), "--lang", "zh"]) == 0
    assert main(["learn", "check", "nothing", "--dir", str(tmp_path / "a")]) == 2
    assert "没有名为" in capsys.readouterr().err
    assert main(["learn", "status", "--dir", str(tmp_path), "--lang", "zh"]) == 2
    assert "没有练习" in capsys.readouterr().err


def test_titles_and_sentences_are_said_in_both_languages():
    zh, en = language.speaker("zh"), language.speaker("en")
    for chosen in course():
        assert chosen.title == en(chosen.title)
        assert zh(chosen.title) != chosen.title or chosen.title in ("Adam", "Dropout")
    text = Text("{what} is missing", {"what": Text("the sign is wrong")})
    assert str(text) == "the sign is wrong is missing"
    assert zh(text) == "缺少 符号不对"
    assert zh("no such sentence") == "no such sentence"


def test_the_language_is_the_locales_or_the_one_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert language.usual() == "zh"
    assert main(["learn", "start", str(tmp_path / "a")]) == 0
    assert main(["learn", "check", "linear", "--dir", str(tmp_path / "a")]) == 3
    assert "尚未开始" in capsys.readouterr().out
    assert main(["learn", "check", "linear", "--dir", str(tmp_path / "a"), "--lang", "en"]) == 3
    assert "Not begun" in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert language.usual() == "en"
