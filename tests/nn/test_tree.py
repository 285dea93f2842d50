"""What a layer holds is found, wherever it holds it; and the modules of layers form no circle."""

import ast
import copy
import pickle
from collections import OrderedDict, UserList, deque
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple

import numpy
import pytest

import minigan.nn
from minigan import gan, gradcheck, losses, nn, optim
from minigan.gan import taming


class Parts(nn.Layer):
    """A chain whose layers lie in a list, a dict and a tuple, with a parameter in each."""

    def __init__(self, rng):
        self.first = nn.Linear(3, 4, rng=rng)
        self.parts = [nn.Tanh(), {"a": nn.Linear(4, 4, rng=rng), 7: (nn.Dropout(0.1, rng=rng),)}]
        self.scales = {"input": nn.Parameter(numpy.ones(3, "float32"))}
        self.notes = ["no layer", 3, None, [1.0, 2.0]]
        self.rngs = [numpy.random.default_rng(1)]

    def chain(self):
        return [self.first, self.parts[0], self.parts[1]["a"], self.parts[1][7][0]]

    def forward(self, x, *, train=True):
        scaled, caches = x * self.scales["input"].value, []
        y = scaled
        for layer in self.chain():
            y, cache = layer.forward(y, train=train)
            caches.append(cache)
        return y, nn.Cache(self, y, x, caches)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        x, caches = cache.recall(self, dy)
        for layer, inner in zip(reversed(self.chain()), reversed(caches), strict=True):
            dy = layer.backward(dy, inner, param_grads=param_grads)
        if param_grads:
            self.scales["input"].grad += (dy * x).sum(axis=0)
        return dy * self.scales["input"].value if input_grad else None


NAMES = ["scales.input", "first.weight", "first.bias", "parts.1.a.weight", "parts.1.a.bias"]


def net(rng=0):
    rng = numpy.random.default_rng(rng)
    return nn.Sequential(Parts(rng), nn.Linear(4, 1, rng=rng))


def test_lists_tuples_and_dicts_are_searched():
    layer = Parts(numpy.random.default_rng(0))
    assert [name for name, _ in layer.children()] == [
        "first",
        "parts.0",
        "parts.1.a",
        "parts.1.7.0",
    ]
    assert [name for name, _ in layer.layers("d")] == [
        *("d", "d.first", "d.parts.0", "d.parts.1.a", "d.parts.1.7.0")
    ]
    assert list(layer.parameters()) == NAMES
    assert list(layer.generators()) == ["rngs.0", "parts.1.7.0.rng"]
    assert layer.flat().value.size == 3 + 16 + 20


def test_what_lies_in_a_list_is_trained_saved_and_moved():
    whole, other = net(), net(1)
    rng, before = numpy.random.default_rng(2), whole.state_dict()
    optimizer = optim.Adam(whole, lr=0.1)
    for _ in range(3):
        y, cache = whole.forward(rng.standard_normal((8, 3), "float32"))
        optimizer.zero_grad()
        whole.backward(losses.bce_with_logits(y, 1.0)[1], cache)
        optimizer.step()
    for name, array in whole.state_dict().items():
        assert (array != before[name]).any(), name
    other.load_state_dict(whole.state_dict())
    x = rng.standard_normal((8, 3), "float32")
    numpy.testing.assert_array_equal(other(x), whole(x))
    assert {a.dtype.name for a in whole.astype("float64").state_dict().values()} == {"float64"}
    assert whole[0].parts[1]["a"].weight.value.dtype == "float64"


@pytest.mark.parametrize("kind", [list, tuple, lambda ps: [ps], lambda ps: {0: tuple(ps)}])
def test_parameters_in_lists_are_checked_in_double_precision(kind):
    class Scaled(nn.Layer):
        def __init__(self):
            self.parts = kind([nn.Parameter(numpy.float32(a)) for a in ([1, 2, 3], [4, 5, 6])])

        def forward(self, x, *, train=True):
            a, b = self.parameters().values()
            y = a.value * b.value * x
            return y, nn.Cache(self, y, x)

        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            (x,) = cache.recall(self, dy)
            a, b = self.parameters().values()
            if param_grads:
                a.grad += (dy * b.value * x).sum(axis=0)
                b.grad += (dy * a.value * x).sum(axis=0)
            return a.value * b.value * dy if input_grad else None

    report = gradcheck.check(Scaled(), numpy.random.default_rng(0).standard_normal((4, 3)))
    assert len(report.arrays) == 3


def test_copies_of_lists_stand_on_their_own():
    whole = net()
    for twin in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        twin.flat().value[...] = 0
        assert (twin[0].parts[1]["a"].weight.value == 0).all()
        assert (whole[0].parts[1]["a"].weight.value != 0).all()


class Holder(nn.Layer):
    def __init__(self, **held):
        vars(self).update(held)


@pytest.mark.parametrize(
    ("held", "name"),
    [
        ({"parts": {1: nn.Linear(2, 2), "1": nn.Linear(2, 2)}}, "parts.1"),
        ({"parts": {1: nn.Tanh(), "1": nn.Tanh()}}, "parts.1"),
        ({"parts": {"a.b": nn.Linear(2, 2), "a": {"b": nn.Linear(2, 2)}}}, "parts.a.b"),
        # A layer's parameter, and a parameter beside it under a key with a dot.
        ({"p": {"a": nn.Linear(2, 2), "a.weight": nn.Parameter(numpy.zeros(2))}}, "p.a.weight"),
    ],
)
def test_two_members_of_one_name_are_refused(held, name):
    layer = Holder(**held)
    with pytest.raises(ValueError, match=rf"would both be called '{name}'; give one of them"):
        layer.parameters()


def test_a_layer_that_holds_itself_is_refused():
    alone, outer, inner = Holder(), Holder(), Holder()
    alone.me = alone
    outer.parts = [nn.Tanh(), inner]
    inner.back = {"up": outer}
    for layer, name in ((alone, "me"), (outer, "parts.1.back.up"), (inner, "back.up.parts.1")):
        for ask in (layer.parameters, layer.state_dict, layer.flat, layer.generators):
            with pytest.raises(ValueError, match=rf"^Holder holds itself, as '{name}'"):
                ask()


def test_a_list_that_holds_itself_is_searched_once():
    parts = [nn.Linear(2, 2)]
    parts.append(parts)
    assert list(Holder(parts=parts).parameters()) == ["parts.0.weight", "parts.0.bias"]


class Box(nn.Layer):
    """Keeps something in its attribute `box`."""

    def __init__(self, box, **others):
        self.box = box
        vars(self).update(others)


class Plain:
    """Holds something, and isn't a layer."""

    def __init__(self, part):
        self.part = part


class Slotted:
    """Holds something in a slot."""

    __slots__ = ("part",)

    def __init__(self, part):
        self.part = part


OUT_OF_REACH = {
    "Plain": Plain,
    "Slotted": Slotted,
    "set": lambda layer: {layer},
    "frozenset": lambda layer: frozenset([layer]),
    "deque": lambda layer: deque([layer]),
    "UserList": lambda layer: UserList([layer]),
    "dict_values": lambda layer: {"a": layer}.values(),
    "mappingproxy": lambda layer: MappingProxyType({"a": layer}),
    "SimpleNamespace": lambda layer: SimpleNamespace(a=layer),
    "ndarray": lambda layer: numpy.array([layer, None], dtype=object),
}


@pytest.mark.parametrize("kind", OUT_OF_REACH)
@pytest.mark.parametrize("inside", [lambda box: box, lambda box: [1, {"parts": (box,)}]])
def test_layers_where_they_are_not_found_are_refused(kind, inside):
    for part in (nn.Linear(2, 2), nn.Parameter(numpy.ones(3, "float32"))):
        net = nn.Sequential(nn.Linear(2, 2), Box(inside(OUT_OF_REACH[kind](part))))
        words = f"The attribute box of Box has layers or parameters in a {kind}, where they are"
        for use in (optim.Adam, nn.Layer.state_dict, lambda net: net.load_state_dict({})):
            with pytest.raises(TypeError, match=words):
                use(net)


def test_layers_of_a_class_or_in_slots_are_refused():
    class OfTheClass(nn.Layer):
        box = nn.Linear(2, 2)

    class InSlots(nn.Layer):
        __slots__ = ("box",)

        def __init__(self, box):
            self.box = box

    class InASlot(nn.Layer):
        __slots__ = "box"

        def __init__(self, box):
            self.box = box

    linear = nn.Linear(2, 2)
    slotted = [kind(box) for kind in (InSlots, InASlot) for box in (linear, [linear])]
    for net in (OfTheClass(), InSlots(linear.weight), *slotted):
        with pytest.raises(TypeError, match=r"attribute box .* in a class attribute or slot"):
            optim.Adam(nn.Sequential(nn.Linear(2, 2), net))
    covered = OfTheClass()
    covered.box = linear
    assert optim.Adam(covered).flat.parameters == [linear.weight, linear.bias]


def test_layers_that_are_only_referred_to_are_left_alone():
    teacher = nn.Linear(2, 2)
    net = Box(lambda: teacher, game=gan.Latent(3), linear=nn.Linear(2, 1))
    assert len(optim.Adam(net).flat.parameters) == 2


@pytest.mark.parametrize("kind", OUT_OF_REACH)
def test_what_is_found_elsewhere_may_lie_anywhere(kind):
    part, ring = nn.Linear(2, 2), deque([1, "a", numpy.ones(3)])
    ring.append(ring)
    net = Box(OUT_OF_REACH[kind](part), part=part, ring=ring, far=range(10**12))
    optim.Adam(net)
    assert list(net.state_dict()) == ["part.weight", "part.bias"]


def test_a_layer_held_twice_learns_once():
    layer = nn.Linear(3, 2)
    shared = Holder(first=layer, parts=[layer])
    assert list(shared.parameters()) == [
        *("first.weight", "first.bias", "parts.0.weight", "parts.0.bias")
    ]
    assert shared.flat().value.size == 8


def test_a_chain_finds_what_a_subclass_holds_beside_its_layers():
    class Own(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(3, 2), nn.Tanh())
            self.extra = [nn.Linear(2, 2)]

    assert list(Own().parameters()) == ["0.weight", "0.bias", "extra.0.weight", "extra.0.bias"]


# ---------------------------------------------------------------- changing layers


class Pair(NamedTuple):
    left: nn.Layer
    right: nn.Layer


def test_children_are_replaced_wherever_they_lie():
    a, b, c, d, e = (nn.Linear(2, 2) for _ in range(5))
    held = {
        "one": a,
        "parts": [b, "word", (c, 3)],
        "named": OrderedDict(key=d),
        "pair": Pair(e, a),
        "sizes": (2, 2),
        "sets": [nn.Tanh()],
    }
    layer, kept = Holder(**held), Holder(**held)
    layer.replace_children(lambda child: nn.ReLU() if isinstance(child, nn.Linear) else child)
    assert [repr(child) for _, child in layer.children()] == ["ReLU()"] * 6 + ["Tanh()"]
    assert layer.parts[1:] == ["word", (layer.parts[2][0], 3)]
    assert type(layer.named) is OrderedDict
    assert type(layer.pair) is Pair
    assert layer.pair.right is layer.one, "held twice, changed once"
    assert layer.sizes is held["sizes"]
    assert layer.sets is held["sets"]
    # Another layer that shares the containers keeps its own.
    assert [child for _, child in kept.children()][:6] == [a, b, c, d, e, a]


def test_spectral_norm_reaches_every_layer():
    tamed = taming.tame(net(), ["spectral-norm"], rng=numpy.random.default_rng(0)).discriminator
    linear = [name for name, layer in tamed.layers() if isinstance(layer, nn.SpectralNorm)]
    assert linear == ["0.first", "0.parts.1.a", "1"]
    assert tamed(numpy.ones((2, 3), "float32")).shape == (2, 1)


# ---------------------------------------------------------------- each sample by itself


def test_samplewise_is_said_by_each_class_for_itself():
    class Own(nn.Layer, samplewise=True):
        pass

    class Inherits(Own):
        pass

    assert Own().samplewise
    assert not Inherits().samplewise
    assert not nn.Layer().samplewise
    own = Own()
    own.parts = [nn.Tanh()]
    assert own.samplewise
    own.parts.append(nn.BatchNorm(3))
    assert not own.samplewise, "what lies in a list counts, too"


# ---------------------------------------------------------------- the modules


def _imports(path):
    """Modules of minigan.nn that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("minigan.nn.") for name in found if name.startswith("minigan.nn.")}


def test_no_module_imports_itself_through_others():
    """Not even inside a function, or for its types alone."""
    files = {p.stem: p for p in Path(minigan.nn.__file__).parent.glob("*.py")}
    del files["__init__"]
    left = {name: _imports(path) & files.keys() for name, path in files.items()}
    assert left["sequential"] >= {"layer", "fusion"}
    while left:
        free = [name for name, needed in left.items() if not needed & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        left = {name: needed for name, needed in left.items() if name not in free}
