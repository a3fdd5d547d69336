"""Nodes that move values: Concat, Split, Slice, Flatten, Reshape and its kin, Tile, Dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vggrepro.emit import Shape
from vggrepro.graph.to_caffe.caffe_writer import Reading


def concat(node: Reading) -> None:
    inputs = [node.blob(index) for index in range(len(node.place.node.input))]
    axis = node.attributes["axis"]
    node.write("Concat", bottoms=inputs).concat_param.axis = axis


def flatten(node: Reading) -> None:
    if node.attributes.get("axis", 1) == 1:
        node.write("Flatten")
    else:
        reshape(node)


def reshape(node: Reading) -> None:
    """Reshape, Squeeze, Unsqueeze: the output's sizes, the first one copied where it is the input's."""
    shape, top = node.shape(), node.top_shape
    keeps_batch = bool(shape and top) and shape[0] == top[0]
    reshape_to(node, node.bottom, node.top, top, keeps_batch)


def reshape_to(node: Reading, bottom: str, top: str, shape: Shape, keeps_batch: bool) -> None:
    """A Reshape layer; with ``keeps_batch`` it copies the first size, whatever that is."""
    layer = node.out.layer("Reshape", [bottom], [top])
    layer.reshape_param.shape.SetInParent()
    layer.reshape_param.shape.dim.extend([0, *shape[1:]] if keeps_batch and shape else shape)


def split(node: Reading) -> None:
    axis = node.attributes.get("axis", 0)
    sizes = [node.place.draft.dims(name) for name in node.place.node.output]
    lengths = [dims[axis] for dims in sizes if dims is not None]
    layer = node.out.layer("Slice", [node.bottom], list(node.place.node.output))
    layer.slice_param.axis = axis
    place = 0
    for length in lengths[:-1]:
        if length is None:
            raise node.refusal("the sizes of its outputs are not known")
        place += length
        layer.slice_param.slice_point.append(place)


def slices(node: Reading) -> None:
    """Slice: for each axis a Slice layer, whose other pieces a Silence consumes. Steps over pixels are those
    of a pooling with windows of one pixel."""
    shape = node.shape()
    given = [node.constant(i).tolist() for i in range(1, len(node.place.node.input)) if node.place.input(i)]
    starts, ends = given[0], given[1]
    axes = given[2] if len(given) > 2 else list(range(len(starts)))
    steps = {axis % len(shape): step for axis, step in zip(axes, given[3], strict=True)} if given[3:] else {}
    strides = {axis: step for axis, step in steps.items() if step != 1}
    if strides and (len(shape) != 4 or not set(strides) <= {2, 3} or min(strides.values()) < 1):
        raise node.refusal(f"steps {given[3]} along axes {axes}")
    cuts = []
    for start, end, axis in zip(starts, ends, axes, strict=True):
        begin, stop, _ = slice(start, end).indices(shape[axis])
        if (begin, stop) != (0, shape[axis]):
            cuts.append((axis % len(shape), begin, stop))
    bottom = node.bottom
    for number, (axis, begin, stop) in enumerate(cuts):
        last = number == len(cuts) - 1 and not strides
        bottom = _cut(node, bottom, node.top if last else node.inner("cut"), axis, (begin, stop, shape[axis]))
    if strides:
        _stride(node, bottom, strides)
    elif not cuts:
        alias(node)


def _stride(node: Reading, bottom: str, strides: Mapping[int, int]) -> None:
    param = node.write("Pooling", bottoms=[bottom]).pooling_param
    param.pool, param.kernel_size, param.round_mode = param.MAX, 1, param.FLOOR
    param.stride_h, param.stride_w = strides.get(2, 1), strides.get(3, 1)


def _cut(node: Reading, bottom: str, kept: str, axis: int, ends: tuple[int, int, int]) -> str:
    begin, stop, size = ends
    before = [node.inner("before")] if begin else []
    behind = [node.inner("behind")] if stop < size else []
    layer = node.out.layer("Slice", [bottom], [*before, kept, *behind], name=f"{kept}_slice")
    layer.slice_param.axis = axis
    layer.slice_param.slice_point.extend([*([begin] if before else []), *([stop] if behind else [])])
    node.out.layer("Silence", [*before, *behind], [], name=f"{kept}_rest")
    return kept


def tile(node: Reading) -> None:
    _tile(node, node.bottom, node.constant(1).tolist())


def expand(node: Reading) -> None:
    """Expand: a Tile along each axis that grows, behind a Reshape where axes are added in front."""
    shape, top = node.shape(), node.top_shape
    padded = (1,) * (len(top) - len(shape)) + tuple(shape)
    bottom = node.bottom
    if padded != tuple(shape):
        bottom = node.inner("axes")
        reshape_to(node, node.bottom, bottom, padded, False)
    _tile(node, bottom, [size // own for size, own in zip(top, padded, strict=True)])


def _tile(node: Reading, bottom: str, counts: Sequence[int]) -> None:
    repeats = [(axis, count) for axis, count in enumerate(counts) if count != 1]
    for number, (axis, count) in enumerate(repeats):
        top = node.top if number == len(repeats) - 1 else node.inner("tiled")
        param = node.out.layer("Tile", [bottom], [top]).tile_param
        param.axis, param.tiles = axis, count
        bottom = top
    if not repeats:
        alias(node, bottom)


def dropout(node: Reading) -> None:
    """A Dropout layer, which does nothing in TEST."""
    if len([name for name in node.place.node.output if name]) > 1:
        raise node.refusal("a second output, the mask")
    ratio = node.number(1) if node.place.input(1) else node.attributes.get("ratio", 0.5)
    node.write("Dropout").dropout_param.dropout_ratio = ratio


def pad(node: Reading) -> None:
    """Pad with zeros around an image: the padding of the convolutions and averages behind it."""
    pads = node.attributes.get("pads") or node.constant(1).tolist()
    rank = len(node.shape())
    axes = [int(a) % rank for a in node.constant(3)] if node.place.input(3) else list(range(rank))
    before = dict(zip(axes, pads[: len(axes)], strict=True))
    behind = dict(zip(axes, pads[len(axes) :], strict=True))
    value = node.number(2) if node.place.input(2) else node.attributes.get("value", 0)
    readers = {reader.op_type for reader in node.place.draft.readers.get(node.top, ())}
    around = [axis for axis in axes if before[axis] or behind[axis]]
    if value or node.attributes.get("mode", "constant") != "constant" or min(pads, default=0) < 0:
        raise node.refusal("anything but zeros around a blob")
    inside = readers and node.top not in node.place.draft.outputs
    if set(around) & {0, 1} or not inside or not readers <= {"AveragePool", "Conv", "Pad"}:
        raise node.refusal("zeros for another layer than a convolution or an average pooling")
    inner = node.out.zeros.get(node.place.input(0), ((0, 0),) * (rank - 2))
    node.out.zeros[node.top] = tuple(
        (first + int(before.get(axis, 0)), last + int(behind.get(axis, 0)))
        for axis, (first, last) in enumerate(inner, 2)
    )
    node.out.tensors[node.top] = node.out.blob_of(node.bottom)


def alias(node: Reading, bottom: str | None = None) -> None:
    """No layer: a blob, the input's by default, stands for the output too, unless the net returns that."""
    bottom = node.bottom if bottom is None else bottom
    if node.top in node.place.draft.outputs:
        node.write("Split", bottoms=[bottom])
    else:
        node.out.tensors[node.top] = node.out.blob_of(bottom)
