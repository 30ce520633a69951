"""The web server: uvicorn with the limits that keep it answering, and a shutdown in two steps."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from orchestrator import drain

logger = logging.getLogger(__name__)

APPLICATION = "orchestrator.config.asgi:application"
GRACEFUL_SECONDS = 5
KEEP_ALIVE_SECONDS = 30
LIMIT_CONCURRENCY = 2000
LONGEST_HEADER_BYTES = 65536
BACKLOG = 2048


class WebServer(uvicorn.Server):
    """Says "not ready" first and closes the listener a moment later: proxies have to notice."""

    def __init__(
        self,
        *,
        notice_seconds: float = 0.0,
        on_ready: Callable[[], None] | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        """Take how long to stay after the word is out, and whom to tell."""
        super().__init__(
            uvicorn.Config(
                APPLICATION,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                limit_concurrency=LIMIT_CONCURRENCY,
                h11_max_incomplete_event_size=LONGEST_HEADER_BYTES,
            )
        )
        self._notice_seconds = notice_seconds
        self._on_ready = on_ready
        self._on_stop = on_stop
        # Not the same as draining: a supervisor raises that flag before its signal arrives.
        self._noticed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the listener and tell that it is open."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal; a second one does not wait."""
        if self._noticed or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._noticed = True
        drain.begin()
        logger.info("web_draining", extra={"signal": sig})
        if self._on_stop is not None:
            self._on_stop()
        self._loop.call_soon_threadsafe(
            self._loop.call_later, self._notice_seconds, super().handle_exit, sig, frame
        )


def listen(*, host: str, port: int) -> socket.socket:
    """Open the listening socket, which children may inherit; raises `OSError` if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def serve(server: WebServer, listener: socket.socket) -> None:
    """Serve on a socket until a signal comes; returns where uvicorn would die of it once more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _already_handled)
    server.run(sockets=[listener])


def _already_handled(_number: int, _frame: FrameType | None) -> None:
    """Take the signal that uvicorn raises again after a clean end."""
