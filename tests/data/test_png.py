"""The chunks of PNG files, whole and damaged."""

import struct
import zlib

import pytest

from vggrepro.data.png import SIGNATURE, chunks, damage


def chunk(kind: bytes, body: bytes, *, sum_off_by: int = 0) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ sum_off_by)
    )


END = chunk(b"IEND", b"")


def test_chunks_have_kind_body_and_check_sum():
    found = list(chunks(SIGNATURE + chunk(b"IHDR", b"head") + chunk(b"tEXt", b"")))
    assert [(kind, bytes(body), stored) for kind, body, stored in found] == [
        (b"IHDR", b"head", zlib.crc32(b"IHDRhead")),
        (b"tEXt", b"", zlib.crc32(b"tEXt")),
    ]


def test_a_chunk_that_is_cut_anywhere_is_not_given():
    whole = SIGNATURE + chunk(b"IHDR", b"head") + chunk(b"IDAT", b"data")
    assert [kind for kind, _, _ in chunks(whole)] == [b"IHDR", b"IDAT"]
    for cut in range(1, 17):
        assert [kind for kind, _, _ in chunks(whole[:-cut])] == [b"IHDR"]


def test_a_whole_file_has_no_damage_whatever_follows_its_end():
    whole = SIGNATURE + chunk(b"IHDR", b"head") + chunk(b"IDAT", b"data") + END
    assert damage(whole) is None
    assert damage(whole + chunk(b"IDAT", b"more", sum_off_by=1)) is None


@pytest.mark.parametrize(("kind", "matters"), [(b"IHDR", True), (b"PLTE", True), (b"tEXt", False)])
def test_the_check_sum_of_what_a_decoder_needs_must_be_right(kind, matters):
    found = damage(SIGNATURE + chunk(kind, b"body", sum_off_by=1) + END)
    assert found == (f"PNG chunk '{kind.decode()}' with a wrong check sum" if matters else None)


@pytest.mark.parametrize("data", [b"", SIGNATURE, SIGNATURE + chunk(b"IHDR", b"x"), SIGNATURE + END[:-1]])
def test_a_file_without_its_end(data):
    assert damage(data) == "a PNG that ends before its IEND chunk"
