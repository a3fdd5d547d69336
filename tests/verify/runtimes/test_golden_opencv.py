"""The golden suite in the OpenCV that is installed: right, or refused before anything is written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import pytest
from golden_suite import cases

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.verify.runtimes.jobs import Job, Reply, run_jobs
from vggrepro.verify.runtimes.written import installed

TARGET = "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"
LEAST = {("opencv5", "net"): 65, ("opencv4", "net"): 59, ("opencv5", "layer"): 252, ("opencv4", "layer"): 201}
"""How many cases are right."""


@pytest.mark.parametrize("kind", ["net", "layer"])
def test_every_answer_is_caffes(kind: str, tmp_path: Path) -> None:
    chosen = [c for c in cases(kind) if c.about["phase"] == "TEST" and not c.about.get("random")]
    written: list[tuple[ReferenceCase, Graph]] = []
    for case in chosen:
        outputs = [key.split(":", 1)[1] for key in case.keys("out")]
        try:
            written.append((case, build_deployed(case.load(), Deployment(TARGET), outputs=outputs)))
        except UnsupportedError as error:
            assert str(error).startswith("layer '")
    jobs = [_job(tmp_path, case, graph) for case, graph in written]
    replies = run_jobs(installed("opencv"), jobs).replies
    found = {case.folder.name: _verdict(case, g, r) for (case, g), r in zip(written, replies, strict=True)}
    assert {name: verdict for name, verdict in found.items() if verdict != "right"} == {}
    assert Counter(found.values())["right"] >= LEAST[TARGET, kind]


def _job(folder: Path, case: ReferenceCase, graph: Graph) -> Job:
    path = folder / f"{case.folder.name}.onnx"
    graph.save(path)
    inputs = {name: array for name, array in case.arrays("in").items() if name in graph.input_names}
    return Job(path, inputs, graph.output_names)


def _verdict(case: ReferenceCase, graph: Graph, reply: Reply) -> str:
    if reply.error:
        return reply.error
    for blob, output in graph.blobs.items():
        got, want = reply.arrays[output], case.io[f"out:{blob}"]
        difference = case.compare(f"out:{blob}", got.reshape(want.shape) if got.size == want.size else got)
        if not difference.passed:
            return f"{blob} is off by {difference.largest}"
    return "right"
