"""A game that the library doesn't know: two generators, two discriminators and a pool of fakes.

All of it is in this file. It trains into a folder, is killed, resumes bit for bit, is sampled, drawn
and diagnosed, as any recipe of the library.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy
import pytest
from PIL import Image

from minigan import checkpoint, data, gan, losses, nn, optim
from minigan.gan.base import in_batches, require_owner
from minigan.recipes import Recipe, Settings
from minigan.runs import doctor, resuming, training
from minigan.runs.folder import open_run

CYCLE, POOL = 1.0, 40


class Pairs(NamedTuple):
    """A batch of each domain; they don't belong together."""

    a: object
    b: object


class Swaps(NamedTuple):
    """What chance decides about a pool: which fakes are exchanged for older ones, and for which."""

    exchanged: object
    places: object


class Pool:
    """Fakes of earlier rounds (Shrivastava et al. 2017): D sees them and new ones by halves."""

    def __init__(self, shape):
        self.held = numpy.zeros((POOL, *shape), "float32")
        self.count = 0

    def exchange(self, fakes, swaps):
        shown = fakes.copy()
        for i in range(len(fakes)):
            if self.count < POOL:
                self.held[self.count] = fakes[i]
                self.count += 1
            elif swaps.exchanged[i]:
                place = swaps.places[i]
                shown[i], self.held[place] = self.held[place].copy(), fakes[i]
        return shown

    def state_dict(self):
        return {"held": self.held.copy(), "count": numpy.asarray(self.count)}

    def load_state_dict(self, state):
        self.held[...] = state["held"]
        self.count = int(state["count"])


class CycleGame(gan.BaseGame):
    """Least squares and a cycle (Zhu et al. 2017): b ≈ G_ab(a), a ≈ G_ba(b), a ≈ G_ba(G_ab(a))."""

    def __init__(self, nets, movers, extra, shape=(2,)):
        self.g_ab, self.g_ba, self.d_a, self.d_b = nets
        self.g_optimizer, self.d_optimizer = movers
        self.extra = extra
        self.pool_a, self.pool_b = Pool(shape), Pool(shape)

    def parts(self):
        return {
            "generator_ab": self.g_ab, "generator_ba": self.g_ba,
            "discriminator_a": self.d_a, "discriminator_b": self.d_b,
            "generators_optimizer": self.g_optimizer, "discriminators_optimizer": self.d_optimizer,
            "pool_a": self.pool_a, "pool_b": self.pool_b, **self.extra,
        }  # fmt: skip

    def draw(self, source, rng):
        pair = next(source)
        n = len(pair.a)
        swaps = [Swaps(rng.random(n) < 0.5, rng.integers(0, POOL, n)) for _ in "ab"]
        return (pair, *swaps)

    def play(self, pair, swaps_a, swaps_b):
        report, fake_a, fake_b = self.generators_step(pair)
        shown = self.pool_a.exchange(fake_a, swaps_a), self.pool_b.exchange(fake_b, swaps_b)
        return report | self.discriminators_step(pair, *shown)

    def generators_step(self, pair):
        self.g_optimizer.zero_grad()
        loss, fake_a, fake_b = self.generators_loss(pair)
        self.g_optimizer.step()
        return {"loss_generators": loss}, fake_a, fake_b

    def generators_loss(self, pair):
        (a, b), total, fakes = pair, 0.0, []
        for x, there, back, judge in ((b, self.g_ba, self.g_ab, self.d_a),
                                      (a, self.g_ab, self.g_ba, self.d_b)):  # fmt: skip
            fake, fake_cache = there.forward(x)
            logits, judge_cache = judge.forward(fake)
            again, again_cache = back.forward(fake)
            fooled, d_logits = losses.mse(logits, 1.0)
            cycle, d_again = losses.mse(again, x)
            d_fake = judge.backward(d_logits, judge_cache, param_grads=False)
            d_fake = d_fake + back.backward(CYCLE * d_again, again_cache)
            there.backward(d_fake, fake_cache, input_grad=False)
            total = total + fooled + CYCLE * cycle
            fakes.append(fake)
        return total, *fakes

    def discriminators_step(self, pair, fake_a, fake_b):
        self.d_optimizer.zero_grad()
        loss = self.discriminators_loss(pair, fake_a, fake_b)
        self.d_optimizer.step()
        return {"loss_discriminators": loss}

    def discriminators_loss(self, pair, fake_a, fake_b):
        total = 0.0
        for judge, real, fake in ((self.d_a, pair.a, fake_a), (self.d_b, pair.b, fake_b)):
            of_reals, of_fakes, caches = nn.forward_both(judge, real, fake)
            (loss_real, d_real), (loss_fake, d_fake) = (
                losses.mse(of_reals, 1.0),
                losses.mse(of_fakes, 0.0),
            )
            nn.backward_both(judge, d_real, d_fake, caches)
            total = total + loss_real + loss_fake
        return total

    def inputs(self, n, rng, data=None):
        return data().a.sample(n, rng)

    def sample(self, inputs, labels=None, *, averaged=True):
        average = self.extra.get("average")
        return in_batches(average.net if averaged and average else self.g_ab, inputs)

    def check(self):
        require_owner(self.g_optimizer, self.g_ab, (self.d_a, self.d_b), "generator_ab")


class Domains:
    """Two 2-D distributions; what is shown as real is the second."""

    name = "a ring and a parabola"

    def __init__(self):
        self.a = data.distribution("ring", std=0.1)
        self.b = data.distribution("parabola")
        self.limits = self.b.limits

    def sample(self, n, rng):
        return self.b.sample(n, rng)


class PairStream:
    def __init__(self, domains, batch_size, rng):
        self.domains, self.batch_size, self.rng = domains, batch_size, rng

    def __next__(self):
        return Pairs(
            *(law.sample(self.batch_size, self.rng) for law in (self.domains.a, self.domains.b))
        )

    def state_dict(self):
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state):
        self.rng.bit_generator.state = state["rng"]


def mlp(outputs, rng, width=32):
    return nn.Sequential(
        nn.Linear(2, width, rng=rng), nn.LeakyReLU(0.2), nn.Linear(width, width, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(width, outputs, rng=rng),
    )  # fmt: skip


class Cycle(Recipe):
    def game(self, settings, *, weights, noise, device="cpu"):
        nets = [mlp(outputs, weights).to(device) for outputs in (2, 2, 1, 1)]
        movers = [
            settings.optimizer_for(nets[:2], settings.lr_generator),
            settings.optimizer_for(nets[2:], settings.lr_discriminator),
        ]
        extra = {"average": optim.ExponentialMovingAverage(nets[0], decay=0.9)}
        scheduler = settings.scheduler_for(movers)
        return CycleGame(nets, movers, extra | ({"scheduler": scheduler} if scheduler else {}))

    def load(self, name, data_dir):
        return Domains()

    def stream(self, samples, batch_size, rng):
        return PairStream(samples, batch_size, rng)

    def check(self, settings):
        pass


RECIPE = Cycle(
    name="ring-to-parabola",
    title="points of a ring become points of a parabola, and back",
    source="Zhu et al. 2017",
    data="a ring and a parabola",
    sample_shape=(2,),
    settings=Settings(
        steps=600, batch_size=32, lr_generator=3e-3, lr_discriminator=3e-3, schedule="linear:0.5"
    ),
    duration="a second",
)


class Death(gan.Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def learn(folder, *callbacks, **changes):
    return training.train(
        RECIPE,
        out=folder,
        progress=False,
        callbacks=callbacks,
        checkpoint_every=20,
        frames=3,
        **changes,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupts."""
    return learn(tmp_path_factory.mktemp("cycle") / "whole")


def test_it_trains_into_a_folder_with_pictures(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {
        "samples.png",
        "losses.png",
        "training.gif",
        "metrics.csv",
        "model.safetensors",
    }
    assert numpy.asarray(Image.open(whole / "samples.png")).std() > 5
    header = (whole / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"loss_generators", "loss_discriminators", "reach"} <= set(header)
    assert {f"moved_{player}" for player in ("g_ab", "g_ba", "d_a", "d_b")} <= set(header)


def test_it_learns(whole):
    """Points of the ring have come nearer to the parabola, and the way back leads to where they were."""
    run, untrained = (
        open_run(whole, recipe=RECIPE),
        RECIPE.game(
            RECIPE.settings, weights=numpy.random.default_rng(0), noise=numpy.random.default_rng(0)
        ),
    )
    game, domains = run.game(), Domains()
    real, x = (
        domains.b.sample(400, numpy.random.default_rng(1)),
        domains.a.sample(400, numpy.random.default_rng(2)),
    )

    def far(player):
        """Mean distance of fakes to the nearest real point, and of real points to the nearest fake."""
        fake = player.sample(x, averaged=False)
        distances = numpy.linalg.norm(fake[:, None] - real[None], axis=2)
        return distances.min(axis=1).mean() + distances.min(axis=0).mean()

    assert far(game) < 0.25 * far(untrained)
    assert abs(game.g_ba(game.g_ab(x)) - x).mean() < 0.2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_and_resumed_it_leaves_the_same_bits(whole, tmp_path):
    folder = tmp_path / "killed"
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    code = f"import {Path(__file__).stem} as own; own.learn({str(folder)!r}, own.Death(137))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": here},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert (
        checkpoint.load(gan.list_checkpoints(folder / "checkpoints")[-1])[1]["trainer"]["step"]
        < 137
    )
    resuming.resume(folder, recipe=RECIPE, progress=False)
    assert (folder / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    ours, theirs = (checkpoint.load(run / "model.safetensors")[0] for run in (folder, whole))
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        numpy.testing.assert_array_equal(ours[name], array, err_msg=name)
    (last,), (expected,) = (
        gan.list_checkpoints(run / "checkpoints")[-1:] for run in (folder, whole)
    )
    (ours, _), (theirs, _) = checkpoint.load(last), checkpoint.load(expected)
    assert {"pool_a/held", "scheduler/t"} <= ours.keys()
    for name, array in theirs.items():
        numpy.testing.assert_array_equal(ours[name], array, err_msg=name)


def test_it_is_sampled(whole):
    run = open_run(whole, recipe=RECIPE)
    samples = run.sample(50, seed=3)
    assert samples.shape == (50, 2)
    numpy.testing.assert_array_equal(samples, run.sample(50, seed=3))
    with pytest.raises(ValueError, match="no latents to truncate"):
        run.sample(5, truncation=1.0)


def test_it_is_diagnosed(whole, tmp_path):
    assert "cycle" not in doctor.report(open_run(whole, recipe=RECIPE)).partition("\n")[2]
    assert doctor.draw(open_run(whole, recipe=RECIPE), tmp_path / "doctor.png").exists()
    sick = learn(tmp_path / "sick", lr_generator=1e-9)
    assert "G_ab hasn't begun to learn" in doctor.report(open_run(sick, recipe=RECIPE))


def test_a_run_of_another_recipe_is_refused(whole):
    other = Cycle(**{**vars(RECIPE), "name": "another"})
    with pytest.raises(
        ValueError, match="is a run of the recipe 'ring-to-parabola', not of 'another'"
    ):
        open_run(whole, recipe=other)
    with pytest.raises(
        ValueError, match="names the recipe 'ring-to-parabola', which isn't one of minigan's"
    ):
        open_run(whole)


def test_a_foreign_optimizer_is_refused(tmp_path):
    rng = numpy.random.default_rng(0)
    nets = [mlp(outputs, rng) for outputs in (2, 2, 1, 1)]
    game = CycleGame(nets, [optim.Adam(nets[2:]), optim.Adam(nets[:2])], {})
    with pytest.raises(
        ValueError, match="The optimizer of the generator_ab updates the parameters of another net"
    ):
        gan.Trainer(game, PairStream(Domains(), 4, rng), rng=rng)


@pytest.mark.parametrize("players", ["generators", "discriminators"])
def test_each_players_gradient_is_that_of_its_loss(players):
    rng = numpy.random.default_rng(0)
    nets = [mlp(outputs, rng, width=5).astype("float64") for outputs in (2, 2, 1, 1)]
    game = CycleGame(nets, [optim.Adam(nets[:2]), optim.Adam(nets[2:])], {})
    pair = Pairs(rng.standard_normal((6, 2)), rng.standard_normal((6, 2)))
    fakes = rng.standard_normal((2, 6, 2))
    movers = {"generators": game.g_optimizer, "discriminators": game.d_optimizer}
    loss = {
        "generators": lambda: game.generators_loss(pair)[0],
        "discriminators": lambda: game.discriminators_loss(pair, *fakes),
    }[players]
    own, other = movers.pop(players).flat, next(iter(movers.values())).flat
    own.grad[...] = other.grad[...] = 0
    loss()
    gradient = own.grad.copy()
    assert not other.grad.any(), "who doesn't move gets no gradient"
    for _ in range(5):
        v, begin, h = rng.standard_normal(own.value.shape), own.value.copy(), 1e-5
        slopes = []
        for sign in (1, -1):
            own.value[...] = begin + sign * h * v
            slopes.append(sign * loss())
        own.value[...] = begin
        assert sum(slopes) / (2 * h) == pytest.approx(gradient @ v, rel=1e-6)
