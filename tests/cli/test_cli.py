"""The command line from outside: exit statuses, what is printed where, interrupts, evaluation."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

from minigan import data, gan, metrics
from minigan.cli import main
from minigan.plots import read_metrics
from minigan.runs import evaluation, training
from minigan.runs import folder as run_folder
from minigan.runs.folder import open_run

QUICK = ["--steps", "3", "--batch-size", "8", "--frames", "2"]


def test_a_run_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ring", *QUICK]) == 0
    assert main(["train", "ring", *QUICK, "--frames", "0"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    run, second = Path("runs", "ring"), Path("runs", "ring-2")
    assert lines[0] == f"Training ring for 3 steps on cpu; results in {run}"
    assert lines[1].startswith("step 3/3  loss D ")
    done = f"Done. Look at {run / 'samples.png'}, {run / 'losses.png'}"
    assert lines[2] == f"{done} and {run / 'training.gif'}"
    assert lines[-1] == f"Done. Look at {second / 'samples.png'}, {second / 'losses.png'}"
    names = {path.name for path in (tmp_path / "runs" / "ring").iterdir()}
    assert names == {
        "checkpoints",
        "config.json",
        "frames",
        "losses.png",
        "metrics.csv",
        "model.safetensors",
        "samples.png",
        "training.gif",
    }


def test_quiet_is_quiet(tmp_path, capsys):
    assert main(["train", "ring", *QUICK, "--out", str(tmp_path / "r"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_best_checkpoint_is_kept_and_sampled(tmp_path):
    out = str(tmp_path / "r")
    assert (
        main(["train", "ring", *QUICK, "--out", out, "--quiet", "--best", "sliced-wasserstein"])
        == 0
    )
    assert (tmp_path / "r" / "checkpoints" / "best.safetensors").exists()
    assert main(["sample", out, "--checkpoint", "best", "-o", str(tmp_path / "x.png")]) == 0


def test_recipes_are_listed(capsys):
    from minigan import recipes

    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in recipes.names())


def test_the_traceback_is_there_for_those_who_want_it(tmp_path):
    with pytest.raises(ValueError, match="isn't a run"):
        main(["sample", str(tmp_path), "--traceback"])


def test_errors_of_the_system_are_told_in_words(tmp_path, monkeypatch, capsys):
    def fails(*arguments, **options):
        raise PermissionError(13, "Permission denied", "/data/x")

    monkeypatch.setattr(run_folder, "open_run", fails)
    assert main(["sample", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "minigan: /data/x can't be used: permission denied.\n"


def test_numbers_that_are_none_stop_the_run_with_a_sentence(tmp_path, monkeypatch, capsys):
    def nan(self, trainer, report):
        if trainer.step == 3:
            trainer.game.generator.parameters()["0.weight"].value[0, 0] = numpy.nan

    monkeypatch.setattr(gan.Progress, "on_step", nan)
    out = tmp_path / "r"
    with numpy.errstate(all="ignore"):
        assert (
            main(
                [
                    "train",
                    "ring",
                    "--steps",
                    "9",
                    "--batch-size",
                    "8",
                    "--frames",
                    "0",
                    "--out",
                    str(out),
                    "--checkpoint-every",
                    "2",
                ]
            )
            == 2
        )
    said = capsys.readouterr().err.splitlines()[-1]
    good = out / "checkpoints" / "step-00000002.safetensors"
    assert said.startswith("minigan: Training stopped at step 4: the loss of")
    assert "of the generator isn't finite" in said or "of the discriminator isn't finite" in said
    assert said.endswith(
        f"the last good checkpoint is {good}, continue from there with --resume and a smaller --lr."
    )
    assert read_metrics(out / "metrics.csv")["step"].tolist() == [1, 2, 3]
    assert not (out / "model.safetensors").exists()


# ---------------------------------------------------------------- interrupts


@pytest.mark.skipif(
    sys.platform == "win32", reason="another process can't be sent a Ctrl-C of its own there"
)
def test_an_interrupt_ends_the_run_with_everything_written(tmp_path):
    """A real process, a real Ctrl-C; then the run goes on to its end."""
    out = tmp_path / "r"
    command = [
        sys.executable,
        "-m",
        "minigan",
        "train",
        "ring",
        "--out",
        str(out),
        "--steps",
        "100000",
        "--batch-size",
        "8",
        "--frames",
        "0",
        "--checkpoint-every",
        "100000",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 60
        while not (out / "checkpoints" / "step-00000001.safetensors").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert f"with everything saved; continue with `minigan train --resume {out}`." in said
    assert "Traceback" not in said
    step = open_run(out).step
    assert 1 <= step < 100_000
    assert f"Stopped at step {step:,} of 100,000" in said
    assert read_metrics(out / "metrics.csv")["step"][-1] == step
    assert (out / "samples.png").exists()
    assert main(["train", "--resume", str(out), "--steps", str(step + 2), "--quiet"]) == 0
    assert open_run(out).step == step + 2


def test_an_interrupt_elsewhere_is_told(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "open_run", interrupted)
    assert main(["sample", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "minigan: interrupted.\n"


# ---------------------------------------------------------------- evaluation


def test_points_are_evaluated_beside_their_floor(tmp_path, capsys):
    out = tmp_path / "r"
    main(["train", "ring", *QUICK, "--out", str(out), "--quiet"])
    assert main(["evaluate", str(out), "-n", "300", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "floor" in printed
    assert "modes covered, of 8 (one sample)" in printed
    lines = (out / "evaluation.csv").read_text().splitlines()
    assert lines[0] == "metric,value,floor,better,step"
    assert lines[1].startswith('"modes covered, of 8 (one sample)",')
    assert lines[1].endswith(",8,higher,3")


def test_images_are_evaluated_and_their_neighbours_drawn(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.setattr(
        metrics, "classifier_for", lambda train, test, **options: _trained(train, test, options)
    )
    out = tmp_path / "d"
    main(["train", "digits", *QUICK, "--out", str(out), "--quiet"])
    assert main(["evaluate", str(out), "-n", "120"]) == 0
    printed, said = capsys.readouterr()
    assert "LeNet-FD" in printed
    assert "training images of digits (floor): 120" in printed
    assert "test images of digits, a fifth that the nets saw (reference): 120" in printed
    assert "training the classifier: step 4 of 4" in said
    with Image.open(out / "neighbours.png") as picture:
        assert picture.width > picture.height
    with Image.open(out / "copies.png") as picture:
        assert picture.width > picture.height


def test_images_are_evaluated_by_the_test_split_beside_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        metrics, "classifier_for", lambda train, test, **options: _trained(train, test, options)
    )
    digits, out = data.digits(), tmp_path / "d"
    images, labels = digits.batch(numpy.arange(500)), digits.labels[:500]
    arrays = {"x_train": images[:300], "y_train": labels[:300], "x_test": images[300:]}
    for name, more, reference in (
        ("known", {"y_test": labels[300:]}, "known (reference): 120"),
        ("unnamed", {}, "unnamed, a fifth that the nets saw (reference): 60"),
    ):
        numpy.savez(tmp_path / f"{name}.npz", **arrays, **more)
        own = str(tmp_path / f"{name}.npz")
        main(["train", "digits", "--data", own, *QUICK, "--out", str(out / name), "--quiet"])
        assert main(["evaluate", str(out / name), "-n", "120"]) == 0
        assert f"test images of {reference}" in capsys.readouterr()[0]


def _trained(train, test, options):
    return metrics.train_classifier(train, test, steps=4, progress=options["progress"])


def test_images_without_labels_need_no_classifier(tmp_path):
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = numpy.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype="uint8")).save(folder / f"{i}.png")
    run = open_run(
        training.train(
            "digits",
            out=tmp_path / "r",
            data_name=str(folder),
            steps=1,
            batch_size=4,
            frames=0,
            progress=False,
        )
    )
    table = evaluation.evaluate(run, count=10)
    assert table.facts["classifier"] == "none"
    assert [row.metric for row in table.rows][-2:] == [
        "distance to nearest training image, median",
        "samples closer to a training image than test images are",
    ]
