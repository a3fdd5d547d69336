"""Graphs under other versions of ONNX's operator set than the one that layers are written for.

A newer set is only declared: what the operators in use gained there is optional. For an older one, what
they did not have yet is said otherwise; an operator that the set lacks is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from vggrepro.emit import OPSET, newest_ir_version, newest_opset, unknown_words
from vggrepro.errors import UnsupportedError
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.draft import Draft, Place, Rule, layer_of, rewrite
from vggrepro.graph.targets.rewrites import counted_average, pad_apart
from vggrepro.graph.targets.target import REDUCTIONS

OLDEST = 13
"""The first set in which Squeeze, Unsqueeze and ReduceSum take axes as an input, and Softmax one axis."""


def in_opset(draft: Draft, opset: int, ir_version: int | None = None) -> Draft:
    """The draft in the words of another operator set, and under a version of the file format (None: the one
    that came with the set). Raises UnsupportedError for versions that are too old or unknown, and where an
    operator cannot be said in the set."""
    if not OLDEST <= opset <= newest_opset():
        raise UnsupportedError(f"opset {opset}: expected {OLDEST} to {newest_opset()}")
    remedies = {change.operator: change.remedy for change in CHANGES if opset < change.since}

    def said_otherwise(place: Place) -> Sequence[str] | None:
        remedy = remedies.get(place.node.op_type)
        return None if remedy is None else remedy(place)

    draft = rewrite(draft, "", said_otherwise)
    _require_known(draft, opset)
    return replace(draft, graph=_stamped(draft.graph, opset, ir_version))


def _stamped(graph: Graph, opset: int, ir_version: int | None) -> Graph:
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(graph.skeleton)
    for entry in skeleton.opset_import:
        if entry.domain == "":
            entry.version = opset
    versions = [ir for newest, ir in IR_VERSIONS.items() if opset <= newest]
    newest = newest_ir_version()
    least = min([*versions, newest])
    if ir_version is not None and not least <= ir_version <= newest:
        raise UnsupportedError(f"IR version {ir_version}: expected {least} to {newest} for opset {opset}")
    skeleton.ir_version = least if ir_version is None else ir_version
    return replace(graph, skeleton=skeleton)


def _require_known(draft: Draft, opset: int) -> None:
    for node in draft.nodes:
        if not node.domain:
            unknown = unknown_words(node, opset)
            if unknown:
                raise UnsupportedError(f"layer {layer_of(node)!r}: {unknown} is not in opset {opset}")


@dataclass(frozen=True)
class Change:
    """What an operator gained in an operator set, and how to do without."""

    operator: str
    since: int
    remedy: Rule


def axes_attribute(place: Place) -> Sequence[str] | None:
    """A reduction with its axes as an attribute."""
    axes = place.array(1)
    if axes is None:
        return None if not place.input(1) else _refuse(place, "axes that are computed")
    return place.again(place.input(0), axes=[int(a) for a in axes])


def pads_of_all_axes(place: Place) -> Sequence[str] | None:
    """A Pad that names no axes, but pads all."""
    axes, dims = place.array(3), place.dims(0)
    if not place.input(3):
        return None
    pads = place.array(1)
    if axes is None or dims is None or pads is None:
        return _refuse(place, "axes or widths that are computed")
    whole = [0] * (2 * len(dims))
    for index, axis in enumerate(int(a) % len(dims) for a in axes):
        whole[axis], whole[axis + len(dims)] = int(pads[index]), int(pads[index + len(axes)])
    return place.again(place.input(0), place.g.ints(whole), *place.node.input[2:3])


def equal_pads(place: Place) -> Sequence[str] | None:
    """An average whose padding is not the same at both ends, with a Pad before it: loaders of older sets stop
    at it (onnx2torch). ONNX Runtime makes the one node of the two again. Padding that does not count is made
    up for where the sizes are fixed."""
    pads = place.attributes.get("pads", [])
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return None
    return pad_apart(place) if place.attributes.get("count_include_pad", 0) else counted_average(place)


def whole_window(place: Place) -> Sequence[str] | None:
    """A maximum over planes of known sizes as a pooling with a window of these sizes: all that onnx2torch
    has."""
    shape = place.shape(0)
    if shape is None:
        return None
    kernel = list(shape[2:])
    return [place.g.op("MaxPool", place.input(0), kernel_shape=kernel, strides=[1] * len(kernel))]


def third_operand(place: Place) -> Sequence[str] | None:
    """A matrix product to which zeros are added: ONNX Runtime to 1.12 (operator sets to 17) makes no valid
    node of one without a third operand and the activation behind it."""
    count = (place.out_dims() or (None,))[-1]
    if place.input(2) or count is None:
        return None
    return place.again(*place.node.input[:2], place.g.const(np.zeros(count)))


def sizes_of_split(place: Place) -> Sequence[str] | None:
    """A Split without the number of its outputs, which are equal."""
    return place.again(num_outputs=None) if "num_outputs" in place.attributes else None


def slice_of_shape(place: Place) -> Sequence[str] | None:
    """A whole Shape, of which a Slice takes the part."""
    attributes, g = place.attributes, place.g
    if not {"start", "end"} & set(attributes):
        return None
    whole = g.op("Shape", place.input(0))
    start, end = attributes.get("start", 0), attributes.get("end", 1 << 30)
    return [g.op("Slice", whole, g.ints([start]), g.ints([end]), g.ints([0]))]


def sizes_of_all_axes(place: Place) -> Sequence[str] | None:
    """A Resize that names no axes, but says the sizes of all: its axes must be the last ones."""
    axes, dims = place.attributes.get("axes"), place.dims(0)
    if axes is None:
        return None
    if dims is None or list(axes) != list(range(len(dims) - len(axes), len(dims))):
        return _refuse(place, "axes that are not the last")
    x, g, before = place.input(0), place.g, dims[: -len(axes)]
    if place.input(2):
        scales = g.op("Concat", g.const([1] * len(before)), place.input(2), axis=0)
        return place.again(x, "", scales, axes=None)
    if None in before:
        outer = g.op("Slice", g.op("Shape", x), g.ints([0]), g.ints([len(before)]))
    else:
        outer = g.ints([size for size in before if size is not None])
    return place.again(x, "", "", g.op("Concat", outer, place.input(3), axis=0), axes=None)


def _refuse(place: Place, what: str) -> Sequence[str]:
    raise UnsupportedError(
        f"layer {layer_of(place.node)!r}: operator {place.node.op_type} with {what} needs opset {OPSET}"
    )


CHANGES: Sequence[Change] = (
    *(Change(operator, 18, axes_attribute) for operator in sorted(REDUCTIONS - {"ReduceSum"})),
    Change("AveragePool", 18, equal_pads),
    Change("Gemm", 18, third_operand),
    Change("GlobalMaxPool", 18, whole_window),
    Change("Pad", 18, pads_of_all_axes),
    Change("Split", 18, sizes_of_split),
    Change("Resize", 18, sizes_of_all_axes),
    Change("Shape", 15, slice_of_shape),
)
"""From the changelog of ONNX's operators, for those that layers emit; AveragePool, Gemm and
GlobalMaxPool for their readers."""

IR_VERSIONS: Mapping[int, int] = {14: 7, 18: 8, 20: 9, 22: 10, 24: 11}
"""The version of ONNX's file format that came with an operator set, by the last set it holds for."""
