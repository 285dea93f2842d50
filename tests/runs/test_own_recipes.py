"""Runs of a recipe file: its copy, who may run it, and every command, also in another place."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy
import pytest

from minigan import checkpoint
from minigan.cli import main
from minigan.recipes import files
from minigan.runs import trust
from minigan.runs.folder import open_run
from minigan.runs.training import train

SETTINGS = {"steps": 3, "batch_size": 8, "progress": False, "frames": 0}
FLAGS = ["--steps", "3", "--batch-size", "8", "--frames", "0", "--quiet"]


@pytest.fixture
def mine(tmp_path):
    return files.write_new("mine", tmp_path)


@pytest.fixture
def run(tmp_path, mine):
    return train(str(mine), out=tmp_path / "run", **SETTINGS)


def forget():
    trust.store().unlink()


def test_the_run_keeps_a_copy_of_the_file(run, mine):
    assert (run / "recipe.py").read_bytes() == mine.read_bytes()
    told = json.loads((run / "config.json").read_text())["recipe_file"]
    assert told == {"variable": "RECIPE", "sha256": files.read(str(mine)).sha256}


def test_the_run_needs_neither_the_file_nor_its_old_place(run, mine, tmp_path):
    before = open_run(run).sample(4)
    mine.unlink()
    moved = tmp_path / "elsewhere" / "later"
    moved.parent.mkdir()
    shutil.move(run, moved)
    numpy.testing.assert_array_equal(open_run(moved).sample(4), before)


def test_a_resumed_run_is_bit_for_bit_the_one_that_never_stopped(tmp_path, mine):
    whole = train(str(mine), out=tmp_path / "whole", **SETTINGS)
    part = train(str(mine), out=tmp_path / "part", **SETTINGS | {"steps": 2})
    mine.unlink()
    assert main(["train", "--resume", str(part), "--steps", "3", "--quiet"]) == 0
    for name, array in checkpoint.load(whole / "model.safetensors")[0].items():
        resumed = checkpoint.load(part / "model.safetensors")[0][name]
        numpy.testing.assert_array_equal(array, resumed)


COMMANDS = (
    ["sample", "-n", "4", "-o", "{here}/grid.png"],
    ["interpolate", "-o", "{here}/walk.png", "--rows", "1", "--steps", "2"],
    ["arithmetic", "-o", "{here}/sum.png"],
    ["latent", "-o", "{here}/sweep.png"],
    ["doctor"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_asks_first_and_then_remembers(run, tmp_path, command, capsys):
    name, *rest = (part.format(here=tmp_path) for part in command)
    forget()
    marker = tmp_path / "it-ran"
    recipe = run / "recipe.py"
    recipe.write_text(f"open({str(marker)!r}, 'w').close()\n" + recipe.read_text())
    assert main([name, str(run), *rest]) == 2
    said = capsys.readouterr().err
    assert "has never run on this machine" in said
    assert "--trust" in said
    assert said.count("\n") == 1
    assert not marker.exists()
    assert main([name, str(run), *rest, "--trust"]) == 0
    assert marker.exists()
    assert main([name, str(run), *rest]) == 0


def test_resuming_and_configurations_ask_too(run, tmp_path, capsys):
    forget()
    config = ["--config", str(run / "config.json"), "--out", str(tmp_path / "again")]
    for arguments in (["--resume", str(run), "--steps", "4"], config, [*config, "--show-config"]):
        assert main(["train", *arguments, "--quiet"]) == 2
        assert "has never run on this machine" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
    assert main(["train", *config, "--quiet", "--trust"]) == 0
    assert (tmp_path / "again" / "recipe.py").read_bytes() == (run / "recipe.py").read_bytes()


def test_a_changed_copy_is_unknown(run):
    with (run / "recipe.py").open("a") as file:
        file.write("\n# changed\n")
    with pytest.raises(trust.UntrustedRecipe, match="SHA-256"):
        open_run(run)
    assert open_run(run, trust=True).recipe.name == "mine"


def test_the_one_who_is_asked_decides(run):
    forget()
    asked = []
    with pytest.raises(trust.UntrustedRecipe):
        open_run(run, trust=lambda question: bool(asked.append(question)))
    assert str(run / "recipe.py") in asked[0]
    assert "all that you may do" in asked[0]
    assert open_run(run, trust=lambda question: True).recipe.name == "mine"
    assert open_run(run).recipe.name == "mine"


def test_a_list_that_can_t_be_written_only_means_asking_again(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_TRUSTED", str(tmp_path / "mine.py" / "list"))
    assert open_run(run, trust=True).recipe.name == "mine"
    with pytest.raises(trust.UntrustedRecipe):
        open_run(run)


def test_a_config_that_lies_about_the_name_is_refused(run):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"recipe": "other"}))
    with pytest.raises(ValueError, match="run of the recipe 'other', not of 'mine'"):
        open_run(run)


def test_a_run_without_its_copy_says_so(run):
    (run / "recipe.py").unlink()
    with pytest.raises(files.RecipeError, match=r"recipe\.py"):
        open_run(run)


def test_a_mistake_in_the_file_leaves_nothing_behind(tmp_path, mine, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine.write_text(mine.read_text().replace("Linear(LATENT,", "Linear(LATENT + 1,"))
    assert main(["train", "mine.py"]) == 2
    assert capsys.readouterr().err.startswith("minigan: ")
    assert not (tmp_path / "runs").exists()


OWN = """
import dataclasses
from minigan import gan
from minigan.recipes import Settings, Recipe

@dataclasses.dataclass(frozen=True)
class Own(Settings):
    depth: int = 1
    shape: tuple = (1, 2)

class Diary(gan.Callback):
    def __init__(self, path):
        self.path = path
    def on_end(self, trainer):
        self.path.write_text(f"{trainer.step} steps")

class Mine(Recipe):
    def callbacks(self, settings, folder):
        return [Diary(folder / f"diary-{settings.depth}.txt")]

RECIPE = Mine(**{f.name: getattr(RECIPE, f.name) for f in dataclasses.fields(RECIPE)} | {
    "settings": Own(**vars(RECIPE.settings))})
"""


def test_settings_and_callbacks_of_one_s_own(tmp_path, mine, capsys):
    mine.write_text(mine.read_text() + OWN)
    out = tmp_path / "run"
    own = ["--set", "depth=3", "--set", "shape=(4, 5)"]
    assert main(["train", str(mine), "--out", str(out), *FLAGS, *own]) == 0
    assert (out / "diary-3.txt").read_text() == "3 steps"
    settings = open_run(out).settings
    assert (settings.depth, settings.shape) == (3, (4, 5))
    assert main(["train", str(mine), "--set", "dept=3"]) == 2
    assert "'dept'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", str(mine), "--help"])
    assert "Other settings of this recipe, for --set: depth=1" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_is_resumed(tmp_path, mine):
    command = [sys.executable, "-m", "minigan", "train"]
    out = tmp_path / "run"
    long = ["--steps", "100000", "--batch-size", "8", "--checkpoint-every", "1", "--frames", "0"]
    process = subprocess.Popen([*command, str(mine), "--out", str(out), *long, "--quiet"])
    try:
        while not list(out.glob("checkpoints/step-*2.safetensors")) and process.poll() is None:
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    step = max(int(p.stem[5:]) for p in out.glob("checkpoints/step-*.safetensors"))
    assert main(["train", "--resume", str(out), "--steps", str(step + 2), "--quiet"]) == 0
    assert open_run(out).step == step + 2


def test_the_list_of_trusted_files_is_made_with_its_folders(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_TRUSTED", str(tmp_path / "a" / "b" / "list"))
    file = files.read(str(mine))
    assert not trust.is_known(file)
    trust.remember(file)
    assert trust.is_known(file)


# ---------------------------------------------------------------- slips in the file

POINTS = """
import numpy
from minigan import gan, nn
from minigan.recipes import Recipe, Settings

def networks(rng, noise):
    return nn.Sequential(nn.Linear(2, 2, rng=rng)), nn.Sequential(nn.Linear(2, 1, rng=rng))

def made(networks=networks, kind=Recipe, **changes):
    parts = {"name": "points", "title": "t", "source": "s", "data": "ring", "sample_shape": (2,),
             "latent": gan.Latent(2), "networks": networks, "duration": "-",
             "settings": Settings(steps=2, batch_size=8)}
    return kind(**parts | changes)

class Layer(nn.Layer):
    def forward(self, x, *, train=True):
        return x, nn.Cache(self, x)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        cache.recall(self, dy)
        return dy

def with_layer(layer):
    def networks(rng, noise):
        generator = nn.Sequential(nn.Linear(2, 2, rng=rng), layer)
        return generator, nn.Sequential(nn.Linear(2, 1, rng=rng))
    return networks
"""
AFTER = POINTS.count("\n") + 1
"""The number of the first line after these."""
IN_NETWORKS = "def networks(rng, noise): {}\nRECIPE = made(networks)\n"
IN_FORWARD = (
    "class Own(Layer):\n    def forward(self, x, *, train=True): {}\n"
    "RECIPE = made(with_layer(Own()))\n"
)
IN_BACKWARD = (
    "class Own(Layer):\n    def backward(self, dy, cache, **options): {}\n"
    "RECIPE = made(with_layer(Own()))\n"
)
IN_LOAD = "class Own(Recipe):\n    def load(self, name, place): {}\nRECIPE = made(kind=Own)\n"
IN_STREAM = "class Own(Recipe):\n    def stream(self, *parts): {}\nRECIPE = made(kind=Own)\n"
IN_GAME = "class Own(Recipe):\n    def game(self, settings, **how): {}\nRECIPE = made(kind=Own)\n"
IN_FITTED = "class Own(Recipe):\n    def fitted(self, settings): {}\nRECIPE = made(kind=Own)\n"
IN_SUITED = "class Own(Recipe):\n    def suited(self, *parts): {}\nRECIPE = made(kind=Own)\n"
IN_CALLBACKS = "class Own(Recipe):\n    def callbacks(self, *parts): {}\nRECIPE = made(kind=Own)\n"
IN_A_CALLBACK = (
    "class Diary(gan.Callback):\n    def on_step(self, trainer, report): {}\n"
    "class Own(Recipe):\n    def callbacks(self, *parts): return [Diary()]\n"
    "RECIPE = made(kind=Own)\n"
)
SLIPS = [
    ("return nothing", "NameError: name 'nothing' is not defined"),
    ("nn.Liner(2, 2)", "AttributeError: module 'minigan.nn' has no attribute 'Liner'"),
    ("{}['a']", "KeyError: 'a'"),
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("import no_such_helper", "there is no module 'no_such_helper'; a recipe is one file"),
    ("assert False", "AssertionError."),
    ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    ("numpy.zeros(3).reshape(2, 2)", "cannot reshape array of size 3 into shape (2,2)"),
    ("nn.Linear()", "Linear.__init__() missing 2 required positional arguments"),
    ("open('/no/such')", "/no/such can't be used: no such file or directory"),
]


@pytest.fixture
def points(tmp_path, monkeypatch, capsys):
    """Train a recipe in a file that ends in some code; return the status, and what is said."""
    monkeypatch.chdir(tmp_path)

    def run(end, *options):
        path = tmp_path / "points.py"
        path.write_text(POINTS + end)
        status = main(["train", "points.py", "--quiet", "--frames", "0", *options])
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "place",
    [IN_NETWORKS, IN_FORWARD, IN_BACKWARD, IN_LOAD, IN_STREAM, IN_GAME, IN_FITTED, IN_SUITED,
     IN_CALLBACKS, IN_A_CALLBACK],
    ids=["networks", "forward", "backward", "load", "stream", "game", "fitted", "suited",
         "callbacks", "on_step"],
)  # fmt: skip
@pytest.mark.parametrize(("code", "said"), SLIPS[:3])
def test_a_slip_anywhere_in_the_file_is_said_with_its_line(points, place, code, said):
    status, words = points(place.format(code))
    line = AFTER + place.partition("{}")[0].count("\n")
    assert status == 2
    assert words.startswith(f"minigan: points.py, line {line}: {said}")
    assert words.count("\n") == 1
    assert "mistake in minigan" not in words


@pytest.mark.parametrize(("code", "said"), SLIPS)
def test_a_slip_of_any_kind_is_said_with_its_line(points, code, said):
    status, words = points(IN_NETWORKS.format(code))
    assert status == 2
    assert words.startswith(f"minigan: points.py, line {AFTER}: {said}")
    assert words.count("\n") == 1


def test_a_slip_in_a_function_that_makes_the_recipe_is_said_with_its_line(points):
    status, words = points("def RECIPE(): return made(title=no)\n")
    assert (status, f"points.py, line {AFTER}: NameError: name 'no'" in words) == (2, True)


def test_what_minigan_did_not_foresee_names_both_places(points):
    status, words = points(IN_GAME.format("return super().game(3, **how)"))
    assert status == 2
    what = "AttributeError: 'int' object has no attribute 'penalties' (recipe.py, line "
    assert f"points.py, line {AFTER + 1}: {what}" in words
    assert "if your line is right, please report it" in words


def test_a_slip_in_the_copy_of_a_run_is_said_with_its_line(points, tmp_path, capsys):
    assert points("RECIPE = made()\n", "--out", "run")[0] == 0
    copy = tmp_path / "run" / "recipe.py"
    for code in (IN_GAME.format("{}['a']"), IN_FITTED.format("no")):
        copy.write_text(POINTS + code)
        assert main(["sample", "run", "--trust"]) == 2
        words = capsys.readouterr().err
        assert words.startswith(f"minigan: {copy.relative_to(tmp_path)}, line {AFTER + 1}: ")
        assert "damaged" not in words


def test_a_slip_s_traceback_is_there_for_those_who_ask(points):
    with pytest.raises(KeyError):
        points(IN_NETWORKS.format("{}['a']"), "--traceback")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (IN_NETWORKS.format("return nn.Sequential(nn.Tanh(), nn.Tanh())"), "returned Sequential"),
        (IN_NETWORKS.format("return nn.Tanh()"), "networks of the recipe 'points' must return two"),
        (IN_NETWORKS.format("pass"), "must return two nets, .* but returned None"),
        (IN_NETWORKS.format("return nn.Tanh(), nn.Tanh(), 3"), "a tuple of Tanh, Tanh, int"),
        (IN_NETWORKS.format("return nn.Tanh, nn.Tanh"), "a tuple of the class Tanh, the class"),
        (IN_NETWORKS.format("return 'g', 'd'"), "returned a tuple of str, str"),
        (IN_LOAD.format("return numpy.zeros((9, 2))"), "load .* with the method sample.* ndarray"),
        (IN_LOAD.format("pass"), "load of the recipe 'points' must return .* returned None"),
        (
            IN_STREAM.format("return iter([])"),
            "stream .* must return .* but returned list_iterator",
        ),
        (IN_GAME.format("pass"), "game .* must return a game, such as a gan.Game, .* None"),
        (IN_FITTED.format("pass"), "fitted .* must return a recipe, but returned None"),
        (IN_SUITED.format("pass"), "suited .* must return Settings, but returned None"),
        (IN_CALLBACKS.format("pass"), "callbacks of the recipe 'points' must be a list .* None"),
        (IN_CALLBACKS.format("return gan.Callback()"), "must be a list .*, got Callback"),
        (IN_CALLBACKS.format("return [gan.Callback]"), "got a list of the class Callback"),
        (IN_CALLBACKS.format("return [print]"), "got a list of builtin_function_or_method"),
        ("RECIPE = made(networks(None, None))\n", "line 13: .*give the function itself"),
        ("RECIPE = made(settings={'steps': 3})\n", "settings must be Settings, .* got dict"),
        ("RECIPE = made(sample_shape=2)\n", "sample_shape must be a tuple, .* got int"),
        ("RECIPE = made(sample_shape=())\n", "sample_shape must be positive whole numbers"),
        ("RECIPE = made(name=3)\n", "name must be text, got int"),
        ("RECIPE = made(data=None)\n", "data must be the name of a data set, or a path, got None"),
    ],
)
def test_what_the_file_s_functions_must_return_is_said(points, end, said):
    status, words = points(end)
    assert status == 2
    assert re.search(said, words)
    assert words.count("\n") == 1


def test_nets_in_a_list_and_callbacks_from_a_generator_are_fine(points):
    end = (
        "def both(rng, noise): return list(networks(rng, noise))\n"
        "class Own(Recipe):\n    def callbacks(self, *parts): yield gan.Callback()\n"
        "RECIPE = made(both, Own)\n"
    )
    assert points(end) == (0, "")
