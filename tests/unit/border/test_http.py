"""The HTTP client against real sockets: what is refused, what is unknown, what is too much."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from orchestrator.border import http
from orchestrator.border.http import HttpRequest, MaybeSent, NotSent, TooLarge
from orchestrator.engine.outcomes import CallError


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings):
    settings.AMENDS_HTTP_ALLOW = ["127.0.0.0/8"]
    settings.AMENDS_DEMO = False
    yield
    http.close()


class Server:
    """Answers each request with what `script` says for its path, and keeps what it heard."""

    def __init__(self, host="127.0.0.1"):
        self.heard: list[bytes] = []
        self.script: dict[str, object] = {}
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self.stopped = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def url(self, path="/"):
        return f"http://{self.host}:{self.port}{path}"

    def close(self):
        self.stopped.set()
        with socket.create_connection((self.host, self.port)):
            pass
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            if self.stopped.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection):
        with connection:
            raw = b""
            while b"\r\n\r\n" not in raw:
                more = connection.recv(65536)
                if not more:
                    return
                raw += more
            self.heard.append(raw)
            answer = self.script[raw.split()[1].decode()]
            try:
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
            except OSError:
                return


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def answer(body=b"", *, status="200 OK", **headers):
    rows = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in rows.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def get(url, **options):
    return http.call(HttpRequest(method="GET", url=url, **options))


def test_answer_with_everything(server):
    server.script["/a?b=c"] = answer(b"hello", status="201 Made", X_Own="one")

    found = http.call(
        HttpRequest(method="POST", url=server.url("/a?b=c"), headers=(("X-Mine", "ü"),), body=b"{}")
    )

    assert (found.status, found.reason_phrase, found.body) == (201, "Made", b"hello")
    assert found.header("x-own") == "one"
    (heard,) = server.heard
    assert heard.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in heard
    assert "X-Mine: ü\r\n".encode() in heard
    assert b"Content-Length: 2\r\n" in heard


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.169.254.:80/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://0.0.0.0:1/",
        "http://224.0.0.1/",
        "http://user@10.0.0.1/",
        "http://[::1]:80/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "data:text/plain,x",
        "//x/",
        "http:///x",
        "http://[::1",
        "",
    ],
)
def test_call_is_refused_before_anything_is_sent(url):
    began = time.monotonic()

    with pytest.raises(NotSent, match="not allowed") as refused:
        get(url)

    assert refused.value.error is CallError.REFUSED
    assert time.monotonic() - began < 5


def test_loopback_is_closed_without_the_setting(server, settings):
    settings.AMENDS_HTTP_ALLOW = []

    with pytest.raises(NotSent, match="not allowed"):
        get(server.url())
    with pytest.raises(NotSent, match="not allowed"):
        get(f"http://localhost:{server.port}/")

    assert server.heard == []


def test_own_address_is_open_while_the_demo_is_served(server, settings):
    settings.AMENDS_HTTP_ALLOW = []
    settings.AMENDS_DEMO = True
    settings.AMENDS_DEMO_ADDRESS = f"127.0.0.1:{server.port}"
    server.script["/demo"] = answer(b"shop")

    assert get("http://demo.amends.internal/demo").body == b"shop"
    assert get(server.url("/demo")).body == b"shop"
    with pytest.raises(NotSent, match="not allowed"):
        get("http://127.0.0.1:1/")

    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in server.heard[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "other"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "x"),
        ("X-A", "a\r\nX-Injected: yes"),
        ("X-A", "a\nb"),
        ("X-A", "a\0b"),
        ("X-A\r\nX-B", "c"),
        ("X A", "c"),
        ("", "c"),
    ],
)
def test_header_is_refused(server, name, value):
    with pytest.raises(NotSent, match="not allowed"):
        get(server.url(), headers=((name, value),))

    assert server.heard == []


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET /", "A\r\nB", ""])
def test_method_is_refused(server, method):
    with pytest.raises(NotSent, match="not allowed"):
        http.call(HttpRequest(method=method, url=server.url()))


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(NotSent) as failed:
        get(f"http://127.0.0.1:{port}/")

    assert failed.value.error is CallError.NOT_CONNECTED
    assert str(port) not in str(failed.value)


def test_name_is_not_known():
    with pytest.raises(NotSent) as failed:
        get("http://nobody.invalid/", total_timeout=20, connect_timeout=20)

    assert failed.value.error in {CallError.NOT_CONNECTED, CallError.CONNECT_TIMEOUT}


def test_other_side_speaks_no_tls(server):
    def garbage(connection):
        connection.sendall(b"no TLS\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                garbage(connection)

        thread = threading.Thread(target=serve)
        thread.start()

        with pytest.raises(NotSent) as failed:
            get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()

    assert failed.value.error is CallError.NOT_CONNECTED


def test_no_answer_in_time_may_have_taken_effect(server):
    server.script["/"] = lambda _: server.stopped.wait(5)

    with pytest.raises(MaybeSent) as failed:
        get(server.url(), read_timeout=0.3)

    assert failed.value.error is CallError.TIMEOUT


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda _: None, id="closed"),
        pytest.param(
            lambda connection: connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            ),
            id="reset",
        ),
        pytest.param(lambda connection: connection.sendall(b"garbage\r\n\r\n"), id="no HTTP"),
        pytest.param(
            lambda connection: connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
            ),
            id="half a body",
        ),
    ],
)
def test_broken_connection_may_have_taken_effect(server, broken):
    server.script["/"] = broken

    with pytest.raises(MaybeSent) as failed:
        get(server.url())

    assert failed.value.error is CallError.BROKEN


def test_drip_ends_with_the_total_time(server):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not server.stopped.wait(0.05):
            connection.sendall(b".")

    server.script["/"] = drip
    began = time.monotonic()

    with pytest.raises(MaybeSent) as failed:
        get(server.url(), read_timeout=5, total_timeout=0.6)

    assert failed.value.error is CallError.TIMEOUT
    assert time.monotonic() - began < 2


def test_dripping_head_ends_with_the_total_time(server):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.stopped.wait(0.05):
            connection.sendall(b".")

    server.script["/"] = drip

    with pytest.raises(MaybeSent) as failed:
        get(server.url(), read_timeout=5, total_timeout=0.6)

    assert failed.value.error is CallError.TIMEOUT


def test_endless_answer_is_cut_at_the_limit(server):
    def flood(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not server.stopped.is_set():
            connection.sendall(b"x" * 65536)

    server.script["/"] = flood

    with pytest.raises(TooLarge) as failed:
        get(server.url(), max_size=1_000_000)

    assert failed.value.head.status == 200


def test_bomb_is_cut_at_the_limit(server):
    server.script["/"] = answer(gzip.compress(bytes(60_000_000)), Content_Encoding="gzip")

    with pytest.raises(TooLarge):
        get(server.url())


def test_packed_answer_is_unpacked(server):
    server.script["/"] = answer(gzip.compress(b"text"), Content_Encoding="gzip")

    assert get(server.url()).body == b"text"
    assert b"Accept-Encoding: gzip, deflate\r\n" in server.heard[0]


@contextmanager
def another_server():
    other = Server("127.0.0.2")
    try:
        yield other
    finally:
        other.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_a_read_is_followed(server, status):
    server.script["/a"] = answer(status=f"{status} x", Location="/b")
    server.script["/b"] = answer(b"there")

    assert get(server.url("/a")).body == b"there"


@pytest.mark.parametrize(("status", "is_followed"), [(301, False), (303, False), (307, True)])
def test_redirect_of_a_write_is_followed_only_with_the_same_request(server, status, is_followed):
    server.script["/a"] = answer(status=f"{status} x", Location="/b")
    server.script["/b"] = answer(b"there")

    found = http.call(HttpRequest(method="POST", url=server.url("/a"), body=b"{}"))

    assert found.status == (200 if is_followed else status)
    assert [heard.split()[0] for heard in server.heard] == [b"POST"] * (1 + is_followed)


def test_redirects_end_after_three(server):
    server.script["/a"] = answer(status="302 Found", Location="/a")

    assert get(server.url("/a")).status == 302
    assert len(server.heard) == 4


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "file:///etc/passwd", "http://[fe80::1]/"]
)
def test_redirect_to_a_closed_address_is_refused(server, location):
    server.script["/a"] = answer(status="302 Found", Location=location)

    with pytest.raises(NotSent, match="not allowed"):
        get(server.url("/a"))


def test_redirect_from_https_to_http_is_refused():
    request = HttpRequest(method="GET", url="https://example.org/")
    moved = http.HttpAnswer(
        status=302, reason_phrase="", headers=(("Location", "http://example.org/"),), body=b""
    )

    with pytest.raises(NotSent, match="not allowed"):
        http._redirected(request, moved)


def test_credentials_stay_with_the_first_host(server):
    headers = (("Authorization", "a"), ("Cookie", "b"), ("Idempotency-Key", "c"), ("X-Own", "d"))
    with another_server() as other:
        server.script["/a"] = answer(status="307 x", Location=other.url("/b"))
        other.script["/b"] = answer(b"there")

        found = http.call(
            HttpRequest(method="POST", url=server.url("/a"), headers=headers, body=b"{}")
        )
        (heard,) = other.heard

    assert found.body == b"there"
    assert b"X-Own: d\r\n" in heard
    assert not any(name in heard for name in (b"Authorization", b"Cookie", b"Idempotency-Key"))


def test_host_with_one_closed_address_is_refused(server, monkeypatch):
    rows = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port))
        for address in ("127.0.0.1", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)

    with pytest.raises(NotSent, match="not allowed"):
        get(f"http://rebinding.test:{server.port}/")

    assert server.heard == []


def test_slow_resolver_ends_with_the_connect_time(monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(5) and [])

    with pytest.raises(NotSent) as failed:
        get("http://slow.test/", connect_timeout=0.2)
    free.set()

    assert failed.value.error is CallError.CONNECT_TIMEOUT


def test_user_in_the_url_becomes_a_header(server):
    server.script["/"] = answer()

    get(f"http://me:p%40ss@127.0.0.1:{server.port}/")

    assert b"Authorization: Basic bWU6cEBzcw==\r\n" in server.heard[0]
