"""What each target may not contain, as data.

A row says which nodes a target lacks or gets wrong, why, and on which version that was seen; its remedy is
a graph step, and a row without one refuses the net. Rows are applied in their order.
"""

from __future__ import annotations

from vggrepro.errors import UnsupportedError
from vggrepro.graph.targets import conditions, rewrites
from vggrepro.graph.targets.opsets import sizes_of_all_axes
from vggrepro.graph.targets.target import REDUCTIONS, Lack, Target, lacks, names

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
        "Resize",
        "it reads a row behind a plane of one row, whatever that memory holds",
        "OpenCV 5.0.0",
        conditions.linear_along_one,
        rewrites.single_axes_twice,
    ),
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

_PNNX = "ncnn and pnnx 20261020"

NCNN = (
    Lack("NonMaxSuppression", "does not exist", _PNNX),
    Lack("Cast", "its images are no tensors of bytes", _PNNX, conditions.of_bytes),
    Lack("MaxPool", "padding at one end is left out", _PNNX, conditions.uneven, rewrites.lowest_apart),
    Lack("Tile", "does not exist", _PNNX, remedy=rewrites.concatenated),
    Lack("Gather", "one place more or less gives other sizes", _PNNX, remedy=rewrites.rearranged),
    Lack("SpaceToDepth", "channels come in another order", _PNNX, remedy=rewrites.blocks_by_convolution),
    Lack("PRelu", _SLOPES, _PNNX, conditions.slope_beyond_channels),
    Lack("Resize", "linear and asymmetric, it takes other places", _PNNX, conditions.linear_from_corners),
    Lack("Slice", "steps are not there", _PNNX, conditions.in_steps),
    Lack(
        "ReduceSum", "a single axis is not reduced", _PNNX, conditions.along_one_axis, rewrites.counted_mean
    ),
    *lacks(
        "ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare",
        "axes that are an input are not seen",
        _PNNX,
        where=conditions.reads_axes,
    ),
    *lacks(
        "ReduceMax ReduceMin",
        "several axes are not reduced",
        _PNNX,
        where=conditions.along_several_axes,
        remedy=rewrites.axis_by_axis,
    ),
    Lack("Pad", "is not known without its mode", _PNNX, conditions.of_unnamed_mode, rewrites.named_mode),
)

_ELEMENTWISE = names(
    "Abs Add Div Elu Exp Identity LeakyRelu Log Max Min Mul Neg PRelu Pow Reciprocal Relu"
    " Sigmoid Softplus Sqrt Sub Tanh"
)
_PLANES = names(
    "AveragePool Clip Concat Conv ConvTranspose DepthToSpace Flatten Gemm GlobalAveragePool GlobalMaxPool"
    " LRN MatMul MaxPool Pad Reshape Resize Slice Softmax SpaceToDepth Split Transpose"
)

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
            | REDUCTIONS
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
            "ncnn",
            "ncnn",
            fixed=True,
            opset=13,
            lacks=NCNN,
            operators=_ELEMENTWISE
            | _PLANES
            | REDUCTIONS
            | names("Ceil Cos Expand Floor LogSoftmax Round Selu Sign Sin Squeeze Sum Unsqueeze"),
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
