"""MNN, for which its converter reads an ONNX file, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnn_run import SETTINGS, converted, run, version

__all__ = ["answers", "version"]


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    network = converted("ONNX", "--modelFile", model)
    session = network.createSession(SETTINGS)
    ports = network.getSessionInputAll(session)  # not those that nothing reads
    found = run(network, session, {name: array for name, array in inputs.items() if name in ports})
    return {name: found[name] for name in outputs}
