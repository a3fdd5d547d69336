"""A Caffe net that was written from an ONNX model, against that model."""

from __future__ import annotations

import os

import numpy as np

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_forward
from vggrepro.net import Net
from vggrepro.verify.comparison import Difference, compare, magnitude


def compare_with_model(model: str | os.PathLike[str], net: Net, tolerance: float) -> list[Difference]:
    """Run both in ONNX Runtime on the same normal noise of standard deviation 1, and compare every output of
    the net, within ``tolerance`` times its largest magnitude. Raises UnsupportedError for a model that ONNX
    Runtime cannot run."""
    from vggrepro.runtime.onnxruntime_run import answers  # it takes time and memory
    from vggrepro.runtime.session import Session

    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in net.inputs.items()}
    try:
        wanted = answers(os.fspath(model), inputs, list(net.returned))
    except Exception as error:  # ONNX Runtime's own, of many classes
        problem = " ".join(str(error).split())
        raise UnsupportedError(f"{os.fspath(model)}: ONNX Runtime cannot run it: {problem}") from None
    found = Session(build_forward(net)).run(inputs)
    return [
        compare(name, found[name], want, atol=tolerance * max(magnitude(want), 1e-30))
        for name, want in wanted.items()
    ]
