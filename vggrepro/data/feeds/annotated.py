"""AnnotatedData: images with their boxes, which SSD's layer reads from databases of AnnotatedDatums (not from
BVLC Caffe; source: weiliu89/caffe, branch ssd)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import AnnotatedDatum
from vggrepro.data.datum import datum_array
from vggrepro.data.feeds.base import DataLayer, Feed, Float32, batch_size, random_skip
from vggrepro.data.feeds.batch_sampler import PartSampling
from vggrepro.data.feeds.boxed_image import (
    ROW,
    WHOLE,
    BoxedImage,
    Boxes,
    DrawnChange,
    EmitConstraint,
    Expansion,
    framed,
)
from vggrepro.data.feeds.distortion import Distortion
from vggrepro.data.feeds.image import open_database, transform_of
from vggrepro.data.image_header import check_pixels
from vggrepro.data.opencv import opencv
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.data.sources import LmdbSource
from vggrepro.data.transform import Transform
from vggrepro.errors import DataError, UnsupportedError, naming

OWN_FIELDS = ("resize_param", "emit_constraint", "mirror", "distort_param", "expand_param")
"""What the layer reads itself of its ``transform_param``."""

FEWEST = 8
"""Rows that a batch's boxes have at least."""


@dataclass(frozen=True)
class Warp:
    """Resizing to ``height`` x ``width`` without keeping the aspect ratio, by one of OpenCV's ``kernels``."""

    height: int
    width: int
    kernels: tuple[str, ...]

    @classmethod
    def from_param(cls, transform: Any, where: str) -> Warp | None:
        """What ``resize_param`` says, or None. Raises UnsupportedError for anything but a warp that is always
        done."""
        if not transform.resize_param:
            return None
        if len(transform.resize_param) > 1:
            raise UnsupportedError(f"{where}: resize_param: only one is read here, not a draw of several")
        (resize,) = transform.resize_param
        if resize.resize_mode != resize.WARP or resize.prob != 1:
            raise UnsupportedError(f"{where}: resize_param: only resize_mode: WARP with prob: 1 is read here")
        if not (resize.height and resize.width):
            raise DataError(f"{where}: resize_param: expected height and width")
        names = [resize.Interp_mode.Name(mode) for mode in resize.interp_mode] or ["LINEAR"]
        return cls(resize.height, resize.width, tuple(names))

    def __call__(self, image: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
        """An image (C, H, W), warped by a kernel that is drawn."""
        check_pixels(self.height, self.width, "an image warped by resize_param")
        cv2 = opencv()
        kernel = self.kernels[int(rng.integers(len(self.kernels)))]
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        mode = getattr(cv2, "INTER_LANCZOS4" if kernel == "LANCZOS4" else f"INTER_{kernel}")
        warped = cv2.resize(pixels, (self.width, self.height), interpolation=mode)
        planes: npt.NDArray[Any] = warped.reshape(self.height, self.width, -1).transpose(2, 0, 1)
        return planes


@dataclass(frozen=True, eq=False)
class AnnotatedFeed(Feed):
    """Images in the order of their keys, from the start again at the end, and the boxes of a batch in one
    blob (1, 1, G, 8).

    ``changes`` are made of an image first, then it is warped and mirrored. A box is cut at the image's edges,
    and left out if nothing of it is inside, or by ``emit``. ``typed``: every record has boxes, whatever it
    says of their type.

    DEVIATION: G is a power of two, of 8 at least; rows of -1 behind the boxes end them. In SSD it is the
    number of boxes, and the net is reshaped for every batch. What is drawn is drawn by streams of our own,
    for each batch anew: so a run goes on after a restart where it was.
    """

    where: str
    tops: tuple[str, ...]
    source: LmdbSource
    batch_size: int
    transform: Transform
    changes: tuple[DrawnChange, ...]
    warp: Warp | None
    mirror: bool
    emit: EmitConstraint | None
    typed: bool
    seed: int
    skip: int
    max_pixels: int

    def batch(self, iteration: int) -> dict[str, Float32]:
        rng = stream(self.seed, Purpose.BATCH, iteration)
        blobs: list[Float32] = []
        rows: list[Boxes] = []
        for item in range(self.batch_size):
            image, boxes = self._example(self._index(iteration, item), rng)
            if blobs and image.shape != blobs[0].shape:
                raise DataError(
                    f"{self.where}: images of {blobs[0].shape} and {image.shape} in one batch: set"
                    " resize_param, or batch_size: 1"
                )
            blobs.append(image)
            boxes[:, 0] = item
            rows.append(boxes)
        return dict(zip(self.tops, (np.stack(blobs), _filled(np.concatenate(rows))), strict=False))

    def place(self, iteration: int, row: int) -> str:
        return self.source.place(self._index(iteration, row))

    def _index(self, iteration: int, item: int) -> int:
        return (self.skip + iteration * self.batch_size + item) % len(self.source)

    def _example(self, index: int, rng: np.random.Generator) -> tuple[Float32, Boxes]:
        place = self.source.place(index)
        annotated = _parse(self.source.records.value(index), place, typed=self.typed)
        forced = {"force_color": self.transform.force_color, "force_gray": self.transform.force_gray}
        image = datum_array(annotated.datum, place, max_pixels=self.max_pixels, **forced)
        seen = BoxedImage(image, _rows(annotated), annotated.datum.encoded)
        with naming(place):
            for change in self.changes:
                seen = change(seen, rng)
        image, rows = seen.image, seen.rows
        if self.warp is not None:
            image = self.warp(image, rng)
            rows[:, 3:5], rows[:, 5:7] = rows[:, 3:5].clip(0), rows[:, 5:7].clip(None, 1)
        rows = framed(rows, WHOLE, self.emit)
        if self.mirror and bool(rng.integers(2)):
            image = image[:, :, ::-1]
            rows[:, [3, 5]] = 1 - rows[:, [5, 3]]
        return self.transform(image), rows


def _rows(annotated: Any) -> Boxes:
    """The boxes of an AnnotatedDatum, (B, 8), as they are written."""
    rows = [
        (0, group.group_label, found.instance_id, box.xmin, box.ymin, box.xmax, box.ymax, box.difficult)
        for group in annotated.annotation_group
        for found in group.annotation
        for box in (found.bbox,)
    ]
    return np.array(rows, np.float32).reshape(-1, ROW)


def _parse(value: bytes, place: str, *, typed: bool) -> Any:
    """The AnnotatedDatum in a database's value. Raises DataError if there is none with boxes."""
    try:
        annotated = AnnotatedDatum.FromString(value)
    except DecodeError as error:
        raise DataError(
            f"{place}: the value of {len(value)} bytes is not an AnnotatedDatum: {error}"
        ) from error
    if not (typed or annotated.HasField("type")) or not annotated.HasField("datum"):
        raise DataError(f"{place}: expected an AnnotatedDatum with boxes (type: BBOX)")
    return annotated


def _filled(boxes: Boxes) -> Boxes:
    """The rows as a blob (1, 1, G, 8), with rows of -1 behind them."""
    most = max(FEWEST, 1 << max(len(boxes) - 1, 0).bit_length())
    return np.pad(boxes, [(0, most - len(boxes)), (0, 0)], constant_values=-1)[None, None]


def open_annotated(layer: DataLayer) -> AnnotatedFeed:
    """The feed of an AnnotatedData layer. Raises UnsupportedError, naming the field, for crops of a fixed
    size, mean files and resizing other than a warp; DataError for values that SSD refuses."""
    data = layer.param.data_param
    size = batch_size(data, layer.where)
    given = layer.param.transform_param
    if given.crop_size or given.HasField("mean_file"):
        raise UnsupportedError(
            f"{layer.where}: transform_param: crop_size and mean_file are not read with boxes"
        )
    with naming(layer.where):
        changes = (
            Distortion.from_param(given),
            Expansion.from_param(given, layer.max_pixels),
            PartSampling.from_param(layer.param.annotated_data_param, given),
        )
    return AnnotatedFeed(
        layer.where,
        layer.tops,
        open_database(data, layer.folder / data.source, layer.where),
        size,
        transform_of(layer, without=OWN_FIELDS),
        tuple(change for change in changes if change is not None),
        Warp.from_param(given, layer.where),
        given.mirror,
        EmitConstraint.from_param(given),
        layer.param.annotated_data_param.HasField("anno_type"),
        layer.seed,
        random_skip(data, layer.seed),
        layer.max_pixels,
    )
