"""The golden suite's cases, as its index lists them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from vggrepro.verify.reference_case import ReferenceCase

ROOT = Path(__file__).parent / "golden"


@lru_cache(maxsize=1)
def index() -> dict[str, Any]:
    return json.loads((ROOT / "index.json").read_text())


def cases(*kinds: str) -> list[ReferenceCase]:
    return [ReferenceCase(ROOT / entry["path"]) for entry in index()["cases"] if entry["kind"] in kinds]
