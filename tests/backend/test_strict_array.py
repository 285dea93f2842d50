"""The strict array refuses what CuPy refuses; otherwise a green run on it would mean nothing."""

import copy

import cupy_names
import numpy
import pytest
from strict_array import StrictArray, StrictNamespace

from minigan import backend, nn


@pytest.fixture
def xp():
    return StrictNamespace()


@pytest.fixture
def x(xp):
    return xp.asarray(numpy.arange(6, dtype="float32").reshape(2, 3))


HOST = numpy.ones((2, 3), "float32")


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: x + HOST,
        lambda xp, x: HOST + x,
        lambda xp, x: HOST @ x.T,
        lambda xp, x: x.__iadd__(HOST),
        lambda xp, x: HOST.__iadd__(x),
        lambda xp, x: x.__setitem__(..., HOST),
        lambda xp, x: HOST.__setitem__(..., x),
        lambda xp, x: x[numpy.array([0, 1])],
        lambda xp, x: x[:, numpy.array([0, 1])],
        lambda xp, x: x[[0, 1]],
        lambda xp, x: x.__setitem__(0, [1.0, 2.0, 3.0]),
        lambda xp, x: xp.concatenate([x, HOST]),
        lambda xp, x: xp.where(x > 0, x, HOST),
        lambda xp, x: x > HOST,
        lambda xp, x: numpy.asarray(x),
        lambda xp, x: numpy.array(x),
        lambda xp, x: numpy.sqrt(x),
        lambda xp, x: numpy.sum(x),
        lambda xp, x: numpy.testing.assert_allclose(x, HOST),
        lambda xp, x: x + StrictNamespace().asarray(HOST),
    ],
)
def test_host_arrays_and_other_devices_are_refused(xp, x, use):
    with pytest.raises(TypeError):
        use(xp, x)


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: x * numpy.float64(2),
        lambda xp, x: numpy.float64(2) * x,
        lambda xp, x: xp.zeros(3),
        lambda xp, x: xp.linspace(0, 1, 3),
        lambda xp, x: xp.arange(3) / 2,
        lambda xp, x: xp.asarray(HOST.astype("float64")),
        lambda xp, x: (x > 0).mean(),
        lambda xp, x: xp.sqrt(xp.arange(3)),
    ],
)
def test_float64_by_accident_is_refused(xp, x, use):
    with pytest.raises(TypeError, match="float64"):
        use(xp, x)


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: xp.zeros(3, "float64"),
        lambda xp, x: xp.zeros(3, dtype="float64"),
        lambda xp, x: x.astype("float64") * 2,
        lambda xp, x: x.sum(dtype="float64"),
        lambda xp, x: StrictNamespace(float64=True).zeros(3),
    ],
)
def test_float64_asked_for_by_name_is_allowed(xp, x, use):
    assert use(xp, x).dtype == "float64"


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: xp.errstate,
        lambda xp, x: xp.insert,
        lambda xp, x: xp.random,
        lambda xp, x: x.ctypes,
        lambda xp, x: x.__array_interface__,
        lambda xp, x: xp.add.at,
    ],
)
def test_names_that_cupy_lacks_are_refused(xp, x, use):
    with pytest.raises(AttributeError):
        use(xp, x)


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: xp.sum(x, where=x > 0),
        lambda xp, x: xp.sum(x, initial=0.0),
        lambda xp, x: x.var(correction=1),
        lambda xp, x: xp.exp(x, where=x > 0),
        lambda xp, x: x.sum(initial=0.0),
    ],
)
def test_keywords_that_cupy_lacks_are_refused(xp, x, use):
    with pytest.raises(TypeError, match="keyword"):
        use(xp, x)


WAITING = [
    lambda xp, x: float(x.sum()),
    lambda xp, x: int(x.sum()),
    lambda xp, x: bool(x.sum() > 0),
    lambda xp, x: bool((x > 0).all()),
    lambda xp, x: x.sum().item(),
    lambda xp, x: x.get(),
    lambda xp, x: x.tolist(),
    lambda xp, x: xp.asnumpy(x),
    lambda xp, x: x[x > 0],
    lambda xp, x: xp.where(x > 0),
    lambda xp, x: xp.unique(x),
    lambda xp, x: xp.asarray(HOST),
    lambda xp, x: xp.asarray(1.0, dtype="float32"),
    lambda xp, x: f"{x.sum():.3f}",
    lambda xp, x: list(range(x.argmax())),
    lambda xp, x: complex(x.sum()),
]


@pytest.mark.parametrize("use", WAITING)
def test_what_makes_the_host_wait_is_refused_in_a_training_step_only(xp, x, use):
    use(xp, x)
    with xp.no_sync(), pytest.raises(RuntimeError, match="training step"):
        use(xp, x)
    with xp.capturing(), pytest.raises(RuntimeError, match="training step"):
        use(xp, x)
    use(xp, x)


@pytest.mark.parametrize(
    "use",
    [
        lambda xp, x: x @ x.T,
        lambda xp, x: xp.dot(x, x.T),
        lambda xp, x: x.dot(x.T),
        lambda xp, x: xp.linalg.norm(x),
    ],
)
def test_products_of_cupy_are_refused_under_capture_only(xp, x, use):
    with xp.no_sync():
        use(xp, x)
    with xp.capturing(), pytest.raises(RuntimeError, match="captured"):
        use(xp, x)


def test_what_is_allowed_computes_what_numpy_computes(xp, x):
    a = numpy.arange(6, dtype="float32").reshape(2, 3)
    cases = [
        (x * 2 + 1, a * 2 + 1),
        (1 - x, 1 - a),
        (x * numpy.float32(0.5), a * numpy.float32(0.5)),
        (-x, -a),
        (x[:, None, 1:], a[:, None, 1:]),
        (x.sum(axis=0), a.sum(axis=0)),
        (xp.where(x > 2, x, 0), numpy.where(a > 2, a, 0)),
        (xp.concatenate([x, x], axis=1), numpy.concatenate([a, a], axis=1)),
        (x.repeat(2, axis=1), a.repeat(2, axis=1)),
        (x @ x.T, a @ a.T),
        (xp.linalg.norm(x), numpy.linalg.norm(a)),
        (x[xp.asarray(numpy.array([1, 0]))], a[[1, 0]]),
        (xp.split(x, 3, axis=1)[2], numpy.split(a, 3, axis=1)[2]),
        (abs(x - 3), abs(a - 3)),
    ]
    for ours, theirs in cases:
        assert isinstance(ours, StrictArray)
        assert ours.dtype == "float32"
        numpy.testing.assert_array_equal(xp.asnumpy(ours), theirs)


def test_scalars_stay_on_the_device(x):
    assert isinstance(x.sum(), StrictArray)
    assert isinstance(x[0, 0], StrictArray)
    assert [isinstance(row, StrictArray) for row in x] == [True, True]


def test_device_memory_is_not_the_host_s(xp):
    host = numpy.zeros(2, "float32")
    x = xp.asarray(host)
    x += 1
    assert host.tolist() == [0, 0]
    back = xp.asnumpy(x)
    back += 1
    assert x.tolist() == [1, 1]


def test_in_place_operations_keep_the_address(x):
    address = x.data.ptr
    x *= 2
    x[...] = 1
    assert x.data.ptr == address
    assert x.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_copy_is_another_array(x):
    for other in (copy.copy(x), copy.deepcopy(x), x.copy()):
        other += 1
        assert x[0, 0].item() == 0
    assert "StrictArray" in repr(x)


def test_the_backend_of_a_strict_array_is_its_namespace_s(xp, x):
    assert backend.of(x) is xp.backend
    assert backend.get(xp.backend) is xp.backend
    assert not backend.same_device(x, HOST)


def test_a_net_moves_to_the_strict_device_and_back(xp):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4))
    before = net.state_dict()
    net.to(xp.backend)
    assert all(isinstance(a, StrictArray) for a in net.state_dict().values())
    with pytest.raises(TypeError, match="lives on 'strict'"):
        net.forward(HOST)
    net.to("cpu")
    for name, a in net.state_dict().items():
        numpy.testing.assert_array_equal(a, before[name])


def test_the_checked_in_names_are_those_of_the_installed_cupy():
    pytest.importorskip("cupy", reason="compares the checked-in list with an installed CuPy")
    now = cupy_names.installed()
    stored = cupy_names.stored()
    if now["version"] != stored["version"]:
        pytest.skip(f"the list is of CuPy {stored['version']}, installed is {now['version']}")
    assert now == stored
