"""What each target may not contain, as data.

A row says which nodes a target lacks or gets wrong, why, and on which version that was seen; its remedy is
a graph step, and a row without one refuses the net. Rows are applied in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vggrepro.errors import UnsupportedError
from vggrepro.graph.targets import conditions, rewrites
from vggrepro.graph.targets.draft import Place, Rule
from vggrepro.graph.targets.opsets import sizes_of_all_axes

Condition = Callable[[Place], bool]


def anywhere(_: Place) -> bool:
    return True


def names(text: str) -> frozenset[str]:
    """The operators that a text lists."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Lack:
    """Nodes of an ``operator`` (where the condition holds) that a target must not be given."""

    operator: str
    reason: str
    seen: str
    """The version of the runtime on which it was seen, or the document that says so."""
    where: Condition = anywhere
    remedy: Rule | None = None


@dataclass(frozen=True)
class Target:
    """A runtime that graphs are made for."""

    name: str
    title: str
    exact: bool = False
    """Whether it gets Caffe's exact forms in place of plain operators."""
    fixed: bool = False
    """Whether every size must be fixed."""
    note: str = ""
    """What a user must know who converts for it."""
    opset: int = 18
    operators: frozenset[str] | None = None
    """The operators that it has; None: all that ONNX has."""
    scalars: bool = True
    """Whether it has tensors without axes; otherwise they get one of size 1."""
    unread_inputs: bool = True
    """Whether an input may be there that nothing reads."""
    inner_tensors: bool = True
    """Whether it gives no wrong values for a tensor that is asked for by its name and is no output."""
    own_detections: bool = False
    """Whether DetectionOutput is an operator of its own, which it calls as one of ONNX's."""
    names: str = ""
    """Characters that names of outputs must not have."""
    lacks: tuple[Lack, ...] = ()


def lacks(operators: str, reason: str, seen: str, **how: Any) -> tuple[Lack, ...]:
    """The same row for several operators."""
    return tuple(Lack(operator, reason, seen, **how) for operator in operators.split())


_SLOPES = "slopes along another axis than the channels give wrong values"
_UNUSED = "infinite values in unused places of its memory layout reach the next convolution"

OPENCV5 = (
    Lack(
        "Where",
        "its importer's rows behind detections are 0",
        "OpenCV 4.14",
        conditions.padded_rows,
        rewrites.zero_rows,
    ),
    Lack("Resize", "axes are not implemented", "OpenCV 5.0.0", conditions.names_axes, sizes_of_all_axes),
    Lack(
        "NonMaxSuppression",
        "boxes without an area stay or go otherwise",
        "OpenCV 5.0.0",
        conditions.boxes_without_area,
    ),
    *lacks(
        "Conv",
        "padding of a 1x1 convolution gives wrong values",
        "OpenCV 5.0.0",
        where=conditions.padded_point,
        remedy=rewrites.pad_apart,
    ),
    Lack("PRelu", _SLOPES, "OpenCV 5.0.0", conditions.slope_beyond_channels),
    Lack(
        "ScatterElements",
        "more places than an axis has are not taken",
        "OpenCV 5.0.0",
        conditions.more_places,
    ),
    Lack("Tanh", "NaN for values above 44", "OpenCV 5.0.0", remedy=rewrites.bounded_tanh),
    Lack("Softplus", "infinite for values above 88", "OpenCV 5.0.0", remedy=rewrites.bounded_softplus),
    Lack("Reciprocal", _UNUSED, "OpenCV 5.0.0", remedy=rewrites.one_over),
    Lack("Log", _UNUSED, "OpenCV 5.0.0", remedy=rewrites.sum_apart(0)),
    Lack("Div", _UNUSED, "OpenCV 5.0.0", conditions.no_constants, rewrites.sum_apart(1)),
    *lacks(
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceProd",
        "a result without axes cannot be read by other nodes",
        "OpenCV 5.0.0",
        where=conditions.scalar,
        remedy=rewrites.kept_axes,
    ),
    *lacks(
        "Add Sub Mul Div Max Min Pow",
        "operands without axes are not implemented",
        "OpenCV 5.0.0",
        where=conditions.scalar,
        remedy=rewrites.full_rank,
    ),
)

OPENCV4 = (
    *lacks(
        "Gather",
        "the result may have an axis too many",
        "OpenCV 4.8",
        where=conditions.constant_places,
        remedy=rewrites.rearranged,
    ),
    *lacks(
        "ConvTranspose",
        "dropping a whole kernel at an end crashes",
        "OpenCV 4.8 to 4.14",
        where=conditions.cropped_beyond,
    ),
    *lacks(
        "ConvTranspose",
        "one spatial axis is not implemented",
        "OpenCV 4.8 to 4.14",
        where=conditions.on_a_line,
    ),
    *lacks(
        "Conv",
        "padding of a 1x1 convolution at the end alone gives wrong values",
        "OpenCV 4.8 to 4.14",
        where=conditions.padded_point,
        remedy=rewrites.pad_apart,
    ),
    Lack("PRelu", _SLOPES, "OpenCV 4.8 to 4.14", conditions.slope_beyond_channels),
    *lacks(
        "ConvTranspose",
        "more than two spatial axes are not implemented",
        "OpenCV 4.8 to 4.14",
        where=conditions.beyond_planes,
    ),
    *lacks(
        "ConvTranspose",
        "dilation is ignored",
        "OpenCV 4.8 to 4.14",
        where=conditions.dilated,
        remedy=rewrites.dilated_weight,
    ),
    *lacks(
        "Gemm",
        "the third operand must be a constant",
        "OpenCV 4.8",
        where=conditions.computed_bias,
        remedy=rewrites.bias_apart,
    ),
    *lacks(
        "AveragePool",
        "padding never counts",
        "OpenCV 4.8 to 4.14",
        where=conditions.padding_counts,
        remedy=rewrites.pad_apart,
    ),
    *lacks(
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceProd",
        "wrong values or a crash over all axes, over the first one, and over axes of size 1",
        "OpenCV 4.8 to 4.14",
        remedy=rewrites.pooled,
    ),
    *lacks("Tile", "gives wrong values", "OpenCV 4.8 to 4.14", remedy=rewrites.concatenated),
    *lacks("GatherElements", "does not exist, or not for int64", "OpenCV 4.8 to 4.14"),
    *lacks(
        "Squeeze Unsqueeze Flatten",
        "several axes at once are not implemented",
        "OpenCV 4.8 to 4.14",
        remedy=rewrites.reshape,
    ),
    *lacks(
        "Max Min",
        "an operand that is repeated along an inner axis gives wrong values",
        "OpenCV 4.8",
        where=conditions.broadcast_inside,
        remedy=rewrites.same_shape,
    ),
    *lacks(
        "Add Sub Mul Div Max Min Pow",
        "operands must have the same number of axes, and two at least",
        "OpenCV 4.8 to 4.14",
        where=conditions.other_ranks,
        remedy=rewrites.full_rank,
    ),
)

OPENVINO = (
    *lacks(
        "Gather",
        "channels that a Gather rearranges reach a convolution in another order",
        "OpenVINO 2026.4",
        where=conditions.rearranged_channels,
        remedy=rewrites.rearranged,
    ),
    *lacks(
        "Conv",
        "the stride of a padded 1x1 convolution is moved before its padding",
        "OpenVINO 2026.4",
        where=conditions.padded_point,
        remedy=rewrites.second_tap,
    ),
    *lacks(
        "MaxPool",
        "behind a convolution and before an activation that falls somewhere (Abs, Swish, ReLU with a negative"
        " slope) the maximum is taken behind the activation",
        "OpenVINO 2026.4",
        where=conditions.read_elementwise,
        remedy=rewrites.kept_in_place,
    ),
)

_TENSORRT_LIST = "onnx-tensorrt's docs/operators.md for TensorRT 8.4"

TENSORRT = (
    *lacks("Reciprocal", "does not exist", _TENSORRT_LIST, remedy=rewrites.one_over),
    *lacks("Compress MaxRoiPool Mod OneHot Bernoulli", "does not exist", _TENSORRT_LIST),
    *lacks("NonMaxSuppression", "its result is padded, with other sizes than ONNX's", _TENSORRT_LIST),
    *lacks(
        "Conv ConvTranspose",
        "only two or three spatial axes are there",
        _TENSORRT_LIST,
        where=conditions.on_a_line,
    ),
)

_ELEMENTWISE = names(
    "Abs Add Div Elu Exp Identity LeakyRelu Log Max Min Mul Neg PRelu Pow Reciprocal Relu"
    " Sigmoid Softplus Sqrt Sub Tanh"
)
_PLANES = names(
    "AveragePool Clip Concat Conv ConvTranspose DepthToSpace Flatten Gemm GlobalAveragePool GlobalMaxPool"
    " LRN MatMul MaxPool Pad Reshape Resize Slice Softmax SpaceToDepth Split Transpose"
)
_REDUCTIONS = names("ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare")

TARGETS = {
    target.name: target
    for target in (
        Target("onnxruntime", "ONNX Runtime", exact=True),
        Target(
            "opencv5",
            "OpenCV 5",
            inner_tensors=False,  # OpenCV 5.0.0 gives whatever the tensor's memory holds by then
            lacks=OPENCV5,
            names="#",
            operators=_ELEMENTWISE
            | _PLANES
            | _REDUCTIONS
            | names(
                "And ArgMax ArgMin Cast Ceil ConstantOfShape Cos CumSum Equal Expand Floor Gather"
                " GatherElements GatherND Greater GreaterOrEqual Less LessOrEqual LogSoftmax Mod"
                " NonMaxSuppression Not OneHot Or Range ReduceLogSumExp RoiAlign Round ScatterElements"
                " ScatterND Selu Shape Sign Sin Size Squeeze Sum Tile TopK Trilu Unsqueeze"
                " Where"
            ),
        ),
        Target(
            "opencv4",
            "OpenCV 4",
            fixed=True,
            opset=13,
            lacks=OPENCV4,
            operators=_ELEMENTWISE | _PLANES,
            scalars=False,
            unread_inputs=False,
            own_detections=True,
        ),
        Target("openvino", "OpenVINO", lacks=OPENVINO),
        Target(
            "tensorrt",
            "TensorRT",
            opset=13,
            lacks=TENSORRT,
            note="the rules for TensorRT come from its list of operators: nothing was run in it",
        ),
        Target(
            "web",
            "ONNX Runtime Web",
            note="ONNX Runtime Web was run as WebAssembly: nothing was run in WebGPU, WebNN and WebGL",
        ),
    )
}


def target_named(name: str) -> Target:
    """The target of this name. Raises UnsupportedError for a name that the table does not have."""
    if name not in TARGETS:
        raise UnsupportedError(f"target {name!r}: expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
