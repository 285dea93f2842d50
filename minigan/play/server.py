"""The web server of the playground: one page, what it asks for, and a stream of frames.

It listens on this machine alone and answers nobody else's page: a request must name this host and,
if a page made it, come from a page of this server. Frames are server-sent events. There is one
game; all pages show it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minigan.play import film, slow
from minigan.play.encoding import encode
from minigan.play.engine import Busy, Engine, in_words
from minigan.play.opened import OpenedRun
from minigan.play.presets import PRESETS
from minigan.play.scenes import walk
from minigan.play.setup import Setup, describe
from minigan.play.state import PlaygroundState
from minigan.runs import pretrained
from minigan.runs.folder import open_run

STATIC = Path(__file__).with_name("static")
LARGEST = 2**18
"""Most bytes of a request."""
PAGES = 32
"""Most pages that may watch at a time."""
PATIENCE = 20.0
"""Seconds after which a page that takes nothing is given up."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Refusal(Exception):
    """A request that isn't answered, with its status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, *self.args), vars(self)


# ---------------------------------------------------------------- who may ask


class Guard:
    """Lets through only what this machine's own page asks for.

    Parameters
    ----------
    app
        What answers.
    hosts
        The values of the header Host that mean this server; a page that reaches it under another
        name was made to (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _problem(refusal.status, str(refusal))(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = {name.decode("latin-1"): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        if headers.get("host") not in self.hosts:
            return Refusal(400, "This is no name of this server.")
        own = {f"http://{host}" for host in self.hosts}
        if headers.get("origin", f"http://{self.hosts[0]}") not in own:
            return Refusal(403, "Another page has no business here.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return Refusal(403, "Another page has no business here.")
        return None


def _problem(status: int, words: str) -> Response:
    return Response(encode({"error": words}), status, media_type="application/json")


# ---------------------------------------------------------------- the stream of frames


class Events:
    """The stream for one page: the start of each game, then its newest frame, again and again."""

    def __init__(self, engine: Engine, closing: asyncio.Event) -> None:
        self.engine, self.closing = engine, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the page is closed, takes nothing any more, or the server ends."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop may have ended already
                loop.call_soon_threadsafe(news.set)

        self.engine.watch(notify)
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await self._send(send, news, gone)
        finally:
            self.engine.forget(notify)
            gone.cancel()

    async def _send(self, send: Send, news: asyncio.Event, gone: asyncio.Future[None]) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        begun = shown = 0
        news.set()
        while await self._wait(news, gone):
            number, start = self.engine.start
            body = b""
            if number != begun:
                begun, body = number, b"event: start\ndata: " + start + b"\n\n"
            number, frame = self.engine.frame
            if number != shown and frame:
                shown, body = number, body + b"event: frame\ndata: " + frame + b"\n\n"
            if not await _taken(send, body):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(self, news: asyncio.Event, gone: asyncio.Future[None]) -> bool:
        """Wait for news; return whether to go on."""
        waits = [asyncio.ensure_future(event.wait()) for event in (news, self.closing)]
        either: list[asyncio.Future[Any]] = [*waits, gone]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED, timeout=15)
        for wait in waits:
            wait.cancel()
        news.clear()
        return not (gone.done() or self.closing.is_set())


async def _taken(send: Send, body: bytes) -> bool:
    """Send; return whether it was taken in time. A comment keeps a quiet stream alive."""
    message = {"type": "http.response.body", "body": body or b": still here\n\n", "more_body": True}
    try:
        await asyncio.wait_for(send(message), PATIENCE)
    except (TimeoutError, OSError):
        return False
    return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# ---------------------------------------------------------------- what can be asked


class Site:
    """All that the page asks for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closing, self.drawing = asyncio.Event(), asyncio.Lock()
        self.pages = 0
        self.opened = engine.state if isinstance(engine.state, OpenedRun) else None

    @property
    def state(self) -> PlaygroundState:
        """The game."""
        return self.engine.state

    def routes(self) -> list[Any]:
        """Return what is answered where."""
        asked: dict[str, Callable[[dict[str, Any]], Any]] = {
            "set": self.set, "play": self.play, "step": self.step, "slow": self.slow,
            "restart": self.restart, "probe": self.probe, "explore": self.explore,
            "walk": self.walk, "checkpoint": self.checkpoint,
        }  # fmt: skip
        return [
            Route("/", self.page),
            Route("/favicon.ico", self.icon),
            Route("/about", self.about),
            Route("/sources", self.sources),
            Route("/curves", self.curves),
            Route("/export/{kind}", self.export),
            Route("/events", self.events),
            *(Route(f"/{name}", self._post(answer), methods=["POST"])
              for name, answer in asked.items()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]  # fmt: skip

    async def _ask(self, what: Callable[[], Any]) -> Any:
        """Let the engine do something; turn what a user may cause into a refusal."""
        try:
            return await asyncio.wrap_future(self.engine.ask(what))
        except Busy as error:
            raise Refusal(503, str(error)) from None
        except Exception as error:  # a game of one's own may raise anything
            raise Refusal(422, in_words(error)) from None

    def _post(self, answer: Callable[[dict[str, Any]], Any]) -> Callable[..., Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            told = await _json(request)
            found = await self._ask(lambda: answer(told))
            return Response(encode(found), media_type="application/json")

        return _refusing(respond)

    # What is asked for with POST runs on the engine's thread.

    def set(self, told: dict[str, Any]) -> Any:
        """Change choices; or all of them, by a preset or a link; or look at what is trained."""
        looked_at = self._looked_at(told)
        if looked_at is not None:
            self.engine.show(looked_at)
            return {"link": ""}
        setup, keep = self._wanted(told), "changes" in told
        if "link" in told and setup == self.state.setup:
            return {"link": setup.link()}  # a page was loaded again: the game goes on
        if isinstance(self.state, OpenedRun) and not keep:
            self.engine.show(PlaygroundState(setup))
        else:
            self.engine.change(lambda: self.state.become(setup, keep_recipe=keep))
        return {"link": setup.link()}

    def _looked_at(self, told: dict[str, Any]) -> OpenedRun | None:
        """The run on disk, or weights of the package, if one of them is wanted."""
        if "pretrained" in told:
            name = _one_of("pretrained model", told["pretrained"], pretrained.names())
            return OpenedRun(open_run(pretrained.PREFIX + name))
        return self.opened if told.get("run") else None

    def _wanted(self, told: dict[str, Any]) -> Setup:
        if "preset" in told:
            return PRESETS[_one_of("preset", told["preset"], PRESETS)].setup
        if "link" in told:
            return Setup.from_link(_text(told["link"]))
        changes = told.get("changes")
        if not isinstance(changes, dict):
            raise ValueError("A change needs a preset, a link, or changes by name.")
        return self.state.setup.changed(changes)

    def play(self, told: dict[str, Any]) -> Any:
        """Play or pause; set the speed."""
        playing, speed = told.get("playing"), told.get("speed")
        if not isinstance(playing, bool):
            raise ValueError("Playing is true or false.")
        self.engine.play(playing=playing, speed=None if speed is None else _number(speed, 0, 1e4))

    def step(self, told: dict[str, Any]) -> Any:
        """Let one turn be taken."""
        self.engine.step(_text(told.get("turn", "round")))

    def slow(self, told: dict[str, Any]) -> Any:
        """Play one round in slow motion."""
        return {"frames": self.engine.slow()}

    def restart(self, told: dict[str, Any]) -> Any:
        """Begin the same game again."""
        self.engine.change(self._restarted)

    def _restarted(self) -> bool:
        self.state.restart()
        return True

    def checkpoint(self, told: dict[str, Any]) -> Any:
        """Show a checkpoint of the run."""
        if not isinstance(self.state, OpenedRun):
            raise ValueError("No run is open; start with: minigan play RUN.")
        self.engine.playing = False
        self.state.show(int(_number(told.get("index"), 0, 1e6)))

    def probe(self, told: dict[str, Any]) -> Any:
        """Return the numbers at a place."""
        return self.state.probe(*(_number(told.get(axis), -1e6, 1e6) for axis in "xy"))

    def explore(self, told: dict[str, Any]) -> Any:
        """Return the pictures of latents."""
        if self.state.scene.kind != "pictures":
            raise ValueError("Only games of pictures have latents to explore.")
        label = told.get("label")
        scene: Any = self.state.scene
        return scene.explore(told.get("z"), label if isinstance(label, int) else None)

    def walk(self, told: dict[str, Any]) -> Any:
        """Return latents between two."""
        law = getattr(self.state.game, "latent", None)
        start, end = told.get("start"), told.get("end")
        if law is None or any(not isinstance(e, list) or len(e) != law.size for e in (start, end)):
            raise ValueError("A walk needs two latents of the game.")
        return {"z": walk(law, start, end, int(_number(told.get("steps", 8), 2, 32)))}

    # What is asked for with GET.

    async def page(self, request: Request) -> Response:
        """Return the page."""
        return FileResponse(STATIC / "index.html")

    async def icon(self, request: Request) -> Response:
        """Return the icon."""
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    async def about(self, request: Request) -> Response:
        """Return all choices, and the presets."""
        presets = [{"name": p.name, "group": p.group, "link": p.setup.link()}
                   for p in PRESETS.values()]  # fmt: skip
        run = None if self.opened is None or self.opened.run.weights else self.opened.name
        more = {"presets": presets, "run": run, "pretrained": pretrained.names()}
        return _json_of(describe() | more)

    async def sources(self, request: Request) -> Response:
        """Return the source of the layers in the game."""
        return await _refusing(self._sources)(request)

    async def _sources(self, request: Request) -> Response:
        return _json_of(await self._ask(lambda: slow.sources(self.state.game)))

    async def curves(self, request: Request) -> Response:
        """Return the curves of the game so far."""
        return await _refusing(self._curves)(request)

    async def _curves(self, request: Request) -> Response:
        return _json_of({"curves": await self._ask(self.state.history.curves)})

    async def export(self, request: Request) -> Response:
        """Return the game as a file."""
        return await _refusing(self._export)(request)

    async def _export(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind == "gif":
            return await self._film()
        text = await self._ask(lambda: self.state.export(kind))
        name = {"recipe": "my_game.py", "python": "my_game_in_python.py"}[kind]
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return PlainTextResponse(text, headers=headers)

    async def _film(self) -> Response:
        start, frames = await self._ask(lambda: (self.state.start(), self.state.filmed()))
        async with self.drawing:  # one at a time, beside the game
            try:
                made = await asyncio.to_thread(film.gif, start, frames)
            except ValueError as error:
                raise Refusal(422, in_words(error)) from None
        headers = {"Content-Disposition": 'attachment; filename="my_game.gif"'}
        return Response(made, media_type="image/gif", headers=headers)

    @property
    def events(self) -> ASGIApp:
        """The stream of frames."""

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            if self.pages >= PAGES:
                await _problem(503, "Too many pages watch already.")(scope, receive, send)
                return
            self.pages += 1
            try:
                await Events(self.engine, self.closing)(scope, receive, send)
            finally:
                self.pages -= 1

        return _App(stream)


class _App:
    """An ASGI application that a route takes as it is, since it is no function."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def application(site: Site, hosts: tuple[str, ...]) -> ASGIApp:
    """Return the web application."""
    return Guard(Starlette(routes=site.routes()), hosts)


def _refusing(respond: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Turn refusals into answers."""

    async def answer(request: Request) -> Response:
        try:
            return await respond(request)
        except Refusal as refusal:
            return _problem(refusal.status, str(refusal))
        except ClientDisconnect:
            return Response(status_code=400)

    return answer


def _json_of(value: Any) -> Response:
    return Response(encode(value), media_type="application/json")


async def _json(request: Request) -> dict[str, Any]:
    """Return the object in the body of a request."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(415, "Only JSON is understood.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise Refusal(413, f"At most {LARGEST:,} bytes are read.")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "This isn't JSON.") from None
    if not isinstance(told, dict):
        raise Refusal(400, "An object is needed.")
    return told


def _number(value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"A number between {least:g} and {most:g} is needed, got {value!r}.")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Text is needed, got {type(value).__name__}.")
    return value


def _one_of(what: str, value: Any, known: Any) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"There is no {what} {value!r}; there are {', '.join(known)}.")
    return value
