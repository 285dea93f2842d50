"""How many threads, who may use them, and that nothing depends on it but the time."""

import functools
import math
import os
import random
import subprocess
import sys
import threading
import time

import numpy
import pytest
from fast_backends import KINDS, make, small_work

import minigan
from minigan import losses, nn, optim
from minigan.backend.cpu import CpuBackend, blas
from minigan.backend.cpu import cores as threads
from minigan.backend.cpu import primitives as cpu
from minigan.backend.cpu.blas import Blas
from minigan.backend.cpu.team import Team


class _FakeBlas(Blas):
    """A library of which only the number of threads is real."""

    def __init__(self, count=2):
        super().__init__()
        self.count = count

    @property
    def known(self):
        return True

    def get(self):
        return self.count

    def set(self, count):
        self.count = count


@pytest.fixture
def team():
    team = Team(3, _FakeBlas())
    yield team
    team.close()


def test_no_task_is_lost_or_done_twice_however_the_threads_meet(team):
    """Tasks and pauses of many lengths, so that a thread comes first as often as the caller."""
    rng, done = random.Random(0), [0, 0, 0]

    def task(index, length):
        for _ in range(length):
            pass
        done[index] += 1

    for count in range(1, 1500):
        team.run([functools.partial(task, i, rng.choice((0, 10, 300, 3000))) for i in range(3)])
        assert done == [count] * 3
        if count % 50 == 0:
            time.sleep(0.002)
        for _ in range(rng.choice((0, 100, 1000))):
            pass


def test_a_team_does_every_task_on_a_thread_of_its_own(team):
    together = threading.Barrier(3, timeout=20)
    names = []

    def task():
        together.wait()  # passes only if all three are there at the same time
        names.append(threading.current_thread())

    team.run([task] * 3)
    assert len(set(names)) == 3
    assert threading.current_thread() in names


def test_a_team_holds_the_library_to_one_thread_while_it_works_and_no_longer(team):
    seen = []
    team.run([lambda: seen.append(team.blas.count)] * 3)
    assert seen == [1, 1, 1]
    assert team.blas.count == 2


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_task_reaches_the_caller_and_the_team_lives_on(team, failing):
    def task(index):
        if index == failing:
            raise KeyError(index)

    with pytest.raises(KeyError):
        team.run([lambda i=i: task(i) for i in range(3)])
    done = []
    team.run([lambda: done.append(1)] * 3)
    assert len(done) == 3
    assert team.blas.count == 2


def test_when_every_task_fails_the_next_work_is_none_the_worse(team):
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        team.run([fail] * 3)
    done = []
    team.run([lambda: done.append(1)] * 3)
    assert len(done) == 3


def test_a_busy_team_lets_the_second_caller_do_its_tasks_alone(team):
    inside, leave, names = threading.Event(), threading.Event(), []

    def hold():
        inside.set()
        leave.wait(20)

    other = threading.Thread(target=team.run, args=([hold] * 3,))
    other.start()
    inside.wait(20)
    team.run([lambda: names.append(threading.current_thread())] * 3)
    assert set(names) == {threading.current_thread()}
    assert team.blas.count == 1, "the other caller is still inside"
    leave.set()
    other.join(20)
    assert team.blas.count == 2


def test_a_task_may_use_its_own_team(team):
    done = []
    team.run([lambda: team.run([lambda: done.append(1)] * 3)] * 3)
    assert len(done) == 9


def test_a_closed_team_leaves_no_threads():
    team, seen, together = Team(3, _FakeBlas()), [], threading.Barrier(3, timeout=20)

    def task():
        together.wait()
        seen.append(threading.current_thread())

    team.run([task] * 3)
    team.close()
    others = [thread for thread in seen if thread is not threading.current_thread()]
    assert len(others) == 2
    for thread in others:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_gets_threads_of_its_own():
    code = (
        "import os, sys\n"
        "from minigan.backend.cpu.blas import Blas; from minigan.backend.cpu.team import Team\n"
        "team = Team(2, Blas()); done = []\n"
        "team.run([lambda: done.append(1)] * 2)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    team.run([lambda: done.append(1)] * 2); os._exit(len(done))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 4


# ---------------------------------------------------------------- how many


def _groups(tmp_path, own, files):
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    return threads.quota(tmp_path / "fs", tmp_path / "own")


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/not/mounted\n", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", {}, math.inf),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"},
            2,
        ),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
        (
            "4:memory:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
        ("", {}, math.inf),
    ],
)
def test_the_quota_of_a_control_group_is_found(tmp_path, own, files, expected):
    assert _groups(tmp_path, own, files) == expected


def test_there_are_never_more_threads_than_cores_that_may_be_used(monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "quota", lambda: 2.5)
    assert threads.cores() == 2
    monkeypatch.setattr(threads, "quota", lambda: 0.5)
    assert threads.cores() == 1
    monkeypatch.setattr(threads, "quota", lambda: math.inf)
    assert threads.cores() == 4
    monkeypatch.delattr(threads.os, "sched_getaffinity")
    monkeypatch.setattr(threads.os, "cpu_count", lambda: None)
    assert threads.cores() == 1


@pytest.mark.parametrize(("text", "expected"), [("", 4), ("3", 3), ("99", 4), (" 1 ", 1)])
def test_the_environment_asks_for_a_number(monkeypatch, text, expected):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setenv("MINIGAN_THREADS", text)
    assert threads.wanted() == expected


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "two", None, "0"])
def test_what_is_no_number_of_threads_is_refused(count):
    with pytest.raises(ValueError, match="integer >= 1"):
        threads.checked(count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_can_be_set_and_given_back(monkeypatch, kind):
    monkeypatch.setattr(cpu, "cores", lambda: 2)
    monkeypatch.setattr(cpu, "wanted", lambda: 2)
    ops = make(kind)
    ops.blas = _FakeBlas()
    assert ops.team.size == 2
    ops.set_threads(1)
    assert ops.team.size == 1
    assert ops.blas.count == 1
    ops.set_threads(99)
    assert ops.team.size == 2
    ops.set_threads(None)
    assert ops.blas.count == 2
    with pytest.raises(ValueError, match="integer >= 1"):
        ops.set_threads(0)


def test_the_library_has_one_setting():
    try:
        minigan.set_threads(1)
        assert minigan.backend.get("cpu").team.size == 1
    finally:
        minigan.set_threads(None)


def test_an_unknown_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_candidates", lambda: [blas.Path("/no/such/libopenblas.so")])
    ops = CpuBackend()
    assert not ops.blas.known
    assert ops.team.size == 1
    assert ops.blas.alone(ops.blas.get) == 1


def test_the_library_of_this_numpy_is_held_and_let_go():
    blas = Blas()
    if not blas.known:
        pytest.skip("NumPy doesn't call an OpenBLAS with threads of its own here")
    before = blas.get()
    assert blas.alone(lambda: blas.alone(blas.get) + blas.get()) == 2
    assert blas.get() == before


# ---------------------------------------------------------------- same numbers


def _train(steps=2):
    """A few steps of a small convolutional net; every kind of shared work occurs."""
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(
        # Without a bias: before batch norm its gradient is nothing but rounding, of which Adam
        # makes a whole step.
        nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        *(nn.BatchNorm(64), nn.LeakyReLU(0.2)),
        *(nn.ConvTranspose2d(64, 3, kernel_size=4, stride=2, padding=1, rng=rng), nn.Flatten()),
        *(nn.Linear(32 * 32 * 3, 64, rng=rng), nn.Linear(64, 1, rng=rng)),
    )
    adam = optim.Adam(
        net, lr=1e-3, eps=1e-5
    )  # gradients that are hardly more than rounding move nothing
    x = rng.standard_normal((24, 32, 32, 32), dtype="float32")
    for _ in range(steps):
        adam.zero_grad()
        y, cache = net.forward(x)
        net.backward(losses.bce_with_logits(y, 1.0)[1], cache)
        adam.step()
    return adam.flat.value.copy()


@pytest.fixture(params=KINDS)
def two_threads(request, monkeypatch):
    """The library's own backend with two threads, even on one core, and small work shared, too."""
    ops = make(request.param)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    monkeypatch.setattr(cpu, "cores", lambda: 2)
    monkeypatch.setattr("minigan.backend.devices._cpu", lambda: ops)
    with small_work(request.param, eager=False):
        minigan.set_threads(2)
        yield request.param
        minigan.set_threads(None)


def test_the_same_number_of_threads_gives_the_same_bits(two_threads):
    numpy.testing.assert_array_equal(_train(), _train())


def test_one_thread_and_two_agree_within_rounding(two_threads):
    two = _train(steps=1)
    minigan.set_threads(1)
    numpy.testing.assert_allclose(two, _train(steps=1), rtol=1e-3, atol=1e-5)


def test_threads_of_the_users_may_train_at_the_same_time_and_get_the_same_bits(two_threads):
    alone, results = _train(), {}

    def train(index):
        results[index] = _train()

    users = [threading.Thread(target=train, args=(i,)) for i in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for index in range(3):
        numpy.testing.assert_array_equal(results[index], alone)


def test_no_thread_of_the_library_spins_beside_the_team(two_threads, monkeypatch):
    """Whatever a convolutional net multiplies, sums over a batch included, happens while the
    library is held to one.
    """
    blas, real, held = minigan.backend.get("cpu").blas, numpy.matmul, []
    users = blas.get()
    blas.set(2)
    before = blas.get()

    def watched(a, b, **options):
        # Below this size OpenBLAS uses one thread anyway.
        if a.size * b.shape[-1] > 9216:
            held.append(blas.get())
        return real(a, b, **options)

    monkeypatch.setattr(numpy, "matmul", watched)
    _train(steps=1)
    after = blas.get()
    blas.set(users)
    assert held
    assert set(held) == {1}
    assert after == before
