"""A GPU is taken only if one really answers; what is missing is told in a sentence."""

import sys
from types import ModuleType, SimpleNamespace

import numpy
import pytest
from strict_array import StrictNamespace

from minigan import backend
from minigan.backend import devices
from minigan.backend.cuda import CudaBackend


def _cupy(*, count=1, broken=None):
    """Return a module like CuPy on a machine with `count` devices."""

    class Runtime:
        @staticmethod
        def getDeviceCount():
            if broken is not None:
                raise RuntimeError(broken)
            return count

    module = ModuleType("cupy")
    module.cuda = SimpleNamespace(runtime=Runtime)
    module.zeros = lambda n: numpy.zeros(n)
    return module


@pytest.fixture
def cupy(monkeypatch):
    """Install a stand-in for CuPy; None is a machine without CuPy."""
    devices._cuda.cache_clear()
    yield lambda module: monkeypatch.setitem(sys.modules, "cupy", module)
    devices._cuda.cache_clear()


def test_a_device_that_answers_is_taken(cupy):
    cupy(_cupy())
    assert backend.resolve("auto") == backend.resolve("cuda") == "cuda"
    assert backend.resolve("cpu") == "cpu"
    assert isinstance(backend.get("auto"), CudaBackend)
    assert backend.get("auto") is backend.get("cuda")


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (None, r"CuPy is not installed \(minigan\[cuda12\] or .* brings it\); use device 'cpu'"),
        (_cupy(count=0), "no CUDA device was found"),
        (
            _cupy(broken="driver version is insufficient."),
            "driver version is insufficient; use device 'cpu'",
        ),
        (_cupy(broken=""), "RuntimeError"),
    ],
)
def test_auto_falls_back_and_cuda_says_why_not(cupy, module, why):
    cupy(module)
    assert backend.resolve("auto") == "cpu"
    assert backend.get("auto").device == "cpu"
    with pytest.raises(ValueError, match=f"Device 'cuda' cannot be used: .*{why}"):
        backend.get("cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="Unknown device 'gpu'; use 'auto', 'cpu' or 'cuda'"):
        backend.get("gpu")


def test_arrays_know_their_backend(cupy):
    cupy(_cupy())
    array = type("ndarray", (), {"__module__": "cupy"})()
    assert backend.of(array) is backend.get("cuda")
    assert backend.device_of(array) == "cuda"
    assert backend.device_of(numpy.zeros(1)) == "cpu"
    xp = StrictNamespace()
    assert backend.of(xp.asarray(numpy.zeros(1, "float32"))) is xp.backend
    with pytest.raises(TypeError, match="Expected a NumPy or CuPy array, got list"):
        backend.of([1.0])
