"""Bodies of answers: inflated piece by piece, so that no bomb goes off before it is measured."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE = 256 * 1024
_GZIP = zlib.MAX_WBITS | 16
_IDENTITY = frozenset({"", "identity"})


class BodyTooLarge(Exception):
    """The body passes the limit."""


class BodyUnreadable(Exception):
    """The body is not packed as it says."""


def inflated(chunks: Iterable[bytes], encoding: str, *, most: int) -> Iterator[bytes]:
    """Yield a body in pieces, unpacked.

    Raises:
        BodyTooLarge: It holds more than `most` bytes.
        BodyUnreadable: Its encoding is unknown or its bytes are wrong.
    """
    left = most
    for piece in _unpacked(chunks, encoding.strip().lower()):
        left -= len(piece)
        if left < 0:
            raise BodyTooLarge
        yield piece


def _unpacked(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    if encoding in _IDENTITY:
        return iter(chunks)
    if encoding in {"gzip", "x-gzip"}:
        return _gunzipped(chunks)
    if encoding == "deflate":
        return _deflated(chunks)
    raise BodyUnreadable(f"The answer is packed as {encoding[:50]!r}, which nobody asked for.")


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker.eof:
                # A gzip body may have several members, one after the other.
                unpacker = zlib.decompressobj(_GZIP)
            yield from _pieces(unpacker, rest)
            rest = unpacker.unused_data
    if not unpacker.eof:
        raise BodyUnreadable("The answer's gzip body ends too early.")


def _deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = None
    for chunk in filter(None, chunks):
        if unpacker is None:
            # Some servers send the bare stream, without the header of zlib.
            is_zlib = chunk[0] & 0x0F == zlib.DEFLATED
            unpacker = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        yield from _pieces(unpacker, chunk)
    if unpacker is not None and not unpacker.eof:
        raise BodyUnreadable("The answer's deflate body ends too early.")


def _pieces(unpacker: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    rest, is_full = chunk, False
    # A full piece may leave more in the unpacker although it has taken all of the chunk.
    while rest or is_full:
        try:
            piece = unpacker.decompress(rest, _PIECE)
        except zlib.error as error:
            raise BodyUnreadable("The answer's body cannot be unpacked.") from error
        yield piece
        rest, is_full = unpacker.unconsumed_tail, len(piece) == _PIECE
