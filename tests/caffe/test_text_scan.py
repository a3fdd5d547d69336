"""Scanning texts: what is found, and that no text makes it look at a character many times."""

import re

import pytest

from vggrepro.caffe import text_scan
from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.text_scan import (
    blanked,
    field_spans,
    undecodable_string,
    unknown_fields,
    with_fields_of_forks,
    with_pooling_of_axes,
)

DESCRIPTOR = NetParameter.DESCRIPTOR
SIZE = 30_000
NASTY = {
    "escaped quotes": '"\\',
    "both quotes": "'\"\\",
    "open braces": "a{",
    "open brackets": "a[",
    "unknown fields in layers": "layer{z:1}",
    "unknown fields in one line": "z:1 ",
    "unknown fields behind lines": "\n\n\n\nz:1",
    "strings": '"a" ',
    "signs apart": "a:- ",
    "comments": "#",
    "spaces and comments": " #\n",
    "backslashes": "\\",
}


class Counted(str):
    """A text that counts the characters that ``count`` and ``rfind`` may look at."""

    looked_at = 0

    def count(self, sub, start, end):
        self.looked_at += end - start
        return super().count(sub, start, end)

    def rfind(self, sub, start, end):
        self.looked_at += end - start
        return super().rfind(sub, start, end)


@pytest.mark.parametrize("piece", NASTY.values(), ids=NASTY)
def test_tokens_cover_the_text_and_no_quote_is_tried_twice(piece):
    """What makes a scan quadratic is an attempt that looks far ahead and then gives up: only a quote looks
    ahead, and an unclosed one takes the rest of its line."""
    text = piece * (SIZE // len(piece)) + "\n" + piece * 10
    place = 0
    unclosed = []
    for token in text_scan._TOKEN.finditer(text):
        assert token.start() == place
        place = token.end()
        if token.lastgroup == "unclosed":
            unclosed.append(text.count("\n", 0, token.start()))
        assert token.lastgroup != "sign" or token.group() not in "'\""
    assert place == len(text)
    assert len(unclosed) == len(set(unclosed)), "one in a line at most"


@pytest.mark.parametrize("piece", NASTY.values(), ids=NASTY)
def test_places_are_counted_once_along_the_text(piece):
    text = Counted(piece * (SIZE // len(piece)))
    list(unknown_fields(text, DESCRIPTOR))
    assert text.looked_at <= 2 * len(text)


def test_blanked_fields_leave_lines_and_columns():
    text = "a: 1 b {\n x: 1 } name: 'n' d: 4"
    unknown = list(unknown_fields(text, DESCRIPTOR))
    assert blanked(text, unknown) == "        \n        name: 'n'     "
    assert blanked(text, unknown[1:2]) == "a: 1    \n        name: 'n' d: 4"
    assert [(f.field, f.line, f.column, f.message) for f in unknown] == [
        ("a", 1, 1, False),
        ("b", 1, 6, True),
        ("d", 2, 19, False),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("state { phase: DEBUG level: 1 }", [("phase", "DEBUG", 16)]),
        ("state { phase: 7 } state { phase: 1 }", [("phase", "7", 16)]),
        ("state { phase: TEST }", []),
        ("state { phase: -1 phase: 'TEST' }", []),  # the parser's to refuse
        ("layer { pooling_param { pool: [MAX, RMS] } }", [("pool", "RMS", 37)]),
        ("layer { name: ['a'] }", [("name", "['a']", 15)]),  # takes one value
        ("input_dim: [1, 2]", []),
    ],
)
def test_values_that_an_enum_lacks(text, found):
    unknown = unknown_fields(text, DESCRIPTOR)
    assert [(field.field, field.value, field.column) for field in unknown] == found


@pytest.mark.parametrize("text", ["z", "z:", "z: }", "z: - }", "z {", 'z: "a', 'z { "}', "z: [1, 2", "z: ;"])
def test_an_unknown_field_without_a_whole_value_is_left_to_the_parser(text):
    assert list(unknown_fields(text, DESCRIPTOR)) == []


def test_the_first_unknown_field_and_its_place():
    text = 'name: "a"\nlayer { relu_param { engine: CAFFE slope: 1 } other: 2 }'
    found = next(unknown_fields(text, DESCRIPTOR))
    assert (found.line, found.column, found.message_type, found.field) == (
        2,
        36,
        "caffe.ReLUParameter",
        "slope",
    )
    assert list(unknown_fields('layer { name: "b" }', DESCRIPTOR)) == []


def test_bytes_that_are_not_utf8_are_found_in_strings_only():
    assert undecodable_string("# \udc80\nname: 'a'") is None
    assert undecodable_string("# \udc80\n name: 'a\udc80'") == (2, 8)
    assert undecodable_string("name: 'é'") is None


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []),
        ("a: 1 b { a: 2 } a: 3", ["a: 1", "a: 3"]),
        ("a { b { a: 1 } } # a { }\na <>", ["a { b { a: 1 } }", "a <>"]),
        ('b: "a: 1" a: "x" "y" a: - 3', ['a: "x" "y"', "a: - 3"]),
        ("a {", ["a {"]),
        ("} a: 1", ["a: 1"]),
    ],
)
def test_field_spans(text, spans):
    assert [text[span.start : span.stop] for span in field_spans(text, "a")] == spans


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("pooling_param { pad: 1 stride: 2 }", "pooling_param { pad: 1 stride: 2 }"),
        ("pooling_param { pad: 1 pad: 2 pool: MAX }", "pooling_param { nd_pad: 1 nd_pad: 2 pool: MAX }"),
        ("pooling_param: < pad: 1 stride: 2 pad: 1 >", "pooling_param: < nd_pad: 1 nd_stride: 2 nd_pad: 1 >"),
        ("pooling_param { pad: 1 } pad: 2 pad: 2", "pooling_param { pad: 1 } pad: 2 pad: 2"),
        ("pooling_param { pad: 1 # pad: 2\n }", "pooling_param { pad: 1 # pad: 2\n }"),
        ("'pooling_param' { pad: 1 pad: 2 }", "'pooling_param' { pad: 1 pad: 2 }"),
        ("pooling_param { pad: 1 pad: 2", "pooling_param { nd_pad: 1 nd_pad: 2"),
    ],
)
def test_poolings_with_several_values(text, renamed):
    assert with_pooling_of_axes(text) == renamed
    assert with_fields_of_forks(renamed) == text


def test_every_character_belongs_to_a_kind_of_token():
    for code in [*range(0x300), 0x2028, 0xDC80, 0x1F600]:
        assert re.fullmatch(text_scan._TOKEN, chr(code)), hex(code)
