"""Texts that come from files, made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text as one line without control characters, which a terminal would obey.

    Line breaks become spaces; other characters that are not printable become escapes as in Python: ``\\x1b``.
    """
    return escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    """A text whose spaces stay as they are; line breaks, too, become escapes."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
