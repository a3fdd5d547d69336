"""JSON that others wrote."""

from __future__ import annotations

import json
from typing import Any


def parsed_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError for what is no JSON, also for what is nested deeper than
    Python reads."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists or objects nested too deeply") from None
