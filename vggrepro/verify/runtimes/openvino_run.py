"""OpenVINO on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.system.extras import extra


def version() -> str:
    return str(_openvino().__version__).split("-")[0]


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """The named outputs for these inputs. Raises RuntimeError for what OpenVINO cannot read or run."""
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would compute in bfloat16
    compiled = _openvino().Core().compile_model(model, "CPU", exact)
    found = compiled(dict(inputs))
    return {name: np.array(found[compiled.output(name)]) for name in outputs}


def _openvino() -> Any:
    return extra("openvino", "openvino", "verifying with OpenVINO")
