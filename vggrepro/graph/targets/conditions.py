"""Which nodes a row of the table means."""

from __future__ import annotations

from vggrepro.graph.targets.draft import Place


def padded(place: Place) -> bool:
    return any(place.attributes.get("pads", ()))


def padded_point(place: Place) -> bool:
    """A convolution of one tap with padding."""
    return padded(place) and all(k == 1 for k in place.attributes.get("kernel_shape", (2,)))


def padding_counts(place: Place) -> bool:
    """An average that divides by what is padded, too."""
    return padded(place) and bool(place.attributes.get("count_include_pad", 0))


def other_ranks(place: Place) -> bool:
    """An operand that has fewer axes than the output, or an output with fewer than two."""
    out = place.out_shape()
    return out is None or len(out) < 2 or any(
        len(place.shape(index) or ()) != len(out) for index in range(len(place.node.input))
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
