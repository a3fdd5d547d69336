"""A part of a net, computed in stretches: models that OpenCV runs, and between them layers by scripts."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vggrepro.caffe.messages import LayerParameter
from vggrepro.data.opencv import is_opencv5
from vggrepro.emit import Shape
from vggrepro.errors import UnsupportedError, naming
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import rewritten
from vggrepro.opencv.script_layer import ScriptLayer

Array = npt.NDArray[Any]


def cv2_module() -> Any:
    """The user's ``cv2``, whose threads are left as they are. Raises ImportError."""
    return importlib.import_module("cv2")


class OpenedModel:
    """Layers that OpenCV computes at once: a net as a converted model."""

    def __init__(self, net: Net, returned: Sequence[str]) -> None:
        target = "opencv5" if is_opencv5(cv2_module()) else "opencv4"
        self._graph = build_deployed(net, Deployment(target), outputs=returned)
        self._shapes, self._returned = net.inputs, returned
        self.opened = _opened(self._graph)

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """Whether the sizes of these inputs are as before, or free: OpenCV 5 does not look."""
        return all(
            len(old) == inputs[name].ndim
            and all(
                size == new or self._graph.is_free(name, axis)
                for axis, (size, new) in enumerate(zip(old, inputs[name].shape, strict=True))
            )
            for name, old in self._shapes.items()
            if name in self._graph.input_names
        )

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        for name in self._graph.input_names:
            self.opened.setInput(values[name], name)
        return dict(zip(self._returned, self.opened.forward(self._returned), strict=True))


@dataclass(frozen=True)
class _ByScript:
    """A layer that a script computes."""

    placed: NetLayer
    layer: ScriptLayer

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        message = self.placed.message
        with naming(self.placed.place):
            tops = self.layer.forward([values[bottom] for bottom in message.bottom])
        return dict(zip(message.top, tops, strict=True))


class Stretches:
    """The computation of some blobs of a net, whose blobs have one contents each."""

    def __init__(self, net: Net, returned: Sequence[str]) -> None:
        self.returned = returned
        self._shapes = net.inputs
        computed = [placed for placed in net.layers if not placed.layer.source]
        groups = [[*group] for _, group in groupby(computed, _by_whom)]
        self._steps = [_step(net, group, self._wanted(groups[n + 1 :])) for n, group in enumerate(groups)]

    def _wanted(self, later: Sequence[Sequence[NetLayer]]) -> set[str]:
        return {bottom for group in later for placed in group for bottom in placed.message.bottom}.union(
            self.returned
        )

    @property
    def models(self) -> list[OpenedModel]:
        return [step for step in self._steps if isinstance(step, OpenedModel)]

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """Whether inputs of these sizes can be computed."""
        if len(self._steps) == 1 and self.models:
            return self.models[0].takes(inputs)
        return all(inputs[name].shape == shape for name, shape in self._shapes.items())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All blobs at the borders of stretches, those that were asked for among them."""
        values = dict(inputs)
        for step in self._steps:
            values |= step.run(values)
        return values


def _by_whom(placed: NetLayer) -> str:
    """A name for each layer that a script computes; "" for OpenCV's."""
    return placed.name if isinstance(placed.layer, ScriptLayer) else ""


def _step(net: Net, group: Sequence[NetLayer], wanted: set[str]) -> OpenedModel | _ByScript:
    first = group[0]
    if isinstance(first.layer, ScriptLayer):
        return _ByScript(first, first.layer)
    made = [top for placed in group for top in placed.message.top]
    read = dict.fromkeys(bottom for placed in group for bottom in placed.message.bottom)
    inputs = [_input(blob, net.shapes[blob]) for blob in read if blob not in made]
    part = rewritten(net, [*inputs, *(placed.message for placed in group)])
    return OpenedModel(part, [blob for blob in made if blob in wanted])


def _input(blob: str, shape: Shape) -> LayerParameter:
    layer = LayerParameter(name=f"_input of {blob}", type="Input", top=[blob])
    layer.input_param.shape.add(dim=shape)
    return layer


def part_for(net: Net, blobs: Sequence[str]) -> Net:
    """The layers of a net that these blobs come from."""
    needed, layers = set(blobs), []
    for placed in reversed(net.layers):
        if needed.intersection(placed.message.top):
            layers.append(placed.message)
            needed.update(placed.message.bottom)
    return rewritten(net, reversed(layers))


def _opened(graph: Graph) -> Any:
    with tempfile.TemporaryDirectory(prefix="vggrepro-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "model.onnx")
        try:
            graph.save(path)
        except UnsupportedError:  # more than one file holds
            if not is_opencv5(cv2_module()):  # which would end the process at the second file
                raise
            graph.save(path, external=True)
        return cv2_module().dnn.readNetFromONNX(str(path))
