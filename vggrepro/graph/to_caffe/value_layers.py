"""Nodes that work on single values: activations, sums and products of blobs, or of a blob and a constant."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vggrepro.caffe.messages import EltwiseParameter
from vggrepro.emit import Shape
from vggrepro.graph.to_caffe.caffe_writer import Array, Reading
from vggrepro.graph.to_caffe.shape_layers import reshape_to

FLT_MAX = float(np.finfo(np.float32).max)

PLAIN = {
    "Relu": "ReLU",
    "Sigmoid": "Sigmoid",
    "Tanh": "TanH",
    "Abs": "AbsVal",
    "Exp": "Exp",
    "Log": "Log",
    "Softplus": "BNLL",
}
"""Operators that are one layer without parameters."""


def activation(node: Reading) -> None:
    node.write(PLAIN[node.place.node.op_type])


def leaky_relu(node: Reading) -> None:
    node.write("ReLU").relu_param.negative_slope = node.attributes.get("alpha", 0.01)


def elu(node: Reading) -> None:
    node.write("ELU").elu_param.alpha = node.attributes.get("alpha", 1.0)


def selu(node: Reading) -> None:
    """Selu: an ELU, times ``gamma``."""
    plain = node.inner("elu")
    elu_param = node.out.layer("ELU", [node.bottom], [plain]).elu_param
    elu_param.alpha = node.attributes.get("alpha", 1.67326319217681884765625)
    scale = node.attributes.get("gamma", 1.05070102214813232421875)
    node.write("Power", bottoms=[plain]).power_param.scale = scale


def hard_sigmoid(node: Reading) -> None:
    _gate(node, node.top, node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5))


def hard_swish(node: Reading) -> None:
    """x times min(max(x / 6 + 1 / 2, 0), 1)."""
    gate = node.inner("gate")
    _gate(node, gate, 1 / 6, 0.5)
    _eltwise(node, "PROD", [node.bottom, gate])


def _gate(node: Reading, top: str, scale: float, shift: float) -> None:
    line = node.inner("line")
    power_param = node.out.layer("Power", [node.bottom], [line]).power_param
    power_param.scale, power_param.shift = scale, shift
    _clip(node, line, top, 0, 1)


def log_softmax(node: Reading) -> None:
    shares = node.inner("softmax")
    _softmax(node, shares)
    node.write("Log", bottoms=[shares])


def softmax(node: Reading) -> None:
    _softmax(node, node.top)


def _softmax(node: Reading, top: str) -> None:
    """Softmax. Before operator set 13 all axes behind ``axis``, by default the second, belonged to it."""
    old = node.place.draft.opset < 13
    axis = node.attributes.get("axis", 1 if old else -1)
    shape = node.shape()
    if old and math.prod(shape[axis % len(shape) + 1 :]) != 1:
        operator = node.place.node.op_type
        raise node.refusal(f"{operator} of operator set {node.place.draft.opset} over several axes")
    node.out.layer("Softmax", [node.bottom], [top]).softmax_param.axis = axis


def clip(node: Reading) -> None:
    """Clip, with bounds that are attributes in older operator sets."""
    bounds = [node.attributes.get("min", -FLT_MAX), node.attributes.get("max", FLT_MAX)]
    for index in (1, 2):
        if node.place.input(index):
            bounds[index - 1] = node.number(index)
    _clip(node, node.bottom, node.top, *bounds)


def _clip(node: Reading, bottom: str, top: str, least: float, most: float) -> None:
    if (least, most) == (0, FLT_MAX):
        node.out.layer("ReLU", [bottom], [top])
        return
    param = node.out.layer("Clip", [bottom], [top]).clip_param
    param.min, param.max = least, most


def bound(node: Reading) -> None:
    """Max and Min: with one number a Clip; Max of blobs is an Eltwise."""
    arrays = [node.place.array(index) for index in range(len(node.place.node.input))]
    numbers = [array.item() for array in arrays if array is not None and array.size == 1]
    is_max = node.place.node.op_type == "Max"
    if len(arrays) == 2 and len(numbers) == 1:
        blob = node.blob(0 if arrays[0] is None else 1)
        _clip(node, blob, node.top, *((numbers[0], FLT_MAX) if is_max else (-FLT_MAX, numbers[0])))
    elif is_max and not any(array is not None for array in arrays):
        _eltwise(node, "MAX", [node.blob(index) for index in range(len(arrays))])
    else:
        raise node.refusal("neither blobs of one shape nor a blob and one number")


def power(node: Reading) -> None:
    """Neg, Sqrt, Reciprocal, and Pow with a number."""
    operator = node.place.node.op_type
    exponents = {"Neg": 1.0, "Sqrt": 0.5, "Reciprocal": -1.0}
    exponent = node.number(1) if operator == "Pow" else exponents[operator]
    param = node.write("Power").power_param
    param.scale, param.power = (-1 if operator == "Neg" else 1), exponent


def arithmetic(node: Reading) -> None:
    """Add, Sub, Mul, Div and Sum."""
    inputs = range(len(node.place.node.input))
    constants = [index for index in inputs if node.place.array(index) is not None]
    if len(constants) == 1 and len(inputs) == 2:
        _with_constant(node, 1 - constants[0], node.constant(constants[0]))
    elif len(constants) == 0:
        _of_blobs(node, [node.blob(index) for index in inputs])
    else:
        raise node.refusal("constants alone")


def _with_constant(node: Reading, index: int, constant: Array) -> None:
    """A sum or product; differences and quotients were made such before, where numbers allow it."""
    operator, blob = node.place.node.op_type, node.blob(index)
    if node.top_shape != node.shape(index):
        raise node.refusal(f"a constant of shape {constant.shape} that enlarges the blob")
    if operator not in ("Add", "Sum", "Mul"):
        raise node.refusal("a blob and a constant")
    if constant.size == 1:
        param = node.write("Power", bottoms=[blob]).power_param
        param.scale, param.shift = (constant.item(), 0) if operator == "Mul" else (1, constant.item())
        return
    axis, values = _covered(node, constant, node.shape(index))
    if operator == "Mul":
        scale = node.write("Scale", [values], [blob]).scale_param
        scale.axis, scale.num_axes = axis, values.ndim
    else:
        bias = node.write("Bias", [values], [blob]).bias_param
        bias.axis, bias.num_axes = axis, values.ndim


def _covered(node: Reading, constant: Array, shape: Shape) -> tuple[int, Array]:
    """The first axis that a constant covers, and its values over the axes from there to its last one."""
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    covered = [axis for axis in range(len(shape)) if aligned.shape[axis] != 1]
    first, last = covered[0], covered[-1] + 1
    if aligned.shape[first:last] != shape[first:last]:
        raise node.refusal(f"a constant of shape {constant.shape} on a blob of shape {shape}")
    return first, aligned.reshape(shape[first:last])


def _of_blobs(node: Reading, blobs: Sequence[str]) -> None:
    operator = node.place.node.op_type
    shapes = [node.shape(index) for index in range(len(blobs))]
    if len(set(shapes)) > 1:
        _of_two_shapes(node, blobs, shapes)
    elif operator == "Div":
        inverse = node.inner("inverse")
        node.out.layer("Power", [blobs[1]], [inverse]).power_param.power = -1
        _eltwise(node, "PROD", [blobs[0], inverse])
    elif operator == "Mul":
        _eltwise(node, "PROD", blobs)
    else:
        param = _eltwise(node, "SUM", blobs)
        if operator == "Sub":
            param.coeff.extend([1, -1])


def _eltwise(node: Reading, operation: str, blobs: Sequence[str]) -> EltwiseParameter:
    if len(set(blobs)) != len(blobs) or len(blobs) < 2:
        copies = [node.inner("copy") for _ in blobs]
        for blob, copy in zip(blobs, copies, strict=True):
            node.out.layer("Power", [blob], [copy])
        blobs = copies
    param = node.write("Eltwise", bottoms=blobs).eltwise_param
    param.operation = param.EltwiseOp.Value(operation)
    return param


def _of_two_shapes(node: Reading, blobs: Sequence[str], shapes: Sequence[Shape]) -> None:
    """A blob of all sizes and one that covers some of its first axes: Scale or Bias with two bottoms."""
    operator = node.place.node.op_type
    large = 0 if shapes[0] == node.top_shape else 1
    small = shapes[1 - large]
    padded = (1,) * (len(node.top_shape) - len(small)) + tuple(small)
    covered = [axis for axis, size in enumerate(padded) if size != 1] or [0]
    first, last = covered[0], covered[-1] + 1
    turned = operator in ("Sub", "Div") and large == 1
    fits = shapes[large] == node.top_shape and padded[first:last] == node.top_shape[first:last]
    if len(blobs) != 2 or turned or not fits:
        raise node.refusal(f"blobs of shapes {shapes[0]} and {shapes[1]}")
    factor = blobs[1 - large]
    if len(small) != last - first:
        factor = node.inner("factor")
        keeps_batch = first == 0 and len(small) == len(padded)
        reshape_to(node, blobs[1 - large], factor, padded[first:last], keeps_batch)
    if operator in ("Sub", "Div"):
        plain, factor = factor, node.inner("turned")
        param = node.out.layer("Power", [plain], [factor]).power_param
        param.scale, param.power = (-1, 1) if operator == "Sub" else (1, -1)
    if operator in ("Mul", "Div"):
        node.write("Scale", bottoms=[blobs[large], factor]).scale_param.axis = first
    else:
        node.write("Bias", bottoms=[blobs[large], factor]).bias_param.axis = first
