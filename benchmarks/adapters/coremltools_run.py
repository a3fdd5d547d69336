"""coremltools, which read Caffe's files until 4.1. Its models run on macOS alone: elsewhere the conversion is
all that can be tried, and no array is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import coremltools
from caffe_files import PROTOTXT, WEIGHTS


def version() -> str:
    return str(coremltools.__version__)


def answers(model: str, _: Mapping[str, Any], __: Sequence[str]) -> dict[str, Any]:
    coremltools.converters.caffe.convert((f"{model}/{WEIGHTS}", f"{model}/{PROTOTXT}"))
    raise RuntimeError("converted, not run")
