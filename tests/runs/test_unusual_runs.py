"""Runs and files that once lost something, or were refused for the wrong reason."""

import json

import numpy
import pytest

from minigan import checkpoint, cli, gan, nn, optim
from minigan.recipes import get
from minigan.runs import configuration

SMALL = ["--steps", "2", "--batch-size", "16", "--frames", "0", "--quiet"]


def seeded(seed=0):
    return numpy.random.default_rng(seed)


@pytest.fixture(scope="module")
def virtual(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "virtual"
    ways = ["--penalty", "virtual-batch-norm:8"]
    assert cli.main(["train", "digits", *ways, *SMALL, "--out", str(run)]) == 0
    return run


def test_a_net_with_an_attribute_net_is_sampled(virtual, tmp_path, capsys):
    assert cli.main(["sample", str(virtual), "-o", str(tmp_path / "s.png")]) == 0
    again = ["--init", str(virtual), "--penalty", "virtual-batch-norm:8", "--out"]
    capsys.readouterr()
    ways = [w for w in SMALL if w != "--quiet"]
    assert cli.main(["train", "digits", *ways, *again, str(tmp_path / "r")]) == 0
    said = "".join(capsys.readouterr())
    assert "generator: 9 of 9 arrays" in said


def test_an_export_doesnt_replace_the_weights_of_a_run(virtual, capsys):
    before = (virtual / "model.safetensors").read_bytes()
    made = set(virtual.iterdir())
    path = virtual / "model.py"
    assert cli.main(["export", str(virtual), "--torch", "-o", str(path)]) == 2
    assert "holds the weights of a run" in capsys.readouterr().err
    folder = virtual.parent / "folder.py"
    folder.mkdir(exist_ok=True)
    assert cli.main(["export", str(virtual), "--torch", "-o", str(folder)]) == 2
    assert not folder.with_suffix(".safetensors").exists()
    assert (virtual / "model.safetensors").read_bytes() == before
    assert set(virtual.iterdir()) == made


def test_a_downloaded_run_executes_nothing(virtual, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cool").mkdir()
    told = json.loads((virtual / "config.json").read_text())
    told |= {"recipe": "cool/recipe.py", "recipe_file": None}
    (tmp_path / "cool" / "config.json").write_text(json.dumps(told))
    (tmp_path / "cool" / "recipe.py").write_text("open('ran.txt', 'w')\nRECIPE = None\n")
    for more in (["--out", "mine"], ["--show-config"]):
        assert cli.main(["train", "--config", "cool", *more]) == 2
        assert "but a run has a copy of its own" in capsys.readouterr().err
    assert cli.main(["sample", "cool", "-o", "x.png"]) == 2
    assert not (tmp_path / "ran.txt").exists()
    assert not (tmp_path / "mine").exists()
    assert cli.main(["train", "digits", "--config", "cool", *SMALL, "--out", "mine"]) == 0
    assert not (tmp_path / "ran.txt").exists()


def test_a_configuration_of_ones_own_may_name_a_recipe_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text("from minigan.recipes import get\nRECIPE = get('parabola')\n")
    told = {"recipe": "my.py", "settings": {"steps": 2}}
    (tmp_path / "small.json").write_text(json.dumps(told))
    assert cli.main(["train", "--config", "small.json", "--quiet", "--out", "run"]) == 0
    assert (tmp_path / "run" / "recipe.py").is_file()


@pytest.mark.parametrize("command", [["sample"], ["interpolate"], ["latent"], ["project"], ["mix"]])
def test_pixels_arent_drawn_as_lines(virtual, tmp_path, command, capsys):
    output = tmp_path / "grid.svg"
    more = {"project": ["missing.png"]}.get(command[0], [])
    assert cli.main([*command, str(virtual), *more, "-o", str(output)]) == 2
    assert "doesn't end in .png, .jpg, .jpeg or .pdf; use .png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("recipe = 5", "recipe in .* must be text"),
        ("recipe = 'ring'\nseed = 'x'", "seed in .* must be a whole number"),
        ("recipe = 'ring'\nout = 3", "out in .* must be text"),
        ("recipe = 'ring'\n[watching]\ntensorboard = 'no'", "must be true or false"),
        ("recipe = 'ring'\n[computing]\nlocal_batchnorm = 7", "must be true or false"),
    ],
)
def test_an_entry_of_another_kind_is_told(tmp_path, told, said):
    path = tmp_path / "c.toml"
    path.write_text(told)
    with pytest.raises(ValueError, match=said):
        configuration.read(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": 3}, "schedule must be text"),
        ({"objective": 3}, "objective must be text"),
        ({"penalties": 1}, "penalties must be a list"),
        ({"penalties": [1]}, "written name or name:strength"),
        ({"average": "abc"}, "average must be a number"),
        ({"beta1": True}, "beta1 must be a number"),
        ({"lr_generator": "x"}, "lr_generator must be a number"),
        ({"steps": "x"}, "steps must be a whole number"),
        ({"penalties": ["spectral-norm:5"]}, "has no strength"),
        ({"penalties": ["augment:0.1"]}, "has no strength"),
    ],
)
def test_a_setting_of_another_kind_is_told(change, said):
    with pytest.raises(ValueError, match=said):
        get("ring").settings.changed(**change)


def test_one_penalty_may_be_written_alone():
    changed = get("ring").settings.changed
    assert changed(penalties="r1").penalties == ("r1",)
    assert changed(penalties=["spectral-norm:1"]).penalties == ("spectral-norm:1",)


def test_a_setting_that_was_edited_doesnt_make_it_another_run(tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", "ring", *SMALL, "--checkpoint-every", "1", "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    config["settings"]["batch_size"] = 8
    (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["train", "--resume", str(run), "--steps", "3"]) == 2
    assert "was written with batch_size 16" in (said := capsys.readouterr().err)
    assert "remove it" not in said


def test_an_entry_of_a_newer_version_isnt_damage(tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", "ring", *SMALL, "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"news": 1}))
    assert cli.main(["sample", str(run)]) == 2
    assert "an entry 'news', which this minigan doesn't know" in capsys.readouterr().err
    (run / "config.json").write_text("[1]")
    assert cli.main(["sample", str(run)]) == 2
    assert "holds no dictionary" in capsys.readouterr().err


def perceptron(inputs, outputs, seed=0):
    rng = seeded(seed)
    return nn.Sequential(nn.Linear(inputs, 8, rng=rng), nn.ReLU(), nn.Linear(8, outputs, rng=rng))


class Source:
    """Points around 0."""

    def __init__(self):
        self.rng = seeded(5)

    def next(self):
        return self.rng.standard_normal((8, 2)).astype("float32"), None

    def __next__(self):
        return self.next()

    def __iter__(self):
        return self

    def state_dict(self):
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        self.rng.bit_generator.state = state["rng"]


def made(average=False, penalty=True):
    g, d = perceptron(2, 2), perceptron(2, 1, 1)
    ways = gan.tame(d, ["gradient-penalty"] * penalty, rng=seeded(7))
    return gan.Trainer(
        gan.Game(
            g, d, optim.Adam(g), optim.Adam(d), latent=gan.Latent(2), penalties=ways.penalties,
            average=optim.ExponentialMovingAverage(g, decay=0.9) if average else None,
        ),
        Source(), rng=seeded(2),
    )  # fmt: skip


def test_a_penaltys_own_generator_is_part_of_the_state():
    one, other = made(), made()
    one.run(2)
    arrays, meta = one.state()
    assert {"latents", "penalty 0"} <= meta["rng"].keys()
    one.run(5)
    other.load_state(arrays, json.loads(json.dumps(meta)))
    other.run(5)
    for name, p in one.game.generator.parameters().items():
        numpy.testing.assert_array_equal(p.value, other.game.generator.parameters()[name].value)


def test_a_state_with_an_average_isnt_of_a_game_without_one():
    with pytest.raises(ValueError, match="has average, which the game lacks"):
        made(penalty=False).load_state(*made(average=True, penalty=False).state())


def test_names_that_a_file_cant_hold_are_told(tmp_path):
    for name in ("__metadata__", "\udc80"):
        with pytest.raises(TypeError, match="can't hold"):
            checkpoint.save(tmp_path / "a.safetensors", {name: numpy.zeros(2)}, {})
    deep = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(TypeError, match="can't be written as JSON"):
        checkpoint.save(tmp_path / "a.safetensors", {}, {"deep": deep})
    assert not list(tmp_path.iterdir())


def evaluated(tmp_path, capsys, pictures, count=20):
    from PIL import Image

    for i, place in enumerate(pictures):
        path = tmp_path / "own" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = seeded(i).integers(0, 256, (16, 16), "u1")
        Image.fromarray(pixels).save(path)
    root = tmp_path / "own"
    train = root / "train" if (root / "train").is_dir() else root
    options = ["--steps", "1", "--frames", "0", "--batch-size", "1", "--quiet"]
    run = tmp_path / "run"
    assert cli.main(["train", "digits", "--data", str(train), *options, "--out", str(run)]) == 0
    capsys.readouterr()
    status = cli.main(["evaluate", str(run), "-n", str(count)])
    return status, "".join(capsys.readouterr())


def test_few_pictures_are_evaluated_or_refused_in_a_sentence(tmp_path, capsys):
    status, said = evaluated(tmp_path, capsys, ["0.png", "1.png"])
    assert status == 2
    assert "has 2 images, too few to set some aside" in said


def test_five_labelled_pictures_are_enough(tmp_path, capsys):
    places = [f"{label}/{i}.png" for label in "ab" for i in range(3 if label == "a" else 2)]
    status, said = evaluated(tmp_path, capsys, places)
    assert status == 0
    assert "(reference): 2" in said


def test_a_test_folder_that_lacks_a_class_is_used(tmp_path, capsys):
    places = [f"train/{label}/{i}.png" for label in "abc" for i in range(4)]
    places += [f"test/{label}/{i}.png" for label in "bc" for i in range(4)]
    status, said = evaluated(tmp_path, capsys, places)
    assert status == 0
    assert "(reference): 8" in said


def test_a_test_folder_of_other_classes_is_said_to_be_left_out(tmp_path, capsys):
    places = [f"train/{label}/{i}.png" for label in "abc" for i in range(4)]
    places += [f"test/{label}/{i}.png" for label in "xy" for i in range(4)]
    status, said = evaluated(tmp_path, capsys, places)
    assert status == 0
    assert "don't mean the same as those of the training data" in said


def test_a_translation_is_evaluated_with_one_picture_at_least(tmp_path, capsys):
    from PIL import Image

    for kind in "ab":
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        for i in range(7):
            pixels = seeded(i).integers(0, 256, (32, 32, 3), "u1")
            Image.fromarray(pixels).save(tmp_path / "pairs" / kind / f"{i}.png")
    options = ["--steps", "1", "--frames", "0", "--batch-size", "1", "--quiet"]
    run = tmp_path / "run"
    data = ["--data", str(tmp_path / "pairs")]
    assert cli.main(["train", "pix2pix", *data, *options, "--out", str(run)]) == 0
    for count in ("0", "-1"):
        assert cli.main(["evaluate", str(run), "-n", count]) == 2
        assert "At least one picture is needed" in capsys.readouterr().err


def test_a_judge_and_a_denoiser_are_moved_by_their_own_optimizer():
    judge, other = perceptron(2, 1), perceptron(2, 1, 1)
    optimizer = optim.Adam(other)

    def draw():
        return numpy.zeros((4, 2), "float32")

    with pytest.raises(
        ValueError, match="optimizer of the judge updates the parameters of another"
    ):
        gan.train_judge(judge, optimizer, draw, draw, steps=1)
    with pytest.raises(ValueError, match="optimizer of the denoiser updates"):
        gan.Diffusion(judge, optimizer, (2,))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"discriminator_steps": 2.0}, r"a whole number of steps, .* got 2.0"),
        ({"discriminator_steps": "2"}, r"a whole number of steps, .* got '2'"),
        ({"feature_matching": -1.0}, "feature_matching must be a number >= 0"),
        ({"feature_matching": float("nan")}, "feature_matching must be a number >= 0"),
        ({"latent": 2}, "draws z from 2, which can't be"),
        ({"penalties": [3]}, r"a function \(critic, real, fake\), got 3"),
    ],
)
def test_what_a_game_cant_be_made_of_is_told(wrong, said):
    g, d = perceptron(2, 2), perceptron(2, 1, 1)
    with pytest.raises((TypeError, ValueError), match=said):
        gan.Game(g, d, optim.Adam(g), optim.Adam(d), **wrong)


def test_a_trainer_that_is_refused_leaves_the_game_as_it_was():
    game = made().game
    with pytest.raises(ValueError, match="at least one step per round"):
        gan.Trainer(game, Source(), rng=seeded(), discriminator_steps=0)
    assert game.discriminator_steps == 1
