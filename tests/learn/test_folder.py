"""The commands, as a reader types them."""

import json

import pytest

from minigan.cli import main
from minigan.learn import checking
from minigan.learn import folder as places
from minigan.learn.course import course, exercise
from minigan.learn.starter import solution
from minigan.learn.verdict import Verdict

RIGHT = {e.name: solution(e) for e in course()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A fresh folder of exercises, where the commands run."""
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "start", "course"]) == 0
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"


def write(here, name, text):
    (here / f"{exercise(name).stem}.py").write_text(text)


def test_start_lays_out_the_course_and_keeps_what_is_there(here, capsys):
    files = sorted(p.name for p in here.glob("*.py"))
    assert files == [f"{e.stem}.py" for e in course()]
    write(here, "linear", "mine")
    (here / "ex03_leaky_relu.py").unlink()
    assert main(["learn", "start", str(here)]) == 0
    assert (here / "ex02_linear.py").read_text() == "mine"
    assert (here / "ex03_leaky_relu.py").exists()
    assert f"Files written to {here}: 1." in capsys.readouterr().out
    (here.parent / "other").mkdir()
    (here.parent / "other" / "letter.txt").write_text("x")
    assert main(["learn", "start", str(here.parent / "other")]) == 2
    assert [p.name for p in (here.parent / "other").iterdir()] == ["letter.txt"]


def test_exit_statuses(here, capsys):
    assert main(["learn", "check", "ex02_linear"]) == 3
    half = RIGHT["linear"].replace("x, w = cache", "raise NotImplementedError")
    write(here, "linear", half)
    assert main(["learn", "check", "ex02_linear"]) == 1
    assert "backward isn't written yet" in capsys.readouterr().out
    write(here, "linear", RIGHT["linear"].replace("x.T @ dy", "x.T @ dy / len(x)"))
    assert main(["learn", "check", "ex02_linear"]) == 1
    out = capsys.readouterr().out
    assert "likely cause: it is divided by the batch size N" in out
    assert "--case 3" in out
    write(here, "linear", RIGHT["linear"])
    assert main(["learn", "check", "linear"]) == 0
    assert "minigan/nn/linear.py" in capsys.readouterr().out
    assert main(["learn", "check", "nonsense"]) == 2
    assert main(["learn", "check", "linear", "--case", "99"]) == 2
    assert main(["learn", "check", "--dir", str(here.parent)]) == 2


def test_finished_work_is_skipped_and_the_end_says_so(here, capsys):
    chosen = course()
    for e in chosen:
        write(here, e.name, RIGHT[e.name])
    folder = places.found(here)
    for e in chosen[:-1]:
        folder.of(e)["digest"] = places.digest(folder.file(e))
    folder.save()
    main(["learn", "next"])
    assert chosen[-1].stem in capsys.readouterr().out
    assert main(["learn", "check"]) == 0
    assert "That was the last one" in capsys.readouterr().out
    assert main(["learn", "check"]) == 0
    assert "That was the last one" in capsys.readouterr().out
    assert main(["learn", "next"]) == 0


def test_a_copied_file_finishes_nothing(here, capsys):
    write(here, "linear", RIGHT["linear"])
    assert main(["learn", "check", "linear"]) == 0
    (here / "ex03_leaky_relu.py").write_text(RIGHT["linear"])
    assert main(["learn", "check", "leaky_relu"]) == 1
    folder = places.found(here)
    assert folder.state(exercise("linear")) == "solved"
    assert folder.state(exercise("leaky_relu")) == "begun"
    write(here, "linear", RIGHT["linear"] + "# changed\n")
    assert folder.state(exercise("linear")) == "changed"
    main(["learn", "status"])
    assert "changed since it was right" in capsys.readouterr().out


def test_hints_by_degrees_and_the_solution_when_asked_for(here, capsys):
    for given in (1, 2, 3, 3):
        main(["learn", "hint", "linear"])
        assert capsys.readouterr().out.count("Hint") == given
    main(["learn", "solution", "linear"])
    assert capsys.readouterr().out == RIGHT["linear"]
    main(["learn", "status"])
    assert "[solution shown]" in capsys.readouterr().out


def test_reset_asks_first(here, monkeypatch, capsys):
    import io

    write(here, "linear", "mine")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["learn", "reset", "linear"]) == 1
    assert (here / "ex02_linear.py").read_text() == "mine"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["learn", "reset", "linear"]) == 2
    assert main(["learn", "reset", "linear", "--yes"]) == 0
    assert "NotImplementedError" in (here / "ex02_linear.py").read_text()
    assert (here / "ex02_linear.py.before-reset").read_text() == "mine"
    assert "before-reset" in capsys.readouterr().out


def test_a_reset_forgets_what_was_remembered(here):
    write(here, "linear", RIGHT["linear"])
    assert main(["learn", "check", "linear"]) == 0
    main(["learn", "hint", "linear"])
    assert places.found(here).of(exercise("linear")).keys() == {"digest", "hints"}
    assert main(["learn", "reset", "linear", "--yes"]) == 0
    folder = places.found(here)
    assert folder.of(exercise("linear")) == {}
    assert folder.state(exercise("linear")) == "untouched"


def test_a_file_that_was_edited_during_its_check_has_changed_since(here, monkeypatch):
    def check_and_edit(of, path, **how):
        verdict = check_file(of, path, **how)
        write(here, "linear", RIGHT["linear"] + "# later\n")
        return verdict

    check_file = checking.check_file
    monkeypatch.setattr(checking, "check_file", check_and_edit)
    write(here, "linear", RIGHT["linear"])
    assert main(["learn", "check", "linear"]) == 0
    assert places.found(here).state(exercise("linear")) == "changed"


def test_a_reset_loses_nothing_that_was_kept_before(here):
    path = here / "ex02_linear.py"
    for text in ("mine", None, "mine, later"):
        if text is not None:
            write(here, "linear", text)
        assert main(["learn", "reset", "linear", "--yes"]) == 0
    kept = sorted(here.glob("*before-reset*"))
    assert [p.read_text() for p in kept] == ["mine", "mine, later"]
    assert "NotImplementedError" in path.read_text()


def test_a_check_keeps_what_another_command_has_remembered_meanwhile(here):
    watching = places.found(here)
    main(["learn", "hint", "linear"])
    main(["learn", "solution", "sgd"])
    watching.record(Verdict(exercise("difference")))
    now = places.found(here)
    assert now.of(exercise("linear"))["hints"] == 1
    assert now.of(exercise("sgd"))["shown"] is True
    assert now.state(exercise("difference")) == "solved"


def test_watching_begins_with_the_next_exercise_and_explains_what_is_solved(
    here, monkeypatch, capsys
):
    def once(paths, changed):
        write(here, "linear", RIGHT["linear"])
        changed(next(p for p in paths() if p.name == "ex02_linear.py"))

    monkeypatch.setattr("minigan.learn.watch.watch", once)
    assert main(["learn", "watch"]) == 0
    out = capsys.readouterr().out
    assert "Fill in ex01_difference.py" in out.replace(f"{here}/", "")
    assert "minigan/nn/linear.py" in out
    assert "Next: ex01_difference" in out


def test_an_error_of_ones_own_in_training_names_the_line(here, capsys):
    write(here, "linear", RIGHT["linear"].replace("    x, w", "    assert len(dy) < 9\n    x, w"))
    folder = places.found(here)
    folder.of(exercise("linear"))["digest"] = places.digest(folder.file(exercise("linear")))
    folder.save()
    assert main(["learn", "train", "ring", "--steps", "2"]) == 2
    said = capsys.readouterr().err
    assert "ex02_linear.py, line " in said
    assert "in backward: AssertionError" in said
    assert "Traceback" not in said


def test_the_folder_is_found_from_above_and_below(here, monkeypatch, capsys):
    monkeypatch.chdir(here.parent)
    assert main(["learn", "status"]) == 0
    (here / "inside").mkdir()
    monkeypatch.chdir(here / "inside")
    assert main(["learn", "status"]) == 0
    monkeypatch.chdir(here.parent)
    main(["learn", "start", "second"])
    assert main(["learn", "status"]) == 2
    assert "several folders" in capsys.readouterr().err
    (here / places.PROGRESS).write_text("{")
    assert main(["learn", "status", "--dir", str(here)]) == 2


def test_a_verdict_as_json(here, capsys):
    write(here, "linear", RIGHT["linear"].replace("dy.sum(axis=0)", "-dy.sum(axis=0)"))
    assert main(["learn", "check", "linear", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "wrong"
    assert told["parts"] == {"y": True, "dx": True, "dw": True, "db": False, "conduct": True}
    assert told["points"] == 0.8
    assert told["findings"][0]["cause"] == "the sign is wrong"


def test_files_that_are_no_exercise_get_a_sentence(here, capsys):
    for text, words in (
        ("def forward(:\n", "line 1"),
        ("x = 1\n", "doesn't define forward, backward"),
        ("import nowhere\n" + RIGHT["linear"], "nowhere"),
        (
            RIGHT["linear"].replace("return x @ w + b, (x, w)", "return x @ w"),
            "it must return y, cache",
        ),
        (RIGHT["linear"].replace("x @ w + b, (x, w)", "y, (x, w)"), "NameError"),
    ):
        write(here, "linear", text)
        assert main(["learn", "check", "linear"]) == 1
        out = capsys.readouterr()
        assert words in out.out
        assert "Traceback" not in out.out + out.err
    (here / "ex02_linear.py").write_bytes(b"\xff\xfe\x00")
    assert main(["learn", "check", "linear"]) == 1
    (here / "ex02_linear.py").unlink()
    assert main(["learn", "check", "linear"]) == 2


def test_the_ring_trains_on_ones_own_layers(here, capsys):
    assert main(["learn", "train", "ring", "--steps", "3"]) == 2
    assert "Nothing that this trains on is solved" in capsys.readouterr().err
    folder = places.found(here)
    for name in ("linear", "adam", "g_step", "bce"):
        write(here, name, RIGHT[name])
        folder.of(exercise(name))["digest"] = places.digest(folder.file(exercise(name)))
    folder.save()
    assert main(["learn", "train", "ring", "--steps", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    whose = {" ".join(line.split()[:-1]): line.split()[-1] for line in lines[:6]}
    assert whose["Linear"] == "yours"
    assert whose["LeakyReLU the"] == "library's"
    assert (here / "ring" / "samples.png").stat().st_size > 1000
    assert (here / "ring" / "losses.png").exists()
