"""Running the server: a free port of this machine, the browser, and an end at once."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Callable
from types import FrameType

import uvicorn

from minigan.play.engine import Engine
from minigan.play.server import Site, application
from minigan.play.state import PlaygroundState

HOST = "127.0.0.1"
PORT = 8017
"""The first port that is tried."""
TRIED = 20
"""How many ports are tried, if none was named."""


class Server(uvicorn.Server):
    """A server that ends at once: it closes the streams, which would go on for ever.

    Attributes
    ----------
    address
        Opened in the browser as soon as there is an answer; None opens nothing.
    """

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self.site = site
        self.address: str | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self.address:  # a browser in the terminal keeps its caller waiting
            threading.Thread(target=webbrowser.open, args=(self.address,), daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, because a signal says so."""
        self.end()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """End soon; may be called from any thread."""
        self.should_exit = True
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.site.closing.set)


def listen(port: int | None) -> socket.socket:
    """Return a socket of this machine, on a port or on the first free one from `PORT`.

    Raises
    ------
    ValueError
        If the port is taken, or isn't one.
    """
    if port is not None and not 0 <= port < 2**16:
        raise ValueError(f"A port is a number from 0 to 65535, got {port}.")
    for tried in [port] if port is not None else [*range(PORT, PORT + TRIED), 0]:
        bound = _bound(tried)
        if bound is not None:
            return bound
    raise ValueError(f"Port {port} can't be used here; give another with --port, or leave it out.")


def _bound(port: int) -> socket.socket | None:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
        found.listen(128)  # so that a browser that is quicker than the server waits
    except OSError:
        found.close()
        return None
    found.set_inheritable(False)
    return found


def server_of(state: PlaygroundState, port: int) -> Server:
    """Return the server of a game, with its engine not yet running."""
    site = Site(Engine(state))
    names = (HOST, "localhost")
    hosts = tuple(f"{name}:{port}" for name in names) + (names if port == 80 else ())
    config = uvicorn.Config(
        application(site, hosts), http="h11", ws="none", loop="asyncio", lifespan="off",
        log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return Server(config, site)


def serve(
    state: PlaygroundState, *, port: int | None = None, browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve a game until it is interrupted (Ctrl-C).

    Parameters
    ----------
    state
        The game.
    port
        A port of this machine; by default the first free one from `PORT`.
    browser
        Whether to open the page.
    say
        Told the address.

    Raises
    ------
    ValueError
        If the port can't be used.
    """
    with listen(port) as bound:
        address = f"http://{HOST}:{bound.getsockname()[1]}/"
        server = server_of(state, bound.getsockname()[1])
        server.site.engine.run()
        say(f"The playground is at {address} (Ctrl-C ends it).")
        try:
            if browser:
                link = state.setup.link()
                server.address = f"{address}#{link}" if link else address
            server.run(sockets=[bound])
        except KeyboardInterrupt:
            pass
        finally:
            server.site.engine.stop()
