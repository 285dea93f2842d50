"""Two languages: patterns keep their places, and the compiled catalogue is up to date."""

import importlib.util
import re
from pathlib import Path

import pytest

from minigan.cli import main
from minigan.learn import language
from minigan.learn.course import course
from minigan.learn.language import Text

PLACE = re.compile(r"\{\w+\}")
SOURCE = language.CATALOGUES / "zh_CN" / "LC_MESSAGES" / "learn.po"
SCRIPT = Path(__file__).parents[2] / "docs" / "make_catalogue.py"


def test_the_compiled_catalogue_is_up_to_date():
    pytest.importorskip("babel")
    spec = importlib.util.spec_from_file_location("make_catalogue", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert SOURCE.with_suffix(".mo").read_bytes() == module.compiled(SOURCE)


def test_translations_keep_their_places():
    known = language.Speaker("zh")._catalogue._catalog
    assert len(known) > 100
    for msgid, said in known.items():
        if msgid:
            assert set(PLACE.findall(msgid)) == set(PLACE.findall(said)), msgid


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
