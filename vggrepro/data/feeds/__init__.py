"""What data layers put into their tops: Caffe's Data, ImageData, HDF5Data, WindowData and MemoryData, and
AnnotatedData of SSD, DenseImageData of SegNet, ImageSegData of DeepLab, ImageLabelmapData of HED and
VideoData of temporal segment networks.

A feed gives the batch of any iteration as a function of (seed, iteration) alone, so that training
goes on after a restart where it was. (Caffe begins at the start of its data again.) Where Caffe
draws at random - shuffling, skipping, windows, crops and mirrors - the draws are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vggrepro.data.choices import MAX_PIXELS, Exif
from vggrepro.data.feeds.annotated import open_annotated
from vggrepro.data.feeds.base import DataLayer, Feed
from vggrepro.data.feeds.dense_image import open_dense_image_data
from vggrepro.data.feeds.image import ImageFeed, open_data, open_image_data, read_mean_file
from vggrepro.data.feeds.image_seg import open_image_labelmap_data, open_image_seg_data
from vggrepro.data.feeds.row_feed import RowFeed, memory_feed, open_hdf5
from vggrepro.data.feeds.video_frames import has_segments, open_video_data
from vggrepro.data.feeds.window_feed import open_window_data
from vggrepro.errors import UnsupportedError

__all__ = [
    "READ_TYPES",
    "Feed",
    "ImageFeed",
    "RowFeed",
    "folder_of",
    "is_read",
    "memory_feed",
    "open_feed",
    "read_mean_file",
]

_LAYERS: Mapping[str, tuple[str, Callable[[DataLayer], Feed]]] = {
    "Data": ("data_param", open_data),
    "ImageData": ("image_data_param", open_image_data),
    "HDF5Data": ("hdf5_data_param", open_hdf5),
    "WindowData": ("window_data_param", open_window_data),
    "AnnotatedData": ("data_param", open_annotated),
    "DenseImageData": ("dense_image_data_param", open_dense_image_data),
    "ImageSegData": ("image_data_param", open_image_seg_data),
    "ImageLabelmapData": ("image_data_param", open_image_labelmap_data),
    "VideoData": ("video_data_param", open_video_data),
}
"""The field that names the source, and what opens it, by layer type."""

READ_TYPES = tuple(_LAYERS)
"""The layer types that :func:`open_feed` takes: those whose data Caffe reads itself. (MemoryData is handed
its data.)"""


def is_read(param: Any) -> bool:
    """Whether :func:`open_feed` takes a ``LayerParameter``: one of ``READ_TYPES``, but of VideoData only that
    with segments."""
    return param.type in READ_TYPES and (param.type != "VideoData" or has_segments(param))


def folder_of(param: Any, folder: Path) -> Path:
    """Where the paths of a ``LayerParameter`` that is read begin: in the working directory, as in
    Caffe, or in ``folder`` where the working directory lacks the layer's source."""
    field, _ = _LAYERS[param.type]
    source = getattr(param, field).source
    return Path() if source and Path(source).exists() else folder


def open_feed(
    param: Any,
    phase: int,
    *,
    seed: int = 0,
    folder: Path | None = None,
    exif: Exif = "ignore",
    max_pixels: int = MAX_PIXELS,
) -> Feed:
    """The feed of a ``LayerParameter`` in the current format.

    Relative paths are taken from ``folder``, or from the working directory as in Caffe. ``exif``
    concerns the layers that read image files; ``max_pixels`` is the most that an image may have. Raises
    UnsupportedError for other layer types, DataError where Caffe would stop.
    """
    layer = DataLayer(param, phase, seed, Path() if folder is None else folder, exif, max_pixels)
    if not is_read(param):
        raise UnsupportedError(f"{layer.where}: reading data for layer type {param.type}")
    _, opened = _LAYERS[param.type]
    return opened(layer)
