"""VGG-16 in one runtime, forward, when asked: ``forward_run.py RUNTIME MODEL SHAPE THREADS SCORES``.

Runs under the runtime's own interpreter. MODEL is a folder with model.onnx, weights.npz (the parameters in
the net's order) and, for this package, its Caffe files. SCORES is where the first run's go.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from turns import serve

Array = np.ndarray[Any, Any]


def image_of(shape: tuple[int, ...]) -> Array:
    """The input, the same for every runtime."""
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def vggrepro(folder: Path, image: Array, threads: int) -> Callable[[], Array]:
    from vggrepro import Session, load_net
    from vggrepro.graph.forward import build_forward
    from vggrepro.net.transforms.fully_convolutional import fully_convolutional

    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    dense = image.shape[2:] != (224, 224)
    if dense:
        net = fully_convolutional(net)
    fixed = len(image) == 1 and not dense
    graph = build_forward(net.reshape({"data": image.shape}), rules="cpu", fixed=fixed)
    session = Session(graph, threads=threads, batch=len(image))
    return lambda: session.run({"data": image})["fc8"]


def onnxruntime(folder: Path, image: Array, threads: int) -> Callable[[], Array]:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(folder / "model.onnx"), options, ["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"data": image})[0])


def opencv(folder: Path, image: Array, threads: int) -> Callable[[], Array]:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))

    def run() -> Array:
        net.setInput(image, "data")
        return np.asarray(net.forward())

    return run


def openvino(folder: Path, image: Array, threads: int) -> Callable[[], Array]:
    import openvino as runtime

    hints = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = runtime.Core().compile_model(str(folder / "model.onnx"), "CPU", hints)
    return lambda: np.asarray(compiled({"data": image})[compiled.output(0)])


def torch(folder: Path, image: Array, threads: int, *, compiled: bool = False) -> Callable[[], Array]:
    import torch as runtime
    from torch_vgg import set_parameters, vgg

    runtime.set_num_threads(threads)
    net = vgg("D", dense=image.shape[2:] != (224, 224)).eval()
    with np.load(folder / "weights.npz") as arrays:
        set_parameters(net, [arrays[name] for name in arrays.files])
    if compiled:
        net = runtime.compile(net)
    data = runtime.from_numpy(image)

    def run() -> Array:
        with runtime.inference_mode():
            return np.asarray(net(data))

    return run


def torch_compile(folder: Path, image: Array, threads: int) -> Callable[[], Array]:
    return torch(folder, image, threads, compiled=True)


RUNTIMES = {run.__name__: run for run in (vggrepro, onnxruntime, opencv, openvino, torch, torch_compile)}


def main(runtime: str, model: str, shape: str, threads: str, scores: str) -> int:
    sizes = tuple(int(size) for size in shape.split(","))
    run = RUNTIMES[runtime](Path(model), image_of(sizes), int(threads))
    np.save(scores, run())
    return serve(lambda: float(run().sum()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
