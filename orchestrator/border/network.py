"""Connections that go only where calls may go, and only as long as the call may last."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as ResolveTimeout
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpcore

from orchestrator.border.addresses import Network, is_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_SMALLEST_WAIT = 0.001
_MOST_RESOLVERS = 8


class AddressRefused(Exception):
    """The host has an address that calls may not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Where calls may go although it is not public."""

    allow: tuple[Network, ...] = ()
    own_address: tuple[str, int] | None = None
    """Address and port of this server, open while it serves the demo."""


class CallState(threading.local):
    """What the connection must know of the call that its thread is making."""

    rules: Rules = Rules()
    deadline: float = 0.0
    is_sent: bool = False
    """Whether any of the request may have left."""

    def left(self, timeout: float | None) -> float:
        """Return how long the next wait may be; zero or less when the call is over."""
        left = self.deadline - time.monotonic()
        return left if timeout is None else min(left, timeout)


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a host, checks every address it has, and connects to one that was checked."""

    def __init__(self, state: CallState) -> None:
        self._state = state

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, or raise `AddressRefused` or an error of httpcore."""
        del local_address, socket_options
        until = time.monotonic() + self._state.left(timeout)
        found = _resolve(host, port, until)
        _check(host, port, [address for _, address in found], self._state.rules)
        return GuardedStream(_connect(found, until), self._state)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: calls go over TCP."""
        del timeout, socket_options
        raise AddressRefused(path)


class GuardedStream(httpcore.NetworkStream):
    """A socket on which no wait outlasts the call, however slowly the other side drips."""

    def __init__(self, connection: socket.socket, state: CallState) -> None:
        self._socket = connection
        self._state = state

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, waiting for it no longer than the call may last."""
        self._wait_at_most(timeout, httpcore.ReadTimeout)
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("The answer did not come in time.") from error
        except OSError as error:
            raise httpcore.ReadError(_name(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it; from here on the request may have been sent."""
        view = memoryview(buffer)
        while view:
            self._wait_at_most(timeout, httpcore.WriteTimeout)
            self._state.is_sent = True
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout("The request was not taken in time.") from error
            except OSError as error:
                raise httpcore.WriteError(_name(error)) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands; nothing of the request is sent before that is done."""
        self._wait_at_most(timeout, httpcore.ConnectTimeout)
        try:
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout("TLS was not agreed in time.") from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(f"TLS failed: {_name(error)}") from error
        return GuardedStream(secured, self._state)

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks about a connection."""
        if info == "is_readable":
            return _is_readable(self._socket)
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        return None

    def _wait_at_most(self, timeout: float | None, too_late: Callable[[str], Exception]) -> None:
        left = self._state.left(timeout)
        if left <= 0:
            raise too_late("The call has used up its time.")
        self._socket.settimeout(max(left, _SMALLEST_WAIT))


_Found = list[tuple[socket.AddressFamily, tuple[Any, ...]]]


def _resolve(host: str, port: int, until: float) -> _Found:
    # The resolver knows no timeout, so it waits in a thread of its own.
    waiting = _resolvers.get().submit(
        socket.getaddrinfo, host.rstrip("."), port, type=socket.SOCK_STREAM
    )
    try:
        rows = waiting.result(timeout=max(until - time.monotonic(), _SMALLEST_WAIT))
    except ResolveTimeout as error:
        raise httpcore.ConnectTimeout("The host's name was not resolved in time.") from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError("The host's name is not known.") from error
    return [(row[0], row[4]) for row in rows]


def _check(host: str, port: int, addresses: Collection[tuple[Any, ...]], rules: Rules) -> None:
    """Refuse the host if any of its addresses is closed, whichever would be taken."""
    for row in addresses:
        address = ip_address(str(row[0]))
        is_own = rules.own_address == (str(address), port)
        if not is_own and not is_allowed(address, allow=rules.allow):
            raise AddressRefused(host)


def _connect(found: _Found, until: float) -> socket.socket:
    last: OSError | None = None
    for family, address in found:
        left = until - time.monotonic()
        if left <= 0:
            break
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(left, _SMALLEST_WAIT))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    if last is None or isinstance(last, TimeoutError):
        raise httpcore.ConnectTimeout("There was no connection in time.")
    raise httpcore.ConnectError(_name(last)) from last


def _name(error: OSError) -> str:
    """Name an error without the address that is in its text."""
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return os.strerror(error.errno) if error.errno else type(error).__name__


def _is_readable(connection: socket.socket) -> bool:
    """Say whether an idle connection has something to read, which means that it was closed."""
    descriptor = connection.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class _Resolvers:
    """Threads that wait for the resolver, made when they are first needed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # After a fork: threads do not survive it, and one of them may have held the lock.
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def get(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_MOST_RESOLVERS, thread_name_prefix="resolver")
            return self._threads


_resolvers = _Resolvers()
os.register_at_fork(after_in_child=_resolvers.reset)
