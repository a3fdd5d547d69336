"""The shapes of a net's values, by the rules of its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError, naming
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.rules.source import SourceLayer
from vggrepro.net.net_layer import NetLayer


def infer_shapes(layers: Sequence[NetLayer], inputs: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every value, by each layer's own rule; ``inputs`` overrides those of sources."""
    shapes: dict[str, Shape] = {}
    for net_layer in layers:
        with naming(net_layer.place):
            shapes.update(zip(net_layer.tops, _top_shapes(net_layer, shapes, inputs), strict=True))
    return shapes


PROBES = (1009, 10080)
"""Added to a size to see which others depend on it: more than any stride, so that no rounding hides it. The
second one is for nets that halve and double again, which odd sizes do not survive."""


def probe(inputs: Mapping[str, Shape], axes: Set[int], by: int) -> dict[str, Shape]:
    """Input shapes with sizes along ``axes`` larger ``by`` one of ``PROBES``. Only images have free axes
    besides the first."""
    return {
        name: tuple(
            size + by if axis in axes and (axis == 0 or len(shape) == 4) else size
            for axis, size in enumerate(shape)
        )
        for name, shape in inputs.items()
    }


def check_sizes(layers: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> None:
    """Caffe's limit on blobs and parameters: at most 2^31 - 1 elements. Raises ShapeError beyond it.

    DEVIATION: also for a blob or parameter without elements, at which Caffe's layers stop or divide by zero.
    """
    for net_layer in layers:
        sizes = [(f"top {top!r}", shapes[top]) for top in net_layer.tops]
        sizes += [(f"parameter {index}", use.definition.shape) for index, use in enumerate(net_layer.params)]
        for what, shape in sizes:
            if math.prod(shape) > 2**31 - 1 or min(shape, default=0) < 0:
                error = ShapeError(f"blob size exceeds INT_MAX: {what} would have shape {shape}")
                raise error.within(net_layer.place)
            if 0 in shape:
                error = ShapeError(f"{what} would have no elements: shape {shape}")
                raise error.within(net_layer.place)


def _top_shapes(
    net_layer: NetLayer, shapes: Mapping[str, Shape], inputs: Mapping[str, Shape]
) -> Sequence[Shape]:
    if net_layer.layer.source:
        return _source_shapes(net_layer.layer, net_layer.tops, inputs)
    tops: Sequence[Shape] = net_layer.layer.out_shapes([shapes[b] for b in net_layer.bottoms])
    return tops


def _source_shapes(layer: AnyLayer, tops: Sequence[str], inputs: Mapping[str, Shape]) -> list[Shape]:
    """The shapes of a source's tops: those that are given; of the others what the layer knows. Raises
    ShapeError that names the tops whose shapes are needed."""
    first = inputs.get(tops[0])
    told = layer.out_shapes([]) if first is None else _beside(layer, first)
    found = {**dict(zip(tops, told, strict=False)), **{top: inputs[top] for top in tops if top in inputs}}
    lacking = [top for top in tops if top not in found]
    if lacking:
        follow = tops[1 : len(_beside(layer, (1, 1, 1, 1)))] if tops[0] in lacking else ()
        names = [top for top in lacking if top not in follow]
        hint = layer.tells_shape if isinstance(layer, SourceLayer) and tops[0] in lacking else ""
        told_by = f" ({hint})" if hint else ""
        give = "it as an input shape" if len(names) == 1 else "each as an input shape"
        options = " ".join(f"--input-shape {top}=N,C,H,W" for top in names)
        raise ShapeError(
            f"no shape for input {', '.join(map(repr, names))}{told_by}: give {give} ({options})"
        )
    return [tuple(found[top]) for top in tops]


def _beside(layer: AnyLayer, first: Shape) -> Sequence[Shape]:
    """The shapes of a source's tops, as far as they follow from that of the first one."""
    return layer.shapes_beside(first) if isinstance(layer, SourceLayer) else (first,)
