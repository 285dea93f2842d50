"""The page's own files: nothing from elsewhere, and every word in both languages."""

import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest

from minigan.gan import WAYS, diagnosis
from minigan.play.presets import PRESETS
from minigan.play.setup import CHOICES, KIND
from minigan.runs import pretrained

STATIC = Path(__file__).parents[2] / "minigan" / "play" / "static"
FINDINGS = set(re.findall(r'Finding\(\s*"([\w-]+)"', inspect.getsource(diagnosis)))
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


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js isn't installed")
def test_numbers_keep_their_zeros_before_the_point():
    code = (
        f"import({json.dumps((STATIC / 'draw.js').as_uri())}).then((m) => console.log("
        "[100, 120, -200, 350.4, 9999.6, 0, 0.0120, 1.5, 12345, NaN].map(m.short).join(' ')))"
    )
    told = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == [
        "100",
        "120",
        "-200",
        "350",
        "10000",
        "0",
        "0.012",
        "1.5",
        "1.2e+4",
        "–",
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js isn't installed")
@pytest.mark.parametrize(
    ("table", "points", "taken"),
    [
        ("x,y\n0,0\n1.5,2\n", [[0, 0], [1.5, 2]], [1, 2, 2]),
        ("x;y\r\n1,5;2,5\r\n-0,25;.75", [[1.5, 2.5], [-0.25, 0.75]], [1, 2, 2]),
        ("a\tb\n1,5\t2.5\n", [[1.5, 2.5]], [1, 2, 2]),
        ("1 2\n  3   4 \n\n5\t6\n", [[1, 2], [3, 4], [5, 6]], [1, 2, 2]),
        ("1, 2\n3, 4", [[1, 2], [3, 4]], [1, 2, 2]),
        (",x,y\n0,1.5,2.5\n1,-0.2,0.7", [[1.5, 2.5], [-0.2, 0.7]], [2, 3, 3]),
        (",lon,lat\n0,1.5,2.5", [[1.5, 2.5]], [2, 3, 3]),
        ("     x    y\n0  1.5  2.5\n1 -0.2 0.7\n", [[1.5, 2.5], [-0.2, 0.7]], [2, 3, 3]),
        ("points\nid,Y,X\n7,1,2\n8,3,4", [[2, 1], [4, 3]], [3, 2, 3]),
        ("1.5,,9\n2,3,4\n,5,6\nNA,1,2", [[2, 3]], [1, 2, 3]),
        ('\ufeff"x","y"\n"1","2"', [[1, 2]], [1, 2, 2]),
        ("1,5 2,5\n3,5 4,5", [], [1, 2, 0]),
        ("", [], [1, 2, 0]),
    ],
)
def test_points_are_two_columns_of_a_table(table, points, taken):
    code = (
        f"import({json.dumps((STATIC / 'table.js').as_uri())}).then((m) => console.log("
        f"JSON.stringify(m.pointsOf({json.dumps(table)}))))"
    )
    told = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    found = json.loads(told)
    assert found["points"] == points
    assert [*(column + 1 for column in found["taken"]), found["columns"]] == taken


def test_both_languages_say_the_same():
    both = words()
    assert len(both["en"]) > 250
    assert both["en"].keys() == both["zh"].keys()
    for key, text in both["en"].items():
        blanks = [sorted(re.findall(r"\{\w+\}", t)) for t in (text, both["zh"][key])]
        assert blanks[0] == blanks[1], key
    assert all(both["zh"].values())


NAMES = {
    *("readout-probability", "readout-dirac", "of-d", "of-g"),
    *("what-forward", "what-backward", "what-step"),
    *("export-python", "preset-dirac-wasserstein-name", "preset-dirac-gp-name"),
    *("tour-6-title", "tour-7-title", "tour-8-a", "tour-8-b"),
}
"""Words without anything to translate."""


def test_every_word_is_chinese():
    both = words()
    for key, text in both["zh"].items():
        chinese = re.search(r"[\u4e00-\u9fff]", text) is not None
        assert chinese == (key not in NAMES), f"{key} isn't translated: {text}"


def test_every_word_that_is_asked_for_is_there():
    known = set(words()["en"])
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = "".join(p.read_text(encoding="utf-8") for p in FILES if p.suffix == ".js")
    asked = set(re.findall(r'data-(?:w|label|title)="([\w-]+)"', html))
    asked |= set(re.findall(r'\bw\("([\w-]+)"', scripts))
    asked |= {f"preset-{name}" for name in PRESETS} | {f"preset-{name}-name" for name in PRESETS}
    asked |= {f"way-{name}" for name in WAYS} | {f"data-{name}" for name in CHOICES["data"]}
    asked |= set(KIND) - {"points", "penalties"}
    shared = {"lr_generator": "lr", "lr_discriminator": "lr"}
    explained = {shared.get(name, re.sub("^[gd]_", "", name)) for name in KIND} - {"objective"}
    asked |= {f"about-{name}" for name in (explained | set(CHOICES["objective"])) - {"points"}}
    asked |= {f"pretrained-{name}" for name in pretrained.names()}
    asked |= {f"slow-{n}" for n in range(10)} | {f"slow-{n}-title" for n in range(10)}
    asked |= {f"{what}-{name}" for what in ("find", "advice") for name in FINDINGS}
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


# ---------------------------------------------------------------- colours

# Machado, Oliveira and Fernandes 2009, table 1, severity 1: linear RGB as it is seen.
SIGHTS = {
    "all": numpy.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
THEMES = {"day": 0, "night": 1}


def colour(name, theme):
    found = re.findall(rf"--{name}: #(\w{{6}})", (STATIC / "style.css").read_text(encoding="utf-8"))
    return [int(found[theme][i : i + 2], 16) / 255 for i in (0, 2, 4)]


def seen(rgb, sight):
    """A colour in CIE L*a*b*, as a kind of sight sees it."""
    rgb = numpy.array(rgb)
    linear = numpy.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = numpy.array(XYZ) @ numpy.clip(SIGHTS[sight] @ linear, 0, 1) / numpy.sum(XYZ, axis=1)
    x, y, z = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return numpy.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("pair", [("real", "fake"), ("d", "g")])
def test_every_kind_of_sight_tells_the_colours_apart(pair, sight, theme):
    one, other = (seen(colour(name, THEMES[theme]), sight) for name in pair)
    assert numpy.linalg.norm(one - other) > 20
