"""The arithmetic of sliding windows: sizes, and where each window begins and ends.

Convolution, deconvolution, im2col and pooling share it. Sizes are in elements along one spatial
axis. The rules are those of Caffe's ``base_conv_layer``, ``conv_layer``, ``deconv_layer`` and
``pooling_layer``, with the integer division of C++, which truncates toward zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, NamedTuple, TypeAlias

from vggrepro.emit import Dims, Shape
from vggrepro.errors import NetError, ShapeError, UnsupportedError


def extent(kernel: int, dilation: int = 1) -> int:
    """How far a window reaches: ``dilation * (kernel - 1) + 1``."""
    return dilation * (kernel - 1) + 1


def conv_size(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
    """Windows of a convolution: ``(size + 2 pad - extent) / stride + 1``, rounded toward zero.

    A window that is larger than its padded input by less than the stride still counts once, with
    zeros beyond the end: (2 - 3) / 2 is 0 in C++.
    """
    return int((size + 2 * pad - extent(kernel, dilation)) / stride) + 1


def deconv_size(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
    """Size of a deconvolution's top: ``stride * (size - 1) + extent - 2 pad``."""
    return stride * (size - 1) + extent(kernel, dilation) - 2 * pad


def pool_size(
    size: int, kernel: int, stride: int, pad: int, *, round_up: bool, clip: bool, behind: int | None = None
) -> int:
    """Windows of a pooling: ``(size + pad + behind - kernel) / stride + 1``, rounded up or down.

    ``behind``: the padding behind the end, where it is not ``pad``. ``clip``: drop the last window if it
    starts at or beyond ``size + pad``. Caffe does so on both axes as soon as either of them is padded, so the
    caller passes ``pad_h > 0 or pad_w > 0``.
    """
    steps = (size + pad + (pad if behind is None else behind) - kernel) / stride
    count = (ceil(steps) if round_up else floor(steps)) + 1
    if clip and (count - 1) * stride >= size + pad:
        count -= 1
    return count


def pool_end_pad(
    size: int | None,
    kernel: int,
    stride: int,
    pad: int,
    *,
    round_up: bool,
    clip: bool,
    behind: int | None = None,
) -> int:
    """Padding behind the end with which plain rounding down finds exactly the windows of Caffe.

    Window i begins at i * stride - pad. Rounding up keeps it if i * stride <= size + pad + behind - kernel +
    stride - 1, the clip rule if i * stride <= size + pad - 1; rounding down with an end padding e keeps
    it if i * stride <= size + pad + e - kernel. So e is the lesser of behind + stride - 1 and kernel - 1,
    whatever the size: None is a size that is not known. A known size gets no more than its last window
    needs. From ``kernel`` on, the last window lies wholly behind the end.
    """
    if size is None:
        end = pad if behind is None else behind
        reach = end + stride - 1 if round_up else end
        return min(reach, kernel - 1) if clip else reach
    count = pool_size(size, kernel, stride, pad, round_up=round_up, clip=clip, behind=behind)
    return max((count - 1) * stride + kernel - pad - size, 0)


EdgePads: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"
"""Padding of height and width: before the first element, and behind the last."""


def edge_pads(param: Any) -> EdgePads | None:
    """``pad_t`` and ``pad_l``, ``pad_b`` and ``pad_r`` of a message (synopsys-caffe); None where none of them
    is set to more than 0. Raises NetError where ``pad`` or ``pad_h`` and ``pad_w`` are given too."""
    before, behind = (param.pad_t, param.pad_l), (param.pad_b, param.pad_r)
    if not any((*before, *behind)):
        return None
    given = [field.name for field, _ in param.ListFields() if field.name in ("pad", "pad_h", "pad_w")]
    if given:
        raise NetError(f"Either {given[0]} or pad_l/r/t/b should be specified; not both.")
    return before, behind


class Span(NamedTuple):
    """One window of a pooling along one axis."""

    begin: int
    """First element, inside the input (0 .. size)."""
    end: int
    """Behind the last element, inside the input. ``end <= begin``: the window lies wholly outside."""
    padded: int
    """Elements counted by an average: up to the end of the padding, so explicit padding counts."""


def pool_spans(
    size: int, kernel: int, stride: int, pad: int, count: int, behind: int | None = None
) -> list[Span]:
    """The ``count`` windows of a pooling over ``size`` elements, in order. ``behind``: as for the size."""
    spans = []
    for index in range(count):
        begin = index * stride - pad
        end = min(begin + kernel, size + (pad if behind is None else behind))
        spans.append(Span(max(begin, 0), min(end, size), end - begin))
    return spans


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution: one entry for each spatial axis, outermost first."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @property
    def extents(self) -> Shape:
        return tuple(map(extent, self.kernel, self.dilation))

    @property
    def pointwise(self) -> bool:
        """1x1 with stride 1 and no padding: a plain matrix product over the channels."""
        return all(k == s == 1 and p == 0 for k, s, p in zip(self.kernel, self.stride, self.pad, strict=True))

    def conv_sizes(self, sizes: Dims) -> Dims:
        """Sizes of a convolution's top; None for None."""
        return self._sizes(conv_size, sizes)

    def deconv_sizes(self, sizes: Dims) -> Dims:
        """Sizes of a deconvolution's top; None for None."""
        return self._sizes(deconv_size, sizes)

    def _sizes(self, rule: Callable[[int, int, int, int, int], int], sizes: Dims) -> Dims:
        windows = zip(sizes, self.kernel, self.stride, self.pad, self.dilation, strict=True)
        return tuple(None if size is None else rule(size, *window) for size, *window in windows)

    def short_axes(self, sizes: Dims, first: int) -> frozenset[int]:
        """The axes, counted from ``first``, where :meth:`shortfall` is not 0."""
        return frozenset(axis for axis, lacking in enumerate(self.shortfall(sizes), first) if lacking)

    def shortfall(self, sizes: Dims) -> Shape:
        """Zeros that Caffe reads beyond the padded end, where a window is larger than all of its
        input (see :func:`conv_size`); 0 elsewhere, and where the size is not known."""
        return tuple(
            0 if size is None else max(reach - size - 2 * pad, 0)
            for size, reach, pad in zip(sizes, self.extents, self.pad, strict=True)
        )


_REPEATED = ("kernel_size", "stride", "pad", "dilation")
_PAIRS = {"kernel": "kernel", "stride": "stride", "pad": "pad", "hole": "dilation"}


SHAPES = ("kernel_shape", "stride_shape", "pad_shape")
"""Fields of the windows of NdConvolution and NdPooling (video-caffe): a ``BlobShape`` each."""


def refuse_temporal(param: Any) -> None:
    """Raise UnsupportedError for the fields of C3D's and video-caffe's layers in a message of another one."""
    for name in ("kernel_depth", "temporal_stride", "temporal_pad", "filter_group", *SHAPES):
        if name in param.DESCRIPTOR.fields_by_name and param.HasField(name):
            known = (
                "NdConvolution and NdPooling"
                if name in SHAPES
                else "Convolution3D, Deconvolution3D and Pooling3D"
            )
            raise UnsupportedError(f"{name} is for {known} alone")


def shapes_param(param: Any, read: Collection[str], type_: str) -> tuple[Shape, Shape, Shape]:
    """Kernel, stride and padding from the ``SHAPES`` of a message, one value for each axis.

    ``type_``: the layer's type, for messages. Raises NetError where they do not fit together, and
    UnsupportedError for a field that is neither one of ``SHAPES`` nor of ``read``: the layer reads no other.
    """
    for field, _ in param.ListFields():
        if field.name not in (*SHAPES, *read):
            raise UnsupportedError(f"{type_} does not read {field.name}")
    if not param.kernel_shape.dim:
        raise NetError(f"{type_}: Kernel shape is required.")
    kernel = tuple(param.kernel_shape.dim)
    stride = tuple(param.stride_shape.dim) if param.HasField("stride_shape") else (1,) * len(kernel)
    padding = tuple(param.pad_shape.dim) if param.HasField("pad_shape") else (0,) * len(kernel)
    if {len(stride), len(padding)} != {len(kernel)}:
        raise NetError(
            f"{type_}: Kernel shape {kernel}, stride shape {stride} and pad shape {padding} don't match"
        )
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise NetError(
            f"{type_}: kernel and stride must be positive and padding at least 0, got {kernel}, {stride}"
            f" and {padding}"
        )
    return kernel, stride, padding


@dataclass(frozen=True)
class WindowParam:
    """What a ``ConvolutionParameter`` says of its windows, before the number of axes is known."""

    repeated: tuple[tuple[str, Shape], ...]
    """``kernel_size``, ``stride``, ``pad`` and ``dilation`` as given: never, once, or once per axis."""
    height_width: tuple[tuple[str, tuple[int, int]], ...]
    """``kernel``, ``stride``, ``pad`` and ``dilation``, where given for height and width."""

    @classmethod
    def from_param(cls, param: Any) -> WindowParam:
        """``param``: a ``ConvolutionParameter`` message, whose ``hole`` (DeepLab) is a dilation. Padding that
        is the same on both sides may be given by side (synopsys-caffe)."""
        refuse_temporal(param)
        given = {name: tuple(map(int, getattr(param, name))) for name in _REPEATED}
        pairs = {
            meant: (int(getattr(param, f"{name}_h")), int(getattr(param, f"{name}_w")))
            for name, meant in _PAIRS.items()
            if param.HasField(f"{name}_h") or param.HasField(f"{name}_w")
        }
        if param.HasField("hole"):
            if given["dilation"] not in ((), (param.hole,)):
                raise NetError(f"hole {param.hole} and dilation {given['dilation']}: expected one of them")
            given["dilation"] = (int(param.hole),)
        if 0 in (*given["dilation"], *pairs.get("dilation", ())):
            raise UnsupportedError("dilation 0 is not supported")
        edges = edge_pads(param)
        if edges is not None and edges[0] == edges[1]:
            pairs["pad"] = edges[0]
        return cls(tuple(given.items()), tuple(pairs.items()))

    @classmethod
    def of_kernel(cls, *kernel: int) -> WindowParam:
        """Windows of this kernel with stride 1, without padding or dilation."""
        return cls((("kernel_size", kernel), ("stride", ()), ("pad", ()), ("dilation", ())), ())

    def resolve(self, axes: int) -> Windows:
        """The windows over ``axes`` spatial axes. Raises ShapeError as Caffe's ``LayerSetUp``."""
        given = dict(self.repeated)
        kernel = self._field("kernel", "kernel_size", given["kernel_size"], None, axes)
        if 0 in kernel:
            raise ShapeError("Filter dimensions must be nonzero.")
        stride = self._field("stride", "stride", given["stride"], 1, axes)
        if 0 in stride:
            raise ShapeError("Stride dimensions must be nonzero.")
        pad = self._field("pad", "pad", given["pad"], 0, axes)
        dilation = self._field("dilation", "dilation", given["dilation"], 1, axes)
        return Windows(kernel, stride, pad, dilation)

    def _field(self, name: str, repeated: str, given: Shape, default: int | None, axes: int) -> Shape:
        pair = dict(self.height_width).get(name)
        if pair is not None:
            if axes != 2:
                raise ShapeError(f"{name}_h & {name}_w can only be used for 2D convolution.")
            if given:
                raise ShapeError(f"Either {repeated} or {name}_h/w should be specified; not both.")
            return pair
        if not given and default is not None:
            return (default,) * axes
        if len(given) not in (1, axes):
            raise ShapeError(
                f"{repeated} must be specified once, or once per spatial dimension"
                f" ({repeated} specified {len(given)} times; {axes} spatial dims)."
            )
        return given * axes if len(given) == 1 else given
