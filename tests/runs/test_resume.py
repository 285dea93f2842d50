"""A run that is stopped, killed or moved, and goes on: bit for bit the unbroken one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from zoo_files import noise

from minigan import checkpoint, data, gan, recipes
from minigan.cli import main
from minigan.runs import resuming, training, watching
from minigan.runs.assembly import assemble
from minigan.runs.folder import open_run

SMALL = ["--quiet", "--batch-size", "8", "--frames", "0"]

# ---------------------------------------------------------------- every recipe's state


def fake_data(recipe):
    if recipe.makes_text:
        return data.text(recipe.data)
    if not recipe.makes_images:
        return data.distribution(recipe.data)
    rng = numpy.random.default_rng(0)
    return noise(recipe, 10, rng.integers(0, 10, 10), rng)


def assembled(name, *penalties):
    recipe = recipes.get(name)
    more = {"penalties": penalties} if penalties else {}
    settings = recipe.settings.changed(steps=4, batch_size=4, average=0.9, **more)
    return assemble(recipe, settings, fake_data(recipe), seed=3)


SALIMANS = ["historical-averaging", "virtual-batch-norm:3", "minibatch-discrimination:4"]


@pytest.mark.parametrize(
    ("name", "penalties"),
    [*[(name, []) for name in recipes.names()], ("digits", SALIMANS), ("acgan-digits", SALIMANS)],
)
def test_the_state_of_every_recipe_is_whole(name, penalties, tmp_path):
    """Two steps, a file, and two steps of a newly made trainer: the state of four steps, to the
    last bit.
    """
    whole, first, second = (assembled(name, *penalties).trainer for _ in range(3))
    whole.run(4)
    first.run(2)
    checkpoint.save(tmp_path / "x.safetensors", *first.state())
    # Whatever isn't in the file must not matter.
    second.train_step()
    second.load_state(*checkpoint.load(tmp_path / "x.safetensors"))
    second.run(4)
    (arrays, meta), (expected, expected_meta) = second.state(), whole.state()
    assert meta == expected_meta
    assert arrays.keys() == expected.keys()
    for key, array in expected.items():
        assert array.tobytes() == arrays[key].tobytes(), key


def test_the_state_of_other_nets_is_refused():
    ring, digits = assembled("ring").trainer, assembled("digits").trainer
    with pytest.raises(ValueError, match=r"."):
        ring.load_state(*digits.state())
    arrays, meta = ring.state()
    with pytest.raises(ValueError, match="other random generators"):
        ring.load_state(arrays, meta | {"rng": {}})


# ---------------------------------------------------------------- kills

ZYGOTE = """
import json, os, re, signal, sys
import minigan.cli, minigan.runs.resuming, minigan.plots.losses, minigan.plots.points, matplotlib.figure
import matplotlib.backends.backend_agg, PIL.PngImagePlugin, safetensors.numpy

CHANGES = {
    "open": lambda path, mode, flags: flags & os.O_CREAT,
    "os.mkdir": lambda path, *rest: not os.path.exists(path),
    "os.rename": lambda *rest: True,
    "os.remove": lambda path, *rest: os.path.exists(path),
}

def die_at_a_new_moment(folder, deaths):
    met, dying = open(deaths).read().splitlines(), False

    def hook(event, about):
        nonlocal dying
        if dying or event not in CHANGES or not str(about[0]).startswith(folder) or not CHANGES[event](*about):
            return
        name = re.sub("-[0-9a-f]{12}", "", os.path.relpath(about[event == "os.rename"], folder))
        moment = f"{event} {name} after {newest()}"
        if moment not in met:
            dying = True
            if event == "os.rename":
                os.truncate(about[0], os.path.getsize(about[0]) // 2)
            elif event == "open" and about[2] & os.O_APPEND:
                with open(about[0], "a") as file:
                    file.write("99,0.")
            with open(deaths, "a") as file:
                file.write(moment + chr(10))
            os.kill(os.getpid(), signal.SIGKILL)

    def newest():
        place = os.path.join(folder, "checkpoints")
        names = os.listdir(place) if os.path.isdir(place) else []
        return max((int(name[5:13]) for name in names if name.startswith("step-")), default=0)

    sys.addaudithook(hook)

for line in sys.stdin:
    arguments, *death = json.loads(line)
    pid = os.fork()
    if pid == 0:
        if death:
            die_at_a_new_moment(*death)
        os._exit(minigan.cli.main(arguments))
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Processes:
    """Real processes, each running one command; forked from one that has imported everything, to
    spare seconds.

    One may be given a folder and a list of moments: it kills itself (SIGKILL) right before the
    first change in the folder that isn't in the list yet, and adds it. A change is a file made,
    added to, renamed or deleted, and the checkpoint that it comes after. All that a killed process
    leaves are its files, and they differ only by these changes; so all moments are gone through
    that there are. What is half done is left at its worst: half of the file that was to be renamed,
    half a row of a table."""

    def __init__(self):
        self.parent = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments, *death):
        """Return the status of the command's process; `death` is the folder and the file of
        moments.
        """
        self.parent.stdin.write(json.dumps([[str(a) for a in arguments], *map(str, death)]) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def close(self):
        self.parent.stdin.close()
        self.parent.stdout.close()
        assert self.parent.wait(60) == 0


@pytest.fixture
def processes():
    started = Processes()
    yield started
    started.close()


def newest(folder):
    found = gan.list_checkpoints(folder / "checkpoints")
    return int(found[-1].stem.removeprefix("step-")) if found else 0


def kill_and_resume(processes, folder, command, moments):
    """Kill a run at a moment, what goes on with it at another, until there is no new one and it
    ends by itself.
    """
    moments.touch()
    while True:
        begun = (folder / "config.json").is_file()
        status = processes.run(
            ["train", "--resume", folder, "--quiet"] if begun else command, folder, moments
        )
        if status == 0:
            return moments.read_text().splitlines()
        assert status == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    ("recipe", "more", "writes"),
    [
        ("ring", ["--best", "high-quality"], {"checkpoints/best.safetensors after 0"}),
        ("digits", ["--frames", "2"], {"frames/step-00000002.png after 1", "training.gif after 3"}),
    ],
)
def test_a_run_killed_at_every_moment_ends_as_the_unbroken_one(
    tmp_path, processes, recipe, more, writes
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = [
        *SMALL,
        "--steps",
        "3",
        "--checkpoint-every",
        "1",
        "--keep",
        "2",
        "--seed",
        "5",
        *more,
    ]
    assert processes.run(["train", recipe, "--out", whole, *options]) == 0
    met = kill_and_resume(
        processes, broken, ["train", recipe, "--out", broken, *options], tmp_path / "moments"
    )
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    # Nothing half written stays behind either.
    assert sorted(path.relative_to(broken) for path in broken.rglob("*") if path.is_file()) == files
    for name in files:
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name

    writes = {
        *writes,
        "config.json after 0",
        *(f"checkpoints/step-{n + 1:08d}.safetensors after {n}" for n in range(3)),
    }
    writes |= {f"{name} after 3" for name in ("model.safetensors", "samples.png", "losses.png")}
    assert {f"os.rename {name}" for name in writes} <= set(met)
    assert {
        "os.remove checkpoints/step-00000001.safetensors after 3",
        "open metrics.csv after 2",
    } <= set(met)


# ---------------------------------------------------------------- what can stand in the way


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ring"
    training.train(
        "ring", out=folder, steps=6, batch_size=8, frames=0, checkpoint_every=2, progress=False
    )
    return folder


@pytest.fixture
def run(finished, tmp_path):
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "run"))


def resumed(folder, **options):
    said = []
    resuming.resume(folder, progress=False, say=said.append, **options)
    return said


def test_a_damaged_checkpoint_is_skipped_for_an_older_one(run):
    expected = (run / "model.safetensors").read_bytes()
    newest = run / "checkpoints" / "step-00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:-5])
    said = resumed(run)
    assert said[0].startswith("Skipping step-00000006.safetensors")
    assert "at step 4 of 6 from step-00000004.safetensors" in said[1]
    assert (run / "model.safetensors").read_bytes() == expected


def test_a_damaged_frame_is_left_out_of_the_film(tmp_path):
    folder = tmp_path / "run"
    training.train("digits", out=folder, steps=2, batch_size=8, frames=2, progress=False)
    (folder / "training.gif").unlink()
    frame = folder / "frames" / "step-00000001.png"
    frame.write_bytes(frame.read_bytes()[:100])
    said = resumed(folder, steps=3)
    assert [f"{frame} can't be read (" in words for words in said].count(True) == 1
    assert (folder / "training.gif").is_file()
    assert (folder / "losses.png").is_file()


def test_a_damaged_table_does_not_end_a_finished_run(run, monkeypatch):
    def damaged(path):
        raise ValueError("line 3 has 'x'")

    monkeypatch.setattr("minigan.plots.read_metrics", damaged)
    assert "losses.png can't be drawn: line 3 has 'x'" in resumed(run, steps=7)


def test_what_computes_is_recorded_and_a_change_is_said(run):
    from minigan import backend

    here = {"variant": backend.get("cpu").describe(), "threads": backend.get("cpu").threads}
    config = json.loads((run / "config.json").read_text())
    assert config["engine"] == here
    assert not any("was computed by" in words for words in resumed(run, steps=7))
    for other, name in (
        (here | {"threads": 7}, f"{here['variant']} on 7 threads"),
        ({"variant": "an abacus", "threads": 1}, "an abacus on 1 thread,"),
    ):
        (run / "config.json").write_text(json.dumps(config | {"engine": other}))
        said = [words for words in resumed(run, steps=7) if "was computed by" in words]
        assert len(said) == 1
        assert name in said[0]
        assert json.loads((run / "config.json").read_text())["engine"] == here
    config.pop("engine")  # a run of an earlier version
    (run / "config.json").write_text(json.dumps(config))
    assert not any("was computed by" in words for words in resumed(run, steps=7))


def test_a_damaged_checkpoint_never_drives_out_a_good_one(run):
    newest = run / "checkpoints" / "step-00000006.safetensors"
    newest.write_bytes(b"")
    with pytest.raises(ValueError, match="enough"):
        resumed(run, keep=1, checkpoint_every=1, callbacks=[Fails(6)])
    assert [path.name for path in gan.list_checkpoints(newest.parent)] == [
        "step-00000005.safetensors",
        newest.name,
    ]
    assert "from step-00000005" in resumed(run)[1]


class Fails(gan.Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            raise ValueError("enough")


def test_when_every_checkpoint_is_damaged_the_first_reason_is_told(run):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        checkpoint.CheckpointError, match=r"No checkpoint of .* can be used: .*truncated"
    ):
        resumed(run)


def test_a_checkpoint_of_another_recipe_and_one_of_another_seed(run, tmp_path):
    others = []
    for recipe, seed in (("parabola", 0), ("ring", 1)):
        other = training.train(
            recipe,
            out=tmp_path / f"{recipe}{seed}",
            seed=seed,
            steps=7,
            batch_size=8,
            frames=0,
            checkpoint_every=7,
            progress=False,
        )
        others.append((other / "checkpoints" / "step-00000007.safetensors").read_bytes())
    for i, content in enumerate(others):
        (run / "checkpoints" / f"step-0000000{7 + i}.safetensors").write_bytes(content)
    said = resumed(run)
    assert "seed 1, here 0" in said[0]
    assert "recipe 'parabola', here 'ring'" in said[1]
    assert "from step-00000006" in said[2]


def test_a_checkpoint_whose_description_lacks_its_parts_is_skipped(run):
    arrays, meta = checkpoint.load(run / "checkpoints" / "step-00000006.safetensors")
    for i, trainer in enumerate(
        ([], {}, meta["trainer"] | {"rng": {"latents": 5}}, meta["trainer"] | {"step": {}})
    ):
        path = run / "checkpoints" / f"step-0000001{i}.safetensors"
        checkpoint.save(path, arrays, meta | {"trainer": trainer})
    said = resumed(run)
    assert len([words for words in said if words.startswith("Skipping")]) == 4
    assert "from step-00000006" in said[-1]


def test_a_run_killed_before_its_first_checkpoint_begins_anew(run):
    expected = (run / "model.safetensors").read_bytes()
    for path in [*(run / "checkpoints").iterdir(), run / "model.safetensors"]:
        path.unlink()
    assert "from the start" in resumed(run)[0]
    assert (run / "model.safetensors").read_bytes() == expected


def test_a_run_of_a_gpu_goes_on_on_the_cpu_when_told_to(run, monkeypatch):
    monkeypatch.setattr("minigan.backend.devices._cuda_answers", lambda: "no CUDA driver answers")
    config = json.loads((run / "config.json").read_text()) | {"device": "cuda"}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"no CUDA driver answers.*add --device cpu"):
        resumed(run)
    said = resumed(run, device="cpu", steps=8)
    assert "started on cuda: on cpu, the last bits will differ" in said[0]
    assert open_run(run).step == 8


def test_how_a_gpu_computes_is_kept_there_and_dropped_on_the_cpu(run):
    config = dataclasses.replace(
        open_run(run).config, device="cuda", computing={"cuda_graph": True, "precision": "tf32"}
    )
    kept = resuming._computing(config, "cuda", cuda_graph=None, precision=None)
    assert kept == {"cuda_graph": True, "precision": "tf32"}
    assert (
        resuming._computing(config, "cuda", cuda_graph=None, precision="float32")["precision"]
        == "float32"
    )
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    resumed(run, device="cpu", steps=7)
    assert open_run(run).config.computing == {"cuda_graph": None, "precision": "float32"}


def test_another_version_is_mentioned(run):
    config = json.loads((run / "config.json").read_text())
    config["versions"]["numpy"] = "0.9"
    (run / "config.json").write_text(json.dumps(config))
    assert "another version" in resumed(run)[0]


def test_a_run_can_be_made_longer_and_slower_but_not_shorter(run):
    resumed(run, steps=9, lr_generator=1e-5)
    opened = open_run(run)
    assert (opened.step, opened.settings.steps, opened.settings.lr_generator) == (9, 9, 1e-5)
    # The recipe's rates fall linearly to 0: now at the longer run's end.
    for step, rate in {8: 1e-5 / 9, 9: 0.0}.items():
        arrays, _ = checkpoint.load(run / "checkpoints" / f"step-{step:08}.safetensors")
        assert float(arrays["generator_optimizer/lr"]) == pytest.approx(rate)
    with pytest.raises(ValueError, match="is already at step 9"):
        resumed(run, steps=5)


def test_what_is_written_how_often_stays_as_the_run_was_started(run):
    resumed(run, keep=1, best="sliced-wasserstein")
    watching = open_run(run).config.watching
    assert (watching["checkpoint_every"], watching["keep"], watching["frames"]) == (2, 1, 0)
    assert watching["best"] == "sliced-wasserstein"
    resumed(run, steps=8)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "best.safetensors", "step-00000008.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("which", ["best", "4", None])
def test_samples_of_a_checkpoint(run, which):
    resumed(run, best="high-quality")
    resumed(run, steps=8)
    opened = open_run(run)
    generator, _ = opened.networks(which)
    file = {"best": "best", "4": "step-00000004"}.get(which)
    path = run / "checkpoints" / f"{file}.safetensors" if file else run / "model.safetensors"
    arrays = checkpoint.load(path)[0]
    expected = checkpoint.under("average", arrays)
    expected = expected.get("net.0.weight", expected.get("0.weight"))
    numpy.testing.assert_array_equal(generator.state_dict()["0.weight"], expected)
    assert opened.sample(3, which=which).shape == (3, 2)


def test_a_run_under_way_has_no_model_yet(run, capsys):
    (run / "model.safetensors").unlink()
    with pytest.raises(checkpoint.CheckpointError, match="isn't finished and has no model yet"):
        open_run(run).sample(1)


@pytest.fixture
def going_on(run):
    """A finished run, evaluated, that was killed when it had gone on to step 10."""

    class Killed(BaseException):
        pass

    class Kill(gan.Callback):
        def on_step(self, trainer, report):
            if trainer.step == 11:
                raise Killed

    assert main(["evaluate", str(run), "-n", "50", "--quiet"]) == 0
    with pytest.raises(Killed):
        resumed(run, steps=1000, callbacks=[Kill()])
    return run


@pytest.mark.parametrize(
    "command",
    [["sample"], ["evaluate", "-n", "50"], ["interpolate"], ["export", "--torch", "-o", "net.py"]],
)
def test_the_old_model_of_a_run_that_went_on_is_not_taken_for_its_end(
    going_on, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    name, *more = command
    capsys.readouterr()
    assert main([name, str(going_on), *more]) == 2
    said = capsys.readouterr().err
    assert "isn't finished: its model is of step 6; continue it with" in said
    assert "with --checkpoint, such as 10." in said
    assert main([name, str(going_on), *more, "--checkpoint", "10"]) == 0


def test_a_run_that_went_on_is_where_its_checkpoints_are(going_on, tmp_path, capsys):
    assert repr(open_run(going_on)) == f"Run({str(going_on)!r}: ring, step 10 of 1,000)"
    model = going_on / "model.safetensors"
    assert open_run(going_on).sample(3, which=model).shape == (3, 2)
    begun = ["train", "ring", *SMALL, "--steps", "1", "--init", str(going_on)]
    capsys.readouterr()
    assert main([*begun[:2], *begun[3:], "--out", str(tmp_path / "next")]) == 0
    assert f"from {going_on / 'checkpoints' / 'step-00000010.safetensors'}" in (
        capsys.readouterr().err
    )


def test_scores_of_an_earlier_step_are_shown_as_such(going_on, tmp_path, capsys):
    assert main(["runs", str(going_on)]) == 0
    assert "run, step 6\n" in capsys.readouterr().out
    assert main(["runs", str(going_on), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["metrics_step"] == 6
    resumed(going_on, steps=12)
    assert main(["evaluate", str(going_on), "-n", "50", "--checkpoint", "10", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["runs", str(going_on)]) == 0
    assert "run, step 10\n" in capsys.readouterr().out
    assert main(["evaluate", str(going_on), "-n", "50", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["runs", str(going_on)]) == 0
    assert ", step" not in capsys.readouterr().out


def test_a_damaged_checkpoint_is_not_where_a_run_has_gone_on_to(run):
    (run / "checkpoints" / "step-00000099.safetensors").write_bytes(b"no checkpoint")
    assert open_run(run).sample(3).shape == (3, 2)
    assert repr(open_run(run)).endswith("step 6 of 6)")


# ---------------------------------------------------------------- a disk that refuses


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(run, monkeypatch, capsys):
    """The older checkpoints are still there, and with room again the run ends as if nothing had
    been.
    """
    real, written = Path.write_bytes, []

    def full(self, payload):
        if "step-00000008" in self.name:
            raise OSError(28, "No space left on device")
        written.append(self)
        return real(self, payload)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert main(["train", "--resume", str(run), "--steps", "8", "--quiet"]) == 2
    sentence = capsys.readouterr().err
    path = run / "checkpoints" / "step-00000008.safetensors"
    assert sentence == (
        f"minigan: {path} can't be written: no space left on device; earlier files are intact, so "
        "free some space and try again (a training goes on with --resume).\n"
    )
    assert newest(run) == 6
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    assert open_run(run).step == 8


def test_a_read_only_folder(run, monkeypatch, capsys):
    def denied(self, *arguments):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_bytes", denied)
    assert main(["train", "--resume", str(run), "--steps", "8", "--quiet"]) == 2
    assert capsys.readouterr().err.endswith("safetensors can't be used: permission denied.\n")
    assert newest(run) == 6


# ---------------------------------------------------------------- the same seed


def test_one_seed_gives_one_run_and_another_another(tmp_path, finished):
    def files(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    assert (
        main(
            [
                "train",
                "ring",
                "--out",
                str(tmp_path / "a"),
                "--steps",
                "6",
                "--checkpoint-every",
                "2",
                *SMALL,
            ]
        )
        == 0
    )
    assert files(tmp_path / "a") == files(finished)
    training.train(
        "ring", out=tmp_path / "b", steps=6, batch_size=8, frames=0, seed=1, progress=False
    )
    assert files(tmp_path / "b")["model.safetensors"] != files(finished)["model.safetensors"]


# ---------------------------------------------------------------- other devices


@pytest.mark.parametrize("name", ["ring", "digits"])
def test_a_checkpoint_of_another_device_holds_plain_arrays(name, tmp_path):
    """Everything that watches a run does so on a device that refuses what CuPy refuses; then the
    CPU goes on.
    """
    from strict_array import StrictNamespace

    recipe = recipes.get(name)
    settings = recipe.settings.changed(steps=3, batch_size=4, average=0.9)

    def assembly(device):
        return assemble(recipe, settings, fake_data(recipe), seed=3, device=device)

    away, home = assembly(StrictNamespace().backend), assembly("cpu")
    best = watching.measure(away, "sliced-wasserstein")
    saver = gan.Checkpoints(tmp_path / "c", every=2, best=best)
    table = gan.MetricsFile(tmp_path / "m.csv", gauges=away.gauges)
    frames = gan.Frames(tmp_path / "f", away.draw_frame, every=2)
    away.trainer.run(2, [gan.Guard(), table, frames, saver])
    path = gan.list_checkpoints(saver.folder)[-1]
    arrays, meta = checkpoint.load(path)
    home.trainer.load_state(arrays, meta["trainer"])
    for key, array in home.trainer.state()[0].items():
        numpy.testing.assert_array_equal(array, arrays[key], err_msg=key)
    home.trainer.run(3)
    assert home.trainer.step == 3


# ---------------------------------------------------------------- schedules


def _rates(folder, **options):
    """Train for a while, and return the learning rate of each step."""
    seen = []

    class Look(gan.Callback):
        def on_step(self, trainer, report):
            optimizers = trainer.game.optimizers()
            seen.append(
                (optimizers["generator_optimizer"].lr, optimizers["discriminator_optimizer"].lr)
            )

    how = {"progress": False, "frames": 0, "callbacks": [Look()], **options}
    if folder.exists():
        resuming.resume(folder, **how)
    else:
        training.train("ring", out=folder, batch_size=8, checkpoint_every=5, **how)
    return seen


def test_a_schedule_goes_on_where_it_stood(tmp_path):
    options = {
        "steps": 20,
        "schedule": "warmup:4+linear",
        "lr_generator": 0.01,
        "lr_discriminator": 0.002,
    }
    whole = _rates(tmp_path / "whole", **options)
    assert [g for g, _ in whole[:5]] == pytest.approx([0.005, 0.0075, 0.01, 0.01, 0.01 * 15 / 16])
    assert whole[-1] == (0.0, 0.0)

    class Stop(gan.Callback):
        def on_step(self, trainer, report):
            if trainer.step == 13:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train("ring", out=tmp_path / "broken", batch_size=8, checkpoint_every=5, progress=False, frames=0,
                       callbacks=[Stop()], **options)  # fmt: skip
    assert _rates(tmp_path / "broken") == whole[10:]
    ours, theirs = (
        checkpoint.load(tmp_path / run / "model.safetensors")[0] for run in ("broken", "whole")
    )
    for name, array in theirs.items():
        numpy.testing.assert_array_equal(ours[name], array, err_msg=name)


def test_a_longer_run_with_other_rates_stretches_its_schedule(tmp_path):
    _rates(tmp_path / "run", steps=10, schedule="linear", lr_generator=0.01, lr_discriminator=0.01)
    rates = _rates(tmp_path / "run", steps=20, lr_generator=0.02)
    assert rates[0] == pytest.approx((0.02 * 9 / 20, 0.01 * 9 / 20))
    assert rates[-1] == (0.0, 0.0)


def test_an_unknown_schedule_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="Unknown schedule 'cosinus'; did you mean 'cosine'"):
        training.train("ring", out=tmp_path / "run", schedule="cosinus", progress=False)
    assert not (tmp_path / "run").exists()


def test_settings_from_before_there_were_schedules_are_those_of_a_constant_one(tmp_path):
    folder = training.train(
        "ring", out=tmp_path / "run", steps=4, batch_size=8, progress=False, frames=0
    )
    for path in [*gan.list_checkpoints(folder / "checkpoints")]:
        arrays, meta = checkpoint.load(path)
        del meta["settings"]["schedule"]
        checkpoint.save(path, arrays, meta)
    config = json.loads((folder / "config.json").read_text())
    del config["settings"]["schedule"]
    (folder / "config.json").write_text(json.dumps(config))
    resuming.resume(folder, steps=6, progress=False)
    assert open_run(folder).step == 6
