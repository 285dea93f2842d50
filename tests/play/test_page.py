"""The page's own files: nothing from elsewhere, and every word in both languages."""

import re
from pathlib import Path

import pytest

from minigan.gan import WAYS
from minigan.play.presets import PRESETS
from minigan.play.setup import CHOICES, KIND

STATIC = Path(__file__).parents[2] / "minigan" / "play" / "static"
FILES = sorted(path for path in STATIC.iterdir() if path.suffix in (".js", ".html", ".css", ".svg"))


def words():
    """Language -> key -> text."""
    text = (STATIC / "words.js").read_text(encoding="utf-8")
    found = {}
    for name in ("en", "zh"):
        block = text.partition(f"const {name} = {{")[2].partition("\n};")[0]
        entry = r'(?:^|[\s,{])(?:"([\w-]+)"|(\w+)): "((?:[^"\\]|\\.)*)"'
        found[name] = {a or b: value for a, b, value in re.findall(entry, block)}
    return found


def test_both_languages_say_the_same():
    both = words()
    assert len(both["en"]) > 250
    assert both["en"].keys() == both["zh"].keys()
    for key, text in both["en"].items():
        blanks = [sorted(re.findall(r"\{\w+\}", t)) for t in (text, both["zh"][key])]
        assert blanks[0] == blanks[1], key
    assert all(both["zh"].values())


def test_every_word_that_is_asked_for_is_there():
    known = set(words()["en"])
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = "".join(p.read_text(encoding="utf-8") for p in FILES if p.suffix == ".js")
    asked = set(re.findall(r'data-(?:w|label|title)="([\w-]+)"', html))
    asked |= set(re.findall(r'\bw\("([\w-]+)"', scripts))
    asked |= {f"preset-{name}" for name in PRESETS} | {f"preset-{name}-name" for name in PRESETS}
    asked |= {f"way-{name}" for name in WAYS} | {f"data-{name}" for name in CHOICES["data"]}
    asked |= set(KIND) - {"points", "penalties"}
    asked |= {f"slow-{n}" for n in range(10)} | {f"slow-{n}-title" for n in range(10)}
    asked |= {f"tour-{n}{part}" for n in range(1, 11) for part in ("", "-title", "-task")}
    assert asked <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path):
    text = path.read_text(encoding="utf-8").replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|@import|//cdn", text)


def test_every_stop_of_the_tour_has_a_preset_and_an_answer_or_a_condition():
    stops = re.findall(r"\{ preset: (.*) \},", (STATIC / "tour.js").read_text(encoding="utf-8"))
    assert len(stops) == 10
    for stop in stops:
        assert re.match(r'"([\w-]+)"', stop)[1] in PRESETS
        assert ("answer:" in stop) != ("done:" in stop)
