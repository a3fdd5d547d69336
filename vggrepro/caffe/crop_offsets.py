"""Where the V1 type ``CROP`` of FCN's Caffe cuts: it has no parameters, the net's layers tell.

Source: longjon/caffe, ``crop_layer.cpp`` and ``coords.hpp``. Each layer maps the coordinates of its first
bottom to those of its top. From the blob at which the ways back from both bottoms meet, one goes forth to
either: the offset is where the first element of the second bottom lies in the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.errors import UpgradeError

PASS_THROUGH = (
    *("AbsVal", "BNLL", "Dropout", "Eltwise", "Exp", "LRN", "Power"),
    *("ReLU", "Sigmoid", "Split", "TanH", "Threshold"),
)
"""Types that leave every value where it is."""

HEIGHT, WIDTH = 0, 1


class _Map(NamedTuple):
    """A coordinate x of one blob is ``scale * x + shift`` in another."""

    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def after(self, first: _Map) -> _Map:
        return _Map(self.scale * first.scale, self.scale * first.shift + self.shift)

    def inverse(self) -> _Map:
        return _Map(1 / self.scale, -self.shift / self.scale)


def set_crop_offsets(net: NetParameter, crops: Collection[int]) -> None:
    """Give the layers with these indices, which are Crop layers without offsets, those of FCN's Caffe. One
    that has not two bottoms is left as it is.

    Raises UpgradeError where that stops: for bottoms without a blob in common or on different scales, and for
    offsets that are negative or no whole numbers; and for a layer between whose map is not known here.
    """
    makers: dict[str, LayerParameter] = {}
    for index, layer in enumerate(net.layer):
        if index in crops and len(layer.bottom) == 2:
            layer.crop_param.axis = 2
            layer.crop_param.offset[:] = [_offset(layer, makers, axis) for axis in (HEIGHT, WIDTH)]
        for top in set(layer.top) - set(layer.bottom):  # layers in place leave every value where it is
            makers.setdefault(top, layer)


def _offset(crop: LayerParameter, makers: Mapping[str, LayerParameter], axis: int) -> int:
    ways = [_way_back(bottom, makers) for bottom in crop.bottom]
    shared = next((blob for blob in ways[1] if blob in ways[0]), None)
    if shared is None:
        raise UpgradeError(f"layer {crop.name!r}: Cannot align apparently disconnected blobs.")
    data, size = (_map(way[: way.index(shared)], makers, axis) for way in ways)
    scale, shift = size.after(data.inverse())
    if scale != 1 or shift > 0 or shift.denominator != 1:
        raise UpgradeError(
            f"layer {crop.name!r}: a coordinate x of bottom[0] is {scale} x + {shift} in bottom[1];"
            " expected x less a whole number"
        )
    return -int(shift)


def _way_back(blob: str, makers: Mapping[str, LayerParameter]) -> list[str]:
    """The blob, the first bottom of the layer that makes it, and so on."""
    way = [blob]
    while way[-1] in makers and makers[way[-1]].bottom:
        way.append(makers[way[-1]].bottom[0])
    return way


def _map(blobs: list[str], makers: Mapping[str, LayerParameter], axis: int) -> _Map:
    """From what the layers that make these blobs, the last one first, are given to the first blob."""
    whole = _Map()
    for blob in blobs:
        whole = whole.after(_own_map(makers[blob], axis))
    return whole


def _own_map(layer: LayerParameter, axis: int) -> _Map:
    if layer.type in PASS_THROUGH:
        return _Map()
    if layer.type == "Crop" and len(layer.crop_param.offset) == 2:
        return _Map(shift=Fraction(-layer.crop_param.offset[axis]))
    if layer.type in ("Convolution", "Deconvolution"):
        filters = _filter_map(layer.convolution_param, axis)
        return filters if layer.type == "Deconvolution" else filters.inverse()
    if layer.type == "Pooling" and not layer.pooling_param.global_pooling:
        return _filter_map(layer.pooling_param, axis).inverse()
    raise UpgradeError(f"layer {layer.name!r}: how {layer.type} moves coordinates is not known, for CROP")


def _filter_map(param: Any, axis: int) -> _Map:
    """From the index of a window to the coordinate of its middle."""
    kernel, stride, pad = (
        _size(param, name, square, unset, axis)
        for name, square, unset in (("kernel", "kernel_size", 0), ("stride", "stride", 1), ("pad", "pad", 0))
    )
    if 0 in (kernel, stride):
        raise UpgradeError("CROP: a layer between its bottoms has no kernel or stride")
    return _Map(Fraction(stride), Fraction(kernel - 1, 2) - pad)


def _size(param: Any, name: str, square: str, unset: int, axis: int) -> int:
    own = f"{name}_{'hw'[axis]}"
    if param.HasField(own):
        return int(getattr(param, own))
    value = getattr(param, square)
    if isinstance(value, int):
        return value
    return int(value[min(axis, len(value) - 1)]) if value else unset
