"""The golden suite in the OpenCV that is installed: right, or refused before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_suite import cases

from vggrepro.errors import NetError, UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.convert import Deployment
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.verify.runtimes.jobs import Job, Reply, run_jobs
from vggrepro.verify.runtimes.written import installed

TARGET = "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"
LEAST = {("opencv5", "net"): 65, ("opencv4", "net"): 59, ("opencv5", "layer"): 253, ("opencv4", "layer"): 201}
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
    jobs = [_job(tmp_path, case, graph, case.arrays("in")) for case, graph in written]
    replies = run_jobs(installed("opencv"), jobs).replies
    found = {case.folder.name: _verdict(case, g, r) for (case, g), r in zip(written, replies, strict=True)}
    assert {name: verdict for name, verdict in found.items() if verdict != "right"} == {}
    assert Counter(found.values())["right"] >= LEAST[TARGET, kind]


@pytest.mark.skipif(TARGET != "opencv5", reason="the sizes of models for OpenCV 4 are fixed")
@pytest.mark.parametrize("kind", ["net", "layer"])
def test_free_sizes_may_change(kind: str, tmp_path: Path) -> None:
    jobs, wanted, names = [], [], []
    for case in cases(kind):
        if case.about["phase"] != "TEST" or case.about.get("random"):
            continue
        outputs = [key.split(":", 1)[1] for key in case.keys("out")]
        net = case.load()
        try:
            graph = build_deployed(net, Deployment(TARGET), outputs=outputs)
            arrays = grown(graph, case.arrays("in"))
            want = reference_forward(net, arrays)
        except (UnsupportedError, NetError):  # a crop, for one, may fit only some sizes
            continue
        if any(array.shape != net.inputs[name] for name, array in arrays.items()):
            jobs.append(_job(tmp_path, case, graph, arrays))
            wanted.append({output: want[blob] for blob, output in graph.blobs.items()})
            names.append(case.folder.name)
    replies = run_jobs(installed("opencv"), jobs).replies
    assert len(jobs) >= {"net": 60, "layer": 220}[kind]
    for name, want, reply in zip(names, wanted, replies, strict=True):
        assert not reply.error, (name, reply.error)
        for output, array in want.items():
            atol = 1e-4 * np.abs(array).max(initial=0)
            got = reply.arrays[output]
            np.testing.assert_allclose(got.reshape(array.shape), array, atol=atol, rtol=0, err_msg=name)


def grown(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of other sizes, made of the same values, where a graph leaves the sizes free: a sample more, and
    images three rows higher and two columns wider."""
    rng = np.random.default_rng(0)
    return {
        name: rng.choice(
            array.ravel(),
            [
                size
                + {0: 1, 2: 3, 3: 2}.get(axis, 0) * (name in graph.input_names and graph.is_free(name, axis))
                for axis, size in enumerate(array.shape)
            ],
        )
        for name, array in arrays.items()
    }


def _job(folder: Path, case: ReferenceCase, graph: Graph, arrays: Mapping[str, np.ndarray]) -> Job:
    path = folder / f"{case.folder.name}.onnx"
    graph.save(path)
    inputs = {name: array for name, array in arrays.items() if name in graph.input_names}
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
