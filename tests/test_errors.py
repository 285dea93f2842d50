"""Every exception of the package can be sent to another process, as a pool of workers does."""

import contextlib
import importlib
import pickle
import pkgutil

import pytest

import minigan
from minigan import gradcheck
from minigan.learn.parts import Broken


def _play():
    pytest.importorskip("starlette")
    from minigan.play.server import Refusal

    return Refusal(404, "There is no such run.")


MADE = {
    "GradientError": lambda: gradcheck.GradientError(
        gradcheck.Report("Mine", 1e-6, problems=["dx is None"]), "look at dx"
    ),
    "Broken": lambda: Broken("{who} returns nothing", who="forward"),
    "Refusal": _play,
}
"""How those are made that take more than a sentence."""


@pytest.mark.parametrize("name", MADE)
def test_an_error_that_takes_more_than_a_sentence_survives_pickling(name):
    error = MADE[name]()
    error.add_note("step 3")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back).keys() == vars(error).keys()
    assert back.__notes__ == ["step 3"]


def _derived(kind):
    """All classes of the package that are derived from one."""
    for child in kind.__subclasses__():
        yield from _derived(child)
        if child.__module__.startswith("minigan."):
            yield child


def test_all_other_errors_take_a_sentence():
    for module in pkgutil.walk_packages(minigan.__path__, "minigan."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # what it needs isn't installed
                importlib.import_module(module.name)
    for kind in set(_derived(BaseException)):
        if kind.__name__ not in MADE:
            assert str(pickle.loads(pickle.dumps(kind("It is full.")))) == "It is full.", kind
