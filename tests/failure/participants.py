"""Outside services for failure tests: a process of its own that keeps the duties and the books.

Dedupe by key, undo anything, refuse what was undone (saga-semantics §12). It is never killed, so
what its books say at the end is what really happened, whatever became of us.
"""

import argparse
import json
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HELD_SECONDS, AFTERWARDS_SECONDS = 0.9, 0.5
LATER = (HTTPStatus.SERVICE_UNAVAILABLE, {"error": "not now, nothing was done"})
APPLIED, REVERSED, BARRED = "APPLIED", "REVERSED", "BARRED"


@dataclass
class Books:
    """Every call in order, and what became of every forward key."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Condition = field(default_factory=threading.Condition)
    held: set[tuple[str, str]] = field(default_factory=set)
    """(run, step) of calls that are being answered slowly."""
    met: set[tuple[str, str]] = field(default_factory=set)

    def do(self, step: str, call: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        """Apply a step's effect once."""
        with self.lock:
            self.calls.append(call)
            effect = self._effect(step, call["key"], call["run"])
            first, _, second = str(body.get("meet") or ",").partition(",")
            if step == first and not self._hold(call["run"], step):
                return LATER
            if step == second and not self._meet(call["run"], first):
                return LATER
            if effect["state"] in (REVERSED, BARRED):
                return HTTPStatus.CONFLICT, {"error": "undone for this key"}
            if step in str(body.get("refuse")).split(","):
                return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "refused"}
            if effect["state"] != APPLIED:
                effect |= {"state": APPLIED, "times": effect["times"] + 1}
            return HTTPStatus.OK, {"id": call["key"]}

    def undo(self, step: str, call: dict[str, Any]) -> tuple[int, Any]:
        """Reverse an effect once; what never happened is barred."""
        with self.lock:
            self.calls.append(call)
            effect = self._effect(step, call["forwardKey"], call["run"])
            if effect["state"] == APPLIED:
                effect |= {"state": REVERSED, "reversed": effect["reversed"] + 1}
            elif effect["state"] == "":
                effect["state"] = BARRED
            return HTTPStatus.OK, {"undone": step}

    def of_run(self, run: str) -> dict[str, Any]:
        """Return what concerns one run."""
        with self.lock:
            return {
                "calls": [call for call in self.calls if call["run"] == run],
                "effects": [dict(row) for row in self.effects.values() if row["run"] == run],
            }

    def _hold(self, run: str, step: str) -> bool:
        """Answer slowly, until a while after somebody else came; False if nobody did."""
        self.held.add((run, step))
        found = self.lock.wait_for(lambda: (run, step) in self.met, HELD_SECONDS)
        if found:
            self.lock.wait_for(lambda: False, AFTERWARDS_SECONDS)
        self.held.discard((run, step))
        return found

    def _meet(self, run: str, step: str) -> bool:
        """Tell whether the other call is being held at this moment, or was met before."""
        if (run, step) in self.held:
            self.met.add((run, step))
            self.lock.notify_all()
        return (run, step) in self.met

    def _effect(self, step: str, key: str, run: str) -> dict[str, Any]:
        fresh = {"step": step, "run": run, "state": "", "times": 0, "reversed": 0}
        return self.effects.setdefault(f"{step} {key}", fresh)


class Door(BaseHTTPRequestHandler):
    """`POST /do/<step>`, `POST /undo/<step>` and `GET /books/<run>`."""

    books = Books()
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the books of a run."""
        self._answer(HTTPStatus.OK, self.books.of_run(self.path.rpartition("/")[2]))

    def do_POST(self) -> None:
        """Take a forward call or an undo."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        _, direction, step = self.path.split("/")
        call = {
            "step": step,
            "direction": direction,
            "key": self.headers.get("Idempotency-Key"),
            "forwardKey": self.headers.get("X-Saga-Forward-Key"),
            "run": self.headers.get("X-Saga-Run"),
        }
        if direction == "undo":
            self._answer(*self.books.undo(step, call))
            return
        status, answer = self.books.do(step, call, body)
        if step in str(body.get("slow")).split(","):
            time.sleep(1)
        self._answer(status, answer)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def _answer(self, status: int, value: Any) -> None:
        raw = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(raw)
        except (BrokenPipeError, ConnectionResetError):
            # Whoever asked has been killed, as tests do.
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """A thread for each call, and no waiting for them at the end."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    Server(("127.0.0.1", parser.parse_args().port), Door).serve_forever()


if __name__ == "__main__":
    main()
