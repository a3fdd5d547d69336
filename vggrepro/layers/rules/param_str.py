"""``param_str`` of Python layers, as py-faster-rcnn's nets write it: a YAML mapping of plain values."""

from __future__ import annotations

import ast
import re
from typing import Any

from vggrepro.errors import NetError

_ENTRY = re.compile(r"""\s*(['"]?)(\w+)\1\s*:\s*(.*?)\s*,?\s*$""")
_TUPLE = "!!python/tuple"


def parse_param_str(text: str) -> dict[str, Any]:
    """The mapping that ``'feat_stride': 16`` and the like describe: an entry on each line, or all of them
    in braces. Values are numbers, strings in quotes, or lists of them. Raises NetError for anything else."""
    plain = text.replace(_TUPLE, "").strip()
    try:
        if plain.startswith("{"):
            return dict(ast.literal_eval(plain))
        entries = [_entry(line) for line in plain.splitlines() if line.strip()]
        return {key: ast.literal_eval(value) for key, value in entries}
    except (ValueError, SyntaxError, TypeError):
        raise NetError(f"param_str {text!r} is not a list of entries such as 'feat_stride': 16") from None


def _entry(line: str) -> tuple[str, str]:
    found = _ENTRY.match(line)
    if found is None:
        raise ValueError(line)
    return found[2], found[3]
