"""The checks in a notebook, and watching files."""

import pytest

from minigan import learn
from minigan.learn import notebook, watch
from minigan.learn.course import exercise
from minigan.learn.solutions import chain, linear, sgd
from minigan.learn.starter import solution


def test_functions_are_checked_and_shown_as_a_table():
    shown = learn.check(sgd.sgd_step)
    assert shown.ok
    assert "Right." in str(shown)
    html = shown._repr_html_()
    assert html.count("<tr>") == 3
    assert learn.check(linear.forward, linear.backward, exercise="linear").ok
    assert learn.check(chain.Linear, chain.Chain).ok
    with pytest.raises(ValueError, match="isn't clear"):
        learn.check(linear.backward)
    with pytest.raises(ValueError, match="source"):
        learn.check(len, exercise="linear")


def test_a_cell_is_checked_by_the_magic():
    class Shell:
        ran = ""

        def run_cell(self, body):
            self.ran = body

        def register_magic_function(self, function, kind, name):
            self.magic = (kind, name, function)

    shell = Shell()
    notebook.load_ipython_extension(shell)
    kind, name, function = shell.magic
    assert (kind, name) == ("cell", "exercise")
    wrong = solution(exercise("sgd")).replace("w - lr", "w + lr")
    shown = function("sgd", wrong)
    assert shell.ran == wrong
    assert not shown.ok
    assert "uphill" in str(shown)
    assert "<pre>" in shown._repr_html_()
    assert function("sgd zh", wrong)._say.language == "zh"


def test_a_saved_file_is_checked_again(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("1")
    seen, texts = [], iter(["22", None, "333"])

    def pause(seconds):
        text = next(texts)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    watch.watch(lambda: [path], seen.append, pause=pause, rounds=3)
    assert seen == [path, path]
