"""The page's section on how a run was made, and how it is repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from vggrepro.evaluation.reporting.html_table import html_row, html_table
from vggrepro.evaluation.reporting.html_text import html_text
from vggrepro.evaluation.reporting.stored_report import input_hashes
from vggrepro.system.terminal import escaped


def settings_section(settings: Mapping[str, Any]) -> str:
    """The files that were read with their SHA-256, and every setting."""
    rows = [
        html_row([html_text(what), *(f"<code>{html_text(t)}</code>" for t in (found.file, found.sha256))], 0)
        for what, found in input_hashes(settings).items()
    ]
    files = html_table(["read", "file", "SHA-256"], rows) if rows else ""
    text = json.dumps(dict(settings), indent=1, ensure_ascii=False)
    text = "\n".join(map(escaped, text.split("\n")))
    details = f"<details><summary>Every setting of this run</summary><pre>{escape(text)}</pre></details>"
    return f"<h2>Settings</h2>{files}{details}"
