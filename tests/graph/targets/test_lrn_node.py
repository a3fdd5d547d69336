"""Caffe's normalisation across channels as ONNX's LRN."""

from __future__ import annotations

from pathlib import Path

import pytest
from drafts import attributes_of, operators
from golden_suite import ROOT
from net_files import image, layer, net_of

from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets.draft import Draft, rewrite
from vggrepro.graph.targets.lrn_node import lrn
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase

ACROSS = [
    f for f in sorted((ROOT / "layers").glob("lrn_*")) if "within" not in f.name and "zero" not in f.name
]


@pytest.mark.parametrize("folder", ACROSS, ids=lambda f: f.name)
def test_golden_cases(folder: Path) -> None:
    case = ReferenceCase(folder)
    before = Draft.of(build_forward(case.load()))
    after = rewrite(before, "Mul", lrn)
    assert "LRN" in operators(after)
    graph = after.finished()
    got = Session(graph, threads=1).run(case.arrays("in"))
    assert all(case.compare(f"out:{blob}", got[blob]).passed for blob in case.arrays("out"))


def test_the_parameters(tmp_path: Path) -> None:
    body = "lrn_param { local_size: 3 alpha: 0.5 beta: 0.25 k: 2 }"
    d = Draft.of(build_forward(net_of(tmp_path, image(2, 5, 4, 4) + layer("n", "LRN", "data", more=body))))
    got = attributes_of(rewrite(d, "Mul", lrn), "LRN")
    assert got == pytest.approx({"size": 3, "alpha": 0.5, "beta": 0.25, "bias": 2})


def test_within_a_channel_it_stays(tmp_path: Path) -> None:
    body = "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }"
    d = Draft.of(build_forward(net_of(tmp_path, image(2, 5, 4, 4) + layer("n", "LRN", "data", more=body))))
    assert rewrite(d, "Mul", lrn) is d
