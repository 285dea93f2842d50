"""Files that would end, block or fool a check: each gets a sentence, and never a pass."""

import bdb
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy
import pytest

from minigan.cli import main
from minigan.gradcheck import wire
from minigan.gradcheck.load import located
from minigan.gradcheck.report import Misconduct
from minigan.gradcheck.runner import Limits, Runner

WRONG = """
import numpy as np
{at_import}

class Mine:
    def __init__(self):
        {init}
        self.W = np.random.default_rng(0).standard_normal((3, 5))

    def forward(self, x):
        {forward}
        return x @ self.W, x

    def backward(self, dy, x):
        {backward}
        self.dW = 2 * x.T @ dy
        return dy @ self.W.T
"""
PLACES = ("at_import", "init", "forward", "backward")

HOSTILE = {
    "exit at import": ({"at_import": "import sys; sys.exit(0)"}, "raises SystemExit"),
    "exit in init": ({"init": "raise SystemExit(0)"}, "raises SystemExit"),
    "exit in forward": ({"forward": "import sys; sys.exit(0)"}, "raises SystemExit"),
    "hard exit at import": ({"at_import": "import os; os._exit(0)"}, "with exit status 0 before"),
    "hard exit in backward": ({"backward": "import os; os._exit(0)"}, "with exit status 0 before"),
    "endless import": ({"at_import": "while True: pass"}, "ran for more than 2 s"),
    "endless backward": ({"backward": "while True: pass"}, "ran for more than 2 s"),
    "sleeps": ({"forward": "import time; time.sleep(60)"}, "ran for more than 2 s"),
    "interrupts": ({"forward": "raise KeyboardInterrupt"}, "raises KeyboardInterrupt"),
    "segfault": ({"forward": "import ctypes; ctypes.string_at(0)"}, "by SIGSEGV"),
    "kills itself": (
        {"backward": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"},
        "by SIGKILL",
    ),
    "kills its parent": (
        {"at_import": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"},
        "the gradient of W",
    ),
    "flood": ({"forward": "print('x' * 10**6)"}, "the gradient of W"),
    "endless flood": ({"forward": "while True: print('x' * 10**6)"}, "ran for more than 2 s"),
    "memory": ({"forward": "self.big = np.ones(10**11)"}, "needs more memory"),
    "raw output": (
        {"forward": "import os; [os.write(fd, b'ok' * 999) for fd in (1, 2)]"},
        "the gradient of W",
    ),
    "garbles the answers": (
        {"forward": "import os; [os.write(fd, b'x' * 99) for fd in range(3, 9) if writes(fd)]"},
        "isn't an answer",
    ),
    "forks": (
        {"forward": "import os, time\n        if os.fork() == 0: time.sleep(30); os._exit(0)"},
        "the gradient of W",
    ),
    "forks into another session": (
        {
            "forward": "import os, time\n"
            "        if len(sessions) == 0 and os.fork() == 0: os.setsid(); time.sleep(20); "
            "os._exit(0)\n"
            "        sessions.append(1)"
        },
        "the gradient of W",
    ),
    "patched comparison": (
        {"at_import": "np.isclose = np.allclose = np.array_equal = lambda *a, **k: True"},
        "replaces numpy.allclose",
    ),
    "patched later": (
        {"backward": "np.abs = np.absolute = lambda a: np.zeros(np.shape(a))"},
        "replaces numpy.abs",
    ),
    "patched report": (
        {
            "at_import": "from minigan import gradcheck\n"
            "gradcheck.Report.ok = property(lambda self: True)\n"
        },
        "replaces Report.ok",
    ),
    "patched check": (
        {"at_import": "import minigan.gradcheck.layers as m; m.examine = lambda *a: None"},
        "replaces minigan.gradcheck.layers.examine",
    ),
    "lying array": (
        {
            "at_import": "class Liar(np.ndarray):\n"
            "    def __array_ufunc__(self, *a, **k): return np.zeros(1)\n"
            "    def __eq__(self, other): return np.ones(1, bool)\n"
            "    def copy(self): return self",
            "backward": "self.dW = (2 * x.T @ dy).view(Liar); return dy @ self.W.T",
        },
        "the gradient of W",
    ),
    "complex": (
        {"backward": "self.dW = x.T @ dy; return (dy @ self.W.T).astype(complex)"},
        "dx has dtype complex128",
    ),
    "objects": (
        {"backward": "self.dW = x.T @ dy; return (dy @ self.W.T).astype(object)"},
        "dx is an array of object",
    ),
    "changing shape": (
        {
            "init": "self.calls = []",
            "forward": "self.calls.append(1)\n"
            "        if len(self.calls) > 25: return x[:1] @ self.W, x",
        },
        "another shape",
    ),
}
HELPER = """
sessions = []
import fcntl, os
def writes(fd):
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR) != 0
    except OSError:
        return False
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_sentence_and_status_1(name, tmp_path, capfd):
    code, said = HOSTILE[name]
    path = tmp_path / "mine.py"
    path.write_text(HELPER + WRONG.format_map(dict.fromkeys(PLACES, "pass") | code))
    limit = ["--time-limit", "2"] if "ran for" in said else []
    status = main(["gradcheck", f"{path}:Mine", "--input", "4,3", *limit])
    out, err = capfd.readouterr()
    assert status == 1, out + err
    assert said in out
    assert "Traceback" not in out + err
    assert len(out) < 3000


def test_the_processes_that_a_file_starts_end_with_the_check(tmp_path):
    mark = tmp_path / "alive"
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent(
            f"""
            import os, time
            if os.fork() == 0:
                time.sleep(2)
                open({str(mark)!r}, "w").close()
                os._exit(0)
            raise RuntimeError("no")
            """
        )
    )
    call = [sys.executable, "-m", "minigan", "gradcheck", f"{path}:Mine", "--input", "4,3"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=False
    ).stdout
    assert "minigan.gradcheck.child" not in listed or not mark.exists()


def test_messages_survive_the_wire_and_nothing_else_does(tmp_path):
    import numpy

    from minigan.gradcheck.subject import Odd

    message = {
        "a": numpy.arange(6.0).reshape(2, 3),
        "b": [None, 1, "x", Odd("list")],
        "c": {"d": 1},
    }
    with (tmp_path / "wire").open("wb") as stream:
        wire.send(stream, message)
    with (tmp_path / "wire").open("rb") as stream:
        back = wire.receive(stream)
    numpy.testing.assert_array_equal(back["a"], message["a"])
    assert back["b"] == message["b"]
    assert back["c"] == {"d": 1}
    for raw in (
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"[]",
        (60).to_bytes(8, "little") + b'{"dict": [["a", {"array": "<f8", "shape": [999999999]}]]}  ',
    ):
        (tmp_path / "raw").write_bytes(raw)
        with (tmp_path / "raw").open("rb") as stream, pytest.raises((EOFError, wire.Garbled)):
            wire.receive(stream)


def test_a_forgotten_breakpoint_is_named():
    said = str(located(bdb.BdbQuit(), Path("mine.py")))
    assert said.startswith("mine.py calls the debugger")
    assert said.endswith("remove breakpoint().")


def test_no_late_answer_is_taken_for_another(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(
        "import time\nclass Slow:\n    def forward(self, x):\n"
        "        time.sleep(3 * (not x.any()))\n        return 2 * x, x\n"
        "    def backward(self, dy, x):\n        return 2 * dy\n"
    )
    with Runner(f"{path}:Slow", limits=Limits(seconds=1.5)) as runner:
        subject = runner.subject("float64")
        assert subject.evaluate([numpy.ones(2)], {}).tolist() == [2, 2]
        for x in (numpy.zeros(2), 5 * numpy.ones(2)):
            with pytest.raises(Misconduct, match=r"more than 1\.5 s"):
                subject.evaluate([x], {})


def test_a_loop_without_end_at_a_point_that_is_made_up_costs_no_verdict(tmp_path, capfd):
    path = tmp_path / "scaled.py"
    path.write_text(
        "import numpy as np\nclass Scaled:\n    def __init__(self):\n"
        "        self.W = np.array([0.5, 1.5, 2.5])\n    def forward(self, x):\n        s = 1.0\n"
        "        while not abs(x).max() * s >= 1:\n            s *= 2\n"
        "        return np.tanh(x) * self.W, x\n    def backward(self, dy, x):\n"
        "        self.dW = (dy * np.tanh(x)).sum(0)\n"
        "        return dy * self.W * (1 + 0.37 * np.sin(3.3 * x + 0.7))\n"
    )
    status = main(["gradcheck", f"{path}:Scaled", "--input", "5,3", "--time-limit", "2"])
    said = "".join(capfd.readouterr())
    assert status == 1
    assert "W " in said
    assert "no more causes were sought" in said or "likely cause" in said


def test_a_system_that_refuses_a_limit_is_no_fault_of_the_file(tmp_path, monkeypatch, capsys):
    """As macOS, whose setrlimit takes no bound of the address space."""
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
        import resource
        real = resource.setrlimit
        def setrlimit(kind, limits):
            if kind == resource.RLIMIT_AS:
                raise ValueError("current limit exceeds maximum limit")
            real(kind, limits)
        resource.setrlimit = setrlimit
    """)
    )
    (tmp_path / "own.py").write_text(
        textwrap.dedent("""
        class Double:
            def forward(self, x):
                return 2 * x, None

            def backward(self, dy, cache):
                return 2 * dy
    """)
    )
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    )
    assert main(["gradcheck", f"{tmp_path / 'own.py'}:Double", "--input", "3,4"]) == 0
    assert " ok" in capsys.readouterr().out
