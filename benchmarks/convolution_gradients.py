#!/usr/bin/env python3
"""The gradients of VGG-A's convolutions: CPU milliseconds of one thread, and rounding errors.

    python benchmarks/convolution_gradients.py --images 8

Needs the extra ``bench``. For each convolution the gradients of its input (dx) and of its weight (dw), by
PyTorch, by direct summation and as the package chooses. The clock is that of the thread, so other work on
the machine disturbs little. Errors are the largest differences from float64, as a share of the largest
gradient.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import helper

from vggrepro import emit
from vggrepro.emit import GraphBuilder, RuleSet
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows

SHAPES = {
    "conv1_1": (3, 64, 224),
    "conv2_1": (64, 128, 112),
    "conv3_1": (128, 256, 56),
    "conv3_2": (256, 256, 56),
    "conv4_1": (256, 512, 28),
    "conv4_2": (512, 512, 28),
    "conv5_1": (512, 512, 14),
}
"""Input channels, output channels, height and width."""

Run = Callable[[], np.ndarray]


def rule(map_: Correlation, gradient: str, feeds: Mapping[str, np.ndarray], rules: RuleSet | None) -> Run:
    """A session of the gradient's rule alone."""
    g = GraphBuilder(rules)
    for name in feeds:
        g.reserve(name)
    emitted = map_.input_gradient if gradient == "dx" else map_.weight_gradient
    result = emitted(g, *feeds)
    infos = [emit.tensor_info(name, array.shape, np.float32) for name, array in feeds.items()]
    constants = [emit.tensor(name, array) for name, array in g.constants.items()]
    model = emit.model("m", g.nodes, infos, [helper.make_empty_tensor_value_info(result)], constants, {})
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    content = onnx.shape_inference.infer_shapes(model).SerializeToString()
    session = ort.InferenceSession(content, options, ["CPUExecutionProvider"])
    return lambda: session.run([result], feeds)[0]


def torch_rule(gradient: str, x: np.ndarray, dy: np.ndarray, weight: np.ndarray) -> Run:
    tensors = [torch.from_numpy(array) for array in (dy, x, weight)]
    geometry = [[dy.shape[1]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1]
    mask = [gradient == "dx", gradient == "dw", False]

    def run() -> np.ndarray:
        results = torch.ops.aten.convolution_backward(*tensors, *geometry, mask)
        return results[mask.index(True)].numpy()

    return run


def sides(shape: tuple[int, int, int], images: int) -> Iterator[tuple[str, dict[str, Run]]]:
    """The contestants for each gradient of one convolution, and the same in float64."""
    inputs, outputs, side = shape
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((images, inputs, side, side), np.float32), 0)
    dy = rng.standard_normal((images, outputs, side, side), np.float32)
    weight = rng.standard_normal((outputs, inputs, 3, 3), np.float32)
    map_ = Correlation(x.shape, dy.shape, Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    for gradient, feeds in (("dx", {"dy": dy, "w": weight}), ("dw", {"x": x, "dy": dy})):
        doubles = (array.astype(np.float64) for array in (x, dy, weight))
        yield (
            gradient,
            {
                "torch": torch_rule(gradient, x, dy, weight),
                "direct": rule(map_, gradient, feeds, None),
                "chosen": rule(map_, gradient, feeds, "cpu"),
                "exact": torch_rule(gradient, *doubles),
            },
        )


def milliseconds(runs: Mapping[str, Run], repeat: int) -> dict[str, float]:
    """Medians, in turns, after a first run that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeat + 1):
        for name, run in runs.items():
            begin = time.thread_time()
            run()
            if turn:
                times[name].append(1e3 * (time.thread_time() - begin))
    return {name: statistics.median(t) for name, t in times.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=8, help="images a batch (default: 8)")
    parser.add_argument("--repeat", type=int, default=5, help="timed runs of each (default: 5)")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    print("| layer | gradient | PyTorch | direct | chosen | error of PyTorch | of chosen |\n|" + "---|" * 7)
    for name, shape in SHAPES.items():
        for gradient, runs in sides(shape, arguments.images):
            exact = runs.pop("exact")()
            times = milliseconds(runs, arguments.repeat)
            errors = [
                np.abs(runs[side]() - exact).max() / np.abs(exact).max() for side in ("torch", "chosen")
            ]
            columns = [f"{times[side]:.0f}" for side in runs] + [f"{error:.1e}" for error in errors]
            print(f"| {name} | {gradient} | {' | '.join(columns)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
