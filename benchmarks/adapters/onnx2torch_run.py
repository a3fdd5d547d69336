"""onnx2torch: a written ONNX file as a PyTorch module."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import numpy.typing as npt


def version() -> str:
    return installed("onnx2torch")


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], _: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    _without_torchvision()
    import onnx
    import torch
    from onnx2torch import convert

    proto = onnx.load(model)
    feeds = [torch.from_numpy(inputs[i.name].copy()) for i in proto.graph.input if i.name in inputs]
    with torch.no_grad():
        found = convert(proto)(*feeds)
    results = [found] if isinstance(found, torch.Tensor) else list(found)
    return {o.name: r.numpy() for o, r in zip(proto.graph.output, results, strict=True)}


def _without_torchvision() -> None:
    """onnx2torch imports torchvision for its detection layers, which no model here has: where the package
    does not load, an empty one stands for it."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        stub, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        ops.__getattr__ = lambda _: None  # type: ignore[method-assign]
        stub.ops = ops  # type: ignore[attr-defined]
        sys.modules.update({"torchvision": stub, "torchvision.ops": ops})
