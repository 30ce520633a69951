"""Packed bodies, also those that are bombs."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from orchestrator.border.bodies import BodyTooLarge, BodyUnreadable, inflated

TEXT = b"many words " * 50_000
BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
PACKED = {
    "identity": TEXT,
    "gzip": gzip.compress(TEXT),
    "gzip in members": gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]),
    "deflate": zlib.compress(TEXT),
    "deflate bare": BARE.compress(TEXT) + BARE.flush(),
}


def chunks_of(raw, size=1000):
    return (raw[start : start + size] for start in range(0, len(raw), size))


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", [1, 1000, 10_000_000])
def test_body_is_unpacked(name, size):
    raw = PACKED[name]
    if size == 1 and len(raw) > 50_000:
        raw, expected = raw[:5000], TEXT[:5000]
    else:
        expected = TEXT

    pieces = inflated(chunks_of(raw, size), name.split()[0], most=len(TEXT))

    assert b"".join(pieces) == expected


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bomb_is_measured_before_it_fills_the_memory(encoding):
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = pack(bytes(100_000_000))
    tracemalloc.start()

    with pytest.raises(BodyTooLarge):
        list(inflated([bomb], encoding, most=1_000_000))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(TEXT)[:-20], "gzip"),
        (b"\xff\xff\xff", "deflate"),
        (zlib.compress(TEXT)[:-20], "deflate"),
        (b"x", "br"),
        (b"x", "gzip, gzip"),
    ],
)
def test_wrong_packing_is_refused(raw, encoding):
    with pytest.raises(BodyUnreadable):
        list(inflated([raw], encoding, most=10_000_000))
