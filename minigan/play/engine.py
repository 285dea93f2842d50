"""The thread that plays: it alone touches the game, and everybody else asks it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from minigan.play.encoding import encode
from minigan.play.state import PlaygroundState

FRAMES_PER_SECOND = 50
WAITING = 64
"""Most requests that may wait for the thread."""


class Busy(RuntimeError):
    """Too many requests wait already."""


class Engine:
    """Plays a game in a thread of its own, while somebody watches.

    Parameters
    ----------
    state
        The game.
    frames_per_second
        How often it is looked at, at most.

    Attributes
    ----------
    playing
        Whether rounds are being played; they are only while there are watchers, too.
    speed
        Rounds per second, 0 for as many as possible.
    start, frame
        The newest messages for a page, encoded, with their numbers: ``(number, bytes)``. A page
        that is slow gets the newest one, and never hears of those that it missed.
    """

    def __init__(
        self, state: PlaygroundState, *, frames_per_second: int = FRAMES_PER_SECOND
    ) -> None:
        self.state = state
        self.playing, self.speed = False, 0.0
        self.start: tuple[int, bytes] = (0, b"")
        self.frame: tuple[int, bytes] = (0, b"")
        self._period = 1 / frames_per_second
        self._requests: queue.Queue[tuple[Callable[[], Any], Future[Any]] | None] = queue.Queue()
        self._watchers: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._owed, self._rate, self._seen = 0.0, 0.0, (0.0, 0)
        self._due, self._cost = 0.0, 0.0
        self._last: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="minigan-play", daemon=True)
        self._begin()

    # ------------------------------------------------------------ for other threads

    def run(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, at the latest after the round that it plays."""
        self._stopping.set()
        self._requests.put(None)
        self._thread.join(timeout=10)

    def ask(self, what: Callable[[], Any]) -> Future[Any]:
        """Let the thread call a function between two rounds; return its future result.

        Raises
        ------
        Busy
            If too many wait already, or the thread has ended.
        """
        if self._requests.qsize() >= WAITING or self._stopping.is_set():
            raise Busy("Too much is asked at once; wait a moment.")
        promised: Future[Any] = Future()
        self._requests.put((what, promised))
        return promised

    def watch(self, notify: Callable[[], None]) -> None:
        """Call a function whenever there is something new to see."""
        with self._lock:
            self._watchers.add(notify)
        self._requests.put((lambda: None, Future()))

    def forget(self, notify: Callable[[], None]) -> None:
        """Stop calling it."""
        with self._lock:
            self._watchers.discard(notify)

    # ------------------------------------------------------------ what can be asked

    def play(self, *, playing: bool, speed: float | None = None) -> None:
        """Play or pause, and set the speed."""
        self.playing = playing and not self.state.over
        self.speed = self.speed if speed is None else speed
        self._owed, self._seen = 0.0, (time.monotonic(), self.state.steps)

    def step(self, turn: str) -> None:
        """Pause, and let one turn be taken."""
        self.playing = False
        self.state.step(turn)

    def slow(self) -> Any:
        """Pause, and play one round in slow motion."""
        self.playing = False
        return self.state.slow()

    def change(self, change: Callable[[], bool]) -> None:
        """Change the choices; a new game begins if the change says so."""
        if change():
            self.playing = False
        self._begin()

    def show(self, state: PlaygroundState) -> None:
        """Show another game in the place of this one."""
        self.playing, self.state = False, state
        self._begin()

    def _begin(self) -> None:
        self.start = (self.start[0] + 1, encode(self.state.start()))
        self.frame, self._last = (self.frame[0] + 1, b""), {}  # the last one is of another game

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        self._look()
        while not self._stopping.is_set():
            asked = self._obey()
            played = self._play() if self._busy() else False
            if asked or played:
                self._look()

    def _busy(self) -> bool:
        return self.playing and bool(self._watchers) and not self._stopping.is_set()

    def _obey(self) -> bool:
        """Do what was asked; wait for it if there is nothing else to do."""
        asked = False
        while True:
            try:
                request = self._requests.get(block=not (asked or self._busy()))
            except queue.Empty:
                return asked
            if request is None:
                return False
            asked = True
            _answer(*request)

    def _play(self) -> bool:
        """Play rounds until it is time for the next frame, at least half of the time."""
        before, end = self.state.steps, max(self._due, time.monotonic() + self._cost)
        self._due = end + self._period
        self._owed = min(self._owed + self.speed * self._period, max(self.speed, 1.0))
        while self.speed == 0 or self._owed >= 1:
            self._owed -= 1
            self._round()
            if time.monotonic() >= end or not self.playing or not self._requests.empty():
                break
        left = end - time.monotonic()
        if self.speed and left > 0:
            self._stopping.wait(left)
        return self.state.steps > before

    def _round(self) -> None:
        try:
            self.state.step()
        except Exception as error:
            self._trouble(error)
        if self.state.over:
            self.playing = False

    def _trouble(self, error: Exception) -> None:
        """End the game; whatever a game of one's own raises, the thread goes on."""
        self.playing = False
        self.state.trouble = f"At step {self.state.steps:,}: {in_words(error)}"

    def _look(self) -> None:
        """Make a frame, and tell the watchers, if there are any."""
        if not self._watchers:
            return
        begun = time.monotonic()
        self._measure()
        shown = self._shown()
        told = {"playing": self.playing, "speed": self.speed, "rate": self._rate}
        self.frame = (self.frame[0] + 1, encode(told | shown) if shown else b"")
        with self._lock:
            watchers = list(self._watchers)
        for notify in watchers:
            notify()
        self._cost = time.monotonic() - begun

    def _shown(self) -> dict[str, Any]:
        """What is to be seen; if the game can't be looked at, what was seen last, and why."""
        try:
            self._last = self.state.frame()
        except Exception as error:
            self._trouble(error)
            if self._last:
                self._last = self._last | {"over": True, "trouble": self.state.trouble}
        return self._last

    def _measure(self) -> None:
        """Measure the rounds per second, about twice in a second."""
        then, steps = self._seen
        now = time.monotonic()
        if not self.playing:
            self._rate, self._seen = 0.0, (now, self.state.steps)
        elif now - then > 0.5:
            self._rate = (self.state.steps - steps) / (now - then)
            self._seen = (now, self.state.steps)


def in_words(error: Exception) -> str:
    """Say an error in a sentence, with its kind where its words alone say little."""
    words = str(error).partition("\n")[0]
    plain = isinstance(error, (ValueError, TypeError, ArithmeticError, MemoryError)) and words
    return words if plain else f"{type(error).__name__}: {words}".removesuffix(": ")


def _answer(what: Callable[[], Any], promised: Future[Any]) -> None:
    if not promised.set_running_or_notify_cancel():
        return
    try:
        promised.set_result(what())
    except Exception as error:  # it belongs to whoever asked
        promised.set_exception(error)
