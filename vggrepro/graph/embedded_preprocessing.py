"""Preprocessing as the first nodes of a graph: the model then takes a decoded image as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx

from vggrepro.emit import FLOAT, Dims, GraphBuilder, declared_dims, tensor_info
from vggrepro.errors import NetError
from vggrepro.graph.model import Graph, initializers

Layout = Literal["nhwc", "nchw"]
"""Where the channels of an image stand: last, as decoders give it, or first."""

Order = Literal["bgr", "rgb"]

CHANNELS = (1, 3)


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """``(pixel - mean) * scale`` in float32, as Caffe's DataTransformer computes it.

    ``mean`` has one value for each channel, or is a mean image (H, W, C) float32 (``read_mean_image(path)
    .pixels``), 0-255, blue first in both where there are three; of a mean image that is larger than the net's
    input the centre counts, as in Caffe. ``channel_order`` is the order that the net was trained with.

    The model's input becomes uint8 images (N, H, W, C), or (N, C, H, W) with ``layout`` "nchw", whose
    channels are in ``image_order``: "bgr" as OpenCV decodes them, "rgb" as most others do.
    """

    mean: Sequence[float] | npt.NDArray[np.float32] | None = None
    scale: float = 1.0
    channel_order: Order = "bgr"
    image_order: Order = "bgr"
    layout: Layout = "nhwc"

    def subtrahend(self, channels: int, height: int | None, width: int | None) -> npt.NDArray[np.float32]:
        """The mean as it is subtracted from (N, C, H, W) in the net's order: (1, C, 1, 1) or (1, C, H, W).
        Raises NetError for one that does not fit; sizes that the model leaves free are None."""
        values = np.asarray(0 if self.mean is None else self.mean, np.float32)
        if not np.isfinite(values).all():
            raise NetError("preprocessing: the mean holds values that are not finite")
        if values.ndim == 3:
            values = _centre(values, height, width)
        else:
            values = values.reshape(1, 1, -1)
            if values.size != channels and np.all(values == values[..., :1]):
                values = np.repeat(values[..., :1], channels, axis=2)
        if values.shape[2] != channels:
            raise NetError(f"preprocessing: a mean of {values.shape[2]} values for {channels} channels")
        ordered = values[..., ::-1] if self.channel_order == "rgb" else values
        return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None])  # 1 C H W

    def blob(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """What the net gets (N, C, H, W) for images in the model's layout and order."""
        last = images if self.layout == "nhwc" else images.transpose(0, 2, 3, 1)
        _, height, width, channels = last.shape
        turned = last[..., ::-1] if self.image_order != self.channel_order else last
        blob = turned.transpose(0, 3, 1, 2).astype(np.float32)
        scaled: npt.NDArray[np.float32] = (blob - self.subtrahend(channels, height, width)) * self.scale
        return scaled

    def facts(self, name: str, channels: int, height: int | None, width: int | None) -> dict[str, str]:
        """What the model says of it: what is inside, and what is left to do."""
        axes = "(N, H, W, C)" if self.layout == "nhwc" else "(N, C, H, W)"
        colours = f", channels {self.image_order.upper()}" if channels > 1 else ""
        turned = self.image_order != self.channel_order and channels > 1
        steps = [f"channels turned to {self.channel_order.upper()}"] if turned else []
        steps += [] if self.mean is None else [f"minus the {self._mean_in_words()}"]
        steps += [f"times {self.scale:g}"] if self.scale != 1 else []
        size = f"to height {height}, width {width}" if height and width else "if the net was trained so"
        return {
            "embedded_preprocessing": f"{name}: uint8 {axes}{colours}; " + ", ".join(["float32", *steps]),
            "preprocessing_left": f"decode to 0-255; resize or crop {size}",
            "channel_order": self.image_order.upper(),
        }

    def _mean_in_words(self) -> str:
        values = np.asarray(self.mean, np.float64)
        if values.ndim == 3:
            return "mean image"
        order = " (blue, green, red)" if values.size > 1 else ""
        return f"mean {','.join(f'{value:.10g}' for value in values.reshape(-1))}{order}"


def image_input(shapes: Mapping[str, Dims]) -> str:
    """The one input that is an image (N, C, H, W), C 1 or 3, of those with these sizes (None: free). Raises
    NetError where there is none, or several."""
    found = [name for name, dims in shapes.items() if len(dims) == 4 and dims[1] in CHANNELS]
    if len(found) != 1:
        names = ", ".join(map(repr, found)) or "none"
        raise NetError(
            f"preprocessing: expected one input (N, C, H, W) with 1 or 3 channels in the net, found {names}"
        )
    return found[0]


def with_preprocessing(graph: Graph, preprocessing: Preprocessing) -> Graph:
    """The graph with its image input as uint8, and before its nodes those that make of it what the net was
    trained with. Raises NetError as :func:`image_input`, and for a mean that does not fit."""
    optional = {i.name for i in graph.skeleton.graph.initializer}
    infos = {i.name: i for i in graph.skeleton.graph.input if i.name not in optional}
    image = image_input({name: declared_dims(info) or () for name, info in infos.items()})
    _, channels, height, width = declared_dims(infos[image]) or ()
    g = GraphBuilder()
    for name in _names(graph.skeleton.graph):
        g.reserve(name)
    with g.scope("preprocessing"):
        blob = _emit(g, image, preprocessing, preprocessing.subtrahend(channels or 0, height, width))
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(graph.skeleton)
    content = skeleton.graph
    nodes = [*g.nodes, *(_reading(node, image, blob) for node in content.node)]
    del content.node[:]
    content.node.extend(nodes)
    protos, large = initializers(g.constants)
    content.initializer.extend(protos)
    declared = next(i for i in content.input if i.name == image)
    sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in _dims(declared)]
    order = (0, 2, 3, 1) if preprocessing.layout == "nhwc" else (0, 1, 2, 3)
    declared.CopyFrom(tensor_info(image, [sizes[axis] for axis in order], np.uint8))
    said = preprocessing.facts(image, channels or 0, height, width)
    return replace(graph, skeleton=skeleton, weights={**graph.weights, **large}).telling(said)


def _emit(g: GraphBuilder, image: str, how: Preprocessing, mean: npt.NDArray[np.float32]) -> str:
    """The blob (N, C, H, W) of an image."""
    x = g.op("Transpose", image, perm=[0, 3, 1, 2]) if how.layout == "nhwc" else image
    x = g.op("Cast", x, to=FLOAT)
    if how.image_order != how.channel_order and mean.shape[1] > 1:
        x = g.op("Gather", x, g.ints([2, 1, 0]), axis=1)
    if mean.any():
        x = g.op("Sub", x, g.const(mean))
    if how.scale != 1:
        x = g.op("Mul", x, g.const(np.full((1, 1, 1, 1), how.scale)))
    return x


def _dims(info: onnx.ValueInfoProto) -> Any:
    return info.type.tensor_type.shape.dim


def _centre(image: npt.NDArray[np.float32], height: int | None, width: int | None) -> npt.NDArray[np.float32]:
    """The centre of a mean image (H, W, C), as large as the input: Caffe's centre crop."""
    if height is None or width is None:
        raise NetError(
            "preprocessing: a mean image needs a fixed size of images (--input-shape BLOB=N,C,H,W), or be"
            " averaged to a mean pixel (--mean-as pixel)"
        )
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    if top < 0 or left < 0:
        got = f"{image.shape[0]} x {image.shape[1]}"
        raise NetError(
            f"preprocessing: a mean image of {got} is smaller than the net's input of {height} x {width}"
        )
    return image[top : top + height, left : left + width]


def _names(content: onnx.GraphProto) -> set[str]:
    entries: Sequence[Any] = [*content.input, *content.output, *content.initializer]
    names = {entry.name for entry in entries}
    return names.union(*([node.name, *node.input, *node.output] for node in content.node))


def _reading(node: onnx.NodeProto, old: str, new: str) -> onnx.NodeProto:
    names: Mapping[str, str] = {old: new}
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy
