"""Chains of layers: the walk back goes as far as somebody needs it, errors say where, tables add
up.
"""

import copy
import itertools
import pickle

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import generators, randomised

from minigan import gradcheck, nn
from minigan.cli import main


class Spy(nn.Tanh):
    """Notes how its backward was called."""

    def __init__(self):
        self.calls = []

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        self.calls.append((param_grads, input_grad))
        return super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)


class LearningSpy(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.calls = []

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        self.calls.append((param_grads, input_grad))
        return super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)


def discriminator(rng=None):
    return nn.Sequential(
        nn.Conv2d(1, 3, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Sequential(
            nn.Conv2d(3, 5, kernel_size=4, stride=2, padding=1, rng=rng),
            nn.BatchNorm(5),
            nn.LeakyReLU(),
        ),
        nn.Dropout(0.3, rng=rng),
        nn.Flatten(),
        nn.Linear(20, 1, rng=rng),
    )


# ---------------------------------------------------------------- the walk back


def test_without_input_gradient_the_walk_ends_at_the_first_layer_that_learns():
    below, first, between, last = Spy(), LearningSpy(3, 4), Spy(), LearningSpy(4, 2)
    net = nn.Sequential(below, first, nn.Sequential(between, last))
    y, cache = net.forward(numpy.ones((5, 3), "float32"))
    assert net.backward(y, cache, input_grad=False) is None
    assert below.calls == []
    assert first.calls == [(True, False)]
    assert between.calls == [(True, True)]
    assert last.calls == [(True, True)]
    assert (first.weight.grad != 0).any()


def test_laziness_reaches_into_nested_chains():
    below, first = Spy(), LearningSpy(3, 4)
    net = nn.Sequential(Spy(), nn.Sequential(below, first), nn.Tanh())
    y, cache = net.forward(numpy.ones((5, 3), "float32"))
    net.backward(y, cache, input_grad=False)
    assert below.calls == net[0].calls == []
    assert first.calls == [(True, False)]


def test_the_generator_step_through_a_discriminator_touches_no_gradient():
    net = discriminator()
    x = numpy.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype("float32")
    y, cache = net.forward(x)
    dx = net.backward(numpy.ones_like(y), cache, param_grads=False)
    assert dx.shape == x.shape
    assert (net.flat().grad == 0).all()
    assert net.backward(numpy.ones_like(y), cache, param_grads=False, input_grad=False) is None
    numpy.testing.assert_array_equal(net.backward(numpy.ones_like(y), cache), dx)
    assert (net.flat().grad != 0).any()


def test_a_chain_in_which_nothing_learns():
    net = nn.Sequential(Spy(), nn.Flatten())
    y, cache = net.forward(numpy.ones((2, 3, 4, 5)))
    assert net.backward(y, cache, input_grad=False) is None
    assert net[0].calls == []
    assert net.backward(y, cache).shape == (2, 3, 4, 5)
    empty = nn.Sequential()
    y, cache = empty.forward(y)
    numpy.testing.assert_array_equal(empty.backward(y, cache), y)


@pytest.mark.parametrize("train", [True, False])
@settings(max_examples=8)
@given(rng=generators)
def test_whole_nets_along_random_directions(train, rng):
    net = randomised(discriminator(rng), rng)
    x = rng.standard_normal((4, 8, 8, 1))
    assert gradcheck.check(net, x, rng=rng, train=train, directions=3).worst <= 1e-6


@settings(max_examples=15)
@given(
    rng=generators,
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    n=st.integers(2, 5),
    data=st.data(),
)
def test_drawn_nets_along_random_directions(rng, sizes, n, data):
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers.append(nn.Linear(a, b, rng=rng))
        kinds = [nn.Tanh, nn.Sigmoid, nn.LeakyReLU, lambda b=b: nn.BatchNorm(b, eps=0.1)]
        layers.append(data.draw(st.sampled_from(kinds))())
    net = nn.Sequential(*layers)
    report = gradcheck.check(
        randomised(net, rng), rng.standard_normal((n, sizes[0])), rng=rng, directions=2
    )
    assert report.worst <= 1e-6


def test_real_and_fake_caches_do_not_mix():
    """D(real), D(fake), then both backwards: the sum of what each gives alone."""
    net = discriminator(numpy.random.default_rng(0)).astype("float64")
    net.sequence = tuple(layer for layer in net if not isinstance(layer, nn.Dropout))
    real, fake = numpy.random.default_rng(1).standard_normal((2, 4, 8, 8, 1))
    alone = []
    for x in (real, fake):
        y, cache = net.forward(x)
        net.backward(numpy.ones_like(y), cache)
        alone.append(net.flat().grad.copy())
        net.zero_grad()
    y_real, real_cache = net.forward(real)
    y_fake, fake_cache = net.forward(fake)
    net.backward(numpy.ones_like(y_real), real_cache)
    numpy.testing.assert_allclose(net.flat().grad, alone[0], rtol=1e-12)
    net.backward(numpy.ones_like(y_fake), fake_cache)
    numpy.testing.assert_allclose(net.flat().grad, alone[0] + alone[1], rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- errors


def test_an_error_says_which_layer_and_the_shapes_on_the_way():
    """The discriminator of the tutorials that circulate: on 28x28 its fourth convolution meets a
    3x3 map.
    """
    net = nn.Sequential(
        *[nn.Conv2d(c, c + 1, kernel_size=4, stride=2, padding=1) for c in (1, 2, 3)],
        nn.Conv2d(4, 1, kernel_size=4),
    )
    for attempt in (
        lambda: net.forward(numpy.ones((2, 28, 28, 1), "float32")),
        lambda: net.output_shape((2, 28, 28, 1)),
        lambda: net.summary((28, 28, 1)),
    ):
        with pytest.raises(
            ValueError, match="kernel of 4x4 is larger than the padded image of 3x3"
        ) as caught:
            attempt()
        assert "layer" not in str(caught.value)
        (message,) = caught.value.__notes__
        assert "layer 3 of 4" in message
        assert "28, 28, 1) -> Conv2d(1, 2, kernel_size=4, stride=2, padding=1)" in message
        assert "14, 14, 2) -> " in message
        assert "3, 3, 4)]" in message
        assert "\n" not in message


def test_errors_in_nested_chains_are_located_twice():
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(12, 5), nn.Linear(4, 2)))
    with pytest.raises(
        ValueError, match=r"Linear\(4, 2\) got .*\n\[layer 1 of 2.*\n\[layer 1 of 2"
    ) as caught:
        net.forward(numpy.ones((2, 3, 4), "float32"))
    inner, outer = caught.value.__notes__
    assert "(2, 12) -> Linear(12, 5) (2, 5)]" in inner
    assert "(2, 3, 4) -> Flatten() (2, 12)]" in outer


class Refusal(Exception):
    """An exception of one's own, which can't be made from a sentence."""

    def __init__(self, expected, got):
        super().__init__(expected, got)
        self.expected, self.got = expected, got


class Refusing(nn.Tanh):
    def forward(self, x, *, train=True):
        raise Refusal(3, x.shape[1])


def test_an_exception_of_ones_own_keeps_its_type_and_gets_the_note():
    net = nn.Sequential(nn.Linear(3, 5), Refusing())
    with pytest.raises(Refusal) as caught:
        net.forward(numpy.ones((2, 3), "float32"))
    assert (caught.value.expected, caught.value.got) == (3, 5)
    assert caught.value.__notes__ == [
        "[layer 1 of 2; the shapes on the way there: (2, 3) -> Linear(3, 5) (2, 5)]"
    ]


def test_the_command_that_checks_gradients_tells_the_note(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(
        "from minigan import nn\nnet = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 1))\n"
    )
    assert main(["gradcheck", f"{path}:net", "--input", "2,3"]) == 1
    assert "[layer 1 of 2; the shapes on the way there: (2, 3)" in capsys.readouterr().out


def test_the_way_of_a_pair_is_that_of_its_samples():
    net = nn.Sequential(nn.ConcatenateLabels(2), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"\(4, 3\) -> ConcatenateLabels\(2\) \(4, 5\)\]"):
        net.forward((numpy.ones((4, 3), "float32"), numpy.array([0, 1, 1, 0])))


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (lambda y, cache: y, "ndarray"),
        (lambda y, cache: (y, cache, None), "3 values"),
        (lambda y, cache: [y, cache], "list"),
        (lambda y, cache: None, "NoneType"),
    ],
)
def test_what_is_no_pair_of_output_and_cache_is_refused(returned, what):
    class Own(nn.Tanh):
        def forward(self, x, *, train=True):
            return returned(*super().forward(x, train=train))

    # Two samples: an array of two rows could be taken apart as if it were a pair.
    net = nn.Sequential(nn.Linear(3, 3), Own())
    with pytest.raises(
        TypeError, match=rf"^Tanh\(\)\.forward returned {what}, but must return a pair \(y, cache\)"
    ) as caught:
        net.forward(numpy.ones((2, 3), "float32"))
    assert "layer 1 of 2" in caught.value.__notes__[0]


class Made(nn.Layer):
    """The identity, one of whose maps ends in another way."""

    def __init__(self, *, y=None, dx=None):
        self.y, self.dx = y, dx

    def forward(self, x, *, train=True):
        return self.y(x) if self.y else x, nn.Cache(self, x)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        return self.dx(dy)


def test_an_output_that_is_no_array_is_blamed_on_its_layer():
    net = nn.Sequential(Made(y=lambda x: x.tolist()), nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"^Made\.forward returned list as y, but must return an"):
        net.forward(numpy.ones((2, 2), "float32"))


@pytest.mark.parametrize("returned", [None, (1.0, 1.0), [1.0], 1.0])
def test_a_cotangent_that_is_no_array_points_to_the_layer_after(returned):
    net = nn.Sequential(nn.Linear(2, 2), Made(dx=lambda dy: returned))
    y, cache = net.forward(numpy.ones((2, 2), "float32"))
    said = (
        rf"Linear\(2, 2\)\.backward got {type(returned).__name__} as dy, but needs an array; in a "
        "net, it is what the backward of the layer after it returns"
    )
    for call in (net.backward, net.backward_signals):
        with pytest.raises(TypeError, match=said):
            call(y, cache)


def test_labels_and_pairs_need_no_cotangent_that_is_an_array():
    class Doubled(nn.Layer):
        def forward(self, x, *, train=True):
            return (x, x), nn.Cache(self, x)

        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            return dy[0] + dy[1]

    class Sum(nn.Layer):
        def forward(self, x, *, train=True):
            return x[0] + x[1], nn.Cache(self, x[0])

        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            return dy, dy

    net = nn.Sequential(nn.Linear(2, 2), Doubled(), Sum())
    x = numpy.ones((2, 2), "float32")
    y, cache = net.forward(x)
    numpy.testing.assert_allclose(net.backward(y, cache), 2 * y @ net[0].weight.value.T, rtol=1e-5)
    net = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2))
    y, cache = net.forward(numpy.array([0, 3]))
    assert net.backward(y, cache) is None


def test_type_errors_stay_type_errors():
    net = nn.Sequential(nn.Tanh(), nn.Linear(3, 2))
    for bad in (numpy.ones((2, 3), int), [[1.0, 2, 3]]):
        with pytest.raises(TypeError, match="layer 0 of 2"):
            net.forward(bad)


def test_a_batch_of_one_in_training_is_located():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4))
    with pytest.raises(
        ValueError, match=r"batch of at least 2, or evaluation mode.\n\[layer 1 of 2"
    ):
        net.forward(numpy.ones((1, 3), "float32"))
    assert net(numpy.ones((1, 3), "float32")).shape == (1, 4)


def test_what_is_no_layer_is_refused():
    class Duck:
        def forward(self, x):
            return x, None

        def backward(self, dy, cache):
            return dy

    for bad in ([nn.Tanh()], nn.Tanh, numpy.tanh, Duck()):
        with pytest.raises(TypeError, match="Sequential needs layers, got"):
            nn.Sequential(nn.Tanh(), bad)


def test_foreign_caches_and_wrong_cotangents():
    net, other = discriminator(), discriminator()
    x = numpy.ones((4, 8, 8, 1), "float32")
    y, cache = net.forward(x)
    with pytest.raises(ValueError, match="cache"):
        other.backward(y, cache)
    with pytest.raises(ValueError, match="cotangent of shape"):
        net.backward(y[:, :0], cache)


# ---------------------------------------------------------------- state


def test_state_goes_over_to_another_net_and_comes_as_copies():
    net, other = discriminator(), discriminator()
    x = numpy.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype("float32")
    net.forward(x)
    state = net.state_dict()
    assert list(state) == [
        *(
            "0.weight",
            "0.bias",
            "2.0.weight",
            "2.0.bias",
            "2.1.gamma",
            "2.1.beta",
            "5.weight",
            "5.bias",
        ),
        *("2.1.running_mean", "2.1.running_var"),
    ]
    assert list(net.parameters()) == list(state)[:8]
    assert (state["2.1.running_mean"] != 0).any()
    other.flat()
    other.load_state_dict(state)
    numpy.testing.assert_array_equal(other(x), net(x))
    state["0.weight"][...] = 7
    assert (net[0].weight.value != 7).all()
    assert (other[0].weight.value != 7).all()
    # In another precision, too; the net keeps its own.
    other.load_state_dict({name: a.astype("float64") for name, a in net.state_dict().items()})
    assert other[0].weight.value.dtype == "float32"


def test_a_state_that_does_not_fit_changes_nothing():
    net = discriminator()
    before = net.state_dict()
    state = {name: a + 1 for name, a in before.items()}
    for change, message in (
        (lambda s: s.pop("5.bias"), r"missing \['5.bias'\], unknown nothing"),
        (lambda s: s.update({"6.bias": s["5.bias"]}), r"missing nothing, unknown \['6.bias'\]"),
        (
            lambda s: s.update({"5.bias": numpy.zeros(2)}),
            r"'5.bias' has shape \(1,\) in this net, but \(2,\)",
        ),
    ):
        bad = dict(state)
        change(bad)
        with pytest.raises(ValueError, match=message):
            net.load_state_dict(bad)
    # Complex numbers would lose a part; these would be noticed after other arrays were changed.
    for wrong in (state["5.bias"] + 1j, numpy.array(["a"]), numpy.array([None])):
        with pytest.raises(TypeError, match=r"'5\.bias' holds .* but needs real numbers"):
            net.load_state_dict(state | {"5.bias": wrong})
    with pytest.raises(TypeError, match="Expected a NumPy or CuPy array, got list"):
        net.load_state_dict(state | {"5.bias": [1.0]})
    for name, array in net.state_dict().items():
        numpy.testing.assert_array_equal(array, before[name])


def test_astype_changes_everything_in_place_and_back():
    net = discriminator()
    assert net.astype("float64") is net
    assert {a.dtype for a in net.state_dict().values()} == {numpy.dtype("float64")}
    assert net(numpy.ones((2, 8, 8, 1), "float32")).dtype == "float64"
    values = net.astype("float32").state_dict()
    assert {a.dtype for a in values.values()} == {numpy.dtype("float32")}
    assert net.flat().value.dtype == net.flat().grad.dtype == "float32"
    with pytest.raises(TypeError, match="float32 or float64, got dtype 'int32'"):
        net.astype("int32")


def test_devices():
    net = discriminator()
    weight = net[0].weight.value
    assert net.to("cpu") is net
    assert net[0].weight.value is weight
    with pytest.raises(ValueError, match="Unknown device 'tpu'"):
        net.to("tpu")


def test_copies_are_independent():
    net = discriminator(numpy.random.default_rng(0))
    net.flat()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        x = numpy.ones((2, 8, 8, 1), "float32")
        numpy.testing.assert_array_equal(twin(x), net(x))
        twin.flat().value[...] = 0
        twin.flat().grad[...] = 1
        assert (net.flat().value != 0).any()
        assert (net.flat().grad == 0).all()
        assert (twin[0].weight.value == 0).all()


def test_generators_are_found_by_name():
    net = discriminator(numpy.random.default_rng(0))
    assert set(net.generators()) == {"3.rng"}
    assert [name for name, _ in net.layers()][:3] == ["", "0", "1"]


# ---------------------------------------------------------------- the table


def cells(table):
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()
    ]


def test_summary_lists_layers_shapes_parameters_and_work():
    net = discriminator()
    rows = cells(net.summary((8, 8, 1)))
    by_layer = {row[1]: row for row in rows if row[0][0].isdigit()}
    first = by_layer["Conv2d(1, 3, kernel_size=4, stride=2, padding=1)"]
    assert first == ["0", first[1], "(N, 4, 4, 3)", "51", "768"]  # 16 * 3 + 3; 16 pixels * 3 * 16
    assert by_layer["BatchNorm(5)"] == ["2.1", "BatchNorm(5)", "(N, 2, 2, 5)", "10", "-"]
    assert by_layer["Linear(20, 1)"][2:] == ["(N, 1)", "21", "20"]
    assert "Flatten()" in by_layer
    total = rows[-1]
    assert total[0] == "total"
    assert int(total[1]) == sum(p.size for p in net.parameters().values()) == 51 + 245 + 10 + 21
    assert int(total[2].replace(",", "")) == 768 + 960 + 20
    assert int(total[1]) == sum(int(row[3]) for row in by_layer.values() if row[3] != "-")
    assert int(total[2].replace(",", "")) == sum(
        int(row[4]) for row in by_layer.values() if row[4] != "-"
    )


def test_summary_takes_shapes_with_and_without_the_batch():
    net = discriminator()
    assert net.summary((8, 8, 1)) == net.summary((64, 8, 8, 1))
    transposed = nn.Sequential(nn.ConvTranspose2d(2, 3, kernel_size=4, stride=2, padding=1))
    assert "1,536" in transposed.summary((4, 4, 2))  # 16 input pixels * 2 * 16 * 3
    with pytest.raises(ValueError, match="channels come last"):
        net.summary((1, 8, 8))


def test_summary_counts_shared_parameters_once():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    assert cells(nn.Sequential(a, nn.Tanh(), b).summary((3,)))[-1] == ["total", "15", "18"]
    assert nn.Linear(3, 2).summary((3,)).splitlines()[-1].split() == ["total", "8", "6"]


def test_chains_are_indexed_counted_and_described():
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    assert len(net) == 2
    assert list(net) == [net[0], net[1]]
    assert repr(net) == "Sequential(Linear(3, 2), Tanh())"
