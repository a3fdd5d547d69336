"""What the loss layers and Accuracy share: Caffe's LossLayer, labels, and ``loss_param``.

Labels arrive as float32 blobs, as everything in Caffe does; they are truncated to integers. A label
names one class on the class axis of the predictions, so it must lie in [0, C): beyond that Caffe
reads foreign memory. Here the graph's result is undefined too, so labels are checked before it runs
(:mod:`vggrepro.layers.rules.allowed_labels`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, Dims, GraphBuilder, Shape, Value
from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Layer, Needed, Shapes, exactly
from vggrepro.layers.rules.axes import canonical_axis

FLT_MIN = float(np.finfo(np.float32).tiny)
"""The smallest probability whose logarithm SoftmaxWithLoss takes: its loss ends at 87.3."""

LOG_THRESHOLD = float(np.float32(1e-20))
"""The same for MultinomialLogisticLoss and InfogainLoss (Caffe's kLOG_THRESHOLD): it ends at 46.1."""


class Normalization(IntEnum):
    """``LossParameter.NormalizationMode``: what the sum of the single losses is divided by."""

    FULL = 0
    """The number of labels, ignored ones included."""
    VALID = 1
    """The number of labels that are not ignored."""
    BATCH_SIZE = 2
    """The product of the sizes before the class axis."""
    NONE = 3
    """One."""
    PRE_FIXED = 100_001
    """The number ``pre_fixed_normalizer`` (R-FCN's mode; not from BVLC Caffe)."""


@dataclass(frozen=True)
class ClassIndex:
    """Labels as indices along a class axis.

    ``index``: int64, shaped as the predictions with size 1 on the class axis; 0 where ignored.
    ``ignored``: bool of the same shape, or None where no label can be ignored.
    """

    index: str
    ignored: str | None

    def counted(self, g: GraphBuilder, tensor: str) -> str:
        """``tensor`` with zeros for ignored labels, whatever it holds there (NaN included)."""
        return tensor if self.ignored is None else g.op("Where", self.ignored, g.const(0), tensor)


@dataclass(frozen=True)
class Averaging:
    """``loss_param``: which label does not count, and what the summed loss is divided by."""

    mode: Normalization = Normalization.VALID
    ignore_label: int | None = None
    fixed: float = 1.0
    """The divisor of PRE_FIXED."""

    @classmethod
    def from_param(
        cls, loss_param: Any, unset: Normalization = Normalization.VALID, *, weighted: bool = False
    ) -> Averaging:
        """``unset`` is the mode of a layer whose parameters name none. Raises UnsupportedError for weights of
        classes, unless the layer is ``weighted``: it takes care of them itself."""
        if loss_param.weight_by_label_freqs and not weighted:
            raise UnsupportedError("loss_param: weight_by_label_freqs is for SoftmaxWithLoss alone")
        mode = Normalization(loss_param.normalization) if loss_param.HasField("normalization") else unset
        if loss_param.HasField("normalize") and not loss_param.HasField("normalization"):
            mode = Normalization.VALID if loss_param.normalize else Normalization.BATCH_SIZE
        ignored = loss_param.ignore_label if loss_param.HasField("ignore_label") else None
        return cls(mode, ignored, loss_param.pre_fixed_normalizer)

    def divisor(
        self, g: GraphBuilder, predictions: Value, label: Value, axis: int, ignored: str | None
    ) -> str:
        """The divisor, float32 (). At least 1, so that a batch without a counted label loses 0."""
        if self.mode == Normalization.NONE:
            return g.const(1)
        if self.mode == Normalization.PRE_FIXED:
            return g.const(max(self.fixed, 1))
        if self.mode == Normalization.VALID and ignored is not None:
            number = g.op("ReduceSum", g.op("Cast", g.op("Not", ignored), to=FLOAT), keepdims=0)
        elif self.mode == Normalization.BATCH_SIZE:
            number = count(g, predictions, 0, axis)
        else:
            number = count(g, label)
        return g.op("Max", number, g.const(1))

    def reference_divisor(self, outer: int, counted: npt.NDArray[np.bool_]) -> float:
        """The same in NumPy. ``outer``: sizes before the class axis; ``counted``: one flag a label."""
        number = {
            Normalization.FULL: counted.size,
            Normalization.VALID: int(counted.sum()),
            Normalization.BATCH_SIZE: outer,
            Normalization.NONE: 1,
            Normalization.PRE_FIXED: self.fixed,
        }[self.mode]
        return float(max(number, 1))


S = TypeVar("S")
"""What a loss layer saves for its backward rule."""


class LossLayer(Layer[S]):
    """Caffe's LossLayer: predictions and labels in, a loss of shape () out, no gradient to labels."""

    loss = True
    bottoms = exactly(2)
    blind_bottoms = frozenset({1})

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        return ((),)

    def refuse(self, needed: Needed, index: int, what: str) -> None:
        """Raises GradientError where a bottom without a rule needs a gradient: Caffe stops there."""
        if needed.bottoms[index]:
            raise GradientError(f"{self.type} Layer cannot backpropagate to {what} inputs.")


def check_loss_weights(param: Any) -> None:
    """A loss layer without ``loss_weight`` has exactly one: with two tops both must be given."""
    weights = len(param.loss_weight) or 1
    if len(param.top) > weights:
        raise NetError(
            "loss_weight must be unspecified or specified once per top blob."
            f" ({len(param.top)} vs. {weights})"
        )


def check_softmax(param: Any, *, weighted: bool = False) -> None:
    """Raises UnsupportedError for a temperature of a loss's softmax: forks do not agree whether backward
    divides by it too; for other places than channels; and for the weight of a class, unless the layer is
    ``weighted``."""
    p = param.softmax_param
    if p.temperature not in (0, 1):
        raise UnsupportedError("softmax_param: temperature is implemented for Softmax alone")
    if p.dimension != "channel":
        raise UnsupportedError("softmax_param: dimension is implemented for Softmax alone")
    if not weighted and (p.HasField("pos_mult") or p.HasField("pos_cid")):
        raise UnsupportedError("softmax_param: pos_mult and pos_cid are for WeightedSoftmaxWithLoss alone")


def check_first_sizes(bottoms: Shapes) -> None:
    if bottoms[0][:1] != bottoms[1][:1] or not bottoms[0]:
        raise ShapeError(
            "The data and label should have the same first dimension."
            f" ({tuple(bottoms[0])} vs. {tuple(bottoms[1])})"
        )


def check_legacy(shape: Shape) -> None:
    """Caffe's ``num()``, ``channels()``, ``height()`` and ``width()`` know no fifth axis."""
    if len(shape) > 4:
        raise ShapeError(
            f"num_axes() <= 4 ({len(shape)} vs. 4) Cannot use legacy accessors on Blobs with > 4 axes."
        )


def legacy_size(shape: Shape, axis: int) -> int:
    """Caffe's ``LegacyShape``: an axis that a blob does not have counts as 1."""
    check_legacy(shape)
    return shape[axis] if axis < len(shape) else 1


def check_ones(bottoms: Shapes, index: int, *names: str) -> None:
    """One bottom has a size of 1 on the axes of these legacy names."""
    for axis, name in enumerate(("num", "channels", "height", "width")):
        size = legacy_size(bottoms[index], axis)
        if name in names and size != 1:
            raise ShapeError(f"bottom[{index}]->{name}() == 1 ({size} vs. 1)")


def check_label_count(bottoms: Shapes, axis: int, axis_name: str) -> int:
    """One label for each prediction. Returns the class axis, counted from the front."""
    predictions, label = bottoms[0], bottoms[1]
    axis = canonical_axis(axis, predictions, f"{axis_name} axis")
    outer_inner = math.prod(predictions[:axis]) * math.prod(predictions[axis + 1 :])
    if outer_inner != math.prod(label):
        raise ShapeError(
            f"outer_num_ * inner_num_ == bottom[1]->count() ({outer_inner} vs. {math.prod(label)})"
            " Number of labels must match number of predictions;"
            f" e.g., if {axis_name} axis == 1 and prediction shape is (N, C, H, W),"
            " label count (number of labels) must be N*H*W,"
            " with integer values in {0, 1, ..., C-1}."
        )
    return axis


def count(g: GraphBuilder, value: Value, start: int = 0, end: int | None = None) -> str:
    """Caffe's ``count(start, end)``: the product of these sizes as float32 (), constant if known."""
    dims = value.dims[start:end]
    if None not in dims:
        return g.const(math.prod(d for d in dims if d is not None))
    stop = len(value.dims) if end is None else end
    sizes = g.op("Cast", g.op("Shape", value.name, start=start, end=stop), to=FLOAT)
    return g.op("ReduceProd", sizes, keepdims=0)


def from_zero(g: GraphBuilder, total: str) -> str:
    """A sum of logarithms with its sign turned. Caffe takes each from 0: no loss at all is 0, not -0."""
    return g.op("Sub", g.const(0), total)


def shaped_like(g: GraphBuilder, value: Value, like: Value, class_axis: int | None = None) -> str:
    """``value`` in the shape of ``like``, with size 1 on ``class_axis``."""
    dims: Dims = tuple(1 if axis == class_axis else d for axis, d in enumerate(like.dims))
    if dims.count(None) <= 1:
        if value.dims == dims:
            return value.name
        return g.op("Reshape", value.name, g.ints([-1 if d is None else d for d in dims]))
    if class_axis is None:
        return g.op("Reshape", value.name, g.op("Shape", like.name))
    before = [g.op("Shape", like.name, start=0, end=class_axis)] if class_axis else []
    after = [g.op("Shape", like.name, start=class_axis + 1)] if class_axis + 1 < like.rank else []
    return g.op("Reshape", value.name, g.op("Concat", *before, g.ints([1]), *after, axis=0))


def class_index(
    g: GraphBuilder, predictions: Value, label: Value, axis: int, ignore_label: int | None = None
) -> ClassIndex:
    """The labels as indices for GatherElements and ScatterElements along ``axis``."""
    index = g.op("Cast", shaped_like(g, label, predictions, axis), to=INT64)
    if ignore_label is None:
        return ClassIndex(index, None)
    ignored = g.op("Equal", index, g.ints(ignore_label))
    return ClassIndex(g.op("Where", ignored, g.ints(0), index), ignored)


def instances(g: GraphBuilder, predictions: Value) -> Value:
    """Predictions as (N, C*H*W): the losses that know no class axis index within an instance."""
    rest = predictions.dims[1:]
    size = None if None in rest else math.prod(d for d in rest if d is not None)
    return Value(g.op("Flatten", predictions.name, axis=1), (predictions.dims[0], size))


def instance_labels(g: GraphBuilder, rows: Value, label: Value) -> str:
    """The first N values of ``label`` as int64 (N, 1): Caffe reads no further, whatever follows. Two numbers
    that are free need not be equal."""
    values = g.op("Cast", g.op("Reshape", label.name, g.ints([-1])), to=INT64)
    if label.dims[:1] != rows.dims[:1] or None in label.dims[:1] or any(d != 1 for d in label.dims[1:]):
        values = g.op("Slice", values, g.ints([0]), g.op("Shape", rows.name, start=0, end=1))
    return g.op("Unsqueeze", values, g.ints([1]))


def reference_rows(predictions: Array, axis: int) -> Array:
    """Predictions as (labels, C), in the order of the labels."""
    return np.moveaxis(predictions, axis, -1).reshape(-1, predictions.shape[axis])


def reference_labels(
    label: Array, ignore_label: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Labels as integers (0 where ignored), and which of them count."""
    values = np.trunc(label.reshape(-1)).astype(np.int64)
    counted = np.ones(values.shape, bool) if ignore_label is None else values != ignore_label
    return np.where(counted, values, 0), counted


def reference_instances(predictions: Array, label: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Predictions as (N, C*H*W) and their N labels."""
    rows = predictions.reshape(len(predictions), -1)
    return rows, np.trunc(label.reshape(-1)[: len(rows)]).astype(np.int64)
