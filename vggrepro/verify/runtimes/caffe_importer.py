"""What OpenCV 4 gave for the Caffe files themselves, against the float64 reference."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
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


def _named(net: Net, outputs: Sequence[str] | None) -> list[str]:
    """Those of the outputs that are a layer's first top."""
    first = {blob for placed in net.layers for blob in placed.message.top[:1]}
    return [blob for blob in (net.returned if outputs is None else outputs) if blob in first]


def check_importer(
    prototxt: Path,
    weights: Path,
    runtime: Runtime,
    examples: Sequence[Example],
    tolerance: float,
    outputs: Sequence[str] | None = None,
) -> list[RuntimeCheck]:
    """What the importer gives for the two files, a check for each example. The nets that judge have OpenCV's
    names, and so have the ``outputs`` (None: those of the nets); of a layer's tops OpenCV names only the
    first, and only that is compared. ``tolerance`` is relative to the largest magnitude of each output.
    Raises UnsupportedError if the interpreter has no OpenCV."""
    with tempfile.TemporaryDirectory(prefix="vggrepro-") as name:
        folder = Path(name)
        (folder / PROTOTXT).symlink_to(prototxt.resolve())
        (folder / WEIGHTS).symlink_to(weights.resolve())
        jobs = [Job(folder, e.feeds, _named(e.judge, outputs)) for e in examples]
        replies: Replies = run_jobs(runtime, jobs)
    checks = []
    for example, reply in zip(examples, replies.replies, strict=True):
        arrays = {} if reply.error else reply.arrays
        want = reference_forward(example.judge, example.arrays)
        differences = blob_differences(example.judge, arrays, want, tolerance)
        checks.append(RuntimeCheck(IMPORTER, replies.version, example.name, differences, reply.error))
    return checks
