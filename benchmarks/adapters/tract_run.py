"""tract, which is written in Rust, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tract


def version() -> str:
    return str(tract.version()).strip()


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    network = tract.onnx().load(model)
    arrays = [inputs[network.input_name(place)] for place in range(network.input_count())]
    for place, array in enumerate(arrays):
        sizes = ",".join(map(str, array.shape))
        network.set_input_fact(place, f"{sizes},f32")
    found = network.into_model().into_runnable().run([np.ascontiguousarray(array) for array in arrays])
    return {name: result.to_numpy() for name, result in zip(outputs, found, strict=True)}
