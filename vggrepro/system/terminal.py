"""Texts that come from files, made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text as one line without control characters, which a terminal would obey.

    Line breaks become spaces; other characters that are not printable become escapes as in Python: ``\\x1b``.
    """
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(map(_escaped, line))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
