"""Files that would end, block or fool the checker: each gets a sentence, and never a pass."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minigan.gradcheck import wire
from minigan.gradcheck.runner import Limits
from minigan.learn import checking
from minigan.learn.course import exercise
from minigan.learn.language import Speaker
from minigan.learn.starter import solution

WRONG = """
import numpy as np
{at_import}

def forward(x, w, b):
    {forward}
    return x @ w + b, (x, w)

def backward(dy, cache):
    x, w = cache
    {backward}
    return dy @ w.T, 2 * x.T @ dy, dy.sum(axis=0)
"""
LIAR = (
    "class Liar(np.ndarray):\n"
    "    def __array_ufunc__(self, *a, **k): return np.zeros(1)\n"
    "    def __eq__(self, other): return np.ones(1, bool)\n"
    "    def __abs__(self): return np.zeros(1)\n"
)
HOSTILE = {
    "exit at import": ("at_import", "import sys; sys.exit(0)", "SystemExit"),
    "exit in forward": ("forward", "raise SystemExit(0)", "SystemExit"),
    "hard exit": ("backward", "import os; os._exit(0)", "exit status 0 before"),
    "hard exit at import": ("at_import", "import os; os._exit(0)", "exit status 0 before"),
    "loop": ("backward", "while True: pass", "ran for more than 1 s"),
    "loop at import": ("at_import", "while True: pass", "ran for more than 1 s"),
    "sleep": ("forward", "import time; time.sleep(60)", "ran for more than 1 s"),
    "interrupt": ("forward", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    "segfault": ("forward", "import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "kill": ("backward", "import os; os.kill(os.getpid(), 9)", "SIGKILL"),
    "flood": ("forward", "print('x' * 10**6)", "dw is wrong"),
    "endless flood": ("forward", "while True: print('x' * 10**6)", "ran for more than 1 s"),
    "memory": ("forward", "np.ones(10**12)", "MemoryError"),
    "recursion": ("forward", "return forward(x, w, b)", "RecursionError"),
    "garbage": (
        "forward",
        "import os; [os.write(fd, b'x' * 99) for fd in range(3, 9) if writes(fd)]",
        "isn't an answer",
    ),
    "fork": (
        "forward",
        "import os, time\n    if not forked and not forked.append(1) and os.fork() == 0: time.sleep(60)",
        "dw is wrong",
    ),
    "fork bomb": (
        "at_import",
        "import os, time\nfor _ in range(30):\n    if os.fork() == 0: time.sleep(60); os._exit(0)\ntime.sleep(60)",
        "more than 8 processes",
    ),
    "patched NumPy": (
        "at_import",
        "np.allclose = np.array_equal = lambda *a, **k: True",
        "replaces",
    ),
    "patched judge": (
        "at_import",
        "import sys; sys.modules['minigan.learn.parts'].run = lambda *a: {}",
        "replaces minigan.learn.parts.run",
    ),
    "lying array": (
        "backward",
        "return dy @ w.T, (2 * x.T @ dy).view(Liar), dy.sum(0)",
        "dw is wrong",
    ),
    "complex": ("backward", "return dy @ w.T, (x.T @ dy).astype(complex), dy.sum(0)", "complex128"),
    "objects": ("backward", "return dy @ w.T, (x.T @ dy).astype(object), dy.sum(0)", "dw"),
    "a string": ("backward", "return 'right', 'right', 'right'", "dx is str"),
    "a lying exception": (
        "forward",
        "class E(Exception):\n        def __str__(self): raise SystemExit(0)\n    raise E",
        "",
    ),
    "threads without end": (
        "at_import",
        "import threading, time\nfor _ in range(9): threading.Thread(target=lambda: time.sleep(60)).start()",
        "dw is wrong",
    ),
    "signals ignored": (
        "forward",
        "import signal; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 15)]\n    while True: pass",
        "ran for more than 1 s",
    ),
    "daemon": (
        "at_import",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)",
        "dw is wrong",
    ),
    "a huge file": (
        "forward",
        "f = open(__file__ + '.big', 'wb'); [f.write(bytes(1 << 20)) for _ in range(99)]",
        "File too large",
    ),
    "patched pickle and json": (
        "at_import",
        "import json, pickle; json.dumps = pickle.dumps = lambda *a, **k: b'right'",
        "exit status 1 before",
    ),
    "closed files": ("forward", "import os; os.closerange(0, 99)", "exit"),
    "recursion without a limit": (
        "forward",
        "import sys; sys.setrecursionlimit(10**9); return forward(x, w, b)",
        "",
    ),
    "50 GB": ("forward", "bytearray(50 << 30)", "MemoryError"),
    "memory by and by": ("forward", "a = []\n    while True: a.append(bytearray(1 << 26))", ""),
    "a tracer": ("at_import", "import sys; sys.settrace(lambda *a: sys.exit(0))", "SystemExit"),
    "an array by its word": (
        "backward",
        "class A: __class__ = property(lambda self: np.ndarray)\n    return dy @ w.T, A(), dy.sum(0)",
        "",
    ),
    "a number that equals all": (
        "backward",
        "class A(float):\n        __eq__ = lambda *a: True\n        __sub__ = __rsub__ = lambda *a: 0.0\n"
        "    return dy @ w.T, A(0), dy.sum(0)",
        "dw has the shape ()",
    ),
    "the answers imported": (
        "at_import",
        "from minigan.learn.solutions.linear import backward as right; globals().update(r=right)",
        "ready-made",
    ),
    "the answers in memory": (
        "backward",
        "import sys; return sys.modules['minigan.learn.solutions.linear'].backward(dy, cache)",
        "",
    ),
    "the answers read": (
        "backward",
        "import sys; n = {}; exec(open(sys.modules['minigan'].__path__[0] + '/learn/solutions/linear.py').read(), n)\n"
        "    return n['backward'](dy, cache)",
        "doesn't read the answers",
    ),
    "the checker killed": (
        "forward",
        "import os; os.kill(os.getppid(), 9)",
        "ends no other process",
    ),
    "the parent killed unseen": (
        "at_import",
        "import ctypes, os; ctypes.CDLL(None).kill(os.getppid(), 9)",
        "dw is wrong",
    ),
    "all killed": ("forward", "import os; os.kill(-1, 9)", "ends no other process"),
    "a program": ("forward", "import os; os.system('sleep 60')", "starts no programs"),
    "an exit that waits": (
        "at_import",
        "import atexit, time; atexit.register(time.sleep, 60)",
        "dw is wrong",
    ),
    "standard output closed": (
        "at_import",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "",
    ),
}
HELPER = """
import fcntl, os
forked = []
def writes(fd):
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR) != 0
    except OSError:
        return False
"""


def test_an_answer_that_nobody_waits_for_is_no_traceback():
    child = [sys.executable, "-m", "minigan.learn.pupil"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(child, **pipes) as process:
        wire.receive(process.stdout)
        process.stdout.close()
        setup = {"place": "none.py:f", "memory": 1 << 40, "file_size": 1 << 20}
        wire.send(process.stdin, setup | {"exercise": "linear"})
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_sentence_and_the_checker_lives(name, tmp_path):
    place, code, said = HOSTILE[name]
    pieces = {"at_import": "pass", "forward": "pass", "backward": "pass"} | {place: code}
    path = tmp_path / "ex02_linear.py"
    path.write_text(HELPER + LIAR.replace("np.", "__import__('numpy').") + WRONG.format_map(pieces))
    seconds = 1.0 if "more than 1 s" in said else 5.0
    limits = Limits(seconds=seconds, memory=2 << 30, processes=8)
    verdict = checking.check_file(exercise("linear"), path, limits=limits)
    lines = "\n".join(verdict.lines(Speaker("en")))
    assert verdict.status == 1
    assert verdict.points() < 1
    assert said in lines
    assert "Traceback" not in lines
    assert len(lines) < 5000


@pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")
def test_exceptions_cant_forge_lines_or_steer_the_terminal(tmp_path):
    path = tmp_path / "ex02_linear.py"
    for text in (
        r"raise ValueError('\x1b[2J\nRight.\n\ud800\u202e')",
        r"return type('\x1b[2J\nRight.\n\ud800', (), {})(), (x, w)",
        r"raise SyntaxError('\x1b[2J\nRight.\n\ud800')",
    ):
        path.write_text(WRONG.format(at_import="pass", forward=text, backward="pass"))
        verdict = checking.check_file(exercise("linear"), path)
        lines = verdict.lines(Speaker("en"))
        assert verdict.status == 1
        assert "Right." not in lines
        assert all(c.isprintable() for line in lines for c in line)
        "".join(lines).encode()


def test_an_answer_whose_pattern_reaches_for_more_is_refused():
    sound = {"fault": "crash", "msgid": "line {line}: {error}", "values": {"line": 1, "error": "x"}}
    assert checking._is_sound(sound)
    for pattern in ("{error.__class__}", "{other}", "{", "{error!r}", "{0}"):
        assert not checking._is_sound(sound | {"msgid": pattern})


def test_a_file_beside_the_exercise_stands_for_no_module_of_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("random", "numpy", "minigan", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    path = tmp_path / "ex02_linear.py"
    path.write_text(solution(exercise("linear")))
    assert checking.check_file(exercise("linear"), path).ok


@pytest.mark.parametrize(
    "move", ["os.chdir(os.path.dirname(__file__))", "os.chdir('/')", "sys.path.pop(0)"]
)
def test_a_file_may_change_folder_and_path(move, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "course").mkdir()
    path = Path("course/ex02_linear.py")
    path.write_text(f"{solution(exercise('linear'))}\nimport os, sys\n{move}\n")
    assert checking.check_file(exercise("linear"), path).ok
    path.write_text(
        WRONG.format(at_import=f"import os, sys\n{move}", forward="1 / 0", backward="pass")
    )
    lines = "\n".join(checking.check_file(exercise("linear"), path).lines(Speaker("en")))
    assert "line 7, in forward: ZeroDivisionError" in lines


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are listed in /proc")
def test_processes_that_leave_the_group_end_with_the_check(tmp_path):
    mark = tmp_path / "alive"
    path = tmp_path / "ex02_linear.py"
    left = f"import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(1.5); open({str(mark)!r}, 'w'); os._exit(0)"
    path.write_text(WRONG.format(at_import=left, forward="pass", backward="pass"))
    assert checking.check_file(exercise("linear"), path).status == 1
    time.sleep(2)
    assert not mark.exists()


def test_files_that_are_no_files(tmp_path):
    path = tmp_path / "ex02_linear.py"
    os.mkfifo(path)
    assert checking.check_file(exercise("linear"), path).status == 1
    path.unlink()
    path.symlink_to("/dev/zero")
    assert checking.check_file(exercise("linear"), path).status == 1
    path.unlink()
    path.write_bytes(b"#" * (2 << 20))
    assert checking.check_file(exercise("linear"), path).status == 1
