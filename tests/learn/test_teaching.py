"""What teachers use: class sets, marks, the files for Gradescope and Classroom 50."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigan.cli import main
from minigan.learn import hosts, marks, starter
from minigan.learn.course import exercise
from minigan.learn.starter import solution

ROOT = Path(__file__).parents[2]
SGD = "ex06_sgd.py"
RIGHT = solution(exercise("sgd"))
WRONG = RIGHT.replace("momentum * v + g", "momentum * v - g")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An exported set of two exercises with a seed of its own."""
    monkeypatch.setenv("LANG", "C")
    out = tmp_path / "set"
    assert main(["learn", "export", str(out), "--exercises", "sgd", "linear", "--seed", "7"]) == 0
    return out


def test_a_class_set_has_no_solutions_and_no_seed(made):
    students = made / "students"
    assert sorted(p.name for p in students.glob("*.py")) == ["ex02_linear.py", SGD]
    assert "NotImplementedError" in (students / SGD).read_text()
    assert '"seed": 0' in (students / ".minigan-learn.json").read_text()
    task = marks.read_task(made / "minigan-set.json")
    assert (task.seed, [e.name for e in task.exercises]) == (7, ["linear", "sgd"])
    assert main(["learn", "export", str(made)]) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_set_that_an_editor_or_powershell_has_saved_is_read(made, tmp_path, encoding):
    again = tmp_path / "again.json"
    again.write_text((made / marks.SET).read_text(), encoding=encoding)
    assert marks.read_task(again) == marks.read_task(made / marks.SET)


def test_a_class_of_thirty_is_graded_and_nobody_stops_it(made, tmp_path, capsys):
    handed = tmp_path / "handed"
    texts = [RIGHT, WRONG, "", "import os; os._exit(0)\n" + RIGHT, "def sgd_step(:", None]
    for k in range(30):
        student = handed / f"student{k:02d}"
        student.mkdir(parents=True)
        if texts[k % 6] is not None:
            (student / SGD).write_text(texts[k % 6])
    command = [
        "learn",
        "grade",
        str(handed),
        "--exercises",
        "sgd",
        "--seed",
        "7",
        "--json",
        "--jobs",
        "2",
    ]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in told["students"]] == [f"student{k:02d}" for k in range(30)]
    states = [s["exercises"][0]["state"] for s in told["students"]]
    assert states == ["right", "wrong", "wrong", "wrong", "wrong", "not begun"] * 5
    points = [s["points"] for s in told["students"]]
    assert points[0] == 10
    assert all(p < 10 for p in points[1:6])
    assert points[1] > 0  # by parts: its conduct is right
    assert told["seed"] == 7
    assert "not who wrote it" in told["meaning"]


def test_a_table_without_json(tmp_path, capsys):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / SGD).write_text(RIGHT)
    assert main(["learn", "grade", str(tmp_path), "--exercises", "sgd"]) == 0
    assert "anna" in capsys.readouterr().out
    assert main(["learn", "grade", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "bad.json").write_text("[]")
    assert main(["learn", "grade", str(tmp_path), "--set", str(tmp_path / "bad.json")]) == 2


def test_imports_are_looked_at_only_when_asked(tmp_path, capsys):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / SGD).write_text("import fractions\n" + RIGHT)
    for more, points in (([], 10), (["--imports"], 0), (["--imports", "fractions"], 10)):
        command = ["learn", "grade", str(tmp_path), "--exercises", "sgd", "--json", *more]
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["students"][0]["points"] == points
    assert marks.imports("import os\n__import__('sys')\nimport numpy as np") == {"os", "__import__"}
    ours = "from numpy.lib.stride_tricks import sliding_window_view\nimport numpy.linalg\n"
    assert marks.imports(ours + "from minigan.learn import given\n") == set()
    assert starter.ready_made("from minigan.learn import given, solutions") == ["minigan.learn"]


def test_the_file_for_classroom_50_runs_end_to_end(made, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / SGD).write_text(RIGHT)
    said = {
        "CLASSROOM": "gans", "ASSIGNMENT": "week2", "SUBMISSION_TAG": "submit/1",
        "COMMIT_URL": "https://example.org/c", "RELEASE_URL": "https://example.org/r",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(made / "classroom50" / "autograder.py")],
        cwd=work, env=os.environ | said, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((work / "result.json").read_text())
    assert result["schema"] == "classroom50/result/v1"
    assert (result["score"], result["max-score"]) == (10, 20)
    assert [t["passed"] for t in result["tests"]] == [False, True]
    assert all(isinstance(t["score"], int) for t in result["tests"])
    assert (result["classroom"], result["review"]) == ("gans", "https://example.org/c")


def test_the_files_for_gradescope_run_end_to_end(made, tmp_path):
    for folder in ("submission", "results", "source"):
        (tmp_path / folder).mkdir()
    (tmp_path / "submission" / SGD).write_text(WRONG)
    script = (made / "gradescope" / "run_autograder").read_text()
    script = script.replace("/autograder", str(tmp_path))
    script = script.replace("/opt/minigan/bin/python", sys.executable)
    (tmp_path / "source" / marks.SET).write_text((made / "minigan-set.json").read_text())
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results" / "results.json").read_text())
    assert 0 < result["score"] < 10
    assert [t["status"] for t in result["tests"]] == ["failed", "failed"]
    assert "the velocity subtracts g" in result["tests"][1]["output"]
    # After a crash of the checker there is a result, too.
    broken = script.replace("learn grade", "learn nonsense")
    subprocess.run(["bash", "-c", broken], capture_output=True, check=False)
    assert json.loads((tmp_path / "results" / "results.json").read_text())["score"] == 0


def test_a_submission_is_found_in_the_folder_that_a_zip_has_made(made, tmp_path):
    work = tmp_path / "work"
    for inside in ("__MACOSX", ".git", "week2/mine"):
        (work / inside).mkdir(parents=True)
        (work / inside / SGD).write_text(RIGHT if inside == "week2/mine" else WRONG)
    (work / "result.json").write_text("forged")
    (work / "minigan.py").write_text("raise SystemExit(0)")
    done = subprocess.run(
        [sys.executable, str(made / "classroom50" / "autograder.py")],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((work / "result.json").read_text())
    assert [t["passed"] for t in result["tests"]] == [False, True]


def test_an_empty_submission_gets_a_result_of_its_own(made, tmp_path):
    (tmp_path / "submission" / "docs").mkdir(parents=True)
    out = tmp_path / "results.json"
    command = ["learn", "grade", str(tmp_path / "submission"), "--set", str(made / marks.SET)]
    assert main([*command, "--gradescope", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["score"] == 0
    assert all("wasn't handed in" in t["output"] for t in result["tests"])


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that aren't text")
def test_a_class_with_odd_names_and_messages_makes_a_valid_document(tmp_path, capsys):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    os.mkdir(odd)
    with open(os.path.join(odd, SGD), "w") as stream:
        stream.write(r"raise ValueError('\ud800')" + "\n" + RIGHT)
    assert main(["learn", "grade", str(tmp_path), "--exercises", "sgd", "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["students"][0]["points"] == 0
    told.encode()


def test_results_say_unknown_where_the_runner_says_nothing():
    assert hosts.classroom50([], {})["submission"] == "unknown"


def test_the_page_shows_the_document_as_it_is(tmp_path, capsys):
    page = (ROOT / "docs" / "howto" / "teaching.md").read_text("utf-8")
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    (tmp_path / "anna").mkdir()
    wrong = solution(exercise("linear")).replace("x.T @ dy", "x.T @ dy / len(x)")
    (tmp_path / "anna" / "ex02_linear.py").write_text(wrong)
    command = ["learn", "grade", str(tmp_path), "--exercises", "linear", "--seed", "8127"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert keys(told) == keys(shown)
    words = told["students"][0]["exercises"][0]
    for word in (words["findings"][0]["kind"], words["outputs"][2]["against"], words["state"]):
        assert f"`{word}`" in page


def keys(what):
    """The names in a document, those of the first of several alike."""
    if isinstance(what, dict):
        return {name: keys(value) for name, value in what.items()}
    return [keys(what[0])] if isinstance(what, list) and what else None
