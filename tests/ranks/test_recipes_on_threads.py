"""Every recipe on two ranks, with threads in their place, against one process; it needs no MPI."""

from collections.abc import Sequence

import pytest
from rank_games import Threads, apart, on_threads
from zoo_files import samples_for

from minigan import optim, recipes
from minigan.gan import cyclegan
from minigan.ranks import ALONE, MPIRanks
from minigan.runs.assembly import assemble

CASES = {
    "progressive": [({"steps": 20}, 4)],
    "stylegan": [({}, 2), ({"path_length": 2.0}, 2)],
    "seqgan-lite": [({"pretraining": 1}, 2)],
    "wavegan-digits": [({}, 2), ({"width": 1, "penalties": ("dragan",)}, 1)],
}
"""What is played in place of two rounds with the recipe's settings: in the first a level begins to
fade in, in the third both ways of learning have their turn, and in the last the penalty that D's
ear wraps has to know the spread of all reals."""
GROUPED = ("mnist", "progressive", "stacked-mnist", "stylegan")
"""Those that need four samples on each rank."""


@pytest.fixture
def in_float64(monkeypatch):
    """Let all nets compute in float64 as soon as an optimizer is made for them."""
    made, pool = optim.Optimizer.__init__, cyclegan.ImagePool.__init__

    def optimizer(self, net, **numbers):
        for one in net if isinstance(net, Sequence) else [net]:
            one.astype("float64")
        made(self, net, **numbers)

    def fine_pool(self, *arguments):
        pool(self, *arguments)
        self.held = self.held.astype("float64")

    monkeypatch.setattr(optim.Optimizer, "__init__", optimizer)
    monkeypatch.setattr(cyclegan.ImagePool, "__init__", fine_pool)


def trainer(name, ranks=ALONE, batch=8, **changed):
    recipe = recipes.get(name)
    settings = recipe.settings.changed(**{"batch_size": batch, "average": 0.9} | changed)
    return assemble(recipe, settings, samples_for(recipe, 16), seed=3, ranks=ranks).trainer


@pytest.mark.parametrize(
    ("name", "changed", "rounds"),
    [(name, *case) for name in recipes.names() for case in CASES.get(name, [({}, 2)])],
)
def test_two_ranks_train_every_recipe_as_one_process_does(name, changed, rounds, in_float64):
    batch = 8 if name in GROUPED else 4
    far = on_threads(
        2, lambda ranks: apart(lambda r: trainer(name, r, batch, **changed), ranks, rounds)
    )
    assert max(far) < 1e-9


def test_half_of_each_share_must_be_half_of_the_batch():
    """For path length regularisation, which takes half of a batch."""
    ranks = MPIRanks(Threads(2).of(0))
    with pytest.raises(ValueError, match="2 ranks in multiples of 2; choose a multiple of 4"):
        trainer("stylegan", ranks, 6, path_length=2.0)


def test_the_special_cases_are_what_they_are_meant_to_be():
    growing, stretching, writing = (
        trainer(name, **CASES[name][-1][0]) for name in ("progressive", "stylegan", "seqgan-lite")
    )
    assert stretching.game.kind() == (True, True)
    kinds = [writing.game.kind()]
    writing.train_step()
    assert [*kinds, writing.game.kind()] == ["data", "rewards"]
    for _ in range(CASES["progressive"][0][1] - 1):
        growing.game.end_round()
    assert growing.game.kind() == 1
    assert 0 < growing.game.generator.share < 1
