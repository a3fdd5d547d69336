#!/usr/bin/env python3
"""How far each precision is from float64: the scores (before the softmax), and the five likeliest classes.

    python benchmarks/precision.py --json benchmarks/results/precision.json

On the CPU, of two nets: the embedded one of handwritten digits, on views of its validation images, and VGG-16
with random weights (He's), on made-up pictures. The judge is the layers' float64 reference. ``tf32`` is
simulated: what goes into products is rounded to ten bits of mantissa, products and sums are float32, as on
a GPU's tensor cores. ``fp16`` is the graph of ``--precision fp16`` as ONNX Runtime's CPU provider runs it. On
x86 that has no float16 kernels for products: values are float16 there, products and sums float32.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import machine
from pictures import picture
from train_step import with_drawn_weights

from vggrepro.data.preprocess import centre_offset, cut, rescale, to_blob
from vggrepro.emit import GraphBuilder
from vggrepro.evaluation import demo
from vggrepro.evaluation.measuring.evaluated_net import score_blob
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.draft import Draft
from vggrepro.graph.targets.half import in_half_precision
from vggrepro.net import Net, load_net
from vggrepro.paper.nets import deploy_prototxt
from vggrepro.runtime.session import Session

PRODUCTS = ("Conv", "Gemm", "MatMul")
DROPPED = 13
"""Bits of float32's mantissa that TF32 lacks."""
MEAN_BGR = (103.939, 116.779, 123.68)


def digits(count: int) -> tuple[Net, np.ndarray]:
    """The embedded net, and its validation images: the centre crops at the scale of its evaluation."""
    net = load_net(demo.FILES.deploy, demo.FILES.weights)
    side = net.inputs["data"][2]
    source = demo.truth().source
    views = [_view(cv2.imdecode(np.frombuffer(source.read(i), np.uint8), 1), side) for i in range(count)]
    return net, to_blob(np.stack(views), demo.mean_bgr())


def vgg16(count: int) -> tuple[Net, np.ndarray]:
    net = with_drawn_weights(load_net(deploy_prototxt("D"), fill=False))
    made = (picture(np.random.default_rng(seed), 256, 341) for seed in range(count))
    views = [_view(cv2.imdecode(np.frombuffer(data, np.uint8), 1), 224) for data in made]
    return net, to_blob(np.stack(views), MEAN_BGR)


def _view(pixels: Any, side: int) -> np.ndarray:
    scaled = rescale(pixels, side * 8 // 7)
    return cut(scaled, centre_offset(scaled.shape[0], scaled.shape[1], side), side)


def in_tf32(graph: Graph) -> Graph:
    """The graph with both factors of each product rounded to TF32."""
    draft, g = Draft.of(graph), GraphBuilder()
    for name in [*graph.input_names, *draft.constants, *draft.producers]:
        g.reserve(name)
    constants, rounded, nodes = dict(draft.constants), dict[str, str](), []
    for node in draft.nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        if node.op_type in PRODUCTS:
            for place, name in enumerate(node.input[:2]):
                if name not in rounded:
                    rounded[name] = _rounded_node(g, name, constants)
                copy.input[place] = rounded[name]
        nodes += [*g.nodes, copy]
        g.nodes.clear()
    return replace(draft, nodes=nodes, constants={**constants, **g.constants}).finished()


def _rounded_node(g: GraphBuilder, name: str, constants: dict[str, Any]) -> str:
    """Dekker's splitting: what is left of x (1 + 2^13) after x 2^13 is subtracted has 13 bits less."""
    if name in constants:
        made = g.fresh(f"{name}_tf32")
        constants[made] = rounded_to_tf32(constants[name])
        return made
    far = g.op("Mul", name, g.const(2**DROPPED + 1))
    return g.op("Sub", far, g.op("Sub", far, name))


def rounded_to_tf32(x: np.ndarray) -> np.ndarray:
    far = x * np.float32(2**DROPPED + 1)
    return far - (far - x)


def graphs(net: Net, scores: str) -> dict[str, Callable[[], Graph]]:
    """How the graph of each precision is made."""

    def plain() -> Graph:
        return build_forward(net, outputs=[scores])

    return {
        "fp32": lambda: build_forward(net, outputs=[scores], rules="cpu"),
        "fp32-direct": plain,
        "tf32": lambda: in_tf32(plain()),
        "fp16": lambda: in_half_precision(plain()),
    }


def compared(exact: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """``exact`` and ``found`` are scores (N, K)."""
    best = [np.argsort(-scores, axis=1, kind="stable")[:, :5] for scores in (exact, found)]
    same_five = [set(a) == set(b) for a, b in zip(*best, strict=True)]
    return {
        "largest_difference": float(np.abs(found - exact).max()),
        "share_of_largest_score": float(np.abs(found - exact).max() / np.abs(exact).max()),
        "same_first": float((best[0][:, 0] == best[1][:, 0]).mean()),
        "same_five": float(np.mean(same_five)),
    }


def measure(net: Net, data: np.ndarray, threads: int) -> dict[str, Any]:
    """Each precision of a net on images (N, 3, H, W), which are run one by one."""
    scores = score_blob(net)
    one_by_one = [image[None] for image in data]
    exact = np.concatenate([reference_forward(net, {"data": x})[scores].reshape(1, -1) for x in one_by_one])
    answers: dict[str, Any] = {}
    for precision, graph in graphs(net, scores).items():
        session = Session(graph(), "cpu", threads=threads)
        found = [session.run({"data": x}, [scores])[scores].reshape(1, -1) for x in one_by_one]
        answers[precision] = compared(exact, np.concatenate(found).astype(np.float64))
    return {"images": len(data), "classes": exact.shape[1], "largest_score": float(np.abs(exact).max())} | {
        "precisions": answers
    }


def table(nets: dict[str, dict[str, Any]]) -> str:
    rows = ["| net | precision | largest difference | of the largest score | same first | same five |"]
    rows.append("|" + "---|" * 6)
    for name, found in nets.items():
        for precision, one in found["precisions"].items():
            rows.append(
                f"| {name}, {found['images']} images | {precision} | {one['largest_difference']:.1e}"
                f" | {one['share_of_largest_score']:.1e} | {100 * one['same_first']:.0f}%"
                f" | {100 * one['same_five']:.0f}% |"
            )
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--digits", type=int, default=200, metavar="N", help="images of digits (default: 200)"
    )
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="pictures (default: 20)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    nets = {
        "digits": measure(*digits(arguments.digits), arguments.threads),
        "VGG-16, random weights": measure(*vgg16(arguments.pictures), arguments.threads),
    }
    if arguments.json:
        result = {"machine": machine("onnxruntime-gpu", "numpy"), "nets": nets}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(nets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
