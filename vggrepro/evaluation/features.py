"""Image descriptors from any blob, as the paper's appendix B makes them from the penultimate layer.

The network is applied densely at scale Q; the blob's map is averaged over positions, and over the image and
its mirror image. Several scales are averaged, stacked or maximised over; several networks are stacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints, Singles
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.descriptor import Descriptor
from vggrepro.evaluation.measuring.cache_folder import opened_cache
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet
from vggrepro.evaluation.measuring.feature_rows import FeatureRows
from vggrepro.evaluation.measuring.measurement import StreamCaches, bad_images, measure_network
from vggrepro.evaluation.measuring.pipeline import Execution, ImageProblem, ImageSet, Kind
from vggrepro.evaluation.measuring.view_batches import windows
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.ranks import Ranks

_WINDOW = 64
"""Images whose rows are read together when descriptors are written."""


def descriptor_shape(networks: Sequence[EvaluatedNet], descriptor: Descriptor) -> tuple[int, ...]:
    """The shape of one image's descriptor: (D,), or (C, h, w) without pooling, of the blob that the networks
    are evaluated for. Raises ProtocolError if their maps differ in size."""
    parts = [_part(network, descriptor) for network in networks]
    if len({part[1:] for part in parts}) != 1:
        raise ProtocolError(f"maps of sizes {', '.join(map(str, parts))} cannot be stacked")
    return sum(part[0] for part in parts), *parts[0][1:]


def _part(network: EvaluatedNet, descriptor: Descriptor) -> tuple[int, ...]:
    if descriptor.pool == "none":
        return network.blob_shape
    return (network.channels * (len(descriptor.scales) if descriptor.combine == "stack" else 1),)


@dataclass(frozen=True, eq=False)
class Features:
    """The blobs that ``descriptor`` is made of, measured for all of the ``images`` and kept in ``cache``, a
    mean over views for each network and stream."""

    cache: ViewCache
    kind: FeatureRows
    images: ImageSet
    networks: tuple[EvaluatedNet, ...]
    descriptor: Descriptor

    def problems(self) -> dict[int, ImageProblem]:
        """The images that are bad or truncated, by index."""
        wanted = {int(index) for index in self.images.indexes}
        noted = [(kind, self.cache.notes(kind)) for kind in get_args(Kind)]
        found = {i: ImageProblem(i, kind, reason) for kind, reasons in noted for i, reason in reasons.items()}
        return {index: found[index] for index in sorted(wanted & found.keys())}

    def write(self, outputs: Mapping[str, Singles]) -> None:
        """Write the descriptors of the images to their rows of ``outputs``, by blob: (N, D), or (N, C, h, w)
        without pooling, where N counts all images of the source. Rows of images that cannot be decoded are
        NaN. The arrays may be mapped from files: a few images' rows are held at a time.

        Raises ProtocolError for a damaged cache, and DataError for an image that an earlier run skipped and
        this one is not to.
        """
        streams = [stream for network in self.networks for stream in self._streams(network)]
        with StreamCaches(self.cache, streams) as caches:
            bad = bad_images(caches, self.images)
            for out in outputs.values():
                out[self.images.indexes[bad]] = np.nan
            for window in windows(self.images.indexes[~bad], _WINDOW):
                found = [self._vectors(caches, network, window) for network in self.networks]
                for blob, out in outputs.items():
                    of_blob = [{stream: parts[blob] for stream, parts in one.items()} for one in found]
                    out[window] = described(of_blob, self.descriptor)

    def _streams(self, network: EvaluatedNet) -> tuple[Stream, ...]:
        return self.descriptor.streams(network.name)

    def _vectors(
        self, caches: StreamCaches, network: EvaluatedNet, window: Ints
    ) -> dict[Stream, Mapping[str, Singles]]:
        """What a network gives in each stream for each blob: (n, ...) for the n images of a window."""
        streams = self._streams(network)
        return {stream: self.kind.parts(network, caches.rows(stream, window)) for stream in streams}


@contextmanager
def measured_features(
    images: ImageSet,
    networks: Sequence[EvaluatedNet],
    blobs: Sequence[str],
    descriptor: Descriptor,
    execution: Execution,
    ranks: Ranks,
    folder: Path | None,
) -> Iterator[Features]:
    """Measure what the cache in ``folder`` lacks, or all in a temporary one that is removed afterwards. Every
    rank runs this, and measures its share.

    Raises NetError for a blob that a network has not, DataError for an image that cannot be decoded unless
    ``images`` says to skip such images, and ProtocolError for a cache of something else.
    """
    kind = FeatureRows(tuple(blobs), descriptor.pool)
    with opened_cache(images.source, ranks, folder, kind) as cache:
        for number, network in enumerate(networks, 1):
            label = f"{network.name} ({number}/{len(networks)})" if len(networks) > 1 else network.name
            streams = descriptor.streams(network.name)
            measure_network(cache, network, streams, images, execution, ranks, label)
        yield Features(cache, kind, images, tuple(networks), descriptor)
        ranks.barrier()  # every rank is here: the first may remove a temporary folder


def described(networks: Sequence[Mapping[Stream, Singles]], descriptor: Descriptor) -> npt.NDArray[Any]:
    """Descriptors (n, ...) of n images from their vectors (n, ...) in the streams of each network: the mean
    over kinds of views and flips for each scale, the scales combined in their order, networks stacked."""
    stacked = np.concatenate([_combined(vectors, descriptor) for vectors in networks], axis=1)
    return normalised(stacked) if descriptor.normalise == "end" else stacked


def _combined(vectors: Mapping[Stream, Singles], descriptor: Descriptor) -> npt.NDArray[Any]:
    scales = [
        np.stack([found for stream, found in vectors.items() if stream.scale == scale]).mean(
            axis=0, dtype=np.float64
        )
        for scale in descriptor.scales
    ]
    if descriptor.normalise == "each":
        scales = [normalised(vector) for vector in scales]
    if descriptor.combine == "stack":
        return np.concatenate(scales, axis=1)
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
