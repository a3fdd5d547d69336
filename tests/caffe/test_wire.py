"""Protobuf's wire format against protobuf's own encoder, and bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggrepro.caffe import messages
from vggrepro.caffe.wire import FIXED32, GROUP, LENGTH, VARINT, prefix, read_varint, varint, walk
from vggrepro.errors import ParseError


def fields(data):
    return [(f.number, f.wire_type, data[f.start : f.end]) for f in walk(memoryview(data), 0, len(data))]


@given(st.integers(-(2**63), 2**64 - 1))
def test_a_number_is_read_as_it_was_written(value):
    data = varint(value)
    assert read_varint(memoryview(data), 0, len(data)) == (value % 2**64, len(data))
    if value < 2**63:
        (dim,) = messages.BlobShape.FromString(b"\x08" + data).dim
        assert dim == value


def test_the_fields_of_a_message():
    layer = messages.LayerParameter(name="ab", phase=1, loss_weight=[0.5], blobs=[{}])
    assert fields(layer.SerializeToString()) == [
        (1, LENGTH, b"ab"),
        (5, FIXED32, b"\0\0\0?"),
        (7, LENGTH, b""),
        (10, VARINT, b"\x01"),
    ]
    assert fields(b"") == []


def test_places_are_those_in_the_whole_buffer():
    data = b"xx" + prefix(300, 3) + b"abc" + b"yy"
    (field,) = walk(memoryview(data), 2, len(data) - 2)
    assert (field.begin, data[field.start : field.end]) == (2, b"abc")


def test_a_group_is_one_field():
    inside = b"\x13\x08\x01\x14" + prefix(1, 2) + b"\x0c\x0c"  # a group, and a text that looks like its end
    data = b"\x0b" + inside + b"\x0c" + b"\x08\x01"
    assert fields(data) == [(1, GROUP, inside + b"\x0c"), (1, VARINT, b"\x01")]
    deep = b"\x0b" * 100 + b"\x0c" * 100
    assert fields(deep) == [(1, GROUP, deep[1:])]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0b", "a group without an end at byte 0"),
        (b"\x0b\x14", "a group without an end at byte 0"),
        (b"\x0b" * 101 + b"\x0c" * 101, "a group without an end at byte 0"),
        (b"\x0c", "wire type 4 at byte 0"),
        (b"\x0f", "wire type 7 at byte 0"),
        (b"\x00\x01", "field number 0 at byte 0"),
        (b"\x80\x80\x80\x80\x10\x01", "field number 536870912 at byte 0"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "a number of more than ten bytes before byte 11"),
        (b"\x08\x80", "truncated: the data ends within a number at byte 2"),
        (b"\x0a\x05abc", "truncated: field 1 at byte 0 takes 5 bytes, but only 3 are left"),
        (b"\x0d\x00", "truncated: field 1 at byte 0 takes 4 bytes, but only 1 are left"),
        (b"\x0a" + varint(2**63) + b"x", "takes 9223372036854775808 bytes, but only 1 are left"),
    ],
)
def test_bytes_that_are_no_message(data, problem):
    with pytest.raises(ParseError, match=problem):
        fields(data)
