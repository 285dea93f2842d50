"""The checks in a notebook, and watching files."""

import numpy
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


SCALE = 1.0


def helped(dy):
    """A helping function."""
    return numpy.asarray(dy) * SCALE


class MyLayer:
    """Linear, with methods."""

    def forward(self, x, w, b):
        return x @ w + b, (x, w)

    def backward(self, dy, cache):
        x, w = cache
        return helped(dy) @ w.T, x.T @ dy, dy.sum(0)


class MyStatic:
    """Spectral normalisation with static methods, the sign of one term wrong."""

    @staticmethod
    def forward(w, u, v):
        s = u @ w @ v
        return w / s, (w / s, s, u, v)

    @staticmethod
    def backward(dy, cache):
        y, s, u, v = cache
        return (dy + (dy * y).sum() * numpy.outer(u, v)) / s


def test_a_class_with_methods_is_checked_with_what_it_uses(monkeypatch):
    for thing in (MyLayer, helped):  # as if a notebook had defined them
        monkeypatch.setattr(thing, "__module__", "__main__")
    shown = learn.check(MyLayer)
    assert shown.ok, str(shown)
    assert shown.verdict.exercise.name == "linear"
    assert "minigan/nn/linear.py" in str(shown)  # the explanation
    assert learn.check(MyLayer()).ok
    wrong = learn.check(MyStatic)
    assert wrong.verdict.exercise.name == "spectral"
    assert "wrong sign" in str(wrong)
    conv = exercise("conv").solution
    with pytest.raises(ValueError, match="exercise='conv' or exercise='conv_transpose'"):
        learn.check(conv.forward, conv.backward)


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
