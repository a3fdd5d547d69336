"""Data, ImageData, HDF5Data, MemoryData, WindowData: Caffe's data layers as inputs of the graph.

DEVIATION: Caffe's layers read their sources themselves.

The tops are fed as Caffe's layer would produce them: mean, scale, crop and mirror of
``transform_param`` are the loader's work. Shapes follow from the parameters as far as these tell;
what only the files tell must be given as an input shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.layers.base import Count, Shapes, at_least, exactly, register
from vggrepro.layers.rules.source import SourceLayer


@dataclass(frozen=True)
class ImageSource(SourceLayer):
    """Images (N, C, H, W), B, G, R, and one label each (N,). Sizes of 0 are unknown."""

    batch: int
    channels: int
    height: int
    width: int
    labels: bool
    tells_shape: str

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        data = (self.batch, self.channels, self.height, self.width)
        return self.shapes_beside(data) if all(data) else ()

    def shapes_beside(self, first: Shape) -> tuple[Shape, ...]:
        return (first, first[:1]) if self.labels else (first,)


def _channels(transform: Any, default: int = 3) -> int:
    """Several mean values tell the number of channels; ``force_gray`` makes it 1."""
    if transform.force_gray:
        return 1
    return len(transform.mean_value) if len(transform.mean_value) > 1 else default


@register
@dataclass(frozen=True)
class Data(ImageSource):
    """Images of a database. Its first record gives the size where there is no crop; colour images are
    assumed unless ``mean_value`` or ``force_gray`` say otherwise."""

    type = "Data"
    varies = True
    tops = Count(1, 2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Data:
        crop = param.transform_param.crop_size
        return cls(
            batch=param.data_param.batch_size,
            channels=_channels(param.transform_param),
            height=crop,
            width=crop,
            labels=len(param.top) > 1,
            tells_shape="batch_size and transform_param.crop_size tell it, or the database's first record",
        )


@register
@dataclass(frozen=True)
class ImageData(ImageSource):
    """Images of a list of files, resized to ``new_height`` x ``new_width``, then cropped."""

    type = "ImageData"
    varies = True
    tops = exactly(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ImageData:
        p, crop = param.image_data_param, param.transform_param.crop_size
        if (p.new_height == 0) != (p.new_width == 0):
            raise NetError(
                "Current implementation requires new_height and new_width to be"
                f" set at the same time. (got {p.new_height} and {p.new_width})"
            )
        if p.batch_size == 0:
            raise NetError("Positive batch size required")
        return cls(
            batch=p.batch_size,
            channels=3 if p.is_color else 1,
            height=crop or p.new_height,
            width=crop or p.new_width,
            labels=True,
            tells_shape="new_height and new_width or transform_param.crop_size tell it, or the first image",
        )


@register
@dataclass(frozen=True)
class MemoryData(SourceLayer):
    """Arrays ``shape``, such as images (N, C, H, W), that a program hands over, and one label each. All sizes
    are parameters. naibaf7's fork has a list of them, ``dim``, and needs no top for labels, which have as
    many axes as the data there."""

    type = "MemoryData"
    tops = Count(1, 2)

    shape: Shape
    labels: Shape | None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MemoryData:
        p = param.memory_data_param
        if p.dim:
            shape = tuple(p.dim)
            return cls(shape, (shape[0], *(1 for _ in shape[1:])) if len(param.top) > 1 else None)
        sizes = (p.batch_size, p.channels, p.height, p.width)
        if not all(sizes):
            raise NetError(
                "batch_size, channels, height, and width must be specified and"
                f" positive in memory_data_param; got {sizes}"
            )
        if len(param.top) != 2:
            raise NetError(f"MemoryData without dim takes exactly 2 tops, got {len(param.top)}")
        return cls(sizes, sizes[:1])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (self.shape,) if self.labels is None else (self.shape, self.labels)


@register
@dataclass(frozen=True)
class WindowData(ImageSource):
    """Windows of images, warped to ``transform_param.crop_size``."""

    type = "WindowData"
    tops = exactly(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> WindowData:
        crop = param.transform_param.crop_size
        return cls(
            batch=param.window_data_param.batch_size,
            channels=_channels(param.transform_param),
            height=crop,
            width=crop,
            labels=True,
            tells_shape="batch_size and transform_param.crop_size tell it",
        )


@register
@dataclass(frozen=True)
class HDF5Data(SourceLayer):
    """The data sets of HDF5 files, one for each top; only the files know their shapes."""

    type = "HDF5Data"
    tops = at_least(1)
    tells_shape = "its files tell it: hdf5_data_param.source"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HDF5Data:
        if param.HasField("transform_param"):
            raise NetError("HDF5Data does not transform data.")
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ()
