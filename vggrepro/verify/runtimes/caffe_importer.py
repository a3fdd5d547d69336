"""What OpenCV 4 gave for the Caffe files themselves, against the float64 reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.verify.runtimes.jobs import Job, Replies, Runtime, run_jobs
from vggrepro.verify.runtimes.opencv_caffe_run import PROTOTXT, WEIGHTS
from vggrepro.verify.runtimes.written import Example, RuntimeCheck, blob_differences

IMPORTER = "readNetFromCaffe"

ADAPTER = "vggrepro.verify.runtimes.opencv_caffe_run"


def importer(python: str) -> Runtime:
    """OpenCV's importer under an interpreter that has OpenCV 4 and NumPy."""
    return Runtime(IMPORTER, ADAPTER, python)


def layer_of_output(net: Net) -> Mapping[str, str]:
    """The layer that makes each of the net's outputs, as OpenCV's importer calls outputs. What a layer gives
    besides its first top has no such name and is left out."""
    found = {}
    for placed in net.layers:
        for blob in placed.message.top[:1]:
            if blob in net.returned:
                found[blob] = placed.name
    return found


def _names(net: Net) -> Mapping[str, str]:
    """What OpenCV may call each output, a line for each: its layer, or itself."""
    return {blob: f"{layer}\n{blob}" for blob, layer in layer_of_output(net).items()}


def check_importer(
    prototxt: Path, weights: Path, runtime: Runtime, examples: Sequence[Example], tolerance: float
) -> list[RuntimeCheck]:
    """What the importer gives for the two files, a check for each example. ``tolerance`` is relative to the
    largest magnitude of each output. Raises UnsupportedError if the interpreter has no OpenCV."""
    with tempfile.TemporaryDirectory(prefix="vggrepro-") as name:
        folder = Path(name)
        (folder / PROTOTXT).symlink_to(prototxt.resolve())
        (folder / WEIGHTS).symlink_to(weights.resolve())
        layers = [_names(example.judge) for example in examples]
        jobs = [Job(folder, e.feeds, list(of.values())) for e, of in zip(examples, layers, strict=True)]
        replies: Replies = run_jobs(runtime, jobs)
    checks = []
    for example, of, reply in zip(examples, layers, replies.replies, strict=True):
        arrays = {} if reply.error else {blob: reply.arrays[layer] for blob, layer in of.items()}
        want = reference_forward(example.judge, example.arrays)
        differences = blob_differences(example.judge, arrays, want, tolerance)
        checks.append(RuntimeCheck(IMPORTER, replies.version, example.name, differences, reply.error))
    return checks
