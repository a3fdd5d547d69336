"""The golden suite's TEST nets and layer cases in every runtime at hand, each under its own interpreter.

Run: python benchmarks/runtimes.py [--with NAME=PYTHON ...] [--only nets] [--json FILE] [--markdown FILE].
ONNX Runtime and OpenCV are those of the interpreter that runs this; --with adds others, for example
--with opencv4=/envs/cv48/bin/python --with openvino=/envs/ov/bin/python. For ONNX Runtime Web, whose
interpreter must have NumPy alone, WEB_MODULES names the folder with its node_modules.

A net is "right" if every output that Caffe gave is within the case's own tolerance, "refused" if the
conversion names what the target lacks, "failed" if the runtime stops with an error, "near" if every output
is within a thousandth of the largest value, and "wrong" if it answers something else without a word. Exit
codes: 0, or 1 if anything is wrong. The rows of --onto FILE, an earlier --json, stay where a version of a
runtime is not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from golden_suite import cases  # noqa: E402
from machine import machine  # noqa: E402

from vggrepro.errors import VggReproError  # noqa: E402
from vggrepro.graph.forward import build_deployed  # noqa: E402
from vggrepro.graph.model import Graph  # noqa: E402
from vggrepro.graph.targets.convert import Deployment  # noqa: E402
from vggrepro.verify.reference_case import ReferenceCase  # noqa: E402
from vggrepro.verify.runtimes.jobs import RUNTIMES, Job, Reply, Runtime, run_jobs  # noqa: E402

NEAR = 1e-3
"""Of an output's largest magnitude: what is off by no more is near."""

ADAPTERS = str(ROOT / "benchmarks" / "adapters")


@dataclass(frozen=True)
class Column:
    """A runtime and the form that models are written in for it; ``fixed``: with ``--input-shape``."""

    adapter: str
    deployment: Deployment
    fixed: bool = False


COLUMNS = {
    "onnxruntime": Column(RUNTIMES["onnxruntime"], Deployment()),
    "opencv5": Column(RUNTIMES["opencv"], Deployment("opencv5")),
    "opencv4": Column(RUNTIMES["opencv"], Deployment("opencv4")),
    "openvino": Column(RUNTIMES["openvino"], Deployment("openvino")),
    "web": Column("web_run", Deployment("web")),
    "onnx2torch": Column("onnx2torch_run", Deployment(opset=13), fixed=True),
    "reference": Column("onnx_reference_run", Deployment()),
    "tvm": Column("tvm_run", Deployment(), fixed=True),
    "onnxslim": Column("onnxslim_run", Deployment()),
    "onnxsim": Column("onnxsim_run", Deployment()),
    "tinygrad": Column("tinygrad_run", Deployment(), fixed=True),
    "iree": Column("iree_run", Deployment(), fixed=True),
    "tract": Column("tract_run", Deployment(), fixed=True),
    "mnn": Column("mnn_onnx_run", Deployment(opset=13), fixed=True),
    "ncnn": Column("ncnn_run", Deployment("ncnn")),
    "litert": Column("litert_run", Deployment("web"), fixed=True),
}
TITLES = {
    "onnxruntime": "ONNX Runtime",
    "opencv5": "OpenCV",
    "opencv4": "OpenCV",
    "openvino": "OpenVINO",
    "web": "ONNX Runtime Web",
    "onnx2torch": "onnx2torch",
    "reference": "ONNX's reference evaluator",
    "tvm": "Apache TVM",
    "onnxslim": "ONNX Runtime behind onnxslim",
    "onnxsim": "ONNX Runtime behind onnxsim",
    "tinygrad": "tinygrad",
    "iree": "IREE",
    "tract": "tract",
    "mnn": "MNN",
    "ncnn": "ncnn behind pnnx",
    "litert": "LiteRT",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", choices=["nets", "layers"], help="default: both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--onto", type=Path, metavar="FILE", help="keep its rows that are not measured now")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables there")
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else ["nets", "layers"]
    runs = [entry.partition("=")[::2] for entry in arguments.others]
    result: dict[str, Any] = {"machine": machine("onnx", "numpy"), "runtimes": []}
    for name, python in [("onnxruntime", sys.executable), (installed_opencv(), sys.executable), *runs]:
        entry = measure(name, python, kinds)
        result["runtimes"].append(entry)
        print(entry["runtime"], entry["version"], {kind: entry[kind]["counts"] for kind in kinds}, flush=True)
    if arguments.onto:
        result["runtimes"] = onto(json.loads(arguments.onto.read_text())["runtimes"], result["runtimes"])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(result, kinds))
    return int(any(entry[kind]["counts"].get("wrong") for entry in result["runtimes"] for kind in kinds))


def onto(earlier: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The earlier rows, each as it was measured now if it was, and the new ones behind them."""
    rows = {(entry["runtime"], entry["version"]): entry for entry in [*earlier, *now]}
    return list(rows.values())


def installed_opencv() -> str:
    import cv2

    return "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"


def measure(name: str, python: str, kinds: Sequence[str]) -> dict[str, Any]:
    """One runtime on every case of these kinds."""
    column = COLUMNS[name]
    runtime = Runtime(name, column.adapter, python, (ADAPTERS,))
    entry: dict[str, Any] = {"runtime": TITLES[name], "target": column.deployment.target}
    entry["opset"], entry["fixed"] = column.deployment.opset, column.fixed
    for kind in kinds:
        entry["version"], entry[kind] = run_cases(runtime, column, chosen(kind))
    return entry


def chosen(kind: str) -> list[ReferenceCase]:
    """The suite's TEST cases whose outputs are no random draws."""
    found = cases({"nets": "net", "layers": "layer"}[kind])
    return [case for case in found if case.about["phase"] == "TEST" and not case.about.get("random")]


def run_cases(
    runtime: Runtime, column: Column, chosen_cases: Sequence[ReferenceCase]
) -> tuple[str, dict[str, Any]]:
    """The runtime's version, and what became of each case: its verdict and the words that go with it."""
    verdicts: dict[str, tuple[str, str]] = {}
    jobs, written = [], []
    with tempfile.TemporaryDirectory(prefix="runtimes-") as folder:
        for case in chosen_cases:
            try:
                graph = converted(case, column)
            except VggReproError as error:
                verdicts[case.folder.name] = ("refused", str(error))
                continue
            path = Path(folder) / f"{case.folder.name}.onnx"
            graph.save(path)
            inputs = {name: array for name, array in case.arrays("in").items() if name in graph.input_names}
            jobs.append(Job(path, inputs, graph.output_names))
            written.append((case, graph))
        replies = run_jobs(runtime, jobs)
    for (case, graph), reply in zip(written, replies.replies, strict=True):
        verdicts[case.folder.name] = verdict(case, graph, reply)
    counts = Counter(kind for kind, _ in verdicts.values())
    details = {name: list(entry) for name, entry in sorted(verdicts.items()) if entry[0] != "right"}
    return replies.version, {"cases": len(verdicts), "counts": dict(counts), "not_right": details}


def converted(case: ReferenceCase, column: Column) -> Graph:
    outputs = [key.split(":", 1)[1] for key in case.keys("out")]
    return build_deployed(case.load(), column.deployment, outputs=outputs, fixed=column.fixed)


def verdict(case: ReferenceCase, graph: Graph, reply: Reply) -> tuple[str, str]:
    """An array of as many elements is taken for the blob: OpenCV 4 has no tensors of fewer than two axes."""
    if reply.error:
        return "failed", reply.error.strip().splitlines()[0][:300]
    off: list[tuple[bool, str]] = []
    for blob, output in graph.blobs.items():
        got, want = np.asarray(reply.arrays[output]), case.io[f"out:{blob}"]
        if got.size != want.size:
            return "wrong", f"{blob} has the sizes {list(got.shape)}, not {list(want.shape)}"
        difference = case.compare(f"out:{blob}", got.reshape(want.shape))
        if not difference.passed:
            near = difference.largest <= NEAR * difference.magnitude  # not so for NaN
            off.append((near, f"{blob} is off by {difference.largest:.2g} of {difference.magnitude:.2g}"))
    near, words = min(off, default=(True, ""))
    return ("right" if not off else "near" if near else "wrong"), words


HEAD = """# Converted models in other runtimes

Made by `benchmarks/runtimes.py`: every TEST net and layer case of the golden suite is converted for
the runtime's target, run there, and compared with what Caffe gave, within the case's own tolerance.
*Refused*: the conversion names what the target lacks, and writes nothing. *Failed*: the runtime
stops with an error. *Near*: every output is within a thousandth of the largest value. *Wrong*: it answers
something else without a word.
"""


def markdown(result: dict[str, Any], kinds: Sequence[str]) -> str:
    """The page with the tables."""
    return "\n".join([HEAD, *_summary(result, kinds), *_details(result, kinds), ""])


def _summary(result: dict[str, Any], kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        yield f"## {kind.capitalize()}"
        yield ""
        yield "| runtime | `--target` | cases | right | near | refused | failed | wrong |"
        yield "|---|---|---|---|---|---|---|---|"
        for entry in result["runtimes"]:
            counts, target = entry[kind]["counts"], entry["target"]
            target += f" --opset {entry['opset']}" if entry["opset"] else ""
            target += " --input-shape ..." if entry["fixed"] else ""
            numbers = " | ".join(
                str(counts.get(v, 0)) for v in ("right", "near", "refused", "failed", "wrong")
            )
            yield f"| {entry['runtime']} {entry['version']} | {target} | {entry[kind]['cases']} | {numbers} |"
        yield ""


def _details(result: dict[str, Any], kinds: Sequence[str]) -> Iterator[str]:
    yield "## What is not right"
    yield ""
    for entry in result["runtimes"]:
        for kind in kinds:
            if entry[kind]["not_right"]:
                yield f"### {entry['runtime']} {entry['version']}, {kind}"
                yield ""
                yield from _grouped(entry[kind]["not_right"])
                yield ""


def _grouped(not_right: dict[str, list[str]]) -> Iterator[str]:
    """A line for each reason, with the cases that it stands for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, (kind, words) in not_right.items():
        reason = words.partition("': ")[2] if kind == "refused" and "': " in words else words
        reasons.setdefault((kind, reason), []).append(f"`{name}`")
    for (kind, reason), names in sorted(reasons.items()):
        yield f"- {kind}: {reason}: {', '.join(names)}"


if __name__ == "__main__":
    sys.exit(main())
