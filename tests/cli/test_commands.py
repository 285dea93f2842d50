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
from minigan.runs import training

COMMANDS = (
    "train",
    "recipes",
    "recipe",
    "runs",
    "sample",
    "evaluate",
    "doctor",
    "translate",
    "interpolate",
    "arithmetic",
    "latent",
    "mix",
    "project",
    "export",
    "gradcheck",
    "learn",
    "play",
    "bench",
    "completion",
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


def test_without_a_command_it_says_hello_and_three_commands(capsys):
    assert main([]) == 0
    commands = re.findall(r"^  minigan (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert commands == ["train", "recipes", "--help"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["trian"], "there is no command 'trian' (did you mean train?); see `minigan --help`."),
        (["--verson"], "there is no option --verson (did you mean --version?); see `minigan"),
        (["train", "x", "--stps=4"], "--stps=4 (did you mean --steps?); see `minigan train --h"),
        (["train", "x", "--qqq", "4"], "there is no option --qqq; see `minigan train --help`."),
        (["learn", "chek"], "there is no command 'chek' (did you mean check?)"),
        (["completion", "bsh"], "there is no choice 'bsh' (did you mean bash?)"),
        (["completion", "tcsh"], "'tcsh' (choose from"),
        (["train", "x", "y"], "unrecognized arguments: y"),
    ],
)
def test_what_is_spelt_alike_is_suggested(command, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--image-size", "32"], "'digits' has no setting 'image_size'; there is one in dcgan"),
        (["--set", "stps=3"], "Unknown setting 'stps'; did you mean 'steps'? The settings are"),
        (["--set", "qqq=3"], "Unknown setting 'qqq'; the settings are average"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--show-config"]])
def test_a_setting_that_the_recipe_does_not_have(options, said, more, capsys):
    assert main(["train", "digits", *options, *more]) == 2
    assert said in capsys.readouterr().err


def test_each_command_has_one_line_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"    {c} ") for line in lines) for c in COMMANDS)


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_many_options_stand_in_groups(command, capsys):
    """Beside what every command has, no group is longer than a reader can take in."""
    groups = help_of(capsys, command).split("\n\n")
    longest = max(len(re.findall(r"^  -", group, re.MULTILINE)) for group in groups)
    assert longest <= (16 if command == "train" else 6)


def test_the_help_of_a_recipe_has_its_own_defaults(capsys):
    shown = help_of(capsys, "train", "digits")
    assert "handwritten digits of 16x16 pixels" in shown
    assert "rounds of the game (default: 3000)" in shown
    assert "learning rate of the generator (default: 0.001)" in shown
    assert "(default: digits)" in shown
    assert "grey pictures (default: off)" in help_of(capsys, "train", "dcgan")
    assert "(default: 3000)" not in help_of(capsys, "train")


def test_the_help_lists_everything_that_can_be_chosen(capsys):
    from minigan.gan import OBJECTIVES, WAYS

    shown = help_of(capsys, "train").replace("- ", "-")
    assert all(name in shown for name in (*OBJECTIVES, *WAYS))
    assert "..." not in shown
    assert "{" not in shown


def test_the_help_of_an_unknown_recipe_is_an_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "digit", "--help"])
    assert stop.value.code == 2
    assert "did you mean 'digits'?" in capsys.readouterr().err


def test_a_name_that_resembles_nothing_gets_no_suggestion(capsys):
    options = (
        ["xyzzy"],
        *(["ring", flag, "xyzzy"] for flag in ("--objective", "--penalty", "--schedule")),
    )
    for arguments in options:
        assert main(["train", *arguments]) == 2
        said = capsys.readouterr().err
        assert "'xyzzy'. " in said
        assert "did you mean" not in said


# ---------------------------------------------------------------- recipe new, completion


def test_a_new_recipe_is_written_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "new", "tiny-cats"]) == 0
    assert "minigan train tiny_cats.py" in capsys.readouterr().out
    before = (tmp_path / "tiny_cats.py").read_text()
    assert main(["recipe", "new", "tiny-cats"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "tiny_cats.py").read_text() == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["minigan", "tra"], "train"),
        (["minigan", "train", "fashion"], "fashion-dcgan"),
        (["minigan", "train", "digits", "--checkpoint"], "--checkpoint-every"),
        (["minigan", "completion", "fi"], "fish"),
    ],
)
def test_bash_completes(words, offered, capsys):
    assert main(["completion", "bash"]) == 0
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _minigan; echo ${{COMPREPLY[@]}}"
    script = f"{capsys.readouterr().out}\n{asked}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert offered in done.stdout.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "--checkpoint-every" in script
    assert "fashion-dcgan" in script


# ---------------------------------------------------------------- the settings of `train`


def test_every_setting_is_one_of_the_recipes():
    classes = {type(recipes.get(name).settings) for name in recipes.names()}
    fields = {field.name for each in classes for field in dataclasses.fields(each)}
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
    def fails(path, **options):
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
    assert main(["gradcheck", f"{path}:Mine", "--input", "3,2"]) == 1
    assert capsys.readouterr().out == (
        f"Mine: {path}, line 5, in forward: Too few.\n    raise error\n\nGradient check of Mine\n"
        f"{path}, line 5, in forward: Too few\nNote: layer 1 of 2.\n"
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


RING = ["train", "ring", "--steps", "2", "--batch-size", "8", "--frames", "2", "--out", "r"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE on this system")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["recipes"], 141),
        (["gradcheck", "--samples", "2"], 141),
        (["--help"], 0),
        (["train", "--help"], 0),
        (["--version"], 0),
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(arguments, status):
    command = subprocess.Popen(
        [sys.executable, "-m", "minigan", *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    command.stdout.close()  # before anything is printed
    said = command.stderr.read()
    command.stderr.close()
    assert said == b""
    assert command.wait(60) in (status, 120)  # Python's own, of a flush that failed at the exit


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE on this system")
def test_nobody_who_listens_to_the_progress_is_no_error(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "minigan", *RING], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as command:  # fmt: skip
        command.stdout.close()
        assert command.wait(60) == 141


@pytest.mark.skipif(os.name == "nt", reason="a shell closes streams otherwise there")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_error(tmp_path, closed):
    line = f'"{sys.executable}" -m minigan {" ".join(RING)} {closed}'
    assert subprocess.run(line, shell=True, cwd=tmp_path).returncode == 0
    assert (tmp_path / "r" / "training.gif").exists()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "rubbish"])
def test_the_backend_of_a_notebook_is_nothing_to_a_command(tmp_path, backend):
    """It is inherited from the kernel by every command that a cell starts."""
    environment = os.environ | {"MPLBACKEND": backend}
    for arguments in (RING, ["sample", "r"], ["doctor", "r"], ["interpolate", "r"]):
        done = subprocess.run(
            [sys.executable, "-m", "minigan", *arguments], cwd=tmp_path, env=environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    made = {path.name for path in (tmp_path / "r").iterdir()}
    assert {"losses.png", "samples.png", "training.gif", "doctor.png"} <= made


def test_what_the_first_step_would_refuse_is_refused_before_a_folder_is_made(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--penalty", "gradient-penalty", "--quiet"]) == 2
    assert "BatchNorm" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_cannot_be_drawn_are_no_surprise_after_the_last_step(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError):
        training.train("ring", out=tmp_path / "r", steps=2, batch_size=8, progress=False)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- pictures that exist already


def test_a_replaced_picture_is_mentioned_and_quiet_is_quiet(tmp_path, capsys):
    run, grid = str(tmp_path / "run"), str(tmp_path / "grid.png")
    quick = ["--steps", "2", "--batch-size", "8", "--frames", "0", "--quiet"]
    assert main(["train", "digits", *quick, "--out", run]) == 0
    commands = (
        ["sample", run, "-n", "4"],
        ["interpolate", run, "--rows", "1", "--steps", "2"],
        ["arithmetic", run],
        ["latent", run, "--sweep", "0"],
    )
    for name, *rest in commands:
        (tmp_path / "grid.png").unlink(missing_ok=True)
        said = []
        for extra in ([], [], ["--quiet"]):
            assert main([name, *rest, "-o", grid, *extra]) == 0
            said.append(capsys.readouterr())
        assert "earlier one" not in said[0].out
        several = name == "interpolate"  # a film beside the picture
        assert f"(the earlier {'ones were' if several else 'one was'} replaced)" in said[1].out
        assert said[2] == ("", "")


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (["doctor"], "one was"),
        (["doctor", "-o", "x.png"], "one was"),
        (["evaluate", "-n", "50"], "one was"),
        (["export", "--torch", "-o", "g.py"], "ones were"),
    ],
)
def test_other_files_that_are_replaced_are_mentioned(command, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ring", "--steps", "2", "--batch-size", "8", "--frames", "0",
                 "--quiet", "--out", "run"]) == 0  # fmt: skip
    for said in ("", f"(the earlier {files} replaced)"):
        assert main([command[0], "run", *command[1:]]) == 0
        out, err = capsys.readouterr()
        assert ("replaced" in out + err) == bool(said)
        assert said in out + err
    assert main([command[0], "run", *command[1:], "--quiet"]) == 0
    assert "replaced" not in "".join(capsys.readouterr())
