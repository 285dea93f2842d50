"""Files of students that are right, or partly, in a form that nobody expected."""

import json

import pytest

from minigan.cli import main
from minigan.learn import starter
from minigan.learn.checking import check_file
from minigan.learn.course import exercise

LINEAR = exercise("linear")
RIGHT = starter.solution(LINEAR)
LATE = "def forward(x, w, b):\n    from helper import forward as f\n    return f(x, w, b)\n\n\n"
LATE += "def backward(dy, cache):\n    from helper import backward as b\n    return b(dy, cache)\n"


@pytest.mark.parametrize("text", [LATE, "from helper import *\n"], ids=["late", "star"])
def test_what_lies_beside_may_be_imported_in_any_way(tmp_path, text):
    (tmp_path / "helper.py").write_text(RIGHT)
    path = tmp_path / f"{LINEAR.stem}.py"
    path.write_text(text)
    assert check_file(LINEAR, path).points() == 1


def test_all_names_of_numpy_are_no_solution(tmp_path):
    path = tmp_path / f"{LINEAR.stem}.py"
    path.write_text("from numpy import *\n")
    (finding,) = check_file(LINEAR, path).findings
    assert (finding.kind, finding.text.values["names"]) == ("missing", "forward, backward")


def test_what_earlier_cells_import_is_looked_at():
    """`check_text` puts what a cell needs of them into its first line, as a text."""
    before = "import numpy as np\nfrom minigan.nn import Linear as L"
    assert starter.ready_made(f"import ast; exec({before!r})\nx = L\n") == ["minigan.nn"]
    assert starter.ready_made("exec('def')\nexec(x)\nexec()\n") == []
    given = f"from {starter.GIVEN.rpartition('.')[0]} import given"
    assert starter.ready_made(f"exec({given!r})") == []


def test_right_sampling_counts_without_the_step(tmp_path):
    vae = exercise("vae")
    text = starter.solution(vae)
    start = text.index("def vae_step")
    path = tmp_path / f"{vae.stem}.py"
    path.write_text(text[:start] + "def vae_step(*arguments):\n    raise NotImplementedError\n")
    assert check_file(vae, path).points() == pytest.approx(0.5)


def test_a_folder_may_begin_with_an_underscore(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LANG", "C")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "class" / "anna" / "_final").mkdir(parents=True)
    (tmp_path / "class" / "anna" / "_final" / f"{LINEAR.stem}.py").write_text(RIGHT)
    assert main(["learn", "grade", "class", "--exercises", "linear", "--json"]) == 0
    (anna,) = json.loads(capsys.readouterr().out)["students"]
    assert (anna["name"], anna["points"]) == ("anna", 10)
