"""An image with its boxes, and the parts and frames that SSD makes of it (not from BVLC Caffe; source:
weiliu89/caffe, branch ssd, ``DataTransformer`` and ``MeetEmitConstraint``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.decode import Pixels
from vggrepro.data.image_header import check_pixels
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError

ROW = 8
"""Index of the image in the batch, label, number among the label's boxes, xmin, ymin, xmax, ymax in units of
the image, and whether it is difficult."""

CORNERS = slice(3, 7)

BARE_BORDER = 32
"""What SSD puts around an image that is stored without encoding."""

Boxes = npt.NDArray[np.float32]
"""Rows (B, 8), or corners (B, 4)."""

Frame = npt.NDArray[np.float32]
"""xmin, ymin, xmax, ymax in units of an image; it may reach beyond it."""

WHOLE: Frame = np.array([0, 0, 1, 1], np.float32)


def crossings(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """The area that each of the corners ``a`` (A, 4) has in common with each of ``b`` (B, 4): (A, B)."""
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    area: npt.NDArray[np.float32] = (last - first).clip(0).prod(axis=2)
    return area


def areas(corners: Boxes) -> npt.NDArray[np.float32]:
    """The areas of boxes (B, 4); 0 where a corner is on the wrong side of the other."""
    area: npt.NDArray[np.float32] = (corners[:, 2:] - corners[:, :2]).clip(0).prod(axis=1)
    return area


@dataclass(frozen=True)
class EmitConstraint:
    """Which boxes stay in a frame: those whose centre is inside, or more than ``overlap`` of whose area."""

    overlap: float | None = None

    @classmethod
    def from_param(cls, transform: Any) -> EmitConstraint | None:
        """What a ``TransformationParameter`` says, or None."""
        if not transform.HasField("emit_constraint"):
            return None
        constraint = transform.emit_constraint
        return cls(constraint.emit_overlap if constraint.emit_type == constraint.MIN_OVERLAP else None)

    def stays(self, corners: Boxes, frame: Frame) -> npt.NDArray[np.bool_]:
        """For each of the boxes (B, 4) whether it stays: (B)."""
        if self.overlap is None:
            centres = (corners[:, :2] + corners[:, 2:]) / 2
            return np.asarray(((centres >= frame[:2]) & (centres <= frame[2:])).all(axis=1))
        area = areas(corners)
        covered = crossings(corners, frame[None])[:, 0] / np.where(area > 0, area, 1)
        return np.asarray(covered > np.float32(self.overlap))


def framed(rows: Boxes, frame: Frame, emit: EmitConstraint | None) -> Boxes:
    """The boxes in units of a frame, cut at its edges; without those that ``emit`` or the cut leaves out."""
    if emit is not None:
        rows = rows[emit.stays(rows[:, CORNERS], frame)]
    first, last = rows[:, 3:5], rows[:, 5:7]
    rows = rows[((first < frame[2:]) & (last > frame[:2])).all(axis=1)]
    corners = rows[:, CORNERS].reshape(-1, 2, 2)
    cut = ((corners - frame[:2]) / (frame[2:] - frame[:2])).clip(0, 1).reshape(-1, 4)
    kept = areas(cut) > 0
    moved = rows[kept]
    moved[:, CORNERS] = cut[kept]
    return moved


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """``image`` (C, H, W) and the ``rows`` of its boxes (B, 8). ``encoded``: it is stored as a file, and each
    change is stored as a JPEG of OpenCV's quality, 95, before the next one."""

    image: npt.NDArray[Any]
    rows: Boxes
    encoded: bool

    def pixels(self) -> Pixels:
        """The image as OpenCV has it: (H, W, C), uint8. Raises DataError for numbers that are no pixels."""
        if self.image.dtype != np.uint8:
            raise DataError("float_data can neither be cut nor widened nor recoloured")
        pixels: Pixels = np.ascontiguousarray(self.image.transpose(1, 2, 0))
        return pixels

    def changed(self, pixels: Pixels, rows: Boxes) -> BoxedImage:
        """With other pixels (H, W, C) and rows."""
        if self.encoded:
            cv2 = opencv()
            stored = cv2.imencode(".jpg", pixels)[1]
            pixels = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED).reshape(*pixels.shape[:2], -1)
        return replace(self, image=pixels.transpose(2, 0, 1), rows=rows)

    def part(self, frame: Frame, emit: EmitConstraint | None) -> BoxedImage:
        """What is inside a frame. Raises DataError if that is no whole pixel."""
        pixels = self.pixels()
        frame = frame.clip(0, 1)
        scaled = frame * np.array([*pixels.shape[1::-1]] * 2, np.float32)
        (left, top), (width, height) = scaled[:2].astype(int), (scaled[2:] - scaled[:2]).astype(int)
        if width < 1 or height < 1:
            raise DataError(
                f"a sampler cuts {width} x {height} pixels out of an image of {pixels.shape[1]} x"
                f" {pixels.shape[0]}: expected at least one; see min_scale"
            )
        cut = pixels[top : top + height, left : left + width]
        return self.changed(np.ascontiguousarray(cut), framed(self.rows, frame, emit))


class DrawnChange(Protocol):
    """A step that draws what it makes of an image."""

    def __call__(self, seen: BoxedImage, rng: np.random.Generator) -> BoxedImage: ...


@dataclass(frozen=True)
class Expansion:
    """SSD's ``expand_param``: with probability ``prob`` the image comes to lie anywhere in a larger one,
    whose sides are up to ``most`` times as long and whose other pixels are the mean."""

    prob: float
    most: float
    mean: tuple[float, ...]
    """One for all channels, or one for each; without any, 0."""
    emit: EmitConstraint | None
    max_pixels: int = MAX_PIXELS

    @classmethod
    def from_param(cls, transform: Any, max_pixels: int) -> Expansion | None:
        """What a ``TransformationParameter`` says, or None. Raises DataError for a ratio that widens
        nothing."""
        if not transform.HasField("expand_param"):
            return None
        p = transform.expand_param
        if p.max_expand_ratio <= 1:
            raise DataError(f"expand_param: max_expand_ratio must be above 1, got {p.max_expand_ratio:g}")
        return cls(
            p.prob,
            p.max_expand_ratio,
            tuple(transform.mean_value),
            EmitConstraint.from_param(transform),
            max_pixels,
        )

    def __call__(self, seen: BoxedImage, rng: np.random.Generator) -> BoxedImage:
        if rng.random() > self.prob or self.most - 1 < 1e-2:
            return seen
        pixels, ratio = seen.pixels(), rng.uniform(1, self.most)
        height, width, channels = pixels.shape
        high, wide = int(height * ratio), int(width * ratio)
        check_pixels(high, wide, "an image widened by expand_param", self.max_pixels)
        top, left = int(rng.uniform(0, high - height)), int(rng.uniform(0, wide - width))
        border = np.rint(self.mean or (0,)).clip(0, 255) if seen.encoded else BARE_BORDER
        if np.size(border) not in (1, channels):
            raise DataError(
                f"{len(self.mean)} mean_values for {channels} channels: expected one, or one for each"
            )
        widened = np.empty((high, wide, channels), np.uint8)
        widened[:] = border
        widened[top : top + height, left : left + width] = pixels
        sides = np.array([width, height] * 2, np.float32)
        frame = np.array([-left, -top, wide - left, high - top], np.float32) / sides
        return seen.changed(widened, framed(seen.rows, frame, self.emit))
