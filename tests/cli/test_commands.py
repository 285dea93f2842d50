"""What all commands have in common: help, errors in one sentence, nothing imported too early."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from minigan import gradcheck, recipes
from minigan.cli import build_parser, main
from minigan.cli.errors import sentence
from minigan.runs import folder as run_folder

COMMANDS = (
    "train",
    "recipes",
    "sample",
    "evaluate",
    "doctor",
    "translate",
    "interpolate",
    "arithmetic",
    "latent",
    "gradcheck",
    "bench",
)


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()


# ---------------------------------------------------------------- help


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    listed = re.findall(r"^    (\w+)\b", capsys.readouterr().out, re.MULTILINE)
    assert listed == [*COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_shows_a_traceback_if_asked(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: minigan {command} [-h]")
    assert "--traceback" in said


def test_a_mistake_is_answered_before_anything_heavy_is_imported():
    code = (
        "import sys, minigan.cli\n"
        "minigan.cli.build_parser()\n"
        "print(*({'numpy', 'matplotlib', 'PIL', 'minigan.nn'} & set(sys.modules)))"
    )
    assert python(code) == []


def test_python_m_minigan_is_the_command():
    code = "import runpy, sys; sys.argv = ['x', '--version']; runpy.run_module('minigan')"
    assert python(code)[0] == "minigan"


# ---------------------------------------------------------------- the settings of `train`


def test_every_setting_is_one_of_the_recipes():
    fields = {field.name for field in dataclasses.fields(recipes.Settings)}
    options = build_parser().parse_args(["train", "ring"])
    assert set(options.settings) <= fields
    assert options.settings["penalties"] == "--penalty"


# ---------------------------------------------------------------- errors


def noted(error, *notes):
    for note in notes:
        error.add_note(note)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Too few."), "Too few."),
        (ValueError("Too few"), "Too few."),
        (
            noted(ValueError("Too few; give 3."), "[layer 1 of 2]", "layer 0 of 4;\n  (4, 2)"),
            "Too few; give 3 [layer 1 of 2] [layer 0 of 4; (4, 2)].",
        ),
        (
            noted(ValueError("a.py, line 3: too few.\n    return 1"), "layer 1 of 2"),
            "a.py, line 3: too few. [layer 1 of 2]\n    return 1",
        ),
        (noted(OSError(2, "No such file", "a"), "b"), "a can't be used: no such file [b]."),
        (OSError("odd"), "odd."),
    ],
)
def test_an_error_and_its_notes_are_one_sentence(error, said):
    assert sentence(error) == said


def test_notes_are_printed(tmp_path, monkeypatch, capsys):
    def fails(path):
        raise noted(ValueError("Too few; give 3."), "layer 1 of 2")

    monkeypatch.setattr(run_folder, "open_run", fails)
    assert main(["doctor", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "minigan: Too few; give 3 [layer 1 of 2].\n"


def test_notes_of_a_layer_of_ones_own_are_printed(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n"
        "    def forward(self, x):\n"
        "        error = ValueError('Too few.')\n"
        "        error.add_note('layer 1 of 2')\n"
        "        raise error\n"
        "    def backward(self, dy, cache): ...\n"
    )
    assert main(["gradcheck", f"{path}:Mine", "--input", "3,2"]) == 2
    assert capsys.readouterr().err == (
        f"minigan: {path}, line 5, in forward: Too few. [layer 1 of 2]\n    raise error\n"
    )


def test_gradcheck_and_bench_fail_as_all_commands_do(tmp_path, capsys):
    for arguments, said in (
        (["gradcheck", "nowhere.py:Mine", "--input", "3"], "there is no file nowhere.py"),
        (["bench", "--recipe", "rnig"], "did you mean 'ring'"),
    ):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("minigan: ")
        assert said in err
        with pytest.raises(ValueError, match=said):
            main([*arguments, "--traceback"])


def test_an_interrupted_check_is_no_traceback(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gradcheck, "check_library", interrupted)
    assert main(["gradcheck"]) == 130
    assert capsys.readouterr().err == "minigan: interrupted.\n"


def test_arguments_come_from_the_command_line_by_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minigan", "recipes"])
    assert main() == 0
    assert "parabola" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp936"])
def test_a_terminal_that_knows_few_characters_is_shown_all_lines(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "minigan", "recipes"], capture_output=True, check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.stdout.decode(encoding).count(" data: ") >= len(recipes.names())


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE on this system")
def test_a_reader_that_has_seen_enough_is_no_error():
    command = subprocess.Popen(
        [sys.executable, "-m", "minigan", "recipes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    command.stdout.close()  # before anything is printed
    assert command.stderr.read() == b""
    command.stderr.close()
    assert command.wait(60) == 141


def test_what_the_first_step_would_refuse_is_refused_before_a_folder_is_made(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--penalty", "gradient-penalty", "--quiet"]) == 2
    assert "BatchNorm" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
