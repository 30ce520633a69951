"""The words of the two sides of the pipe: four bytes of length, then JSON."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

HEADER = struct.Struct(">I")


def pack(message: dict[str, Any]) -> bytes:
    """Return a message as it goes over the pipe."""
    body = json.dumps(message, ensure_ascii=True, allow_nan=False).encode("ascii")
    return HEADER.pack(len(body)) + body


def read(descriptor: int) -> dict[str, Any] | None:
    """Read one message, waiting as long as it takes; None at the end of the pipe."""
    header = _read_exactly(descriptor, HEADER.size)
    if header is None:
        return None
    body = _read_exactly(descriptor, HEADER.unpack(header)[0])
    return None if body is None else unpack(body)


def unpack(body: bytes) -> dict[str, Any]:
    """Return the message that a body holds."""
    message: dict[str, Any] = json.loads(body)
    return message


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, waiting as long as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    taken = bytearray()
    while len(taken) < size:
        chunk = os.read(descriptor, min(size - len(taken), 1 << 20))
        if not chunk:
            return None
        taken += chunk
    return bytes(taken)
