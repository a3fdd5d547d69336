"""Plainer forms: one operator where a layer adds several, for runtimes that know operators by their names.

DEVIATION: a runtime's own Sigmoid, Softmax and LRN may be less exact than the layers' forms: ONNX Runtime's
Sigmoid is right to 2e-7 of 1, which is 1% of the value at -10. The target ``onnxruntime`` keeps those forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vggrepro.graph.targets.draft import Place, made_by


def flatten(place: Place) -> Sequence[str] | None:
    """Flatten for a Reshape that keeps the first axis and joins all others."""
    dims, target = place.dims(0), place.array(1)
    if dims is None or target is None or len(target) != 2 or len(dims) < 3:
        return None
    behind = [d for d in dims[1:] if d is not None]
    if len(behind) != len(dims) - 1:
        return None
    first = [-1, 0] if dims[0] is None else [-1, 0, dims[0]]
    if target[0] not in first or target[1] not in (-1, math.prod(behind)) or max(target) < 0:
        return None
    return place.g.ops("Flatten", place.input(0), outputs=1, axis=1)


def fixed_shape(place: Place) -> Sequence[str] | None:
    """A Reshape that is told every size that is fixed, in place of 0 and -1, which ask it to find out."""
    target, dims = place.array(1), place.out_dims()
    if target is None or dims is None or dims.count(None) > 1 or min(target, default=1) > 0 or 0 in dims:
        return None
    asked = [-1 if size is None else size for size in dims]
    return None if asked == target.tolist() else place.again(place.input(0), place.g.ints(asked))


def sigmoid(place: Place) -> Sequence[str] | None:
    """Sigmoid for ``1 / (1 + exp(-x))``, found at its Reciprocal."""
    total = made_by(place, 0, "Add")
    exponential = total and made_by(total, 0, "Exp")
    negative = exponential and made_by(exponential, 0, "Neg")
    one = total.array(1) if total else None
    if negative is None or one is None or one.size != 1 or one.item() != 1:
        return None
    return place.g.ops("Sigmoid", negative.input(0), outputs=1)


def softmax(place: Place) -> Sequence[str] | None:
    """Softmax for ``exp(x - max x)`` over its sum along one axis, found at its Div."""
    exponential, total = made_by(place, 0, "Exp"), made_by(place, 1, "ReduceSum")
    centred = exponential and made_by(exponential, 0, "Sub")
    largest = centred and made_by(centred, 1, "ReduceMax")
    if not (exponential and centred and largest and total and total.input(0) == place.input(0)):
        return None
    axes, along = total.array(1), largest.array(1)
    if axes is None or along is None or axes.tolist() != along.tolist() or len(axes) != 1:
        return None
    if largest.input(0) != centred.input(0) or not total.attributes.get("keepdims", 1):
        return None
    return place.g.ops("Softmax", centred.input(0), outputs=1, axis=int(axes[0]))


def no_identity(place: Place) -> Sequence[str] | None:
    """Nothing for an Identity, unless it gives a graph output the name of another tensor."""
    source, output = place.input(0), place.node.output[0]
    draft = place.draft
    named = source in draft.outputs or source not in draft.producers
    return None if output in draft.outputs and named else [source]


def kernel_shape(place: Place) -> Sequence[str] | None:
    """A convolution that says its kernel's sizes, as its weight has them."""
    weight = place.shape(1)
    if "kernel_shape" in place.attributes or weight is None:
        return None
    return place.again(kernel_shape=list(weight[2:]))


def strides(place: Place) -> Sequence[str] | None:
    """A pooling that says its strides where they are 1: MNN's has none otherwise, and ends the process."""
    if "strides" in place.attributes:
        return None
    return place.again(strides=[1] * len(place.attributes["kernel_shape"]))


def keepdims(place: Place) -> Sequence[str] | None:
    """A reduction that says whether it keeps the reduced axes: MNN drops them where nothing is said."""
    return None if "keepdims" in place.attributes else place.again(keepdims=1)
