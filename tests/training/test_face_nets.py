"""Nets of face recognition learn: the heads of SphereFace, NormFace, AMSoftmax and ArcFace, as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.net import load_net
from vggrepro.training.solver import Solver

CLASSES, INPUTS, IMAGES = 4, 5, 6
SOURCE = f"""
layer {{ name: "in" type: "Input" top: "data" top: "label"
  input_param {{ shape {{ dim: {IMAGES} dim: {INPUTS} }} shape {{ dim: {IMAGES} }} }} }}
layer {{ name: "fc5" type: "InnerProduct" bottom: "data" top: "fc5"
  inner_product_param {{ num_output: {INPUTS} weight_filler {{ type: "xavier" }} }} }}
"""
LOSS = 'layer { name: "loss" type: "%s" bottom: "%s" bottom: "label" top: "loss" %s }'
SPHERE = """
layer { name: "fc6" type: "MarginInnerProduct" bottom: "fc5" bottom: "label" top: "fc6" top: "lambda"
  margin_inner_product_param { num_output: 4 type: QUADRUPLE weight_filler { type: "xavier" }
    base: 10 gamma: 0.12 power: 1 lambda_min: 5 iteration: 0 } }
"""
UNIT = """
layer { name: "norm" type: "Normalize" bottom: "fc5" top: "norm" normalize_param { bp_norm: true } }
layer { name: "fc6" type: "InnerProduct" bottom: "norm" top: "fc6" param { lr_mult: 1 }
  inner_product_param { num_output: 4 normalize: true bias_term: false weight_filler { type: "xavier" } } }
"""
MARGIN = """
layer { name: "margin" type: "%s" bottom: "fc6" bottom: "label" top: "margin" %s }
layer { name: "scaled" type: "Scale" bottom: "margin" top: "scaled" param { lr_mult: 0 decay_mult: 0 }
  scale_param { filler { type: "constant" value: 8 } } }
"""
SOFTMAX = LOSS % ("SoftmaxWithLoss", "scaled", "")
HEADS = {
    "SphereFace": SPHERE + LOSS % ("SoftmaxWithLoss", "fc6", ""),
    "AMSoftmax": UNIT + MARGIN % ("LabelSpecificAdd", "label_specific_add_param { bias: -0.35 }") + SOFTMAX,
    "NormFace": UNIT
    + MARGIN % ("LabelSpecificRescale", "label_specific_rescale_param { positive_weight: 0.7 }")
    + SOFTMAX,
    "ArcFace": UNIT
    + MARGIN % ("CosinAddm", "cosin_add_m_param { m: 0.5 }")
    + LOSS % ("FocalLoss", "scaled", "focal_loss_param { type: ORIGIN gamma: 2 alpha: 0.25 beta: 1 }"),
    "degrees": UNIT
    + MARGIN % ("LabelSpecificMargin", "label_specific_margin_param { margin_base: 5 gamma: 0.01 }")
    + SOFTMAX,
}


def fed(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "data": rng.normal(size=(IMAGES, INPUTS)).astype(np.float32),
        "label": (np.arange(IMAGES) % CLASSES).astype(np.float32),
    }


def solver_of(folder: Path, net: str, rate: float, more: str = "") -> Solver:
    (folder / "net.prototxt").write_text(net)
    path = folder / "solver.prototxt"
    text = f'base_lr: {rate} lr_policy: "fixed" random_seed: 3 snapshot_prefix: "{folder}/snap" {more}'
    path.write_text(f'net: "net.prototxt" {text}')
    return Solver(path, threads=1)


@pytest.mark.parametrize("head", HEADS)
def test_learns(tmp_path: Path, head: str) -> None:
    solver, feed = solver_of(tmp_path, SOURCE + HEADS[head], 0.05, "momentum: 0.9"), fed()
    losses = [solver.step([feed]) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    assert load_net(tmp_path / "net.prototxt", phase="TEST").outputs


def unit(w: np.ndarray) -> np.ndarray:
    return w / np.sqrt((w**2).sum(1, keepdims=True))


def test_the_solver_goes_on_from_weights_of_length_one(tmp_path: Path) -> None:
    """SphereFace's order: the forward pass normalises, then the update adds."""
    source = SOURCE.split("layer")[1]
    head = SPHERE.replace("QUADRUPLE", "SINGLE").replace("fc5", "data")
    solver = solver_of(tmp_path, f"layer{source}{head}{LOSS % ('SoftmaxWithLoss', 'fc6', '')}", 0.5)
    x, labels = fed()["data"].astype(float), np.arange(IMAGES) % CLASSES
    w = solver.params["fc6:0"].astype(float)
    for _ in range(3):
        solver.step([fed()])
        w = unit(w)
        p = np.exp(x @ w.T)
        p /= p.sum(1, keepdims=True)
        p[np.arange(IMAGES), labels] -= 1
        w = w - 0.5 * p.T @ x / IMAGES
        np.testing.assert_allclose(solver.params["fc6:0"], w, rtol=1e-4, atol=1e-5)
