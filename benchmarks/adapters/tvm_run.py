"""Apache TVM: a written ONNX file through its Relax frontend, compiled for the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def version() -> str:
    return str(tvm.__version__)


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    proto = onnx.load(model)
    shapes = {name: list(array.shape) for name, array in inputs.items()}
    types = {name: str(array.dtype) for name, array in inputs.items()}
    module = relax.transform.DecomposeOpsForInference()(from_onnx(proto, shapes, types))
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    arrays = [inputs[i.name] for i in proto.graph.input if i.name in inputs]
    given = [tvm.runtime.tensor(np.ascontiguousarray(array)) for array in arrays]
    found = machine["main"](*given)
    results = [found] if len(proto.graph.output) == 1 else list(found)
    by_name = {o.name: r.numpy() for o, r in zip(proto.graph.output, results, strict=True)}
    return {name: by_name[name] for name in outputs}
