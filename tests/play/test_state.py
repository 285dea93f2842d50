"""The playground without a browser: playing, looking, changing."""

from dataclasses import replace

import numpy
import pytest

from minigan import data, gan
from minigan.play import dirac, slow
from minigan.play.heard import listening
from minigan.play.history import History
from minigan.play.presets import PRESETS
from minigan.play.recipe import nearest_setup, setup_of
from minigan.play.scenes import SIDE, latent_lattice, lattice, scene_of, shades, square, walk
from minigan.play.setup import Setup
from minigan.play.state import PlaygroundState
from minigan.recipes import get

SMALL = {"g_width": 8, "d_width": 8, "batch_size": 16}


def small(**choices):
    return PlaygroundState(Setup(**(SMALL | choices)))


def weights(state):
    return {name: net.flat().value.copy() for name, net in state.game.players().items()}


def same(a, b):
    return all(numpy.array_equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- playing


def test_a_round_is_one_step_of_the_trainer():
    state, other = small(), small()
    report = state.step()
    other.trainer.train_step()
    assert same(weights(state), weights(other))
    assert state.steps == 1
    assert state.turns == {"discriminator": 1, "generator": 1}
    assert {"loss_d", "loss_g", "d_real", "d_fake", "penalty"} == set(report)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_turn_moves_one_player_only(player):
    state = small()
    before = weights(state)
    state.step(player)
    moved = {
        name for name, now in weights(state).items() if not numpy.array_equal(now, before[name])
    }
    assert moved == {player}
    assert state.steps == 0
    assert state.turns[player] == 1


def test_an_unknown_turn_is_refused():
    with pytest.raises(ValueError, match="A turn is one of"):
        small().step("both")


def test_an_explosion_is_said_and_ends_the_game():
    state = small(objective="wasserstein", penalties=(), optimizer="sgd", lr_generator=10.0,
                  lr_discriminator=10.0)  # fmt: skip
    for _ in range(200):
        state.step()
    assert "exploded" in state.trouble
    at = state.steps
    assert state.step() == {}
    assert state.steps == at
    frame = state.frame()
    assert frame["trouble"] == state.trouble
    assert all(v is None or numpy.isfinite(v) for v in frame["report"].values())
    with pytest.raises(ValueError, match="exploded"):
        state.slow()


# ---------------------------------------------------------------- looking


def test_a_frame_of_points_shows_what_the_game_says():
    state = small()
    state.step()
    frame = state.frame()
    game, scene = state.game, state.scene
    fake = game.sample(scene.z)
    numpy.testing.assert_array_equal(frame["fake"], fake)
    numpy.testing.assert_array_equal(frame["arrows"], game.push(fake))
    assert frame["landscape"].shape == (SIDE * SIDE,)
    assert frame["landscape"].dtype == numpy.uint8
    numpy.testing.assert_allclose(
        frame["landscape"] / 255, game.landscape(scene.places), atol=1 / 255
    )
    numpy.testing.assert_array_equal(frame["lattice"], game.sample(scene.square))
    assert frame["covered"] in range(9)
    assert state.start()["modes"] == 8


def test_looking_changes_nothing():
    state, other = small(penalties=("instance-noise",)), small(penalties=("instance-noise",))
    for _ in range(3):
        state.step()
        state.frame(), state.start(), state.probe(0.0, 1.0)
        other.step()
    assert same(weights(state), weights(other))


def test_the_numbers_under_the_cursor():
    state = small()
    found = state.probe(0.5, -0.5)
    here = numpy.array([[0.5, -0.5]], "float32")
    assert found["logit"] == pytest.approx(float(state.game.discriminator(here)[0, 0]))
    assert found["probability"] == pytest.approx(1 / (1 + numpy.exp(-found["logit"])))
    assert found["push"] == pytest.approx(state.game.push(here)[0].tolist())
    assert "probability" not in small(objective="hinge").probe(0.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        state.probe(float("nan"), 0.0)


def test_curves_and_the_doctor_follow_the_game():
    state = small()
    for _ in range(gan.EARLIEST + 50):
        state.step()
    curves = state.history.curves()
    assert curves.shape == (25, 6)
    assert curves[-1, 0] == gan.EARLIEST + 50
    table = state.history.table()
    assert numpy.isfinite(table["reach"]).sum() == 5
    assert not state.frame()["early"]


def test_the_doctor_sees_a_generator_that_never_moves():
    state = small(lr_generator=1e-7)
    for _ in range(gan.EARLIEST + 50):
        state.step()
    assert [f["name"] for f in state.frame()["findings"]] == ["dead-g"]


def test_the_history_becomes_sparser():
    history = small().history
    for step in range(10, 30_000, 10):
        if history.due(step):
            history.add(step, {"loss_d": 1.0}, {"reach": 0.5} if history.gauged(step) else {})
    table = history.table()
    assert 500 <= len(table["step"]) <= 1000
    assert len(set(numpy.diff(table["step"]))) == 1
    assert numpy.isfinite(table["reach"]).sum() == pytest.approx(len(table["step"]) / 5, abs=2)


def test_the_history_says_what_its_last_row_up_to_a_step_says():
    history = History.of({"step": numpy.array([1.0, 5.0, 10.0]), "x": numpy.array([2.0, 3.0, 4.0])})
    rows = [history.at(step) for step in (0, 1, 4, 5, 9, 10, 99)]
    assert rows == [{}, *({"x": x} for x in (2.0, 2.0, 3.0, 3.0, 4.0, 4.0))]


def test_the_latent_lattice_has_cells_of_equal_mass():
    even = latent_lattice(gan.Latent(2, "uniform"), 5)
    numpy.testing.assert_allclose(numpy.diff(even[:5, 0]), 0.49, atol=1e-6)
    bell = latent_lattice(gan.Latent(3, "normal"), 5)
    assert bell.shape == (25, 3)
    assert bell[2, 0] == pytest.approx(0, abs=1e-6)
    assert (bell[:, 2] == 0).all()
    assert latent_lattice(gan.Latent(1), 5).shape == (5, 1)


def test_shades_are_bytes_whatever_the_numbers():
    values = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 0.0, 0.5, 1.0, 7.0])
    assert shades(values).tolist() == [0, 255, 0, 0, 127, 255, 255]


def test_places_fill_a_square_around_the_data():
    limits = square(((0, 4), (-1, 1)))
    assert limits == ((0, 4), (-2, 2))
    places = lattice(limits, 4)
    numpy.testing.assert_allclose(places[0], [0.5, -1.5])
    numpy.testing.assert_allclose(places[-1], [3.5, 1.5])


# ---------------------------------------------------------------- changing


def test_rates_and_objectives_change_in_the_middle_of_a_game():
    state = small()
    state.step()
    assert not state.set(lr_generator=0.01, objective="hinge", beta1=0.9, discriminator_steps=3)
    assert state.steps == 1
    assert state.game.generator_optimizer.lr == 0.01
    assert state.game.generator_optimizer.betas == (0.9, 0.999)
    assert state.game.objective.name == "hinge"
    state.step()
    assert state.turns["discriminator"] == 4


def test_rates_change_under_a_schedule_too():
    state = small(schedule="linear", steps=100)
    state.step()
    state.set(lr_generator=0.01)
    state.step()
    assert state.game.generator_optimizer.lr == pytest.approx(0.01 * 0.98)


def test_other_changes_begin_a_new_game():
    state = small()
    state.step()
    assert state.set(data="moons", g_layers=3)
    assert state.steps == 0
    assert len(state.start()["nets"]["generator"]) == 7


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"penalties": ("packing:3",)}, "multiple of 3"),
        ({"data": "dirac", "penalties": ("packing:2",)}, "more than one weight"),
        ({"penalties": ("augment",)}, "needs .N, height"),
        ({"g_width": 0}, "g_width must be"),
    ],
)
def test_an_impossible_change_leaves_the_game_as_it_was(choices, words):
    state = small()
    state.step()
    before, game = weights(state), state.game
    with pytest.raises(ValueError, match=words):
        state.set(**choices)
    assert state.game is game
    assert state.setup == Setup(**SMALL)
    assert same(before, weights(state))


def test_restarting_repeats_the_game():
    state = small()
    state.step()
    first = weights(state)
    state.restart()
    state.step()
    assert same(first, weights(state))


@pytest.mark.parametrize(
    ("name", "made"),
    [("seqgan-lite", "text"), ("wavegan-tones", "sounds"), ("moving-digits", "films")],
)
def test_what_cannot_be_shown_is_refused(name, made):
    recipe = get(name)
    with pytest.raises(ValueError, match=f"shows points and pictures, but '{name}' makes {made}"):
        scene_of(Setup(), recipe, recipe.settings)


def test_a_recipe_can_be_played():
    recipe = get("parabola")
    setup = Setup().changed({"data": "parabola", "batch_size": 16})
    state = PlaygroundState(setup, recipe=recipe)
    state.step()
    assert state.start()["recipe"] == "parabola"
    assert state.frame()["fake"].shape == (256, 2)
    with pytest.raises(ValueError, match="is the recipe 'parabola' already"):
        state.export("recipe")


def test_what_a_recipe_decides_is_not_changed():
    recipe = get("parabola")
    state = PlaygroundState(setup_of(recipe), recipe=recipe)
    state.step()
    for change in ({"data": "moons"}, {"g_width": 8}, {"points": [[0, 0], [1, 1]]}):
        with pytest.raises(ValueError, match="this game is the recipe 'parabola'"):
            state.set(**change)
    assert state.steps == 1
    assert state.set(seed=5)


def test_the_data_of_a_recipe_are_told():
    recipe = replace(get("parabola"), data="own-points")
    assert nearest_setup(recipe, recipe.settings)[1] == {"data": "own-points"}
    assert nearest_setup(get("parabola"), get("parabola").settings)[1] == {}


def test_a_recipe_that_is_no_game_of_these_is_refused():
    with pytest.raises(ValueError, match="'vae' trains by 'elbo', which isn't a game"):
        setup_of(get("vae"))


def test_an_unknown_export_is_refused():
    with pytest.raises(ValueError, match="no export 'pdf'"):
        small().export("pdf")
    assert "RECIPE = OwnData(" in small().export("recipe")
    assert "trainer.run(" in small().export("python")


# ---------------------------------------------------------------- slow motion


VARIED = [
    {},
    {"penalties": ()},
    {"penalties": ("gradient-penalty", "spectral-norm"), "objective": "wasserstein"},
    {"penalties": ("packing:2",), "objective": "relativistic", "discriminator_steps": 2},
    {"penalties": ("feature-matching",), "g_norm": "batch", "average": 0.9},
    {"data": "dirac", "penalties": ("r1:1",), "optimizer": "sgd"},
    {"data": "dirac", "penalties": ("historical-averaging:1",), "optimizer": "sgd"},
    {"penalties": ("historical-averaging:0.1",)},
]


@pytest.mark.parametrize("choices", VARIED)
def test_slow_motion_plays_exactly_one_round(choices):
    state, other = small(**choices), small(**choices)
    state.step(), other.step()
    frames = state.slow()
    other.step()
    assert same(weights(state), weights(other))
    assert state.steps == other.steps == 2
    assert state.turns == other.turns
    assert [f["key"] for f in frames] == [*slow.FRAMES, *slow.FRAMES]
    assert [f["turn"] for f in frames] == ["discriminator"] * 5 + ["generator"] * 5
    state.step(), other.step()
    assert same(weights(state), weights(other))


@pytest.mark.parametrize(
    ("name", "plays"),
    [("acgan-digits", True), ("infogan", True), ("cgan-digits", False), ("ssgan-digits", False)],
)
def test_slow_motion_of_a_recipe_plays_one_round_or_nothing(name, plays):
    recipe = get(name)
    slow, plain = (
        PlaygroundState(setup_of(recipe).changed({"batch_size": 8}), recipe=recipe)
        for _ in range(2)
    )
    if plays:
        assert len(slow.slow()) == 10
        plain.step()
    else:
        with pytest.raises(ValueError, match="play whole rounds"):
            slow.slow()
    assert (slow.steps, slow.turns) == (plain.steps, plain.turns)
    slow.step(), plain.step()
    assert same(weights(slow), weights(plain))


def test_turns_of_another_kind_of_round_are_refused_and_nothing_is_drawn():
    recipe = get("ssgan-digits")
    state, other = (PlaygroundState(setup_of(recipe), recipe=recipe) for _ in range(2))
    with pytest.raises(ValueError, match="can't be taken one by one; play whole rounds"):
        state.step("discriminator")
    assert state.turns == {"discriminator": 0, "generator": 0}
    state.step(), other.step()
    assert same(weights(state), weights(other))


def test_slow_motion_shows_what_happened():
    state = small(penalties=())
    game = state.game
    before = game.discriminator.state_dict()
    frames = state.slow()
    walk = frames[3]["layers"]["discriminator"]
    assert [step["layer"] for step in walk] == [0, 1, 2, 3, 4]
    assert walk[0]["left"] is None  # D's step ends at the samples
    assert walk[4]["arrived"]["shape"] == [32, 1]
    assert walk[1]["gradients"] == {}
    moved = frames[4]["layers"]["discriminator"][2]["moved"]["weight"]
    after = game.discriminator.state_dict()["2.weight"]
    assert moved == pytest.approx(numpy.linalg.norm(after - before["2.weight"]), rel=1e-5)
    through = frames[8]["layers"]
    assert not through["discriminator"][0]["param_grads"]
    assert through["discriminator"][0]["left"]["shape"] == [16, 2]
    assert through["generator"][0]["param_grads"]
    assert frames[8]["arrows"].shape == (16, 2)


def test_the_first_cotangent_is_that_of_the_textbook():
    frames = small(penalties=()).slow()
    for turn, name, slope in ((2, "real", -1), (2, "fake", 0), (7, "fake", -1)):
        logit, d = frames[turn]["cotangents"][name].T
        numpy.testing.assert_allclose(d, 1 / (1 + numpy.exp(-logit)) + slope, rtol=1e-4, atol=1e-6)


def test_the_walks_of_a_penalty_are_shown_too():
    (down, up) = small(penalties=("r1:1",)).slow()[3]["walks"]
    assert (down["way"], up["way"]) == ("backward", "double_backward")
    assert small(penalties=()).slow()[3]["walks"] == []


def test_listening_leaves_the_net_as_it_was():
    net = small().game.discriminator
    layers = net.sequence
    with listening(net) as calls:
        net.forward(numpy.zeros((2, 2), "float32"))
    assert net.sequence is layers
    with pytest.raises(ValueError, match=r"needs .N, 2"), listening(net):
        net.forward(numpy.zeros((2, 3), "float32"))
    assert net.sequence is layers
    assert [call.layer for call in calls] == [0, 1, 2, 3, 4]


def test_the_source_of_each_layer_is_the_library_s_own():
    found = slow.sources(small().game)
    assert set(found) == {"LeakyReLU", "Linear"}
    assert "def backward(" in found["Linear"]["backward"]
    assert "def forward(" in found["Linear"]["forward"]


def test_a_histogram_counts_finite_values():
    found = slow.histogram(numpy.array([0.0, 1.0, 1.0, numpy.nan]))
    assert sum(found["counts"]) == 3
    assert slow.histogram([numpy.nan])["counts"] == [0] * slow.BINS
    assert sum(slow.histogram([5.0, 5.0])["counts"]) == 2


# ---------------------------------------------------------------- the Dirac-GAN


def test_the_dirac_gan_moves_by_the_gradients_of_the_paper():
    """Mescheder et al. 2018, definition 2.1 and lemma 2.4, with γ/2 ψ² for R1."""
    setup = Setup(data="dirac", penalties=("r1:1",), optimizer="sgd", lr_generator=0.1,
                  lr_discriminator=0.1)  # fmt: skip
    state = PlaygroundState(setup)
    theta, psi = state.scene.path[-1]
    for _ in range(20):
        state.step()
        # D first: loss log(1 + e^-0) + log(1 + e^(ψθ)); then G with the new ψ: log(1 + e^(-ψθ)).
        psi -= 0.1 * (theta / (1 + numpy.exp(-psi * theta)) + psi)
        theta += 0.1 * psi / (1 + numpy.exp(psi * theta))
        assert state.scene.path[-1] == pytest.approx((theta, psi), rel=1e-4)


def test_the_field_is_that_of_the_objective_now():
    state = PlaygroundState(Setup(data="dirac", penalties=()))
    assert not state.set(objective="wasserstein")
    anew = PlaygroundState(Setup(data="dirac", penalties=(), objective="wasserstein"))
    numpy.testing.assert_array_equal(state.start()["field"], anew.start()["field"])


def test_the_field_has_both_gradients_at_every_place():
    setup = Setup(data="dirac", penalties=(), optimizer="sgd")
    state = PlaygroundState(setup)
    field = state.start()["field"]
    assert field.shape == (225, 4)
    theta, psi, moves_theta, moves_psi = field.T
    numpy.testing.assert_allclose(
        moves_theta, psi / (1 + numpy.exp(psi * theta)), rtol=1e-4, atol=1e-5
    )
    numpy.testing.assert_allclose(
        moves_psi, -theta / (1 + numpy.exp(-psi * theta)), rtol=1e-4, atol=1e-5
    )


def test_without_a_penalty_the_dirac_gan_never_arrives_and_with_r1_it_does():
    def distance(*penalties):
        state = PlaygroundState(PRESETS["dirac"].setup.changed({"penalties": penalties}))
        for _ in range(600):
            state.step()
        return numpy.hypot(*state.scene.path[-1])

    assert distance() > 1.2
    assert distance("r1:1") < 0.01


@pytest.mark.parametrize("objective", gan.OBJECTIVES)
@pytest.mark.parametrize("penalty", [
    None, "r1", "r2", "gradient-penalty", "one-sided-penalty", "dragan", "vat", "clip-weights",
    "clip-gradient", "instance-noise", "spectral-norm",
])  # fmt: skip
def test_every_objective_and_penalty_has_a_phase_portrait(objective, penalty):
    setup = Setup(data="dirac", objective=objective, penalties=(penalty,) if penalty else ())
    field = dirac.field(setup, PlaygroundState(setup).scene.settings, side=3)
    assert numpy.isfinite(field).all()


def test_a_dirac_frame_has_the_path_so_far():
    state = PlaygroundState(PRESETS["dirac"].setup)
    for _ in range(3):
        state.step()
    assert state.frame()["path"].shape == (5, 2)
    assert state.probe(0.5, 0.25) == {"theta": 0.5, "psi": 0.25}


# ---------------------------------------------------------------- presets and pictures


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_played(name):
    changes = {"batch_size": 16} if PRESETS[name].group != "dirac" else {}
    state = PlaygroundState(PRESETS[name].setup.changed(changes))
    assert numpy.isfinite(state.step()["loss_d"])
    frame = state.frame()
    assert {"plane": "fake", "dirac": "path", "pictures": "pictures"}[state.scene.kind] in frame


def test_pictures_are_bytes_with_their_nearest_real_ones():
    state = PlaygroundState(PRESETS["digits"].setup.changed({"batch_size": 8}))
    assert state.frame()["pictures"].shape == (36, 16, 16, 1)
    start = state.start()
    assert start["latent"] == 64
    found = state.scene.explore(start["z"][:2])
    assert found["pictures"].shape == found["nearest"].shape == (2, 16, 16, 1)
    assert len(found["distance"]) == 2
    with pytest.raises(ValueError, match="64 numbers"):
        state.scene.explore([[0.0]])


def test_a_walk_suits_the_distribution():
    bell, cube = gan.Latent(2), gan.Latent(2, "uniform")
    assert walk(cube, [1, 0], [0, 1], 3)[1] == [0.5, 0.5]
    assert walk(bell, [1, 0], [0, 1], 3)[1] == pytest.approx([0.5**0.5] * 2)


def test_points_of_one_s_own_become_a_distribution():
    law = data.point_set([[0, 0], [1, 2]])
    assert len(law) == 2
    assert law.sample(5, numpy.random.default_rng(0)).shape == (5, 2)
    with pytest.raises(data.DataError, match="at least two rows"):
        data.point_set([[0, 0]])


@pytest.mark.parametrize(
    ("name", "looks", "finding"),
    [("collapse", (600, 800, 1000), "collapse"), ("d-wins", (250,), "d-won"),
     ("vanishing", (250,), "d-won")],
)  # fmt: skip
def test_presets_that_fail_do_as_the_doctor_says(name, looks, finding):
    """In most of five games; rounding alone makes another game of the same seed."""

    def heard(seed):
        state = PlaygroundState(replace(PRESETS[name].setup, seed=seed))
        said = set()
        for step in range(1, looks[-1] + 1):
            state.step()
            if step in looks:
                said |= {found["name"] for found in state.frame()["findings"]}
        return said

    assert sum(finding in heard(seed) for seed in range(5)) >= 3


def test_the_critic_explodes_without_a_penalty_and_not_with_one():
    def loss(name):
        state = PlaygroundState(PRESETS[name].setup)
        for _ in range(150):
            state.step()
        return abs(state.step()["loss_d"])

    assert loss("exploding-critic") > 20 * loss("wasserstein")


def test_the_first_preset_finds_every_mode():
    state = PlaygroundState(PRESETS["ring"].setup)
    for _ in range(500):
        state.step()
    assert state.frame()["covered"] == 8
