"""The chunks of a PNG file, and whether all that matter are there and whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Chunk = tuple[bytes, memoryview, int]
"""Kind, body and check sum as stored."""


def chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks behind the signature that are there from length to check sum."""
    view, place = memoryview(data), len(SIGNATURE)
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        if end + 4 > len(data):
            return
        yield (
            bytes(view[place + 4 : place + 8]),
            view[place + 8 : end],
            int.from_bytes(view[end : end + 4], "big"),
        )
        place = end + 4


def damage(data: bytes) -> str | None:
    """What is wrong with the chunks that a decoder needs (those in capitals), None if nothing is.

    Each needs the right check sum, and the last is IEND. That the pixels' chunks hold enough for all
    rows is libpng's to check, which does.
    """
    for kind, body, stored in chunks(data):
        if kind[0] & 0x20 == 0 and zlib.crc32(body, zlib.crc32(kind)) != stored:
            return f"PNG chunk {kind.decode('latin-1')!r} with a wrong check sum"
        if kind == b"IEND":
            return None
    return "a PNG that ends before its IEND chunk"
