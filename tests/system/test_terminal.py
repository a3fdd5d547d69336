"""Texts from files, as they are printed."""

import pytest

from vggrepro.system.terminal import escaped, printable


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("conv1", "conv1"),
        ("卷积 é 🙂", "卷积 é 🙂"),
        ("two\n  lines\r\n", "two lines"),
        ("a\x1b[2Jb\x07", "a\\x1b[2Jb\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\udc80", "\\udc80"),
        ("\u202eabc", "\\u202eabc"),
        ("\0", "\\x00"),
        ("\u2028x", "x"),
    ],
)
def test_printable(text, printed):
    assert printable(text) == printed
    assert printable(text).isprintable()


def test_spaces_stay_where_only_characters_are_escaped():
    assert escaped("a  b\n\x1b") == "a  b\\n\\x1b"
