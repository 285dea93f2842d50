"""Sentences by rewards: the game as a whole by finite differences, and REINFORCE by enumeration."""

import itertools

import numpy
import pytest
from whole_games import Still, checked, moved

from minigan import gan, nn, optim
from minigan.gan import Latent
from minigan.gan.seqgan import advantage, probabilities

WORDS, LENGTH = 4, 5


def writer(rng, words=WORDS, hidden=3):
    recurrent = nn.GRU(words, hidden, rng=rng)
    net = gan.Writer(recurrent, nn.Conv1d(hidden, words, kernel_size=1, rng=rng))
    net.astype("float64")
    for p in net.parameters().values():
        p.value = p.value + 0.5 * rng.standard_normal(p.shape)
    return net


def game(rng, optimizer=Still, **options):
    G = writer(rng)
    D = nn.Sequential(
        nn.Conv1d(WORDS, 3, kernel_size=3, padding=1, rng=rng), nn.Tanh(), nn.Flatten(),
        nn.Linear(3 * LENGTH, 1, rng=rng),
    ).astype("float64")  # fmt: skip
    return gan.SequenceGame(
        G, D, optimizer(G, lr=0.1), optimizer(D, lr=0.1), latent=Latent(LENGTH, "uniform"),
        **options,
    )  # fmt: skip


def drawn(rng, n=6):
    """Sentences of the data, and latents."""
    codes = rng.integers(0, WORDS, (n, LENGTH))
    for row in codes:
        row[numpy.cumsum(row == 0) > 0] = 0
    return numpy.eye(WORDS)[codes], rng.uniform(-1, 1, (n, LENGTH))


def log_likelihoods(G, words):
    """log π of each sentence, up to its end, from the definition."""
    before = numpy.concatenate([numpy.zeros_like(words[:, :1]), words[:, :-1]], axis=1)
    logits = G.policy(before)
    steps = numpy.log((probabilities(logits) * words).sum(axis=2))
    codes = words.argmax(axis=2)
    ends = [list(row).index(0) + 1 if 0 in row else len(row) for row in codes]
    return numpy.array([row[:end].sum() for row, end in zip(steps, ends, strict=True)])


def test_learning_from_the_data_is_maximum_likelihood():
    rng = numpy.random.default_rng(0)
    whole = game(rng, pretraining=1)
    real, z = drawn(rng)
    report = whole.generator_step(z, real)

    def loss():
        return -log_likelihoods(whole.generator, real).mean()

    assert report["loss_g"] == pytest.approx(loss())
    checked(loss, whole.generator, seed=1)


def test_learning_from_rewards_weights_its_own_sentences():
    rng = numpy.random.default_rng(1)
    whole = game(rng)
    real, z = drawn(rng)
    words, _ = whole.generator.forward(z)
    reward = whole.reward(words)
    report = whole.generator_step(z, real)
    assert report["loss_g"] == pytest.approx(-reward.mean()) == -report["reward"]

    def loss():
        return -(advantage(reward)[:, 0] * log_likelihoods(whole.generator, words)).mean()

    checked(loss, whole.generator, seed=2)


def test_the_discriminators_loss_is_that_of_every_game():
    rng = numpy.random.default_rng(2)
    whole = game(rng)
    real, z = drawn(rng)
    fake, _ = whole.generator.forward(z)
    whole.discriminator_step(real, z)

    def loss():
        D = whole.discriminator
        return float(whole.objective.discriminator(D(real), D(fake))[0])

    checked(loss, whole.discriminator, seed=3)


def test_reinforce_is_the_gradient_of_the_expected_reward():
    """All sentences of two words over three, each as often as it is likely."""
    rng = numpy.random.default_rng(3)
    G = writer(rng, words=3)
    every = [(0, 0), *itertools.product((1, 2), (0, 1, 2))]
    words = numpy.eye(3)[numpy.array(every)]
    reward = rng.standard_normal(len(every))

    def expected():
        return float(numpy.exp(log_likelihoods(G, words)) @ reward)

    chances = numpy.exp(log_likelihoods(G, words))
    assert chances.sum() == pytest.approx(1)
    G.zero_grad()
    # A mean over N, of a weight with the chance and any baseline in it.
    weight = len(every) * chances * (reward - 0.7)
    G.imitate(words, weight[:, None])
    G.flat().grad[...] *= -1
    checked(expected, G, seed=4)


def test_words_are_drawn_as_often_as_they_are_likely():
    rng = numpy.random.default_rng(4)
    G = writer(rng, words=3)
    n = 40_000
    words, _ = G.forward(rng.uniform(-1, 1, (n, 2)))
    numpy.testing.assert_array_equal(words.sum(axis=2), 1)
    seen, counts = numpy.unique(words.argmax(axis=2), axis=0, return_counts=True)
    likely = numpy.exp(log_likelihoods(G, numpy.eye(3)[seen]))
    assert likely.sum() == pytest.approx(1)
    numpy.testing.assert_allclose(counts / n, likely, atol=4 * 0.5 / n**0.5)


def test_after_the_end_there_is_nothing():
    rng = numpy.random.default_rng(5)
    codes = writer(rng).forward(rng.uniform(-1, 1, (200, LENGTH)))[0].argmax(axis=2)
    ended = numpy.cumsum(codes == 0, axis=1) > 0
    assert ended.any()
    assert not codes[ended].any()


def test_the_advantage_compares_with_the_others():
    reward = numpy.array([[1.0], [2.0], [6.0]])
    expected = numpy.array([-2, -1, 3]) / (numpy.sqrt(14 / 3) + 0.01)
    numpy.testing.assert_allclose(advantage(reward)[:, 0], expected)
    numpy.testing.assert_allclose(advantage(reward / 20), advantage(reward), rtol=0.1)
    assert not advantage(numpy.ones((3, 1))).any()


def test_rewards_leave_the_discriminators_statistics_alone():
    rng = numpy.random.default_rng(9)
    whole = game(rng)
    first = nn.Conv1d(WORDS, 3, kernel_size=3, padding=1, rng=rng)
    rest = list(whole.discriminator)[1:]
    D = nn.Sequential(nn.spectral_norm(first, rng=rng), nn.BatchNorm(3), *rest).astype("float64")
    whole.discriminator = D
    words, _ = drawn(rng)

    def changed(act):
        before = {name: buffer.copy() for name, buffer in D.buffers().items()}
        act()
        now = D.buffers()
        return {name for name in before if not numpy.array_equal(now[name], before[name])}

    assert changed(lambda: whole.reward(words)) == set()
    assert changed(lambda: D.forward(words, train=True)) == set(D.buffers())


def test_a_step_moves_its_own_player():
    rng = numpy.random.default_rng(6)
    whole = game(rng, optimizer=optim.SGD)
    real, z = drawn(rng)
    assert moved(whole, lambda: whole.generator_step(z, real)) == {"generator"}
    assert moved(whole, lambda: whole.discriminator_step(real, z)) == {"discriminator"}


def test_the_data_come_first_and_the_count_is_kept():
    whole = game(numpy.random.default_rng(7), pretraining=2)
    kinds = []
    for _ in range(3):
        kinds.append(whole.kind())
        whole.end_round()
    assert kinds == ["data", "data", "rewards"]
    other = game(numpy.random.default_rng(7), pretraining=2)
    other.parts()["progress"].load_state_dict(whole.parts()["progress"].state_dict())
    assert other.kind() == "rewards"
    assert other.progress.rounds == 3


def test_a_gradient_through_the_draw_is_refused():
    G = writer(numpy.random.default_rng(8))
    y, cache = G.forward(numpy.zeros((2, LENGTH)))
    with pytest.raises(ValueError, match="a draw has no derivative"):
        G.backward(y, cache)
    with pytest.raises(ValueError, match="needs \\(N, length\\)"):
        G.output_shape((2, 3, 4))
    assert G.output_shape((2, 3)) == (2, 3, WORDS)
    assert "GRU" in repr(G)
    assert G.multiply_adds((2, 3)) == 2 * 3 * ((WORDS + 3) * 9 + 3 * WORDS)
