"""Products are right whatever else has been loaded into the process, before or afterwards."""

import functools
import os
import subprocess
import sys

import pytest
from fast_backends import KINDS, NUMPY, needs_numba

SCRIPT = """
import ctypes, sys, warnings
import numpy
from minigan.backend import devices


def load():
    exec(sys.argv[2])


if sys.argv[1] == "before":
    load()
ops = devices.cpu_backend(sys.argv[3])
rng, worst = numpy.random.default_rng(0), 0.0
for turn in range(2):
    for m, k, n in ((256, 128, 128), (128, 512, 128), (600, 700, 800), (64, 6272, 100), (3, 5, 7)):
        a, b = rng.standard_normal((m, k), "float32"), rng.standard_normal((k, n), "float32")
        exact = a.astype("float64") @ b
        for _ in range(5):
            worst = max(worst, float(abs(ops.matmul(a, b) - exact).max() / abs(exact).max()))
    if sys.argv[1] == "afterwards":
        load()
print(worst)
"""

LIBRARIES = {
    "nothing": "pass",
    "PyTorch": "import torch; torch.ones(300, 300) @ torch.ones(300, 300)",
    "scikit-learn": "import sklearn.cluster",
    "GNU's OpenMP, for all": "ctypes.CDLL('libgomp.so.1', mode=ctypes.RTLD_GLOBAL)",
    "Intel's OpenMP, for all": "ctypes.CDLL(sys.prefix + '/lib/libiomp5.so', mode=ctypes.RTLD_GLOBAL)",
}


@functools.cache
def _there(load):
    code = [sys.executable, "-W", "ignore", "-c", f"import ctypes, sys; {load}"]
    return subprocess.run(code, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", [NUMPY, pytest.param(KINDS[1], marks=needs_numba)])
@pytest.mark.parametrize("when", ["before", "afterwards"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_products_are_right_beside_other_libraries(library, when, kind):
    load = LIBRARIES[library]
    if not _there(load):
        pytest.skip(f"{library} isn't installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, when, load, "0" if kind == NUMPY else "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 1e-5
