"""What the docs named before modules moved is still found there."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from minigan.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_leads_to_the_module_of_the_new_one(old):
    pytest.importorskip("numba") if "compiled" in MOVED[old] else None
    with pytest.warns(DeprecationWarning, match=MOVED[old]):
        found = importlib.import_module(old)
    assert found is importlib.import_module(MOVED[old])
    assert found.__spec__.name == found.__name__ == MOVED[old]
    del sys.modules[old]


def test_an_old_name_is_found_in_its_package():
    code = "import warnings; warnings.simplefilter('ignore'); from minigan.recipes import small; print(small.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "minigan.recipes.nets"


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("minigan.nothing")
