"""Names from outside, as text of a page."""

from __future__ import annotations

from html import escape

from vggrepro.system.terminal import escaped


def html_text(text: str) -> str:
    """A text without markup and without control characters."""
    return escape(escaped(text))
