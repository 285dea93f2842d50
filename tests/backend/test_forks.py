"""A process that forks while another thread computes: neither hangs, and the child computes."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from fast_backends import KINDS, NUMPY, needs_numba

from minigan.backend.cpu.malloc import Malloc
from minigan.backend.cpu.winograd import KernelMaps
from minigan.plots import style

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def in_a_child(work):
    """Return whether `work` ends in a forked child; a child that hangs is ended by an alarm."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Holder:
    """A thread that holds a lock until it is told to let go."""

    def __init__(self, lock):
        self.lock, self.held, self.enough = lock, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        with self.lock:
            self.held.set()
            self.enough.wait(60)

    def __enter__(self):
        self.thread.start()
        assert self.held.wait(20)
        return self

    def __exit__(self, *error):
        self.enough.set()
        self.thread.join(20)


def kernel_maps():
    maps = KernelMaps()
    return maps._lock, maps.clear


def malloc():
    settings = Malloc()
    return settings._lock, settings.keep


def drawing():
    def draw():
        with style.styled():
            pass

    return style._TURN.lock, draw


@pytest.mark.parametrize("made", [kernel_maps, malloc, drawing])
def test_a_lock_that_another_thread_holds_is_open_in_the_child(made):
    lock, work = made()
    with Holder(lock):
        assert in_a_child(work)


SCRIPT = """
import os, signal, sys, threading, time
import numpy
from minigan import nn

def made(seed):
    rng = numpy.random.default_rng(seed)
    images = nn.Sequential(nn.Conv2d(8, 16, kernel_size=4, stride=2, padding=1, rng=rng), nn.Flatten(), nn.Linear(1024, 1, rng=rng))
    points = nn.Sequential(nn.Linear(128, 128, rng=rng), nn.LeakyReLU(0.2), nn.Linear(128, 128, rng=rng))
    return [(images, rng.standard_normal((16, 16, 16, 8), dtype="float32")), (points, rng.standard_normal((256, 128), dtype="float32"))]

def compute(nets):
    for net, x in nets:
        y, cache = net.forward(x)
        net.backward(y, cache)

def go_on():
    nets = made(1)
    while True:
        compute(nets)

mine, status, random = made(0), [], numpy.random.default_rng(0)
signal.alarm(200)
for _ in range(2):
    threading.Thread(target=go_on, daemon=True).start()
for _ in range(int(sys.argv[1])):
    time.sleep(random.uniform(0, 0.01))
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        compute(mine)
        os._exit(0)
    status.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(len(status), sum(map(bool, status)), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("kind", [NUMPY, pytest.param(KINDS[1], marks=needs_numba)])
def test_forks_while_other_threads_compute(kind):
    environment = os.environ | {
        "MINIGAN_FAST": "0" if kind == NUMPY else "1",
        "OPENBLAS_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "30"],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("30 0", 0), done.stderr[-2000:]
