"""MNN's converter, which reads Caffe's files, and MNN on the CPU.

The converter is called without the ``mnnconvert`` command around it, which installs a package that sends
statistics.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _tools
import MNN
import numpy as np
from caffe_files import PROTOTXT, WEIGHTS, paired

LAYOUT = MNN.Tensor_DimensionType_Caffe
SETTINGS = {"backend": "CPU", "precision": "high", "numThread": 1}


def version() -> str:
    return str(MNN.version())


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    network = converted("CAFFE", "--prototxt", f"{model}/{PROTOTXT}", "--modelFile", f"{model}/{WEIGHTS}")
    session = network.createSession(SETTINGS)
    names = paired(model, "inputs", list(network.getSessionInputAll(session)))
    found = run(network, session, {names[blob]: array for blob, array in inputs.items()})
    of = paired(model, "outputs", list(found))
    return {blob: found[of[blob]] for blob in outputs}


def converted(kind: str, *files: str) -> Any:
    """The network that MNN's converter makes of files of a framework. Raises RuntimeError with its words."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.mnn"
        command = ["mnnconvert", "-f", kind, "--bizCode", "MNN", "--MNNModel", str(written), *files]
        with _words(Path(folder) / "words.txt") as words:
            _tools.mnnconvert(command)
        if not written.exists():
            raise RuntimeError(words.read_text(errors="replace").strip())
        return MNN.Interpreter(str(written))


def run(network: Any, session: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every output of a session for arrays of its inputs. Raises RuntimeError if it cannot be run."""
    ports = network.getSessionInputAll(session)
    for name, array in inputs.items():
        network.resizeTensor(ports[name], array.shape)
    network.resizeSession(session)
    for name, array in inputs.items():
        values = np.ascontiguousarray(array, np.float32)
        ports[name].copyFrom(MNN.Tensor(array.shape, MNN.Halide_Type_Float, values, LAYOUT))
    if network.runSession(session):
        raise RuntimeError("MNN cannot run the session")
    return {name: _array(tensor) for name, tensor in network.getSessionOutputAll(session).items()}


def _array(tensor: Any) -> Any:
    shape = tensor.getShape()
    copy = MNN.Tensor(shape, MNN.Halide_Type_Float, np.zeros(shape, np.float32), LAYOUT)
    tensor.copyToHostTensor(copy)
    return np.array(copy.getNumpyData()).reshape(shape)


@contextmanager
def _words(path: Path) -> Iterator[Path]:
    """What C++ code prints, in a file."""
    sys.stdout.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield path
        finally:
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)
