"""Whatever is wrong with what the command line is given: one sentence, exit status 2, no traceback,
nothing written.
"""

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy
import pytest
from PIL import Image

from minigan.cli import main
from minigan.data import write_idx
from minigan.runs import training

QUICK = ["--steps", "2", "--quiet", "--frames", "0"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ring"
    return training.train("ring", out=folder, steps=2, batch_size=8, frames=0, progress=False)


def sentence(capsys, *arguments):
    """Run a command that must fail; return what it says."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2, err
    assert out == ""
    assert err.startswith("minigan: ")
    assert err.endswith(".\n")
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err.removeprefix("minigan: ").strip()


def pictures(folder, count, *, sizes=((8, 8),)):
    folder.mkdir()
    rng = numpy.random.default_rng(0)
    for i in range(count):
        height, width = sizes[i % len(sizes)]
        Image.fromarray(rng.integers(0, 256, (height, width), dtype="uint8")).save(
            folder / f"{i:02d}.png"
        )
    return folder


# ---------------------------------------------------------------- data


def test_an_idx_file_with_a_wrong_magic_number(place, capsys):
    (place / "x.idx").write_bytes(b"\x12\x34\x08\x03" + bytes(100))
    said = sentence(capsys, "train", "digits", "--data", "x.idx", *QUICK)
    assert said.startswith("x.idx is not an IDX file: it starts with 12 34 08 03 instead of")
    assert not (place / "runs").exists()


def test_an_idx_file_whose_header_lies(place, capsys):
    (place / "x.idx").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12 + bytes(100))
    assert "but cannot hold them: it is truncated or damaged" in sentence(
        capsys, "train", "digits", "--data", "x.idx", *QUICK
    )


def test_a_truncated_gzip(place, capsys):
    rng = numpy.random.default_rng(0)
    write_idx(place / "x.gz", rng.integers(0, 256, (20, 16, 16), dtype="uint8"))
    (place / "x.gz").write_bytes((place / "x.gz").read_bytes()[:1000])
    said = sentence(capsys, "train", "digits", "--data", "x.gz", *QUICK)
    assert said.startswith("x.gz cannot be read (Compressed file ended before")
    assert said.endswith("download it again.")


def mnist_folder(place, images, labels, **changes):
    folder = place / "mnist"
    folder.mkdir()
    for split in ("train", "t10k"):
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", numpy.zeros((images, 28, 28), "uint8"))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", numpy.zeros(labels, "uint8"))
    return folder


def test_labels_and_images_that_differ_in_number(place, capsys):
    folder = mnist_folder(place, 70, 64)
    said = sentence(capsys, "train", "mnist-mlp", "--data-dir", folder, *QUICK)
    assert "70" in said
    assert "64" in said


def test_a_folder_without_the_files_of_mnist(place, capsys):
    (place / "empty").mkdir()
    said = sentence(capsys, "train", "mnist-mlp", "--data-dir", "empty", *QUICK)
    assert "train-images-idx3-ubyte" in said


def test_a_folder_with_one_broken_picture_is_used_without_it(place, capsys):
    folder = pictures(place / "faces", 70)
    (folder / "33.png").write_bytes((folder / "33.png").read_bytes()[:60])
    loud = [option for option in QUICK if option != "--quiet"]
    assert main(["train", "digits", "--data", str(folder), *loud]) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith(f"1 file passed over: {folder / '33.png'} cannot be read as an image")


def test_a_folder_of_broken_pictures(place, capsys):
    (place / "faces").mkdir()
    (place / "faces" / "33.png").write_bytes(b"no picture")
    said = sentence(capsys, "train", "digits", "--data", "faces", *QUICK)
    assert f"{Path('faces', '33.png')} cannot be read as an image" in said
    assert said.endswith("repair or remove it.")


def test_a_folder_of_mixed_sizes_is_made_to_fit_and_says_so(place, capsys):
    folder = pictures(place / "faces", 10, sizes=((8, 8), (40, 20), (16, 16)))
    assert (
        main(
            [
                "train",
                "digits",
                "--data",
                str(folder),
                "--batch-size",
                "4",
                "--steps",
                "1",
                "--frames",
                "0",
            ]
        )
        == 0
    )
    said = capsys.readouterr().err
    assert "7 images resized from 8x8..40x20 to 16x16" in said
    assert "3 images cropped around the centre" in said
    notes = json.loads((place / "runs" / "digits" / "config.json").read_text())["notes"]
    assert "7 images resized from 8x8..40x20 to 16x16" in notes


def test_a_folder_of_two_pictures(place, capsys):
    folder = pictures(place / "faces", 2)
    said = sentence(capsys, "train", "digits", "--data", folder, *QUICK)
    assert said == "batch_size is 64 but there are only 2 examples: take a smaller batch."
    assert main(["train", "digits", "--data", str(folder), "--batch-size", "2", *QUICK]) == 0


def test_a_batch_larger_than_the_data(place, capsys):
    said = sentence(capsys, "train", "digits", "--batch-size", "5000", *QUICK)
    assert said == "batch_size is 5000 but there are only 1797 examples: take a smaller batch."


def test_an_empty_folder_no_folder_and_a_law_for_images(place, capsys):
    (place / "empty").mkdir()
    assert "contains no images" in sentence(
        capsys, "train", "digits", "--data", place / "empty", *QUICK
    )
    assert "there is no data set, folder or file" in sentence(
        capsys, "train", "digits", "--data", "nowhere", *QUICK
    )
    assert "is a 2-D distribution" in sentence(capsys, "train", "digits", "--data", "ring", *QUICK)
    assert "there is no distribution 'mnist'" in sentence(
        capsys, "train", "ring", "--data", "mnist", *QUICK
    )


def test_compressed_rubbish(place, capsys):
    (place / "x.gz").write_bytes(gzip.compress(b"rubbish"))
    assert "is not an IDX file" in sentence(capsys, "train", "digits", "--data", "x.gz", *QUICK)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--steps", "0", "steps must be a positive integer, got 0"),
        ("--steps", "-5", "steps must be a positive integer, got -5"),
        ("--batch-size", "0", "batch_size must be a positive integer, got 0"),
        ("--lr", "0", "lr_generator must be a positive number, got 0.0"),
        ("--lr", "-0.001", "lr_generator must be a positive number, got -0.001"),
        ("--lr", "nan", "lr_generator must be a positive number, got nan"),
        ("--lr-discriminator", "inf", "lr_discriminator must be a positive number, got inf"),
        ("--beta1", "1", "beta1 must satisfy 0 <= beta1 < 1, got 1.0"),
        ("--beta2", "-0.1", "beta2 must satisfy 0 <= beta2 < 1, got -0.1"),
        ("--average", "1.5", "average must satisfy 0 <= average < 1, got 1.5"),
        ("--smoothing", "0.7", "Label smoothing must satisfy 0 <= smoothing < 0.5, got 0.7"),
        ("--discriminator-steps", "0", "discriminator_steps must be a positive integer, got 0"),
        ("--objective", "hing", "Unknown objective 'hing'; did you mean 'hinge'?"),
        ("--penalty", "r3", "Unknown penalty 'r3'. The penalties are"),
        ("--optimizer", "adamw", "Unknown optimizer 'adamw'"),
        ("--checkpoint-every", "0", "checkpoint_every must be an integer of at least 1, got 0"),
        ("--keep", "0", "keep must be an integer of at least 1, got 0"),
        ("--frames", "-1", "frames must be an integer of at least 0, got -1"),
        (
            "--best",
            "fid",
            "There is no measure 'fid' for the recipe 'digits'; use sliced-wasserstein",
        ),
        ("--best", "high-quality", "There is no measure 'high-quality' for the recipe 'digits'"),
        ("--seed", "-1", "A seed must be an integer of at least 0, got -1"),
        ("--device", "tpu", "Unknown device 'tpu'; use 'auto', 'cpu' or 'cuda'"),
        ("--epochs", "0", "The number of epochs must be positive, got 0"),
        ("--lr", "fast", "argument --lr: invalid float value: 'fast'; see `minigan train --help`"),
        ("--colour", "red", "there is no option --colour; see `minigan train --help`"),
        ("--discriminator-steps", "1000000000", "discriminator_steps must be at most 1,000, got"),
        ("--ranks", f"1{'0' * 30}", "--ranks must be at most 1,000, got 1000"),
        ("--steps", f"1{'0' * 30}", "steps must be at most 1,000,000,000,000, got 1000"),
        ("--data", "", "argument --data: it is empty; give a value, or leave it out; see `minigan"),
        ("--out", "", "argument --out: it is empty; give a value, or leave it out"),
        ("--data-dir", "", "argument --data-dir: it is empty"),
        ("--best", "", "argument --best: it is empty"),
        ("--penalty", "", "argument --penalty: it is empty"),
        ("--data", "~nosuchuser/x", "there is no data set, folder or file '~nosuchuser/x'"),
        ("--init", "~nosuchuser/x", "~nosuchuser/x has no weights to start from"),
    ],
)
def test_options_out_of_range(place, capsys, option, value, words):
    assert words in sentence(capsys, "train", "digits", option, value)
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (10**12, "batch_size must be at most 1,000,000,000, got 1000000000000"),
        (10**5, "A round with batches of 100,000 would take 0."),
    ],
)
def test_a_batch_that_no_memory_holds(place, capsys, monkeypatch, size, words):
    from minigan import memory

    monkeypatch.setattr(memory, "total", lambda: 64.0 * 2**20)
    said = sentence(capsys, "train", "ring", "--batch-size", size)
    assert said.startswith(words)
    assert not (place / "runs").exists()


def test_a_large_batch_for_which_there_is_room(place, capsys):
    options = ["--batch-size", "5000", "--steps", "1", "--frames", "0", "--quiet"]
    assert main(["train", "parabola", *options]) == 0


def test_a_number_of_threads_that_is_none_is_refused_before_anything_is_made(
    place, capsys, monkeypatch
):
    from minigan import backend

    for chosen in ("_team", "_count"):  # another test may have chosen a number
        monkeypatch.setattr(backend.get("cpu"), chosen, None)
    monkeypatch.setenv("MINIGAN_THREADS", "abc")
    said = sentence(capsys, "train", "ring", *QUICK)
    assert said.startswith("The number of threads must be an integer >= 1, got 'abc'")
    assert not (place / "runs").exists()


def test_epochs_of_a_law_that_has_none(place, capsys):
    assert "has no epochs; give --steps instead" in sentence(
        capsys, "train", "ring", "--epochs", "3"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("digit", "digits"), ("mnist_dcgan", "mnist-dcgan"), ("rings", "ring"), ("DIGITS", "digits")],
)
def test_an_unknown_recipe_and_the_nearest(place, capsys, typed, meant):
    said = sentence(capsys, "train", typed)
    assert (
        said
        == f"Unknown recipe {typed!r}; did you mean {meant!r}? `minigan recipes` lists them all."
    )


def test_no_recipe_and_an_unknown_command(place, capsys):
    assert "No recipe was given" in sentence(capsys, "train")
    assert "there is no command 'trian' (did you mean train?)" in sentence(capsys, "trian")


# ---------------------------------------------------------------- folders and files


def test_an_output_that_is_a_file(place, capsys):
    (place / "out").touch()
    assert sentence(capsys, "train", "ring", "--out", "out", *QUICK) == (
        "out is a file, not a folder; give a folder for --out."
    )


def test_an_output_below_a_file(place, capsys):
    (place / "out").touch()
    assert "out" in sentence(capsys, "train", "ring", "--out", "out/run", *QUICK)


def test_an_output_that_holds_something(place, capsys, finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    said = sentence(capsys, "train", "ring", "--out", finished, *QUICK)
    assert said.endswith(f"or continue a run with --resume {finished}.")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


COMMANDS = ["sample", "doctor", "evaluate", "interpolate", "arithmetic", "latent"]


@pytest.mark.parametrize("command", [*COMMANDS, "train --resume"])
def test_a_run_that_is_none(place, capsys, command):
    (place / "empty").mkdir()
    for name in ("empty", "nowhere"):
        assert sentence(capsys, *command.split(), name) == (
            f"{name} isn't a run: it has no config.json; give a folder made by `minigan train`."
        )


@pytest.mark.parametrize(
    "config",
    ["{", "[]", "{}", '{"recipe": 5}', "\xff", "[" * 100_000, '{"recipe": "ring", "settings": 3}'],
)
def test_a_run_whose_config_is_damaged(place, capsys, config):
    (place / "run").mkdir()
    (place / "run" / "config.json").write_text(config, encoding="latin-1")
    assert "the run's folder is damaged, train it again" in sentence(capsys, "doctor", "run")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "x"},
        {"settings": {"steps": -1}},
        {"settings": {"steeps": 1}},
        {"classes": [99]},
        {"classes": ["0"]},
        {"classes": [[0]]},
    ],
)
def test_a_run_whose_config_makes_no_sense(place, capsys, finished, change):
    config = json.loads((finished / "config.json").read_text()) | change
    (place / "run").mkdir()
    (place / "run" / "config.json").write_text(json.dumps(config))
    assert "the run's folder is damaged, train it again" in sentence(capsys, "sample", "run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "-n", "0"], "The number of samples must be positive, got 0"),
        (["sample", "-o", "nowhere/x.png"], f"{Path('nowhere/x.png')} can't be written"),
        (["sample", "-o", "x"], "x doesn't end in .png, .jpg, .jpeg, .pdf or .svg; use .png"),
        (["sample", "--truncation", "0"], "must be at least 0.01"),
        (["sample", "--checkpoint", "best"], "There is no checkpoint"),
        (["sample", "--checkpoint", "77"], "There is no checkpoint"),
        (
            ["interpolate", "--kind", "curly"],
            "Unknown kind of walk 'curly'; use spherical, linear or both",
        ),
        (["interpolate", "--steps", "1"], "two steps"),
        (
            ["arithmetic", "-a", "x"],
            "argument -a/--a: 'x' isn't a list of whole numbers, such as 0,3,5",
        ),
        (["arithmetic", "-a=-2"], "must name at least one of"),
        (["latent", "--sweep", "99"], "coordinates 0 to 1, got 99"),
        (["doctor", "-o", "."], "can't be written"),
        (["sample", "-n", "1000000000"], "A picture can hold 262,144 of these samples, got 1,0"),
        (
            ["sample", "--seed", "-1"],
            "argument --seed: a seed is a whole number of at least 0, got",
        ),
        (["latent", "--seed", "x"], "argument --seed: a seed is a whole number of at least 0, got"),
        (["evaluate", "-n", "0"], "At least two points are needed, got count=0"),
        (["sample", "--truncation", "nan"], "must be at least 0.01"),
        (["sample", "--checkpoint", ""], "argument --checkpoint: it is empty"),
        (["interpolate", "--kind", ""], "argument --kind: it is empty"),
        (["interpolate", "--rows", "1000000000"], "A picture can hold 262,144 of these samples"),
        (["interpolate", "--steps", "1000000000"], "A picture can hold 262,144 of these samples"),
        (["arithmetic", "-a", "1000000000"], "A picture can hold 262,144 of these samples"),
        (["latent", "--sweep", "0", "--steps", "1000000000"], "A picture can hold 262,144"),
        (["latent", "--sweep", "0", "--reach", "inf"], "A sweep needs a positive reach"),
        (["latent", "--levels", "0,1"], "--levels needs a direction to move along"),
        (["latent", "--sweep", "0", "--levels", "0"], "--levels needs a direction to move along"),
        (["latent", "--reach", "2"], "--reach needs something to draw; add --sweep"),
        (["latent", "--steps", "3"], "--steps needs something to draw; add --sweep"),
    ],
)
def test_bad_requests_to_a_run(place, capsys, finished, arguments, words):
    assert words in sentence(capsys, arguments[0], finished, *arguments[1:])
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ring"], "Both a recipe and --resume were given"),
        (["--seed", "3"], "--seed can't be changed together with --resume"),
        (["--batch-size", "3"], "--batch-size can't be changed together with --resume"),
        (["--objective", "hinge"], "--objective can't be changed together with --resume"),
        (["--data", "grid"], "--data can't be changed together with --resume"),
        (["--data", "nowhere"], "there is no distribution 'nowhere'"),
        (["--steps", "1"], "is already at step 2"),
    ],
)
def test_what_resuming_cannot_change(place, capsys, finished, arguments, words):
    assert words in sentence(capsys, "train", "--resume", finished, "--quiet", *arguments)


def test_a_model_of_another_recipe(place, capsys, finished):
    other = training.train(
        "parabola", out=place / "other", steps=1, batch_size=8, frames=0, progress=False
    )
    (other / "model.safetensors").write_bytes((finished / "model.safetensors").read_bytes())
    assert "is from the recipe 'ring', but the run trains 'parabola'" in sentence(
        capsys, "sample", other
    )
    from minigan import checkpoint

    path = finished / "model.safetensors"
    arrays, about = checkpoint.load(path)
    damaged = {name: array.copy() for name, array in arrays.items()}
    next(iter(damaged.values()))[0] = numpy.nan
    shutil.copytree(finished, place / "nan")
    checkpoint.save(place / "nan" / "model.safetensors", damaged, about)
    assert "holds NaN or infinity in" in sentence(capsys, "sample", place / "nan")
    (other / "model.safetensors").write_bytes(b"short")
    assert "truncated or not a safetensors file" in sentence(capsys, "sample", other)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--tolerance", "inf", "The tolerance must be > 0 and < 1, got inf"),
        ("--tolerance", "nan", "The tolerance must be > 0 and < 1, got nan"),
        ("--tolerance", "0", "The tolerance must be > 0 and < 1, got 0.0"),
        ("--time-limit", "nan", "The limit of seconds must be a positive number, got nan"),
        ("--time-limit", "inf", "The limit of seconds must be a positive number, got inf"),
        ("--input", "", "argument --input: it is empty"),
        ("--labels", "0", "--labels must be a number from 1 to 2,147,483,648, got 0"),
        ("--labels", f"1{'0' * 30}", "--labels must be a number from 1 to"),
    ],
)
def test_a_gradient_check_that_would_mean_nothing(place, capsys, option, value, words):
    (place / "mine.py").write_text("from minigan import nn\nlayer = nn.Linear(3, 2)\n")
    said = sentence(capsys, "gradcheck", "mine.py:layer", "--input", "2,3", option, value)
    assert words in said


@pytest.mark.parametrize("count", ["-1", "1"])
def test_too_few_samples_to_evaluate_are_refused_before_any_work(place, capsys, count):
    said = sentence(capsys, "evaluate", "pretrained:digits", f"-n{count}")
    assert said.endswith(f"At least two samples are needed to evaluate a run, got count={count}.")


# ---------------------------------------------------------------- the files of a run


@pytest.fixture
def run(place, finished):
    shutil.copytree(finished, place / "run")
    return place / "run"


def test_a_run_of_somebody_elses_recipe_is_not_called_damaged(run, capsys):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"recipe": "mine"}))
    said = sentence(capsys, "sample", run)
    assert "names the recipe 'mine', which isn't one of minigan's; if it is your own, open" in said
    assert "damaged" not in said


def test_a_config_that_cannot_be_opened_is_not_called_damaged(run, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    said = sentence(capsys, "doctor", run)
    assert said == f"{run / 'config.json'} can't be used: permission denied."


def test_a_checkpoint_that_cannot_be_opened_is_not_called_truncated(run, capsys, monkeypatch):
    real = Path.open

    def refuse(path, *arguments, **options):
        if path.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    said = sentence(capsys, "sample", run)
    assert said.endswith(
        "can't be opened: permission denied; make it readable, or use another one."
    )


HEAD = "step,loss_d,d_real,d_fake,loss_g,diversity,reach\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "cannot read"),
        ("", "has no header"),
        (HEAD.replace("step", "stop") + "1,1,1,1,1,1,1\n", "has no column 'step'"),
        (HEAD + "1,1,1,1,1,1,1\n,1,1,1,1,1,1\n", "has a row whose step isn't a number"),
        (HEAD + "1e400,1,1,1,1,1,1\n", "has a row whose step isn't a number"),
        (HEAD + "1,1,1,1,1,1\n", "has 6 cells where the header names 7 columns"),
        (HEAD + f"1,{'9' * 200_000},1,1,1,1,1\n", "can't be read as a table"),
        (HEAD + "1,\0,1,1,1,1,1\n", "which needs a number"),
        (HEAD + "1,many,1,1,1,1,1\n", "has 'many' in the column 'loss_d'"),
    ],
)
def test_a_table_that_is_damaged(run, capsys, table, words):
    (run / "metrics.csv").unlink()
    if table is not None:
        (run / "metrics.csv").write_text(table)
    assert words in sentence(capsys, "doctor", run)


@pytest.mark.parametrize("missing", ["loss_d", "d_real", "loss_g", "diversity", "reach"])
def test_a_table_without_a_column_is_diagnosed_from_the_others(run, capsys, missing):
    rows = "".join(f"{step},1.4,0.5,0.5,0.7,1,1\n" for step in range(1, 301))
    (run / "metrics.csv").write_text(HEAD.replace(missing, "other") + rows)
    assert main(["doctor", str(run)]) == 0
    assert "300 steps" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_pipes_in_the_place_of_files_are_not_waited_for(run, capsys):
    for name in ("metrics.csv", "model.safetensors", "config.json"):
        (run / name).unlink()
        os.mkfifo(run / name)
        sentence(capsys, "doctor" if name == "metrics.csv" else "sample", run)


def test_an_evaluation_that_cannot_be_kept_is_printed(run, capsys, monkeypatch):
    from minigan.runs import evaluation

    def refuse(path, text):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(evaluation, "_write", refuse)
    assert main(["evaluate", str(run), "-n", "50"]) == 0
    out, err = capsys.readouterr()
    assert "high-quality samples" in out
    assert f"{run / 'evaluation.csv'} can't be written: Read-only file system." in err
    assert "Kept" not in err


def test_only_what_was_written_is_named_after_an_evaluation(run, capsys, monkeypatch):
    from minigan.runs import evaluation

    def refuse(path, *pictures):
        raise OSError(30, "Read-only file system", str(path.with_name(".copies-0.png")))

    training.train(
        "digits", out=run / "d", steps=1, batch_size=8, frames=0, progress=False,
        data_name=str(pictures(run / "p", 20)),
    )  # fmt: skip
    for name in ("evaluation.csv", "copies.png"):
        (run / "d" / name).touch()
    monkeypatch.setattr(evaluation, "draw_copies", refuse)
    assert main(["evaluate", str(run / "d"), "-n", "8"]) == 0
    err = capsys.readouterr().err
    assert f"{run / 'd' / 'copies.png'} can't be written: Read-only file system." in err
    kept = f"Kept in {run / 'd'}: neighbours.png, evaluation.csv (the earlier one was replaced)"
    assert err.splitlines()[-1] == kept
