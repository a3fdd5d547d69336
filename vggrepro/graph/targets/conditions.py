"""Which nodes a row of the table means."""

from __future__ import annotations

import numpy as np

from vggrepro.graph.targets.draft import Place, layer_of, made_by


def padded(place: Place) -> bool:
    return any(place.attributes.get("pads", ()))


def uneven(place: Place) -> bool:
    """Padding that differs from one end to the other."""
    pads = place.attributes.get("pads", [])
    return bool(pads[: len(pads) // 2] != pads[len(pads) // 2 :])


def of_unnamed_mode(place: Place) -> bool:
    """A Pad that does not say how, which means with a constant."""
    return "mode" not in place.attributes


def along_one_axis(place: Place) -> bool:
    """A reduction along one axis, in the words of newer sets."""
    return place.shape(1) == (1,)


def reads_axes(place: Place) -> bool:
    """A reduction in the words of newer sets: its axes are an input."""
    return bool(place.input(1))


def along_several_axes(place: Place) -> bool:
    """A reduction along several axes, or all, in the words of sets before 18."""
    axes = place.attributes.get("axes")
    return len(place.dims(0) or () if axes is None else axes) > 1


def linear_from_corners(place: Place) -> bool:
    """A linear Resize that sets the corners of the pixels one upon the other."""
    how = place.attributes.get("coordinate_transformation_mode")
    return bool(place.attributes.get("mode") == "linear" and how == "asymmetric")


def linear_along_one(place: Place) -> bool:
    """A linear Resize of planes with a single row or a single column."""
    return place.attributes.get("mode") == "linear" and 1 in (place.dims(0) or ())[2:]


def in_steps(place: Place) -> bool:
    """A Slice that leaves elements out between those that it takes, or turns them round."""
    steps = place.array(4)
    return bool(place.input(4)) and (steps is None or any(step != 1 for step in steps.tolist()))


def padded_point(place: Place) -> bool:
    """A convolution of one tap with padding."""
    return padded(place) and all(k == 1 for k in place.attributes.get("kernel_shape", (2,)))


def padding_counts(place: Place) -> bool:
    """An average that divides by what is padded, too."""
    return padded(place) and bool(place.attributes.get("count_include_pad", 0))


def other_ranks(place: Place) -> bool:
    """An operand that has fewer axes than the output, or an output with fewer than two."""
    out = place.out_shape()
    return (
        out is None
        or len(out) < 2
        or any(len(place.shape(index) or ()) != len(out) for index in range(len(place.node.input)))
    )


def broadcast_inside(place: Place) -> bool:
    """An operand that is repeated along an axis, unless it is one number."""
    out = place.out_shape()
    shapes = [place.shape(index) for index in range(len(place.node.input))]
    return any(s is None or (s != out and any(size != 1 for size in s)) for s in shapes)


def slope_beyond_channels(place: Place) -> bool:
    """A PRelu whose slopes differ along another axis than the channels'."""
    slope, dims = place.shape(1), place.dims(0)
    if slope is None or dims is None:
        return True
    full = (1,) * (len(dims) - len(slope)) + slope
    return any(size != 1 for axis, size in enumerate(full) if axis != 1)


def scalar(place: Place) -> bool:
    """A result without axes."""
    return place.out_shape() == ()


def no_constants(place: Place) -> bool:
    """Operands that are all computed."""
    return all(place.array(index) is None for index in range(len(place.node.input)))


def computed_bias(place: Place) -> bool:
    """A third operand that is no constant."""
    return bool(place.input(2)) and place.array(2) is None


def read_elementwise(place: Place) -> bool:
    """A MaxPool that other nodes read than those that only collect, multiply or rectify."""
    harmless = {
        "Conv",
        "ConvTranspose",
        "Concat",
        "MaxPool",
        "AveragePool",
        "Relu",
        "Flatten",
        "Reshape",
        "Gemm",
    }
    readers = place.draft.readers.get(place.node.output[0], ())
    return any(reader.op_type not in harmless for reader in readers)


def constant_places(place: Place) -> bool:
    """A Gather whose indices are known."""
    return place.array(1) is not None


def rearranged_channels(place: Place) -> bool:
    """A Gather of known channels of planes, or of what may be planes."""
    index, dims = place.array(1), place.dims(0)
    if index is None or index.ndim != 1:
        return False
    axis = place.attributes.get("axis", 0)
    return dims is None or (len(dims) > 2 and axis % len(dims) == 1)


def cropped_beyond(place: Place) -> bool:
    """A transposed convolution that drops at least a whole kernel at an end."""
    attributes = place.attributes
    kernel = attributes["kernel_shape"]
    dilations = attributes.get("dilations", [1] * len(kernel))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = attributes.get("pads", [0] * 2 * len(kernel))
    return any(p >= e for p, e in zip(pads, [*extents, *extents], strict=True))


def dilated(place: Place) -> bool:
    return any(d != 1 for d in place.attributes.get("dilations", ()))


def beyond_planes(place: Place) -> bool:
    """More than two spatial axes."""
    return len(place.dims(0) or ()) > 4


def on_a_line(place: Place) -> bool:
    """One spatial axis."""
    return len(place.dims(0) or ()) == 3


def of_bytes(place: Place) -> bool:
    """A Cast of uint8: every target takes images of bytes."""
    return place.node.op_type == "Cast" and place.draft.dtype(place.input(0)) == np.uint8


def padded_rows(place: Place) -> bool:
    """The choice between rows that are detections and rows of -1."""
    return made_by(place, 2, "Pad") is not None and (place.out_dims() or ())[-1:] == (7,)


def boxes_without_area(place: Place) -> bool:
    """Boxes whose sides no exponential makes: they may be negative."""
    layer = layer_of(place.node)
    return not any(node.op_type == "Exp" and layer_of(node) == layer for node in place.draft.nodes)


def names_axes(place: Place) -> bool:
    """An operator that works along some axes, and names them."""
    return "axes" in place.attributes


def more_places(place: Place) -> bool:
    """A scatter to more places than there are along an axis, or of sizes that are not known."""
    there, places = place.dims(0), place.dims(1)
    if there is None or places is None or len(there) != len(places):
        return True
    axes = zip(there, places, strict=True)
    return any(a != b and (a is None or b is None or b > a) for a, b in axes)
