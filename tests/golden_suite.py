"""The golden suite's cases, as its index lists them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from vggrepro.layers.rules import phases, turned, winograd
from vggrepro.verify.reference_case import ReferenceCase

ROOT = Path(__file__).parent / "golden"


@lru_cache(maxsize=1)
def index() -> dict[str, Any]:
    return json.loads((ROOT / "index.json").read_text())


def cases(*kinds: str) -> list[ReferenceCase]:
    return [ReferenceCase(ROOT / entry["path"]) for entry in index()["cases"] if entry["kind"] in kinds]


def convolves(case: ReferenceCase) -> bool:
    return "onvolution" in case.files.net.read_text()


def use_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rules for a GPU hold for blobs of any size, not only where they save time."""
    monkeypatch.setattr(turned, "LEAST_PLACES", 0)
    monkeypatch.setattr(turned, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(phases, "LEAST_PLACES", 0)
    monkeypatch.setattr(winograd, "LEAST_FOR_WEIGHT_ON_CUDA", 0)
