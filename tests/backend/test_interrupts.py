"""Ctrl-C at any moment: whatever is computed afterwards is right, and nothing of the process has
changed.
"""

import os
import signal
import subprocess
import sys

import pytest
from fast_backends import KINDS, NUMPY, needs_numba

SCRIPT = """
import os, random, signal, sys, threading, time
import numpy
import minigan
from minigan import backend, losses, nn, optim
from minigan.backend.cpu import cores as threads
from minigan.backend.cpu import primitives as cpu

cpu.cores = threads.cores = lambda: 2
cpu.SHARE, cpu.CACHE, cpu.PRODUCT = 500, 10_000, 100_000  # so that even small work is shared
minigan.set_threads(2)
ops = backend.get("cpu")
rng = numpy.random.default_rng(0)
net = nn.Sequential(
    nn.Conv2d(32, 32, kernel_size=4, stride=2, padding=1, bias=False, rng=rng), nn.BatchNorm(32), nn.LeakyReLU(0.2),
    nn.ConvTranspose2d(32, 8, kernel_size=4, stride=2, padding=1, rng=rng), nn.Flatten(),
    nn.Linear(16 * 16 * 8, 1, rng=rng),
)
flat = net.flat()
begin = flat.value.copy()
x = rng.standard_normal((8, 16, 16, 32), dtype="float32")
square = rng.standard_normal((300, 300), dtype="float32")


def compute():
    # Other weights in between, so that what an interrupted call has kept of them is found out.
    for value in (begin + numpy.float32(0.01), begin):
        flat.value[...] = value
        flat.grad[...] = 0
        y, cache = net.forward(x)
        net.backward(losses.bce_with_logits(y, 1.0)[1], cache)
    return flat.grad.copy(), ops.matmul(square, square)


right = compute()
users = ops.blas.get()
# A shell that starts a job in the background lets it ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
stop, asked = threading.Event(), int(sys.argv[1])
main = threading.main_thread().ident


def interrupt():
    moments = random.Random(0)
    while not stop.is_set():
        time.sleep(moments.uniform(0.0, 0.02))
        ready.wait()
        ready.clear()
        time.sleep(moments.uniform(0.0, 0.012))
        signal.pthread_kill(main, signal.SIGINT)


ready, count, wrong = threading.Event(), 0, []
threading.Thread(target=interrupt, daemon=True).start()
while count < asked:
    try:
        ready.set()
        while True:
            compute()
    except KeyboardInterrupt:
        count += 1
    if ops.blas.get() != users:
        wrong.append(f"{ops.blas.get()} threads of BLAS, not {users}")
        ops.blas.set(users)
    if not all(numpy.array_equal(a, b) for a, b in zip(compute(), right)):
        wrong.append("other numbers")
stop.set()
print(count, wrong)
"""


@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="signals can't be sent to a thread here"
)
@pytest.mark.parametrize("kind", [NUMPY, pytest.param(KINDS[1], marks=needs_numba)])
def test_after_hundreds_of_interrupts_every_result_is_that_of_an_undisturbed_process(kind):
    environment = os.environ | {
        "MINIGAN_FAST": "0" if kind == NUMPY else "1",
        "OPENBLAS_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "300"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("300 []", 0), done.stderr[-2000:]
