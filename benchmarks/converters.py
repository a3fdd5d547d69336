"""The golden suite's TEST nets, and its layer cases with weights, in other tools that read Caffe's files.

Run: python benchmarks/converters.py [--with NAME=PYTHON ...] [--gone TOOL=WHY ...] [--json FILE]
[--markdown FILE]. Each tool has an interpreter of its own, for example
--with caffe2onnx=/envs/caffe2onnx/bin/python; docs/converters.md says what to install in it. A tool may
be given twice, in two versions. --gone is for a tool that can no longer be installed or started: an
entry with the reason. This package comes first, in the interpreter that runs this.

A tool is given the net in Caffe's newest format, with the layers of the case's phase alone and Input
layers for its inputs, and the case's .caffemodel. It is "right" if every output is within the case's
own tolerance of what Caffe gave, "near" if it is within a thousandth of the largest value, "refused"
if it stops and says what it does not support, "failed" if it stops otherwise, or what it wrote cannot
be run or lacks an output, and "wrong" if it answers something else without a word.
Exit codes: 0, or 1 if this package is not right.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from adapters.caffe_files import NAMES, PROTOTXT, WEIGHTS
from machine import machine
from runtimes import ADAPTERS, COLUMNS, chosen, run_cases

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.text import format_message, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import UnsupportedError
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.verify.runtimes.jobs import Job, Reply, Runtime, run_jobs

VERDICTS = ("right", "near", "refused", "failed", "wrong")

KINDS = ("nets", "layers")

NEAR = 1e-3
"""Of an output's largest magnitude: what less exact arithmetic may explain."""

CONVERTED_ONLY = "converted, not run"
"""What the adapter of a tool says whose models do not run on this system."""


@dataclass(frozen=True)
class Tool:
    """A tool that reads Caffe's files."""

    title: str
    adapter: str
    listed: str = ""
    """The layer types that its documentation lists; none where it has no such list."""


TOOLS = {
    "caffe-onnx": Tool(
        "caffe-onnx",
        "to_onnx_run",
        "BatchNorm Convolution Deconvolution Concat Dropout InnerProduct LRN Pooling Unpooling ReLU Softmax "
        "Eltwise Upsample Scale",
    ),
    "caffe2onnx": Tool(
        "caffe2onnx",
        "to_onnx_run",
        "Axpy BatchNorm Clip Concat Convolution Deconvolution Crop DetectionOutput Dropout Eltwise Flatten "
        "InnerProduct Interp Log LRN Pooling Power PReLU PriorBox ReLU Reshape Scale ShuffleChannel Sigmoid "
        "Slice Softmax TanH Permute Unpooling Upsample",
    ),
    "mmdnn": Tool("MMdnn", "to_onnx_run"),
    "coremltools": Tool("coremltools", "coremltools_run"),
    "openvino": Tool(
        "OpenVINO Model Optimizer",
        "model_optimizer_run",
        "Axpy BN BatchNorm Bias Concat Convolution Crop Deconvolution DetectionOutput Dropout Eltwise "
        "Flatten InnerProduct LRN Normalize Permute Pooling Power PReLU PriorBox PriorBoxClustered Proposal "
        "PSROIPooling ROIPooling ReLU Reshape Scale ShuffleChannel Sigmoid Slice Softmax Tile",
    ),
    "mnn": Tool(
        "MNN",
        "mnn_run",
        "AbsVal ArgMax BNLL BatchNorm Bias Concat Convolution Crop Deconvolution DetectionOutput Dropout ELU "
        "Eltwise Embed Exp Flatten InnerProduct Interp LRN Log MVN Normalize PReLU Permute Pooling Power "
        "PriorBox ROIPooling ReLU ReLU6 Reduction Reshape Resize Scale ShuffleChannel Sigmoid Slice Softmax "
        "Split TanH Threshold Upsample",
    ),
    "x2paddle": Tool(
        "X2Paddle",
        "x2paddle_run",
        "Convolution Deconvolution Pooling LRN InnerProduct Softmax Slice Concat PReLU Accuracy Eltwise "
        "BatchNorm Scale Reshape ArgMax Crop Flatten Power Reduction Axpy ROIPooling Permute DetectionOutput "
        "Normalize Select ShuffleChannel ConvolutionDepthwise ReLU AbsVal Sigmoid TanH ReLU6 Upsample "
        "MemoryData Dropout",
    ),
    "opencv": Tool("OpenCV readNetFromCaffe", "read_net_from_caffe_run"),
}

REFUSAL = re.compile(
    r"not (currently )?support|unsupported|not implemented|can't create layer"
    r"|cannot convert caffe layer|no handler",
    re.IGNORECASE,
)
"""Words with which a tool says that it lacks something."""

FOLDERS = re.compile(r"/(?:[\w.+-]+/)+")
"""The folders of a path, which are of no use elsewhere."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--gone", action="append", default=[], metavar="TOOL=WHY")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables there")
    arguments = parser.parse_args()
    cases = {kind: [case for case in chosen(kind) if case.files.weights.exists()] for kind in KINDS}
    entries = [ours(cases)]
    for name, _, python in (entry.partition("=") for entry in arguments.others):
        entries.append(measure(TOOLS[name], python, cases))
        print(entries[-1]["tool"], {kind: entries[-1][kind]["counts"] for kind in KINDS}, flush=True)
    gone = [{"tool": tool, "why": why} for tool, _, why in (entry.partition("=") for entry in arguments.gone)]
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine("onnx", "numpy")}
    result |= {"cases": {kind: len(cases[kind]) for kind in KINDS}, "tools": entries, "gone": gone}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(result))
    return int(any(set(entries[0][kind]["counts"]) != {"right"} for kind in KINDS))


def ours(cases: dict[str, list[ReferenceCase]]) -> dict[str, Any]:
    """This package's ONNX in ONNX Runtime."""
    column = COLUMNS["onnxruntime"]
    runtime = Runtime("onnxruntime", column.adapter, sys.executable)
    entry: dict[str, Any] = {}
    for kind in KINDS:
        version, entry[kind] = run_cases(runtime, column.deployment, cases[kind])
        entry["tool"] = f"vggrepro (ONNX Runtime {version})"
    return entry


def measure(tool: Tool, python: str, cases: dict[str, list[ReferenceCase]]) -> dict[str, Any]:
    """One tool on every case, and of the cases that use only layers of its list, how many are right."""
    entry: dict[str, Any] = {}
    listed = {"Input", *tool.listed.split()}
    for kind in KINDS:
        version, verdicts = judge(tool, python, cases[kind])
        entry["tool"] = f"{tool.title} {version}"
        part: dict[str, Any] = {
            "cases": len(verdicts),
            "counts": dict(Counter(v for v, _ in verdicts.values())),
        }
        if tool.listed:
            outside = {
                c.folder.name: " ".join(sorted({*c.about["layer_types"]} - listed)) for c in cases[kind]
            }
            part["outside_its_list"] = {name: types for name, types in outside.items() if types}
            inside = [verdict for name, (verdict, _) in verdicts.items() if not outside[name]]
            part["inside_its_list"] = dict(Counter(inside))
        part["not_right"] = {n: f"{v}: {words}" for n, (v, words) in sorted(verdicts.items()) if v != "right"}
        entry[kind] = part
    return entry


def judge(tool: Tool, python: str, cases: Sequence[ReferenceCase]) -> tuple[str, dict[str, tuple[str, str]]]:
    """The tool's version, and the verdict of each case with the words that go with it."""
    runtime = Runtime(tool.title, tool.adapter, python, (ADAPTERS,))
    with tempfile.TemporaryDirectory(prefix="converters-") as name:
        jobs = [write(case, Path(name) / case.folder.name) for case in cases]
        try:
            replies = run_jobs(runtime, jobs)
        except UnsupportedError as error:
            sys.exit(f"{error}: give it as --gone")
    pairs = zip(cases, replies.replies, strict=True)
    return replies.version, {case.folder.name: verdict(case, reply) for case, reply in pairs}


def write(case: ReferenceCase, folder: Path) -> Job:
    """Write the files that a tool is given; what it shall do with them."""
    folder.mkdir()
    message = plain_definition(case)
    (folder / PROTOTXT).write_text(format_message(message))
    (folder / WEIGHTS).symlink_to(case.files.weights.resolve())
    makers = {top: layer.name for layer in message.layer for top in layer.top}
    fed = {top for layer in message.layer if layer.type == "Input" for top in layer.top}
    inputs = {name: array for name, array in case.arrays("in").items() if name in fed}
    blobs = list(case.arrays("out"))
    names = {"inputs": {b: makers[b] for b in inputs}, "outputs": {b: makers[b] for b in blobs}}
    (folder / NAMES).write_text(json.dumps(names))
    return Job(folder, inputs, blobs)


def plain_definition(case: ReferenceCase) -> NetParameter:
    """The net in Caffe's newest format with the layers of the case's phase, and without the fields that say
    which phase a layer belongs to: what a deploy.prototxt has."""
    net = upgrade_net_param(read_net(case.files.net), str(case.files.net))
    state = {"level": case.about.get("level", 0), "stages": case.about.get("stages", ())}
    message = filter_net(net, phase=case.about["phase"], **state)
    message.ClearField("state")
    for layer in message.layer:
        for field in ("include", "exclude", "phase"):
            layer.ClearField(field)
    return message


def verdict(case: ReferenceCase, reply: Reply) -> tuple[str, str]:
    """An array of as many elements is taken for the blob: several tools have no tensors of fewer axes."""
    if CONVERTED_ONLY in reply.error:
        return "converted", ""
    if reply.error:
        lines = [line.strip() for line in reply.error.splitlines() if line.strip()]
        refusals = [line for line in lines if REFUSAL.search(line) and "ONNXRuntimeError" not in line]
        words = (refusals or [line for line in lines[1:] if "rror:" in line] or lines)[-1]
        return ("refused" if refusals else "failed"), FOLDERS.sub("", words)[:300]
    near = []
    for blob, array in reply.arrays.items():
        got, want = np.asarray(array), case.io[f"out:{blob}"]
        got = got.reshape(want.shape) if got.size == want.size else got
        found = case.compare(f"out:{blob}", got)
        if not found.passed:
            words = f"{blob} is off by {found.largest:.2g} of {found.magnitude:.2g}"
            if not found.largest <= NEAR * found.magnitude:
                return "wrong", words
            near.append(words)
    return ("near", near[0]) if near else ("right", "")


def markdown(result: dict[str, Any]) -> str:
    """A table for each kind of case, and the cases that are silently wrong."""
    return "\n".join(
        [*(line for kind in KINDS for line in _table(result["tools"], kind)), *_wrong(result), ""]
    )


def _table(entries: Sequence[dict[str, Any]], kind: str) -> Iterator[str]:
    yield f"| {kind} | {' | '.join(VERDICTS)} | right, of those in its list |"
    yield "|---|" + "---|" * (len(VERDICTS) + 1)
    for entry in entries:
        part = entry[kind]
        listed = part.get("inside_its_list", {})
        inside = f"{listed.get('right', 0)} of {sum(listed.values())}" if listed else "no list"
        cells = [entry["tool"], *(str(part["counts"].get(v, 0)) for v in VERDICTS), inside]
        if "converted" in part["counts"]:
            cells[1:4] = [f"converted: {part['counts']['converted']}", "", cells[3]]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _wrong(result: dict[str, Any]) -> Iterator[str]:
    for entry in result["tools"]:
        found = [(k, n) for k in KINDS for n, v in entry[k]["not_right"].items() if v.startswith("wrong")]
        if found:
            yield f"- {entry['tool']}: {', '.join(f'`{kind}/{name}`' for kind, name in found)}"


if __name__ == "__main__":
    sys.exit(main())
