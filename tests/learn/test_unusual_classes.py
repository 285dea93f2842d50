"""Classes and folders that once lost something, or were marked for the wrong reason."""

import json
import os

import numpy
import pytest

from minigan.cli import main
from minigan.learn import folder as places
from minigan.learn import judge, notebook
from minigan.learn.course import course, exercise, find
from minigan.learn.language import speaker
from minigan.learn.starter import solution

RIGHT = {e.name: solution(e) for e in course()}
LINEAR = RIGHT["linear"]


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LANG", "en_GB.UTF-8")


@pytest.fixture
def here(tmp_path, monkeypatch, english):
    """A fresh folder of exercises, where the commands run."""
    assert main(["learn", "start", str(tmp_path / "course")]) == 0
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"


def write(here, name, text):
    (here / f"{exercise(name).stem}.py").write_text(text)


def classroom(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.mkdir(parents=True, exist_ok=True)
        (path / "ex02_linear.py").write_text(text)
    return folder


def graded(folder, capsys, *more):
    status = main(["learn", "grade", str(folder), "--exercises", "linear", "--json", *more])
    told = capsys.readouterr()
    return status, {s["name"]: s for s in json.loads(told.out)["students"]}, told.err


def test_a_teachers_file_among_the_folders_doesnt_hide_the_class(tmp_path, capsys):
    classroom(tmp_path, anna=LINEAR, ben=LINEAR)
    (tmp_path / "ex02_linear.py").write_text(LINEAR)
    assert main(["learn", "grade", str(tmp_path), "--exercises", "linear"]) == 2
    assert "holds exercises and folders that hold some" in capsys.readouterr().err


def test_a_file_of_one_student_doesnt_reach_that_of_another(tmp_path, monkeypatch, capsys):
    nosy = LINEAR + (
        "\nfrom pathlib import Path\n"
        "for p in Path(__file__).resolve().parents[1].glob('*/ex02_linear.py'):\n"
        "    if p != Path(__file__).resolve():\n        p.write_text('')\n"
        "open('trace.txt', 'w').write('x')\n"
    )
    group = classroom(tmp_path / "class", abe=nosy, zoe=LINEAR)
    monkeypatch.chdir(tmp_path)
    _, students, _ = graded(group, capsys)
    assert students["zoe"]["points"] == 10
    assert (group / "zoe" / "ex02_linear.py").read_text() == LINEAR
    assert not (tmp_path / "trace.txt").exists()


def test_nothing_of_others_lies_beside_a_file_that_runs(tmp_path, capsys):
    """Not even of those that are checked at the same time."""
    looks = "from pathlib import Path\nbeside = Path(__file__).resolve().parents[1]\n"
    looks += "assert [p.name for p in beside.iterdir()] == [Path(__file__).resolve().parent.name]\n"
    group = classroom(tmp_path, anna=LINEAR + looks, ben=LINEAR + looks)
    _, students, _ = graded(group, capsys, "--jobs", "2")
    assert [s["points"] for s in students.values()] == [10, 10]


def test_helping_files_beside_an_exercise_come_along(tmp_path, capsys):
    group = classroom(tmp_path, anna="from mine import *\n" + LINEAR)
    (group / "anna" / "mine.py").write_text("HALF = 0.5\n")
    anna = graded(group, capsys)[1]["anna"]
    assert anna["points"] == 10, anna["exercises"][0]["findings"]


def test_packages_below_an_exercise_come_along(tmp_path, capsys):
    group = classroom(tmp_path, anna="from lib.tools import HALF\n" + LINEAR)
    (group / "anna" / "lib").mkdir()
    (group / "anna" / "lib" / "__init__.py").write_text("")
    (group / "anna" / "lib" / "tools.py").write_text("HALF = 0.5\n")
    anna = graded(group, capsys)[1]["anna"]
    assert anna["points"] == 10, anna["exercises"][0]["findings"]


def test_one_students_folder_may_hold_a_backup(tmp_path, capsys):
    classroom(tmp_path, one__backup="")
    (tmp_path / "one" / "ex02_linear.py").write_text(LINEAR)
    _, students, err = graded(tmp_path / "one", capsys)
    assert students["one"]["points"] == 10
    assert "backup is passed over: one holds exercises itself." in err


def test_what_is_imported_is_read_before_the_file_runs(tmp_path, capsys):
    sly = "import socket\nopen(__file__, 'w').write('')\n" + LINEAR
    _, students, _ = graded(classroom(tmp_path, anna=sly), capsys, "--imports")
    assert students["anna"]["points"] == 0


def test_archives_and_other_attempts_are_told(tmp_path, capsys):
    group = classroom(tmp_path, cat=LINEAR, amy__one="", amy__two=LINEAR, __MACOSX=LINEAR)
    (group / "ben.zip").write_bytes(b"PK")
    _, students, err = graded(group, capsys)
    assert list(students) == ["amy", "cat"]
    assert "ben.zip is passed over: unpack it first." in err
    (note,) = students["amy"]["exercises"][0]["notes"]
    chosen = os.path.join("one", "ex02_linear.py")
    assert note == f"of 2 files of that name, {chosen} was marked"
    assert f"of 2 files of that name, {os.path.join('amy', chosen)} was marked." in err


@pytest.mark.parametrize("host", ["gradescope", "classroom50"])
def test_a_submission_with_two_attempts_says_which_was_marked(tmp_path, capsys, host):
    work = classroom(tmp_path / "work", one="", two=LINEAR)
    command = ["learn", "grade", str(work), "--exercises", "linear", f"--{host}"]
    assert main([*command, str(tmp_path / "out.json")]) == 0
    said = "of 2 files of that name, {} was marked."
    chosen = os.path.join("one", "ex02_linear.py")
    assert said.format(os.path.join("work", chosen)) in capsys.readouterr().err
    if host == "gradescope":
        (test,) = json.loads((tmp_path / "out.json").read_text())["tests"]
        assert said.format(chosen) in test["output"]


@pytest.mark.parametrize("jobs", ["0", "-1", "x"])
def test_a_number_of_students_that_is_none_is_refused(tmp_path, capsys, jobs):
    with pytest.raises(SystemExit):
        main(["learn", "grade", str(tmp_path), f"--jobs={jobs}"])
    assert f"--jobs: '{jobs}' isn't a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege there")
def test_a_link_to_a_folder_keeps_its_own_name(tmp_path, capsys):
    store = classroom(tmp_path / "store", s42=LINEAR)
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "anna").symlink_to(store / "s42")
    assert list(graded(tmp_path / "class", capsys)[1]) == ["anna"]


@pytest.mark.parametrize("more", [["--seed", "99"], ["--imports"], ["--exercises", "adam"]])
def test_a_set_isnt_mixed_with_other_choices(tmp_path, more, capsys):
    assert main(["learn", "export", str(tmp_path / "week"), "--exercises", "linear"]) == 0
    task = str(tmp_path / "week" / "minigan-set.json")
    assert main(["learn", "grade", str(tmp_path / "week"), "--set", task, *more]) == 2
    assert "A set says exercises, seed and imports already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "backward", ["dy * y * sigmoid_forward(-cache)[0]", "dy * y * (1 - y)"]
)  # fmt: skip
def test_a_more_accurate_slope_of_the_sigmoid_is_right(backward):
    text = RIGHT["tanh"]
    head, _, _ = text.partition("def sigmoid_forward")
    own = head + (
        "def sigmoid_forward(x):\n    e = np.exp(-abs(x))\n"
        "    return np.where(x < 0, e, 1.0) / (1 + e), x\n\n"
        "def sigmoid_backward(dy, cache):\n    y = sigmoid_forward(cache)[0]\n"
        f"    return {backward}\n"
    )
    for seed in range(3):
        shown = notebook.check_text(own, exercise("tanh"), seed=seed)
        assert shown.ok, str(shown)


def test_an_imprecise_sigmoid_isnt_blamed_on_other_calls():
    text = RIGHT["tanh"]
    head, _, tail = text.partition("def sigmoid_forward")
    own = head + (
        "def sigmoid_forward(x):\n    y = (1 + np.tanh(x / 2)) / 2\n    return y, y\n\n"
        "def sigmoid_backward" + tail.partition("def sigmoid_backward")[2]
    )
    shown = notebook.check_text(own, exercise("tanh"))
    assert not shown.ok
    assert str(judge.BETWEEN) not in str(shown)


# ---------------------------------------------------------------- the reader's folder


def test_damaged_progress_is_begun_anew_as_advised(here, capsys):
    write(here, "linear", LINEAR)
    (here / places.PROGRESS).write_text("{")
    assert main(["learn", "status"]) == 2
    assert "delete it and run `minigan learn start .`" in capsys.readouterr().err
    (here / places.PROGRESS).unlink()
    assert main(["learn", "start", "."]) == 0
    assert (here / "ex02_linear.py").read_text() == LINEAR
    assert main(["learn", "check", "linear"]) == 0


def test_a_folder_of_something_else_isnt_filled(tmp_path, capsys):
    for name in (".git", "digits"):
        (tmp_path / "other" / name).mkdir(parents=True)
    assert main(["learn", "start", str(tmp_path / "other")]) == 2
    assert "holds something else" in capsys.readouterr().err


def test_a_class_set_is_no_whole_course(tmp_path, monkeypatch, capsys):
    assert main(["learn", "export", str(tmp_path / "week"), "--exercises", "linear", "sgd"]) == 0
    students = tmp_path / "week" / "students"
    monkeypatch.chdir(students)
    for name in ("linear", "sgd"):
        write(students, name, RIGHT[name])
        assert main(["learn", "check", name]) == 0
    said = capsys.readouterr().out
    assert "every derivative of a GAN" not in said
    assert "That was the last one in" in said
    old = json.loads((students / places.PROGRESS).read_text())
    old.pop("whole")  # as earlier versions wrote it
    (students / places.PROGRESS).write_text(json.dumps(old))
    (students / "ex06_sgd.py").unlink()
    assert main(["learn", "start", "."]) == 0
    assert sorted(p.name for p in students.glob("*.py")) == ["ex02_linear.py", "ex06_sgd.py"]


def test_a_file_that_changes_during_its_check_isnt_solved(here, monkeypatch):
    from minigan.learn import checking

    real = checking.check_file

    def meanwhile(*arguments, **named):
        verdict = real(*arguments, **named)
        write(here, "linear", LINEAR + "# changed\n")
        return verdict

    write(here, "linear", LINEAR)
    monkeypatch.setattr(checking, "check_file", meanwhile)
    assert main(["learn", "check", "linear"]) == 0
    assert places.opened(here).state(exercise("linear")) == places.CHANGED


def test_progress_that_cant_be_kept_costs_no_verdict(here, monkeypatch, capsys):
    def refuses(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(places, "written_whole", refuses)
    write(here, "linear", LINEAR)
    assert main(["learn", "check", "linear"]) == 0
    told = capsys.readouterr()
    assert "Right." in told.out
    assert "Your progress wasn't kept in" in told.err
    assert main(["learn", "hint", "adam"]) == 0
    assert "Hint 1 of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("# größe\n".encode("cp1252"), "isn't Python code in UTF-8: save it as text in UTF-8"),
        ("x = 1\n".encode("utf-16"), "isn't Python code in UTF-8"),
        (b"#" * (1 << 20) + b"\n", "is larger than 1 MiB"),
    ],
)
def test_a_file_that_cant_be_read_is_told_why(here, raw, words, capsys):
    (here / "ex02_linear.py").write_bytes(raw)
    assert main(["learn", "check", "linear"]) == 1
    assert words in capsys.readouterr().out


def test_a_file_may_declare_its_encoding(here):
    text = "# -*- coding: cp1252 -*-\n# größe\n" + LINEAR
    (here / "ex02_linear.py").write_bytes(text.encode("cp1252", "replace"))
    assert main(["learn", "check", "linear"]) == 0


def test_an_exercise_is_found_by_a_path_of_windows():
    assert find(".\\ex02_linear.py").name == "linear"


def test_mistakes_are_said_in_one_language_with_one_full_stop(here, capsys):
    for name, words in (("99", "会列出它们。"), ("lin", "你是指 linear 吗？")):
        assert main(["learn", "check", name, "--lang", "zh"]) == 2
        assert capsys.readouterr().err.strip().endswith(words)
    assert main(["learn", "check", "lin"]) == 2
    assert capsys.readouterr().err.strip().endswith("did you mean linear?")


# ---------------------------------------------------------------- notebooks


def test_what_functions_use_comes_along():
    texts = {}
    for value, name in ((numpy.where, "where"), (numpy.exp, "e"), ((0, 1), "AXES"),
                        (numpy.float32(2), "TWO"), (numpy.eye(2), "EYE"), (None, "NOTHING")):  # fmt: skip
        notebook._gather_global(value, name, texts)
    found = {}
    exec("\n".join(texts.values()), found)
    assert (found["where"], found["e"]) == (numpy.where, numpy.exp)
    assert (found["AXES"], found["NOTHING"]) == ((0, 1), None)
    assert (found["TWO"].dtype, found["TWO"]) == ("float32", 2)
    numpy.testing.assert_array_equal(found["EYE"], numpy.eye(2))


def test_lines_of_a_cell_keep_their_numbers():
    shown = notebook.check_text("def sgd_step(*given):\n    retrun 1\n", exercise("sgd"))
    assert "line 3: invalid syntax" in str(shown)  # the cell's first line is %%exercise


class Shell:
    """As much of IPython's as the magic needs."""

    def __init__(self, **known):
        self.user_ns = known
        notebook.load_ipython_extension(self)

    def run_cell(self, body):
        self.ran = body

    def register_magic_function(self, function, kind, name):
        self.magic = function


@pytest.mark.parametrize(
    "first",
    [
        "%matplotlib inline\n!ls\n",
        "from __future__ import annotations  # a note\n",
        "from __future__ import (\n    annotations,\n)\n",
    ],
)
def test_a_cell_may_have_magics_and_future_imports(first):
    assert Shell().magic("linear", first + LINEAR).ok


def test_a_line_of_python_may_begin_with_a_percent_sign():
    text = LINEAR.replace("dy @ w.T", "((dy @ w.T) * (\n        7\n        % 3\n    ))")
    assert text != LINEAR
    for shown in (notebook.check_text(text, exercise("linear")), Shell().magic("linear", text)):
        assert shown.ok, str(shown)


def test_a_cell_uses_what_earlier_cells_have_defined():
    text = LINEAR.replace("(dy, cache):", "(dy, cache, one=ONE):", 1)
    text = text.replace("dy @ w.T", "SCALE * one * (dy @ w.T)")
    shown = Shell(SCALE=0.5, ONE=numpy.float32(2), unused=lambda: 0).magic("linear", text)
    assert shown.ok, str(shown)


slope = [lambda: 0]  # whose source can't be had


def local_forward(x, w, b, one: numpy.float64 = 1.0):
    """A local name that is a global one, too."""
    slope = x @ w
    return slope * one + b, (x, w)


def test_a_local_name_brings_nothing_along():
    texts = {}
    notebook._gather(local_forward, "local_forward", texts)
    assert list(texts) == ["numpy", "local_forward"]


@pytest.mark.parametrize("value", [float("nan"), numpy.float64("-inf"), numpy.float32("nan")])
def test_numbers_that_arent_finite_come_along(value):
    assert numpy.array_equal(eval(notebook._written(value)), value, equal_nan=True)


def test_a_notebook_names_no_command_that_plays_another_file():
    wrong = LINEAR.replace("dy @ w.T", "-(dy @ w.T)")
    shown = notebook.check_text(wrong, exercise("linear"))
    assert not shown.ok
    assert "Replay it" not in str(shown)
    assert "Replay it" in "\n".join(shown.verdict.lines(speaker("en")))
