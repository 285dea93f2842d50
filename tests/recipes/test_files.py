"""Recipes in files of the user's own: reading, running, naming; and the file to start from."""

import hashlib

import numpy
import pytest

from minigan import gradcheck
from minigan.recipes import Recipe, files

SMALL = """
from minigan import nn
from minigan.gan import Latent
from minigan.recipes import Recipe, Settings

def networks(rng, noise):
    return nn.Sequential(nn.Linear(2, 2, rng=rng)), nn.Sequential(nn.Linear(2, 1, rng=rng))

def recipe(name="small"):
    return Recipe(name=name, title="t", source="s", data="ring", sample_shape=(2,),
                  latent=Latent(2), networks=networks, settings=Settings(steps=2), duration="-")
"""


def written(folder, end, name="mine.py"):
    path = folder / name
    path.write_text(SMALL + end)
    return path


@pytest.mark.parametrize(
    ("name", "is_file"),
    [("a.py", True), ("b/a.py:NAME", True), (r"C:\x\a.py", True), ("digits", False),
     ("a.pyc", False), ("a.py:", False), ("my.py.d", False)],
)  # fmt: skip
def test_names_of_files_are_told_from_names_of_recipes(name, is_file):
    assert files.is_file(name) is is_file


def test_a_file_is_read_without_being_run(tmp_path):
    path = written(tmp_path, "raise SystemExit('it ran')\n")
    file = files.read(f"{path}:OTHER")
    assert (file.path, file.variable) == (path, "OTHER")
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_runs_is_what_was_read(tmp_path):
    path = written(tmp_path, "RECIPE = recipe()\n")
    file = files.read(str(path))
    path.write_text("raise ValueError('changed since')")
    assert file.load().name == "small"


@pytest.mark.parametrize(
    ("end", "variable", "name"),
    [("RECIPE = recipe()\n", "RECIPE", "small"), ("OTHER = recipe('o-1')\n", "OTHER", "o-1"),
     ("", "recipe", "small")],
)  # fmt: skip
def test_a_recipe_is_found_by_its_variable_or_made_by_a_function(tmp_path, end, variable, name):
    file = files.read(f"{written(tmp_path, end)}:{variable}")
    assert isinstance(file.load(), Recipe)
    assert file.load().name == name


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", r"mine.py has no RECIPE; assign a minigan.recipes.Recipe"),
        ("RECIPE = 3\n", r"mine.py needs a Recipe named RECIPE"),
        ("RECIPE = Recipe\n", r"mine.py needs a Recipe named RECIPE"),
        ("RECIPE = recipe('../../x')\n", r"'../../x', which can't be the name of a folder"),
        ("1 / 0\n", r"mine.py, line 12: ZeroDivisionError"),
        ("def\n", r"mine.py, line 12: invalid syntax|mine.py, line 12"),
        (
            "import no_such_helper\n",
            r"line 12: there is no module 'no_such_helper'; a recipe is one",
        ),
        ("exec('def')\n", r"mine.py, line 12: SyntaxError: invalid syntax \(<string>, line 1\)"),
        ("RECIPE = lambda: {}['a']\n", r"mine.py, line 12: KeyError: 'a'"),
        ("RECIPE = lambda n: n\n", r"mine.py: .*missing 1 required positional argument"),
        ("x = nn.Linear(2, 'a')\n", r"mine.py, line 12: The out_features of Linear must be"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, end, said):
    with pytest.raises(files.RecipeError, match=said):
        files.read(str(written(tmp_path, end))).load()


def test_a_file_that_ends_the_process_does_not(tmp_path):
    with pytest.raises(files.RecipeError, match="SystemExit"):
        files.read(str(written(tmp_path, "raise SystemExit(0)\n"))).load()


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(files.RecipeError, match=r"There is no recipe file.*recipe new"):
        files.read(str(tmp_path / "none.py"))


# ---------------------------------------------------------------- the file to start from


def test_the_new_file_is_a_recipe_with_this_name(tmp_path):
    path = files.write_new("tiny-cats", tmp_path)
    assert path == tmp_path / "tiny_cats.py"
    recipe = files.read(str(path)).load()
    assert recipe.name == "tiny-cats"
    assert "minigan train tiny_cats.py" in path.read_text()
    assert "my_recipe" not in path.read_text()


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = files.write_new("mine", tmp_path)
    path.write_text("precious")
    with pytest.raises(files.RecipeError, match="exists already"):
        files.write_new("mine.py", tmp_path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden"])
def test_names_that_are_none_are_refused(tmp_path, name):
    with pytest.raises(files.RecipeError, match="can't be the name"):
        files.write_new(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [*((name, f"would hide the module '{name}'") for name in
       ("minigan", "numpy", "random", "PIL", "safetensors", "torch")),
     ("class", "couldn't be imported")],
)  # fmt: skip
def test_a_new_file_that_scripts_would_take_for_a_module_is_refused(tmp_path, name, words):
    with pytest.raises(files.RecipeError, match=words):
        files.write_new(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_on_the_path_of_modules_is_none_that_is_installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    files.require_importable(files.write_new("mine", tmp_path))


def test_the_layer_in_the_new_file_has_right_gradients():
    from minigan.recipes import template

    assert gradcheck.check(
        template.Gain(3), numpy.random.default_rng(0).standard_normal((2, 4, 4, 3))
    ).ok
