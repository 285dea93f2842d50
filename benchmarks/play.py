"""Frames and training steps a second of the playground, engine and server together.

``python benchmarks/play.py [SECONDS] [--browser]`` plays the default preset and reads the stream of
frames as a page would, in a process of its own. No browser draws them, unless one is asked for:
then Chromium without a window shows the page on the same processors (needs minigan[browser]).
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

HOST = "127.0.0.1"


def main(seconds: float, *, browser: bool) -> None:
    """Start a server, watch it, and print what was seen."""
    command = [sys.executable, "-m", "minigan", "play", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()  # type: ignore[union-attr]
        port = int(line.partition(f"http://{HOST}:")[2].partition("/")[0])
        with shown(port) if browser else nullcontext():
            watch(port, seconds)
    finally:
        server.terminate()
        server.wait()


@contextmanager
def shown(port: int) -> Iterator[None]:
    """Show the page in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://{HOST}:{port}/")
        yield
        chromium.close()


def watch(port: int, seconds: float) -> None:
    """Count the frames of some seconds, after two for warming up."""
    stream = http.client.HTTPConnection(HOST, port)
    stream.request("GET", "/events")
    answer = stream.getresponse()
    asked = http.client.HTTPConnection(HOST, port)
    told = json.dumps({"playing": True, "speed": 0})
    asked.request("POST", "/play", told, {"Content-Type": "application/json"})
    asked.getresponse().read()
    frames(answer, 2)
    count, first, last, size, took = frames(answer, seconds)
    print(
        f"{count / took:.1f} frames and {(last - first) / took:.0f} training steps a second "
        f"({size / count / 1000:.1f} kB a frame)"
    )


def frames(answer: http.client.HTTPResponse, seconds: float) -> tuple[int, int, int, int, float]:
    """Read frames; return their number, the first and last step, their bytes, and the time."""
    begin = time.perf_counter()
    steps, size = [], 0
    while time.perf_counter() - begin < seconds:
        line = answer.readline()
        if line.startswith(b'data: {"playing"'):
            size += len(line)
            steps.append(json.loads(line[6:])["step"])
    return len(steps), steps[0], steps[-1], size, time.perf_counter() - begin


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--browser"]
    main(float(given[0]) if given else 10, browser="--browser" in sys.argv)
