"""The playground's server: who is answered, what is refused, and that it ends."""

import base64
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from minigan.play import server
from minigan.play.encoding import encode
from minigan.play.engine import WAITING, Busy, Engine
from minigan.play.opened import OpenedRun
from minigan.play.server import LARGEST, PAGES
from minigan.play.serving import HOST, listen, server_of
from minigan.play.setup import Setup
from minigan.play.state import PlaygroundState
from minigan.runs import pretrained
from minigan.runs.folder import open_run
from minigan.runs.training import train

SMALL = Setup(g_width=8, d_width=8, batch_size=16)


class Client:
    """Asks a server in a thread."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, told=None, *, method=None, body=None, **headers):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        if told is not None:
            body = json.dumps(told)
        method = method or ("GET" if body is None else "POST")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer, text

    def status(self, path, told=None, **how):
        return self.ask(path, told, **how)[0].status

    def json(self, path, told=None):
        return json.loads(self.ask(path, told)[1])

    def stream(self):
        return Stream(self.port)


class Stream:
    """A page that watches."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection(HOST, port, timeout=20)
        self.connection.request("GET", "/events")
        self.answer = self.connection.getresponse()

    def next(self, kind="frame", where=lambda data: True):
        name = None
        while True:
            line = self.answer.readline().decode().strip()
            if not line and self.answer.isclosed():
                raise EOFError
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == kind:
                data = json.loads(line.removeprefix("data: "))
                if where(data):
                    return data

    def close(self):
        self.answer.close()
        self.connection.close()


@contextmanager
def serving(state=None, buffer=None):
    """A server in a thread; `buffer` is the size of what the system takes for a page beforehand."""
    with listen(0) as bound:
        if buffer is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        port = bound.getsockname()[1]
        server = server_of(state or PlaygroundState(SMALL), port)
        engine = server.site.engine
        engine.run()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            found = Client(port)
            found.server, found.engine = server, engine
            yield found
        finally:
            server.end()
            thread.join(timeout=20)
            engine.stop()
            assert not thread.is_alive()
            assert not engine._thread.is_alive()


@pytest.fixture
def client():
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def shared():
    """A server for many small questions."""
    with serving() as found:
        yield found


def array(told):
    kind = "u1" if "u1" in told else "f4"
    return numpy.frombuffer(base64.b64decode(told[kind]), f"<{kind}").reshape(told["shape"])


# ---------------------------------------------------------------- the page and its frames


def test_the_page_and_its_files_are_served(client):
    answer, text = client.ask("/")
    assert answer.status == 200
    assert b"minigan" in text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert client.ask("/favicon.ico")[0].headers["Content-Type"] == "image/svg+xml"
    assert client.status("/static/../server.py") == 404
    assert client.status("/nothing") == 404


def test_a_page_gets_the_start_of_the_game_and_its_frames(client):
    stream = client.stream()
    start = stream.next("start")
    assert start["kind"] == "plane"
    assert array(start["real"]).shape == (256, 2)
    frame = stream.next()
    assert frame["step"] == 0
    assert array(frame["landscape"]).dtype == numpy.uint8
    assert client.json("/play", {"playing": True}) is None
    assert stream.next(where=lambda f: f["step"] > 10)["playing"]
    client.ask("/play", {"playing": False})
    stream.close()


def test_everything_that_can_be_asked(client):
    stream = client.stream()
    for turn in ("round", "discriminator", "generator"):
        client.ask("/step", {"turn": turn})
    turns = stream.next(where=lambda f: f["turns"]["generator"] == 2)["turns"]
    assert turns == {"discriminator": 2, "generator": 2}
    frames = client.json("/slow", {})["frames"]
    assert [f["index"] for f in frames] == list(range(10))
    assert set(client.json("/probe", {"x": 0, "y": 1})) == {"logit", "push", "probability"}
    assert client.json("/set", {"changes": {"data": "moons"}})["link"].startswith("data=moons")
    assert stream.next("start", where=lambda s: s["setup"]["data"] == "moons")
    assert client.json("/set", {"preset": "dirac"})["link"].startswith("data=dirac")
    assert stream.next("start", where=lambda s: s["kind"] == "dirac")
    assert client.json("/set", {"link": SMALL.link()})["link"] == SMALL.link()
    client.ask("/restart", {})
    assert "Linear" in client.json("/sources")
    assert array(client.json("/curves")["curves"]).shape == (0, 6)
    about = client.json("/about")
    assert {"choices", "presets", "ways", "defaults"} <= set(about)
    answer, text = client.ask("/export/recipe")
    assert b"RECIPE" in text
    assert "my_game.py" in answer.headers["Content-Disposition"]
    assert b"trainer.run" in client.ask("/export/python")[1]
    answer, film = client.ask("/export/gif")
    assert film.startswith(b"GIF89a")
    assert "my_game.gif" in answer.headers["Content-Disposition"]
    assert client.json("/checkpoint", {"index": 0})["error"].startswith("No run is open")
    stream.close()


def test_a_run_is_opened_and_left_for_a_game(tmp_path):
    train("parabola", out=tmp_path / "run", steps=4, batch_size=16, checkpoint_every=2, frames=0,
          progress=False)  # fmt: skip
    with serving(OpenedRun(open_run(tmp_path / "run"))) as client:
        stream = client.stream()
        told = stream.next("start")["run"]
        assert told == {"name": "run", "steps": [1, 2, 4], "pretrained": None}
        assert stream.next()["checkpoint"] == 2
        client.ask("/checkpoint", {"index": 0})
        assert stream.next(where=lambda f: f["step"] == 1)["checkpoint"] == 0
        assert client.status("/checkpoint", {"index": 3}) == 422
        assert client.status("/set", {"changes": {"seed": 1}}) == 422
        client.ask("/play", {"playing": True, "speed": 0})
        assert stream.next(where=lambda f: f["step"] == 4 and not f["playing"])["over"]
        assert client.status("/set", {"preset": "dirac"}) == 200
        assert "run" not in stream.next("start", where=lambda s: s["kind"] == "dirac")
        client.ask("/step", {})
        assert stream.next(where=lambda f: f["step"] == 1)
        assert client.json("/about")["run"] == "run"
        assert client.json("/set", {"run": True}) == {"link": ""}
        assert stream.next("start", where=lambda s: "run" in s)["kind"] == "plane"
        stream.close()


def test_weights_of_the_package_are_opened_from_the_page(client):
    assert client.json("/about")["pretrained"] == list(pretrained.names())
    stream = client.stream()
    assert client.status("/set", {"pretrained": "digits"}) == 200
    start = stream.next("start", where=lambda s: "run" in s)
    assert start["run"]["pretrained"] == "digits"
    assert client.status("/set", {"pretrained": "cats"}) == 422
    assert client.status("/set", {"preset": "ring"}) == 200
    assert "run" not in stream.next("start")
    stream.close()


def test_pictures_can_be_explored(client):
    client.ask("/set", {"changes": {"data": "digits", "penalties": []}})
    z = [[0.0] * 64, [1.0] * 64]
    walk = client.json("/walk", {"start": z[0], "end": z[1], "steps": 3})["z"]
    assert len(walk) == 3
    found = client.json("/explore", {"z": walk})
    assert array(found["pictures"]).shape == array(found["nearest"]).shape == (3, 16, 16, 1)


def test_a_game_is_paused_by_an_explosion(client):
    stream = client.stream()
    wild = {"objective": "wasserstein", "penalties": [], "optimizer": "sgd"}
    client.ask("/set", {"changes": wild | {"lr_generator": 10, "lr_discriminator": 10}})
    client.ask("/play", {"playing": True})
    frame = stream.next(where=lambda f: f["trouble"])
    assert "exploded" in frame["trouble"]
    assert stream.next(where=lambda f: True) if frame["playing"] else True
    client.ask("/restart", {})
    assert stream.next(where=lambda f: not f["trouble"])["step"] == 0
    stream.close()


# ---------------------------------------------------------------- who is answered


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1"}, 400),
        ({"Host": "127.0.0.1:1"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/events", "/about", "/step", "/static/icon.svg"])
def test_foreign_pages_are_refused(shared, path, headers, status):
    told = {"turn": "round"} if path == "/step" else None
    before = dict(shared.engine.state.turns)
    assert shared.status(path, told, **headers) == status
    assert shared.engine.state.turns == before


def test_the_own_page_is_answered_under_both_names(client):
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{client.port}"
        headers = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
        assert client.status("/step", {"turn": "round"}, **headers) == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/step", b"", 400),
        ("/step", b"{", 400),
        ("/step", b"[1]", 400),
        ("/step", b"\xff\xfe", 400),
        ("/step", b"[" * 100_000, 400),
        ("/step", b'{"turn": 3}', 422),
        ("/step", b'{"turn": "all"}', 422),
        ("/set", b"{}", 422),
        ("/set", b'{"changes": []}', 422),
        ("/set", b'{"changes": {"g_width": 1e99}}', 422),
        ("/set", b'{"changes": {"g_width": NaN}}', 422),
        ("/set", b'{"changes": {"penalties": ["packing:3"]}}', 422),
        ("/set", b'{"changes": {"__class__": 1}}', 422),
        ("/set", b'{"preset": "none"}', 422),
        ("/set", b'{"preset": []}', 422),
        ("/set", b'{"link": 3}', 422),
        ("/set", b'{"pretrained": ["digits"]}', 422),
        ("/play", b'{"playing": "yes"}', 422),
        ("/play", b'{"playing": true, "speed": -1}', 422),
        ("/probe", b'{"x": 1}', 422),
        ("/probe", b'{"x": NaN, "y": 1}', 422),
        ("/explore", b'{"z": [[0]]}', 422),
        ("/walk", b'{"start": [0], "end": 3}', 422),
        ("/checkpoint", b'{"index": -1}', 422),
        ("/checkpoint", b"{}", 422),
        ("/set", b'{"link": "' + b"x" * (LARGEST + 1) + b'"}', 413),
    ],
)
def test_malformed_posts_are_refused_in_one_sentence(shared, path, body, status):
    answer, text = shared.ask(path, body=body, method="POST")
    assert answer.status == status
    error = json.loads(text)["error"]
    assert error
    assert "\n" not in error
    assert "Traceback" not in error
    assert shared.status("/step", {}) == 200


def test_only_json_is_understood(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert client.status("/step", {}, Content_Type=kind) == 415
    assert client.status("/step") == 405
    assert client.status("/about", {}) == 405
    assert client.status("/export/pdf") == 422


# ---------------------------------------------------------------- many pages, and their end


def test_several_pages_show_one_game(client):
    streams = [client.stream() for _ in range(3)]
    client.ask("/step", {})
    assert all(stream.next(where=lambda f: f["step"] == 1) for stream in streams)
    for stream in streams:
        stream.close()


def test_a_closed_page_is_forgotten_and_the_game_waits(client):
    stream = client.stream()
    client.ask("/play", {"playing": True})
    stream.next(where=lambda f: f["step"] > 3)
    stream.close()
    wait_until(lambda: client.server.site.pages == 0)
    wait_until(lambda: not client.engine._watchers)
    at = settled(lambda: client.engine.state.steps)
    again = client.stream()
    assert again.next(where=lambda f: f["step"] >= at)
    again.close()


def test_a_page_never_gets_a_frame_of_an_earlier_game(client):
    stream = client.stream()
    stream.next()
    stream.close()
    wait_until(lambda: not client.engine._watchers)
    client.ask("/set", {"preset": "dirac"})
    again = client.stream()
    assert again.next("start")["kind"] == "dirac"
    assert "path" in again.next()
    again.close()


def test_too_many_pages_are_refused(client):
    streams = [client.stream() for _ in range(PAGES)]
    assert all(stream.answer.status == 200 for stream in streams)
    assert client.status("/events") == 503
    for stream in streams:
        stream.close()
    wait_until(lambda: client.server.site.pages == 0)
    again = client.stream()
    assert again.next()["step"] == 0
    again.close()


def test_a_page_that_takes_nothing_holds_nobody_up(client):
    sleeper = sleeping(client)
    stream = client.stream()
    client.ask("/play", {"playing": True})
    assert stream.next(where=lambda f: f["step"] > 100)
    stream.close()
    sleeper.close()


def test_a_page_that_takes_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    with serving(buffer=4096) as client:
        sleeper = sleeping(client)
        wait_until(lambda: client.server.site.pages == 1)
        client.ask("/play", {"playing": True})
        wait_until(lambda: client.server.site.pages == 0)
        at = settled(lambda: client.engine.state.steps)
        awake = client.stream()
        assert awake.next(where=lambda f: f["step"] > at)
        awake.close()
        sleeper.close()


def sleeping(client):
    """A page whose machine is suspended: it asked for frames, and reads none."""
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    sleeper.connect((HOST, client.port))
    sleeper.sendall(f"GET /events HTTP/1.1\r\nHost: {HOST}:{client.port}\r\n\r\n".encode())
    return sleeper


def test_a_flood_of_controls_is_answered_or_refused(client):
    statuses = []

    def flood():
        for _ in range(20):
            statuses.append(client.status("/step", {}))

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503}
    assert client.engine.state.steps == statuses.count(200)


def test_an_engine_takes_no_more_than_it_can():
    engine = Engine(PlaygroundState(SMALL))
    for _ in range(WAITING):
        engine.ask(lambda: None)
    with pytest.raises(Busy, match="Too much"):
        engine.ask(lambda: None)
    engine.run()
    engine.stop()
    with pytest.raises(Busy):
        engine.ask(lambda: None)


def test_the_engine_survives_what_it_is_asked():
    engine = Engine(PlaygroundState(SMALL))
    engine.run()
    with pytest.raises(ZeroDivisionError):
        engine.ask(lambda: 1 / 0).result(10)
    assert engine.ask(lambda: 3).result(10) == 3
    engine.stop()
    assert not engine._thread.is_alive()


class Refuses(PlaygroundState):
    """A game of one's own that raises anything."""

    broken = False

    def step(self, turn="round"):
        if turn == "generator":
            raise KeyError("no such layer")
        return super().step(turn)

    def frame(self):
        if self.broken:
            raise IndexError("too short")
        return super().frame()


def test_a_game_of_ones_own_may_raise_anything():
    with serving(Refuses(SMALL)) as client:
        stream = client.stream()
        stream.next()
        assert client.json("/step", {"turn": "generator"})["error"] == "KeyError: 'no such layer'"
        client.engine.state.broken = True
        client.ask("/step", {})
        seen = stream.next(where=lambda f: f["over"])
        assert seen["trouble"] == "At step 1: IndexError: too short"
        assert client.status("/probe", {"x": 0, "y": 0}) == 200  # the thread goes on
        client.engine.state.broken = False
        assert client.status("/restart", {}) == 200
        assert stream.next(where=lambda f: not f["over"])["step"] == 0
        stream.close()


def test_latents_that_are_no_numbers_are_refused_in_one_sentence():
    with serving(PlaygroundState(replace(SMALL, data="digits", penalties=()))) as client:
        for z in ("x", [["x"] * 64], [[1, 2], [3]], [[10**400] * 64], None):
            assert client.json("/explore", {"z": z})["error"].startswith("Up to 64 latents of 64")


def test_a_browser_that_waits_for_its_page_gets_it(monkeypatch):
    answers = queue.Queue()

    def in_terminal(address):  # such as w3m: it returns when the page was read
        port = int(address.partition(f"{HOST}:")[2].partition("/")[0])
        answers.put(Client(port).status("/"))

    monkeypatch.setattr("webbrowser.open", in_terminal)
    with listen(0) as bound:
        port = bound.getsockname()[1]
        server = server_of(PlaygroundState(SMALL), port)
        server.address = f"http://{HOST}:{port}/"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        assert answers.get(timeout=20) == 200
        server.end()
        thread.join(timeout=20)


def test_a_browser_leaves_the_usual_port_out():
    hosts = server_of(PlaygroundState(SMALL), 80).config.app.hosts
    assert {"localhost", "localhost:80", HOST, f"{HOST}:80"} == set(hosts)
    assert len(server_of(PlaygroundState(SMALL), 8017).config.app.hosts) == 2


def test_the_speed_is_kept():
    engine = Engine(PlaygroundState(SMALL))
    engine.watch(lambda: None)
    steps = []
    engine.state.step = lambda: steps.append(0)
    engine.playing, engine.speed = True, 25.0
    engine._period = 0.02
    for _ in range(10):
        engine._play()
    assert len(steps) == 5


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def settled(number):
    """Wait until a number stays the same for a moment."""
    while True:
        before = number()
        time.sleep(0.1)
        if number() == before:
            return before


# ---------------------------------------------------------------- frames as bytes


def test_numbers_that_are_not_finite_become_null():
    told = json.loads(encode({"a": float("nan"), "b": [numpy.float32("inf"), numpy.int64(3)]}))
    assert told == {"a": None, "b": [None, 3]}


def test_arrays_keep_their_bits():
    values = numpy.arange(6, dtype="float32").reshape(2, 3) / 7
    numpy.testing.assert_array_equal(array(json.loads(encode(values))), values)
    numpy.testing.assert_array_equal(array(json.loads(encode(values.T))), values.T)
    shades = numpy.array([0, 255], "uint8")
    numpy.testing.assert_array_equal(array(json.loads(encode(shades))), shades)


# ---------------------------------------------------------------- ports and the command


def test_a_taken_port_is_refused_and_without_one_the_next_is_tried():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"Port {port} can't be used"):
            listen(port)
    with pytest.raises(ValueError, match="0 to 65535"):
        listen(70_000)
    with listen(None) as first, listen(None) as second:
        assert first.getsockname() != second.getsockname()


@pytest.mark.parametrize("watched", [False, True])
def test_ctrl_c_ends_the_command_with_pages_open(watched):
    command = [sys.executable, "-m", "minigan", "play", "--no-browser", "--port", "0", "--link",
               SMALL.link()]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        line = process.stderr.readline()
        port = int(line.partition(f"http://{HOST}:")[2].partition("/")[0])
        stream = Client(port).stream()
        stream.next()
        if watched:
            Client(port).ask("/play", {"playing": True})
            stream.next(where=lambda f: f["step"] > 5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""
        stream.close()
    finally:
        process.kill()
        process.stderr.close()
