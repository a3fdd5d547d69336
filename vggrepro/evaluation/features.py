"""Image descriptors from any blob, as the paper's appendix B makes them from the penultimate layer.

The network is applied densely at scale Q; the blob's map is averaged over positions, and over the image and
its mirror image. Several scales are averaged, stacked or maximised over; several networks are stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Singles
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, Scorer, check_scales
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageProblem, ImageSet
from vggrepro.evaluation.measuring.size_order import ordered_by_size
from vggrepro.evaluation.measuring.view_batches import windows
from vggrepro.evaluation.protocols import Member, Stream, stream_shares

Combine = Literal["average", "stack", "max"]
Normalise = Literal["end", "each", "none"]
Pool = Literal["average", "none"]


@dataclass(frozen=True)
class Descriptor:
    """How a descriptor is made.

    ``protocol`` is a protocol of section 3.2 other than "both"; the mean over its views and mirror images is
    taken. ``scales`` are smallest sides Q in pixels, and ``combine`` says how they become one descriptor.
    ``pool`` "average" takes the mean of a blob (C, h, w) over positions, "none" keeps it, which is possible
    for crops at one scale. ``normalise`` divides by the Euclidean norm: of the whole descriptor ("end", as
    the paper tells it), of each scale of each network before they are combined ("each", which its words allow
    too), or not at all ("none"). Raises ProtocolError for settings that contradict each other.
    """

    protocol: str = "dense"
    scales: tuple[int, ...] = (256,)
    flip: bool = True
    combine: Combine = "average"
    normalise: Normalise = "end"
    pool: Pool = "average"

    def __post_init__(self) -> None:
        if self.protocol == "both":
            raise ProtocolError("protocol both is a mean of posteriors: expected one kind of views")
        if self.pool == "none" and (self.protocol == "dense" or len(self.scales) > 1):
            raise ProtocolError("maps without pooling differ in size: expected crops at one scale")

    def streams(self, net: str) -> tuple[Stream, ...]:
        """The streams of the network called ``net`` that the descriptor is made from."""
        return tuple(sorted(stream_shares([Member(net, self.protocol, self.scales, self.flip)])))

    def facts(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        return asdict(self)


def descriptor_shape(networks: Sequence[EvaluatedNet], descriptor: Descriptor) -> tuple[int, ...]:
    """The shape of one image's descriptor: (D,), or (C, h, w) without pooling. Raises ProtocolError if the
    networks' maps differ in size."""
    parts = [_part(network, descriptor) for network in networks]
    if len({part[1:] for part in parts}) != 1:
        raise ProtocolError(f"maps of sizes {', '.join(map(str, parts))} cannot be stacked")
    return sum(part[0] for part in parts), *parts[0][1:]


def _part(network: EvaluatedNet, descriptor: Descriptor) -> tuple[int, ...]:
    if descriptor.pool == "none":
        return network.net.shapes[network.net.blobs[network.blob]][1:]
    return (network.channels * (len(descriptor.scales) if descriptor.combine == "stack" else 1),)


def extract_descriptors(
    images: ImageSet,
    networks: Sequence[EvaluatedNet],
    descriptor: Descriptor,
    execution: Execution,
    out: Singles,
    advance: Callable[[float], None] = lambda _: None,
) -> dict[int, ImageProblem]:
    """Write the descriptors of the ``images`` to their rows of ``out``: (N, D), or (N, C, h, w) without
    pooling, where N counts all images of the source.

    ``out`` may be mapped from a file: one network at a time fills its columns. ``advance`` is called with 1.0
    after each image and network. Returns the images that are bad or truncated, by index; the rows of bad ones
    are NaN. Raises DataError for a bad image unless ``images`` says to skip such images.
    """
    problems: dict[int, ImageProblem] = {}
    at = 0
    for network in networks:
        width = _part(network, descriptor)[0]
        columns = out[:, at : at + width]
        at += width
        problems |= _fill(images, network, descriptor, execution, columns, advance)
    if descriptor.normalise == "end":
        for window in windows(images.indexes, execution.window):
            out[window] = normalised(out[window])
    return problems


def _fill(
    images: ImageSet,
    network: EvaluatedNet,
    descriptor: Descriptor,
    execution: Execution,
    columns: Singles,
    advance: Callable[[float], None],
) -> dict[int, ImageProblem]:
    streams = descriptor.streams(network.name)
    check_scales(network, streams)
    scorer = Scorer(
        network,
        execution.device,
        convolutional=descriptor.protocol == "dense",
        threads=execution.threads,
        precision=execution.precision,
    )

    def score(_stream: Stream, blob: Singles) -> Singles:
        found = scorer(blob)
        if found.ndim == 2 or descriptor.pool == "none":
            return found
        pooled: Singles = found.mean(axis=(2, 3), dtype=np.float64).astype(np.float32)
        return pooled  # (n, C, h, w) -> (n, C)

    waiting: dict[int, dict[Stream, Singles]] = {}
    problems: dict[int, ImageProblem] = {}
    ordered = ordered_by_size(images, streams, execution.workers)
    for found in network.pipeline(ordered, streams, execution).all_answers(score):
        if isinstance(found, Answer):
            of_image = waiting.setdefault(found.index, {})
            of_image[found.stream] = found.rows.mean(axis=0, dtype=np.float64)  # (V, D) -> (D,)
            if len(of_image) == len(streams):
                columns[found.index] = _combined(waiting.pop(found.index), descriptor)
                advance(1.0)
            continue
        problems[found.index] = found
        if found.kind == "bad":
            columns[found.index] = np.nan
            advance(1.0)
    return problems


def _combined(vectors: dict[Stream, Any], descriptor: Descriptor) -> npt.NDArray[Any]:
    """One descriptor from the ``vectors`` of an image's streams: the mean over kinds of views and flips for
    each scale, then the scales combined in their order."""
    scales = [
        np.mean([vector for stream, vector in vectors.items() if stream.scale == scale], axis=0)
        for scale in descriptor.scales
    ]
    if descriptor.normalise == "each":
        scales = [normalised(vector[None])[0] for vector in scales]
    if descriptor.combine == "stack":
        return np.concatenate(scales)
    reduce = np.max if descriptor.combine == "max" else np.mean
    reduced: npt.NDArray[Any] = reduce(scales, axis=0)
    return reduced


def normalised(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows (n, ...) divided by their Euclidean norms; a row of zeros stays."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    norms = np.sqrt((flat * flat).sum(axis=1))
    norms[norms == 0] = 1.0
    result: npt.NDArray[Any] = rows / norms.reshape(-1, *([1] * (rows.ndim - 1)))
    return result
