"""OpenVINO's Model Optimizer, which read Caffe's files until OpenVINO 2023.3, and OpenVINO on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino.runtime
from caffe_files import PROTOTXT, WEIGHTS, paired
from openvino.tools import mo


def version() -> str:
    return str(openvino.runtime.get_version()).split("-")[0]


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would compute in bfloat16
    weights, net = f"{model}/{WEIGHTS}", f"{model}/{PROTOTXT}"
    os.chdir(model)  # the optimizer leaves a file in the current folder
    read = mo.convert_model(weights, input_proto=net, compress_to_fp16=False)
    compiled = openvino.runtime.Core().compile_model(read, "CPU", exact)
    ports = {_name(port): port for port in compiled.inputs}
    names = paired(model, "inputs", list(ports))
    results = {_name(port): port for port in compiled.outputs}
    of = paired(model, "outputs", list(results))
    found = compiled({ports[names[blob]]: array for blob, array in inputs.items()})
    return {blob: np.array(found[results[of[blob]]]) for blob in outputs}


def _name(port: Any) -> str:
    return sorted(port.get_names() or [port.node.friendly_name])[0]
