"""Which images are evaluated, and how a source of images is recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.data.random_streams import sample
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError, ProtocolError

_SAMPLES = 8


def source_fingerprint(source: Source) -> dict[str, Any]:
    """What tells a source of images from others: SHA-256 hashes of all names in order, and of the contents of
    up to eight images, because resized copies may bear the same names."""
    names = hashlib.sha256()
    for index in range(len(source)):
        names.update(source.key(index).encode("utf-8", "surrogateescape") + b"\n")
    contents = hashlib.sha256()
    for index in np.unique(np.linspace(0, len(source) - 1, _SAMPLES).astype(int)):
        contents.update(_content(source, int(index)))
    return {"listing_sha256": names.hexdigest(), "samples_sha256": contents.hexdigest()}


def _content(source: Source, index: int) -> bytes:
    try:
        content = source.read(index)
    except DataError:
        return b"unreadable"  # the evaluation itself stops at it, or skips it
    return content if isinstance(content, bytes) else content.tobytes()


def choose_images(images: int, without: Collection[int], limit: int | None, seed: int) -> Ints:
    """Places of the images to evaluate, ascending: all but ``without``, or ``limit`` of those at random.

    Raises ProtocolError if none is left.
    """
    left = np.asarray([place for place in range(images) if place not in without], np.int64)
    if limit is not None:
        left = left[sample(seed, len(left), max(limit, 0))]
    if not len(left):
        raise ProtocolError(f"no images to evaluate: {images} listed, {len(without)} left out, limit {limit}")
    return left
