"""AnnotatedData, ImageSegData and others: data layers of forks as inputs of the graph (not from BVLC Caffe).

Their own fields say how data are read, which is done elsewhere: they are not looked at. Shapes follow from
the fields that BVLC's data layers have too, as far as these tell; others must be given as input shapes.
Sources: weiliu89/caffe (AnnotatedData, VideoData), facebookarchive/C3D (VideoData), s9xie/hed
(ImageLabelmapData), alexgkendall/caffe-segnet (DenseImageData), DeepLab (ImageSegData).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from vggrepro.emit import Shape
from vggrepro.layers.base import Shapes, at_least, register
from vggrepro.layers.rules.source import SourceLayer


@dataclass(frozen=True)
class ForkData(SourceLayer):
    """Tops: images (N, C, H, W), then what the fork calls labels. Stands for any type without bottoms whose
    name says that it gives data, and for Python layers without bottoms."""

    type = "Data of forks"
    origin = "forks"
    tops = at_least(1)
    own_fields = True

    label_maps: ClassVar[bool] = False
    """True where the second top holds a label for each place of an image, (N, 1, H, W)."""

    images: Shape | None = None
    """The shape of the first top, if the definition tells it."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ForkData:
        batch = param.data_param.batch_size if param.HasField("data_param") else 0
        batch = batch or _listed(param).batch_size
        height, width = _size(param)
        if not all((batch, height, width)) or param.type == "Python":
            return cls()
        return cls((batch, _channels(param), height, width))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return () if self.images is None else self.shapes_beside(self.images)

    def shapes_beside(self, first: Shape) -> tuple[Shape, ...]:
        return (first, (first[0], 1, *first[2:])) if self.label_maps and len(first) == 4 else (first,)


def _listed(param: Any) -> Any:
    """What a layer says of a list of image files: SegNet's layer in its own words, others as ImageData."""
    dense = param.HasField("dense_image_data_param")
    return param.dense_image_data_param if dense else param.image_data_param


def _size(param: Any) -> tuple[int, int]:
    """Height and width of what a layer gives; 0 where its definition does not tell."""
    transform, images = param.transform_param, _listed(param)
    if transform.crop_size:
        return transform.crop_size, transform.crop_size
    if transform.crop_h and transform.crop_w:
        return transform.crop_h, transform.crop_w
    sizes = {_resized(resize) for resize in transform.resize_param}
    if len(sizes) == 1 and all(*sizes):
        return sizes.pop()
    return (0, 0) if len(sizes) > 1 else (images.new_height, images.new_width)


def _resized(resize: Any) -> tuple[int, int]:
    """Height and width of resized images; 0 where they keep their proportions."""
    return (resize.height, resize.width) if resize.resize_mode == resize.WARP else (0, 0)


def _channels(param: Any) -> int:
    if param.transform_param.force_gray or not _listed(param).is_color:
        return 1
    return len(param.transform_param.mean_value) if len(param.transform_param.mean_value) > 1 else 3


@register
@dataclass(frozen=True)
class AnnotatedData(ForkData):
    """SSD's images and their boxes (1, 1, boxes, 8), of which the definition does not tell how many."""

    type = "AnnotatedData"
    origin = "SSD"


@register
@dataclass(frozen=True)
class VideoData(ForkData):
    """Frames of a video; C3D's are (N, 3, frames, H, W), which its version 1.0 tells by ``new_length``."""

    type = "VideoData"
    origin = "SSD, TSN, C3D"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ForkData:
        layer = super().from_param(param, phase)
        length = param.image_data_param.new_length
        if not length or layer.images is None:
            return layer
        if param.image_data_param.is_flow:
            return cls()
        batch, _, *sizes = layer.images
        return cls((batch, 3, length, *sizes))


@register
@dataclass(frozen=True)
class ImageSegData(ForkData):
    """Images and their segmentations; a third top, if any, tells their sizes."""

    type = "ImageSegData"
    origin = "DeepLab"
    label_maps = True


@register
@dataclass(frozen=True)
class DenseImageData(ForkData):
    """Images and their segmentations."""

    type = "DenseImageData"
    origin = "SegNet"
    label_maps = True


@register
@dataclass(frozen=True)
class ImageLabelmapData(ForkData):
    """Images and their maps of edges."""

    type = "ImageLabelmapData"
    origin = "HED"
    label_maps = True
