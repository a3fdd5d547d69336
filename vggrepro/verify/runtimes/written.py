"""A written model in a runtime, output by output against the float64 reference."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vggrepro.errors import UnsupportedError, did_you_mean
from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_walk
from vggrepro.net import Net
from vggrepro.verify.comparison import Difference, compare, magnitude, measured_values
from vggrepro.verify.detections import detection_blobs, in_the_order_of
from vggrepro.verify.runtimes.jobs import RUNTIMES, Job, Reply, Runtime, run_jobs

Arrays = Mapping[str, npt.NDArray[Any]]

BuildGraph = Callable[[Sequence[str]], Graph]
"""Makes the graph that returns these blobs, as it would be written."""


@dataclass(frozen=True)
class Example:
    """Arrays for a net's inputs, what to call them, and the net whose reference judges them."""

    name: str
    judge: Net
    arrays: Arrays
    images: Arrays = field(default_factory=dict)
    """What the model takes in place of some of the arrays: images, where preprocessing is part of it."""

    @property
    def feeds(self) -> Arrays:
        """What the model is fed."""
        return {**self.arrays, **self.images}


@dataclass(frozen=True)
class RuntimeCheck:
    """What a runtime gave for one example: the differences of its outputs, or its ``error``; and where it was
    wrong, the first layer whose blob differs."""

    runtime: str
    version: str
    example: str
    differences: Sequence[Difference] = ()
    error: str = ""
    first_layer: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and all(d.passed for d in self.differences)

    def complaint(self) -> str:
        """One line on what went wrong."""
        where = f"; the first layer that differs is {self.first_layer!r}" if self.first_layer else ""
        if self.error:
            return f"{self.runtime} {self.version} ({self.example}): {_first_line(self.error)}{where}"
        failed = [d for d in self.differences if not d.passed]
        worst = max(failed, key=lambda d: d.largest)
        off = f"output {worst.blob!r} is off by {worst.largest:.2e} of {worst.magnitude:.2e}"
        return f"{self.runtime} {self.version} ({self.example}): {off}{where}"

    def as_json(self) -> dict[str, Any]:
        return {
            "runtime": self.runtime,
            "version": self.version,
            "input": self.example,
            "passed": self.passed,
            "outputs": [difference.as_json() for difference in self.differences],
            **({"error": self.error} if self.error else {}),
            **({"first_layer": self.first_layer} if self.first_layer else {}),
        }


def installed(name: str) -> Runtime:
    """The runtime of this name, under this interpreter. Raises UnsupportedError for an unknown name."""
    if name not in RUNTIMES:
        raise UnsupportedError(
            f"runtime {name!r}: expected {', '.join(RUNTIMES)}{did_you_mean(name, RUNTIMES)}"
        )
    return Runtime(name, RUNTIMES[name])


def check_written(
    model: Path,
    graph: Graph,
    runtime: Runtime,
    examples: Sequence[Example],
    tolerance: float,
    build: BuildGraph,
) -> list[RuntimeCheck]:
    """Run a written model on every example. ``tolerance`` is relative to the largest magnitude of each
    output; ``build`` makes the smaller models that find the first layer which differs. Outputs beyond it that
    depend on steep layers are judged again, as those of the model that also returns these layers' bottoms.
    Raises UnsupportedError if the runtime is not installed."""
    jobs = [Job(model, _read(graph, example.feeds), graph.output_names) for example in examples]
    replies = run_jobs(runtime, jobs)
    checks = []
    for example, reply in zip(examples, replies.replies, strict=True):
        differences = [] if reply.error else _differences(graph, example, reply, tolerance)
        if not all(d.passed for d in differences) and steep_bottoms(example.judge, list(graph.blobs)):
            with suppress(UnsupportedError):  # of a target that cannot return the bottoms
                differences = _part(example, runtime, list(graph.blobs), tolerance, build) or differences
        check = RuntimeCheck(runtime.name, replies.version, example.name, differences, reply.error)
        if not check.passed:
            wrong = next((d.blob for d in differences if not d.passed), next(iter(graph.blobs)))
            found = first_difference(example, runtime, wrong, tolerance, build)
            check = RuntimeCheck(runtime.name, replies.version, example.name, differences, reply.error, found)
        checks.append(check)
    return checks


def first_difference(
    example: Example, runtime: Runtime, blob: str, tolerance: float, build: BuildGraph
) -> str:
    """The first layer before a wrong blob whose own blob is wrong, found by bisection: each step writes the
    model that returns one blob. "" if no such model is wrong by itself."""
    layers = _layers_before(example.judge, blob)
    low, high = -1, len(layers)
    while high - low > 1:
        middle = (low + high) // 2
        if _is_wrong(example, runtime, layers[middle][1], tolerance, build):
            high = middle
        else:
            low = middle
    return layers[high][0] if high < len(layers) else ""


def _layers_before(net: Net, blob: str) -> list[tuple[str, str]]:
    """The layers that a blob depends on, in order, each with its first top. Those that write the same blob,
    one after the other in place, are one entry: their values between are gone in the end."""
    needed = {net.blobs[blob]}
    writers: dict[str, list[str]] = {}
    for placed in reversed(net.layers):
        if not placed.layer.source and needed.intersection(placed.tops):
            needed.update(placed.bottoms)
            for top in placed.message.top[:1]:
                writers.setdefault(top, []).append(placed.name)
    return [(" and ".join(names[::-1]), top) for top, names in reversed(writers.items())]


def steep_bottoms(net: Net, blobs: Sequence[str]) -> list[str]:
    """The bottoms of the steep layers that some blobs depend on, but for inputs and for values that layers
    overwrite in place."""
    needed, found = {net.blobs[blob] for blob in blobs}, dict[str, None]()
    for placed in reversed(net.layers):
        if needed.intersection(placed.tops):
            needed.update(placed.bottoms)
            if placed.layer.steep:
                found.update(dict.fromkeys(placed.bottoms))
    return [blob for blob, value in net.blobs.items() if value in found and blob not in net.inputs]


def _is_wrong(example: Example, runtime: Runtime, blob: str, tolerance: float, build: BuildGraph) -> bool:
    try:
        differences = _part(example, runtime, [blob], tolerance, build)
    except UnsupportedError:
        return False
    return differences is None or not all(d.passed for d in differences)


def _part(
    example: Example, runtime: Runtime, blobs: Sequence[str], tolerance: float, build: BuildGraph
) -> list[Difference] | None:
    """The differences of blobs, and of the bottoms of steep layers before them, in the model that returns
    these; None if the runtime does not run it. Raises UnsupportedError for a model that cannot be made."""
    graph = build(list(dict.fromkeys([*blobs, *steep_bottoms(example.judge, blobs)])))
    with tempfile.TemporaryDirectory(prefix="vggrepro-") as folder:
        path = Path(folder) / "part.onnx"
        graph.save(path, external=True)
        (reply,) = run_jobs(runtime, [Job(path, _read(graph, example.feeds), graph.output_names)]).replies
    return None if reply.error else _differences(graph, example, reply, tolerance)


def _differences(graph: Graph, example: Example, reply: Reply, tolerance: float) -> list[Difference]:
    arrays = {blob: reply.arrays[output] for blob, output in graph.blobs.items()}
    values, _ = reference_walk(example.judge, example.arrays, {}, measured_values(example.judge, arrays))
    want = {blob: values[value] for blob, value in example.judge.blobs.items()}
    return blob_differences(example.judge, arrays, want, tolerance)


def blob_differences(net: Net, arrays: Arrays, want: Arrays, tolerance: float) -> list[Difference]:
    """The differences of blobs from those of a reference. An array of as many elements as the reference's is
    taken for it: some runtimes have no tensors with fewer than two axes."""
    differences, detections = [], detection_blobs(net)
    for blob, found in arrays.items():
        exact = want[blob]
        if found.size == exact.size:
            found = found.reshape(exact.shape)
        if blob in detections:
            found = in_the_order_of(exact, found)
        differences.append(compare(blob, found, exact, atol=tolerance * magnitude(exact)))
    return differences


def _read(graph: Graph, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The arrays that a graph takes."""
    return {name: array for name, array in arrays.items() if name in graph.input_names}


def _first_line(text: str) -> str:
    return next((line for line in text.split(os.linesep) if line.strip()), "")
