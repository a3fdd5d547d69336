"""OpenCV 4's ``cv2.dnn.Net`` of a Caffe net, over a converted model that the installed OpenCV runs.

OpenCV 4 gives every layer's blob to whoever names it, and lets weights be set; a model returns its outputs
alone. So the model is made anew, within the call, when ``forward`` names a layer for the first time, when
weights were set, and when an input has a size that the model does not take.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.opencv import is_opencv5
from vggrepro.emit import Shape
from vggrepro.errors import NetError, did_you_mean
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.requirements import layers_without_weights
from vggrepro.net.transforms.opencv_names import opencv_outputs, with_opencv_names
from vggrepro.net.transforms.rewrite import rewritten

Array = npt.NDArray[Any]

_INPUT = "_input"
"""How OpenCV calls the layer number 0, which holds the inputs."""

_ONE_FILE = 2**31 - 2**24
"""Bytes of weights up to which a model is one file."""


def cv2_module() -> Any:
    """The user's ``cv2``, whose threads are left as they are. Raises ImportError."""
    return importlib.import_module("cv2")


class ImportedLayer:
    """A layer by ``getLayer``: its name, its Caffe type, and its weights."""

    def __init__(self, net: ImportedNet, name: str, kind: str) -> None:
        self._net, self.name, self.type = net, name, kind

    @property
    def blobs(self) -> list[Array]:
        """The weights, in Caffe's order and shapes. A list of as many arrays of as many numbers sets them."""
        return self._net._weights(self.name)

    @blobs.setter
    def blobs(self, values: Sequence[Array]) -> None:
        self._net._set_weights(self.name, values)


class ImportedNet:
    """The methods of OpenCV 4's ``cv2.dnn.Net``, with its names and numbers of layers.

    Raises NetError for names and numbers that the net does not have, ShapeError for inputs that do not fit
    its layers, and ``cv2.error`` for what OpenCV itself cannot do.
    """

    def __init__(self, net: Net) -> None:
        self._net = with_opencv_names(net)
        self._lacking = set(layers_without_weights(self._net))
        self._layers = [placed for placed in self._net.layers if not placed.layer.source]
        self._outputs = opencv_outputs(self._net)
        self._preferences: dict[str, Any] = {}
        self._inputs: dict[str, Array] = {}
        self._model: _Model | None = None

    def setInput(
        self, blob: Array, name: str = "", scalefactor: float = 1.0, mean: Sequence[float] | float = ()
    ) -> None:
        """What the input ``name`` (the first, if it is empty) shall be: ``(blob - mean) * scalefactor``, with
        a mean for each of the first channels of a blob (N, C, H, W), uint8 or float32."""
        names = list(self._net.inputs)
        if name and name not in names:
            raise NetError(f"setInput: there is no input {name!r}; expected one of {names}")
        array = np.array(blob, np.float32)
        for channel, value in enumerate(np.atleast_1d(mean)[: array.shape[1] if array.ndim > 1 else 0]):
            array[:, channel] -= np.float32(value)
        self._inputs[name or names[0]] = array * np.float32(scalefactor)

    def forward(self, outputName: str | Sequence[str] | None = None) -> Any:
        """The blob of a layer, or a list of those of several layers; the last output, if none is named. Only
        what these need is computed."""
        several = outputName is not None and not isinstance(outputName, str)
        names = [outputName] if isinstance(outputName, str) and outputName else list(outputName or ())
        names = names or self._outputs[-1:]
        for name in names:
            if name not in self._net.blobs or name in self._net.inputs:
                raise NetError(f"forward: there is no layer {name!r}{did_you_mean(name, self._net.blobs)}")
        model = self._model_for(names)
        for name in model.graph.input_names:
            model.opened.setInput(self._inputs[name], name)
        found = dict(zip(model.returned, model.opened.forward(model.returned), strict=True))
        return [found[name] for name in names] if several else found[names[0]]

    def empty(self) -> bool:
        return not self._layers

    def getLayerNames(self) -> tuple[str, ...]:
        return tuple(placed.name for placed in self._layers)

    def getLayerId(self, layer: str) -> int:
        """The number of a layer, -1 for a name that there is not."""
        names = [_INPUT, *self.getLayerNames()]
        return names.index(layer) if layer in names else -1

    def getLayer(self, layerId: int | str) -> ImportedLayer:
        if layerId in (0, _INPUT):
            return ImportedLayer(self, _INPUT, "")
        placed = self._placed(layerId)
        return ImportedLayer(self, placed.name, placed.message.type)

    def getLayerTypes(self) -> tuple[str, ...]:
        return tuple(sorted({"__NetInputLayer__", *(placed.message.type for placed in self._layers)}))

    def getLayersCount(self, layerType: str) -> int:
        return sum(placed.message.type == layerType for placed in self._layers)

    def getParam(self, layer: int | str, numParam: int = 0) -> Array:
        return self._weights_up_to(layer, numParam)[numParam]

    def setParam(self, layer: int | str, numParam: int, blob: Array) -> None:
        values = self._weights_up_to(layer, numParam)
        values[numParam] = blob
        self._set_weights(self._placed(layer).name, values)

    def getUnconnectedOutLayersNames(self) -> tuple[str, ...]:
        return tuple(self._outputs)

    def getUnconnectedOutLayers(self) -> npt.NDArray[np.int32]:
        makers = {top: n for n, placed in enumerate(self._layers, 1) for top in placed.message.top}
        return np.array([makers[name] for name in self._outputs], np.int32)

    def getPerfProfile(self) -> Any:
        """Ticks of the last ``forward``, and of its layers, as OpenCV measured them."""
        return (0, ()) if self._model is None else self._model.opened.getPerfProfile()

    def setPreferableBackend(self, backendId: int) -> None:
        """Told to OpenCV, whose new engine runs on the CPU whatever it is told."""
        self._prefer("setPreferableBackend", backendId)

    def setPreferableTarget(self, targetId: int) -> None:
        """As :meth:`setPreferableBackend`."""
        self._prefer("setPreferableTarget", targetId)

    def enableFusion(self, fusion: bool) -> None:
        """Nothing: it is a matter of speed, and no net of OpenCV 5.0.0 runs after it was told not to fuse."""

    def enableWinograd(self, useWinograd: bool) -> None:
        self._prefer("enableWinograd", useWinograd)

    def _prefer(self, method: str, value: Any) -> None:
        self._preferences[method] = value
        if self._model is not None:
            getattr(self._model.opened, method)(value)

    def _placed(self, layer: int | str) -> NetLayer:
        number = self.getLayerId(layer) if isinstance(layer, str) else int(layer)
        if not 0 < number <= len(self._layers):
            there = did_you_mean(layer, self.getLayerNames()) if isinstance(layer, str) else ""
            raise NetError(f"there is no layer {layer!r} among {len(self._layers)}{there}")
        return self._layers[number - 1]

    def _weights(self, name: str) -> list[Array]:
        if name == _INPUT:
            return []
        placed = next(placed for placed in self._net.layers if placed.name == name)
        return [np.array(self._net.params[use.key]) for use in placed.params]

    def _weights_up_to(self, layer: int | str, number: int) -> list[Array]:
        values = self._weights(self._placed(layer).name)
        if not 0 <= number < len(values):
            raise NetError(f"layer {layer!r} has {len(values)} arrays of weights, asked for number {number}")
        return values

    def _set_weights(self, name: str, values: Sequence[Array]) -> None:
        placed = self._placed(name)
        if len(values) != len(placed.params):
            raise NetError(f"layer {name!r}: {len(values)} arrays, expected {len(placed.params)}")
        params = {}
        for use, value in zip(placed.params, values, strict=True):
            array, shape = np.array(value, np.float32), use.definition.shape
            if array.size != np.prod(shape, dtype=int):
                raise NetError(f"layer {name!r}: an array {array.shape}, expected {shape}")
            params[use.key] = array.reshape(shape)
        self._net = self._net.with_params(params)
        self._lacking.discard(name)
        self._model = None

    def _model_for(self, names: Sequence[str]) -> _Model:
        """A model that returns these blobs and takes the inputs as they are: the one at hand, or a new one,
        which also returns what was asked for before if the inputs' sizes are those of before."""
        model = self._model
        takes = model is not None and model.takes(self._inputs)
        if model is not None and takes and set(names) <= set(model.returned):
            return model
        returned = list(dict.fromkeys([*(model.returned if model is not None and takes else ()), *names]))
        part = _part(self._net, returned)
        for name in part.inputs:
            if name not in self._inputs:
                raise NetError(f"forward: setInput was not called for the input {name!r}")
        lacking = [placed.name for placed in part.layers if placed.name in self._lacking]
        if lacking:
            raise NetError(f"forward: there are no weights for the layer {lacking[0]!r}")
        part = part.reshape({name: self._inputs[name].shape for name in part.inputs})
        self._model = model = None  # the next one needs its memory
        target = "opencv5" if is_opencv5(cv2_module()) else "opencv4"
        graph = build_deployed(part, Deployment(target), outputs=returned)
        self._model = _Model(graph, part.inputs, returned, _opened(graph))
        for method, value in self._preferences.items():
            getattr(self._model.opened, method)(value)
        return self._model


@dataclass(frozen=True)
class _Model:
    """A model for inputs of some shapes, and OpenCV's net of it."""

    graph: Graph
    shapes: Mapping[str, Shape]
    returned: list[str]
    opened: Any

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """Whether the sizes of these inputs are as before, or free: OpenCV 5 does not look."""
        return all(
            len(old) == inputs[name].ndim
            and all(
                size == new or self.graph.is_free(name, axis)
                for axis, (size, new) in enumerate(zip(old, inputs[name].shape, strict=True))
            )
            for name, old in self.shapes.items()
            if name in self.graph.input_names
        )


def _part(net: Net, blobs: Sequence[str]) -> Net:
    """The layers of a net that these blobs come from."""
    needed, layers = set(blobs), []
    for placed in reversed(net.layers):
        if needed.intersection(placed.message.top):
            layers.append(placed.message)
            needed.update(placed.message.bottom)
    return rewritten(net, reversed(layers))


def _opened(graph: Graph) -> Any:
    external = sum(array.nbytes for array in graph.weights.values()) > _ONE_FILE
    with tempfile.TemporaryDirectory(prefix="vggrepro-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "model.onnx")
        graph.save(path, external=external)
        return cv2_module().dnn.readNetFromONNX(str(path))
