"""pix2pix: each player's gradient as a whole, who moves, its chance, and runs of its recipes."""

import numpy
import pytest
from killed_runs import check_that_it_resumes
from PIL import Image

from minigan import cli, data, gan, nn, optim, recipes
from minigan.gan.pix2pix import _Sketches
from minigan.recipes.translation import patches, unet
from minigan.runs import doctor, training
from minigan.runs.evaluation import evaluate
from minigan.runs.folder import open_run

RECIPE = recipes.get("pix2pix")


class Still(optim.SGD):
    """An optimizer that doesn't move."""

    def step(self):
        pass


def game(seed=0, optimizer=Still, dtype="float64", **options):
    rng = numpy.random.default_rng(seed)
    G = unet(rng, rng, inputs=1, outputs=2, width=2, levels=3)
    D = patches(rng, channels=3, width=3, halvings=1)
    for net in (G, D):
        net.astype(dtype)
    return gan.ImageToImage(G, D, optimizer(G, lr=0.1), optimizer(D, lr=0.1), **options)


def batch(seed=1, dtype="float64"):
    rng = numpy.random.default_rng(seed)
    return data.Pair(
        rng.standard_normal((4, 8, 8, 1)).astype(dtype),
        rng.standard_normal((4, 8, 8, 2)).astype(dtype),
    )


def same_masks(net):
    """Let the dropout draw the same masks again."""
    for rng in net.generators().values():
        rng.bit_generator.state = numpy.random.default_rng(5).bit_generator.state


def translated(model, a):
    same_masks(model.generator)
    return model.generator.forward(a, train=True)


def joined(a, b):
    return numpy.concatenate([a, b], axis=-1)


def discriminators_loss(model, a, b, fake):
    """Half of BCE on both, spelt out."""
    real, false = (model.discriminator.forward(joined(a, x), train=True)[0] for x in (b, fake))
    return (numpy.logaddexp(0, -real).mean() + numpy.logaddexp(0, false).mean()) / 2


def generators_loss(model, a, b):
    fake = translated(model, a)[0]
    logits = model.discriminator.forward(joined(a, fake), train=True)[0]
    told = numpy.logaddexp(0, -logits).mean()
    return model.adversarial * told + model.l1 * abs(fake - b).mean()


def checked(loss, net, seed):
    """Compare the gradient with slopes of the loss along random directions of all weights."""
    flat, rng, h = net.flat(), numpy.random.default_rng(seed), 1e-6
    for _ in range(5):
        v, begin = rng.standard_normal(flat.value.shape), flat.value.copy()
        slopes = []
        for sign in (1, -1):
            flat.value[...] = begin + sign * h * v
            slopes.append(sign * loss())
        flat.value[...] = begin
        assert sum(slopes) / (2 * h) == pytest.approx(flat.grad @ v, rel=2e-5, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_the_discriminator_as_a_whole(seed):
    model, (a, b) = game(seed), batch(seed)
    fake, _ = translated(model, a)
    model.discriminator.zero_grad()
    model.generator.zero_grad()
    report = model.discriminator_loss(a, b, fake)
    assert report["loss_d"] == pytest.approx(2 * discriminators_loss(model, a, b, fake))
    assert not any(p.grad.any() for p in model.generator.parameters().values())
    checked(lambda: discriminators_loss(model, a, b, fake), model.discriminator, seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("adversarial", [1.0, 0.0])
def test_gradient_of_the_generator_as_a_whole(seed, adversarial):
    # A distance that doesn't drown the other term.
    model, (a, b) = game(seed, l1=2.0, adversarial=adversarial), batch(seed)
    model.generator.zero_grad()
    model.discriminator.zero_grad()
    fake, cache = translated(model, a)
    report, d_fake = model.generator_loss(a, b, fake)
    model.generator.backward(d_fake, cache, input_grad=False)
    total = adversarial * report.get("loss_g", 0) + 2 * report["l1"]
    assert total == pytest.approx(generators_loss(model, a, b))
    assert not any(p.grad.any() for p in model.discriminator.parameters().values())
    checked(lambda: generators_loss(model, a, b), model.generator, seed)


@pytest.mark.parametrize(
    ("adversarial", "moving"), [(1.0, {"generator", "discriminator"}), (0.0, {"generator"})]
)
def test_who_moves_in_a_round(adversarial, moving):
    model = game(optimizer=optim.SGD, adversarial=adversarial)
    before = {name: net.flat().value.copy() for name, net in model.players().items()}
    statistics = {k: v.copy() for k, v in model.generator.state_dict().items() if "running" in k}
    model.play(batch())
    moved = {n for n, net in model.players().items() if (net.flat().value != before[n]).any()}
    assert moved == moving
    now = model.generator.state_dict()
    assert all((now[k] != v).any() for k, v in statistics.items())


def test_the_discriminator_sees_what_was_translated():
    model, (a, b) = game(), batch()
    logits = model.discriminator(joined(a, b))
    other = model.discriminator(joined(a[::-1], b))
    assert abs(logits - other).max() > 1e-3
    assert logits.ndim == 4


# ---------------------------------------------------------------- chance


def test_samples_have_chance_from_their_seeds_and_disturb_no_training():
    model, (a, b) = game(), batch()
    states = {n: g.bit_generator.state for n, g in model.generators().items()}
    one, again, other = (model.sample(_Sketches(a, b, numpy.full(4, seed))) for seed in (0, 0, 1))
    numpy.testing.assert_array_equal(one, again)
    assert abs(one - other).max() > 1e-6
    assert {n: g.bit_generator.state for n, g in model.generators().items()} == states


def test_dropout_that_is_always_on():
    x = numpy.ones((4, 50), "float32")
    quiet, loud = (
        nn.Dropout(0.5, rng=numpy.random.default_rng(0), always=always) for always in (False, True)
    )
    assert (quiet(x) == 1).all()
    assert set(numpy.unique(loud(x))) == {0, 2}
    assert repr(loud) == "Dropout(0.5, always=True)"


# ---------------------------------------------------------------- what doesn't fit


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'relativistic' compares reals with fakes in G's step"):
        game(objective=gan.objective("relativistic"))
    G, D = game().generator, game().discriminator
    with pytest.raises(ValueError, match="optimizer of the generator updates the parameters of"):
        gan.ImageToImage(G, D, optim.SGD(D, lr=0.1), optim.SGD(G, lr=0.1))
    with pytest.raises(ValueError, match="leave out penalties and"):
        RECIPE.check(RECIPE.settings.changed(penalties=["r1"]))
    with pytest.raises(ValueError, match="l1 must be a number of at least 0, got -1"):
        RECIPE.settings.changed(l1=-1)
    with pytest.raises(ValueError, match="pass the data to take them from"):
        game().inputs(3, numpy.random.default_rng(0))
    with pytest.raises(ValueError, match="one way only; leave out --back"):
        game().translate(batch().a, numpy.random.default_rng(0), back=True)


# ---------------------------------------------------------------- runs


def learn(out, **options):
    given = {"steps": 6, "batch_size": 4, "frames": 2, "checkpoint_every": 2} | options
    return training.train("pix2pix", out=out, device="cpu", progress=False, **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("pix2pix") / "whole")


def test_it_resumes_bit_for_bit(whole, tmp_path):
    check_that_it_resumes(learn, whole, tmp_path / "killed")


def test_a_run_is_drawn_sampled_and_diagnosed(whole):
    # Each sample is drawn as input, result and truth.
    with Image.open(whole / "samples.png") as picture:
        width, height = picture.size
    assert width > 2 * height
    assert (whole / "training.gif").exists()
    run = open_run(whole)
    assert run.sample(5, seed=1).shape == (5, 16, 16, 3)
    numpy.testing.assert_array_equal(run.sample(5, seed=1), run.sample(5, seed=1))
    assert "too early to say" in doctor.report(run)


def test_it_is_compared_with_the_truth(whole):
    table = evaluate(open_run(whole), count=100)
    row = table["L1 distance from the truth"]
    assert 0 < row.value < 2
    assert row.floor == 0
    assert table["sharpness"].floor > 0
    assert table.facts["held-out pairs"] == 100
    assert table.facts["L1 of the mean picture"] > 0.1
    assert (whole / "evaluation.csv").read_text().startswith("metric,")


def test_a_run_on_pairs_of_one_s_own(tmp_path):
    rng = numpy.random.default_rng(0)
    for kind in "ab":
        (tmp_path / kind).mkdir()
        for i in range(12):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    run = open_run(learn(tmp_path / "run", data_name=str(tmp_path), frames=0))
    assert run.config.fingerprint
    assert any("grey" in note for note in run.config.notes)
    assert run.sample(3).shape == (3, 16, 16, 3)


# ---------------------------------------------------------------- minigan translate


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "sketches"
    folder.mkdir()
    for i, image in enumerate(data.edges(data.avatars().images[:3])):
        Image.fromarray(image[..., 0]).save(folder / f"face{i}.png")
    return folder


def test_a_picture_and_a_folder_are_translated(whole, pictures, tmp_path, capsys):
    out = tmp_path / "one.png"
    assert cli.main(["translate", str(whole), str(pictures / "face1.png"), "-o", str(out)]) == 0
    with Image.open(out) as picture:
        assert (picture.size, picture.mode) == ((16, 16), "RGB")
    many = tmp_path / "all"
    (pictures / "._face0.png").write_bytes(b"what macOS writes beside a picture")
    assert cli.main(["translate", str(whole), str(pictures), "-o", str(many)]) == 0
    assert sorted(p.name for p in many.iterdir()) == ["face0.png", "face1.png", "face2.png"]
    assert capsys.readouterr().out.splitlines()[-1] == f"3 translated to {many}"
    assert cli.main(["translate", str(whole), str(pictures), "-o", str(many)]) == 0
    assert "(the earlier ones were replaced)" in capsys.readouterr().out
    assert cli.main(["translate", str(whole), str(pictures), "-o", str(many), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_translations_that_are_refused_leave_nothing(whole, pictures, tmp_path, capsys):
    out = tmp_path / "out.png"
    mistakes = {
        "there is no picture or folder": [tmp_path / "none.png", "-o", out],
        "doesn't end in .png": [pictures / "face0.png", "-o", tmp_path / "out.txt"],
        "one way only": [pictures / "face0.png", "-o", out, "--back"],
        "contains no pictures": [tmp_path / "empty", "-o", tmp_path / "x"],
        "is a file, but": [pictures, "-o", pictures / "face0.png"],
        "is named as a picture": [pictures, "-o", out],
        "would replace the pictures in": [pictures, "-o", pictures / ".." / pictures.name],
    }
    (tmp_path / "empty").mkdir()
    for words, options in mistakes.items():
        assert cli.main(["translate", str(whole), *map(str, options)]) == 2
        assert words in capsys.readouterr().err
    (pictures / "face0.jpg").write_bytes((pictures / "face0.png").read_bytes())
    assert cli.main(["translate", str(whole), str(pictures), "-o", str(tmp_path / "x")]) == 2
    assert "Two pictures in" in capsys.readouterr().err
    assert not out.exists()
    assert not (tmp_path / "x").exists()


def test_pictures_that_do_not_belong_together_are_refused(tmp_path, capsys):
    command = ["train", "pix2pix", "--data", "avatars-glasses", "--out", str(tmp_path / "x")]
    assert cli.main(command) == 2
    assert "'pix2pix' learns from pairs: train cyclegan" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_only_these_recipes_translate(pictures, tmp_path, capsys):
    ring = training.train(
        "ring", steps=2, out=tmp_path / "ring", device="cpu", progress=False, frames=0
    )
    assert cli.main(["translate", str(ring), str(pictures), "-o", str(tmp_path / "x")]) == 2
    assert "'ring' doesn't translate pictures" in capsys.readouterr().err
