"""OpenCV 4's ``cv2.dnn.Net`` of a Caffe net, over a converted model that the installed OpenCV runs.

OpenCV 4 gives every layer's blob to whoever names it, and lets weights be set; a model returns its outputs
alone. So the model is made anew, within the call, when ``forward`` names a layer for the first time, when
weights were set, and when an input has a size that the model does not take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import NetError, UnsupportedError, did_you_mean
from vggrepro.layers.detection_output import DetectionOutput
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.requirements import layers_without_weights
from vggrepro.net.transforms.opencv_names import opencv_outputs, with_opencv_names
from vggrepro.opencv.detection_rows import likeliest_first
from vggrepro.opencv.script_layer import as_matrix, with_registered
from vggrepro.opencv.stretches import Stretches, part_for

Array = npt.NDArray[Any]

_INPUT = "_input"
"""How OpenCV calls the layer number 0, which holds the inputs."""

_INPUT_TYPE = "__NetInputLayer__"

_REFUSED = {
    **dict.fromkeys(("dump", "dumpToFile", "dumpToPbtxt"), "vggrepro inspect-net prints the layers"),
    **dict.fromkeys(("getFLOPS", "getMemoryConsumption"), "vggrepro inspect-net counts them"),
    **dict.fromkeys(
        ("addLayer", "addLayerToPrev", "connect", "registerOutput", "setInputShape", "setInputsNames"),
        "write it into the prototxt",
    ),
    "forwardAsync": "OpenCV has it for OpenVINO alone; forward computes the same",
    **dict.fromkeys(
        ("quantize", "getInputDetails", "getOutputDetails"), "quantise the converted model by ONNX Runtime"
    ),
}
"""Methods of OpenCV 4's Net that are not here, and what to do instead."""


class ImportedLayer:
    """A layer by ``getLayer``: its name, its Caffe type, and its weights."""

    def __init__(self, net: ImportedNet, name: str, kind: str) -> None:
        self._net, self.name, self.type = net, name, kind

    def outputNameToIndex(self, outputName: str) -> int:
        """The place of an input of the net in layer number 0, -1 if it has none of that name; 0 of any other
        layer."""
        names = list(self._net.input_shapes)
        if self.name != _INPUT:
            return 0
        return names.index(outputName) if outputName in names else -1

    @property
    def blobs(self) -> list[Array]:
        """The weights, in Caffe's order, as OpenCV 4 shapes them. A list of as many arrays of as many numbers
        sets them."""
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
        self._detections = {
            placed.message.top[0] for placed in self._layers if placed.message.type == DetectionOutput.type
        }
        self._preferences: dict[str, Any] = {}
        self._inputs: dict[str, Array] = {}
        self._stretches: Stretches | None = None

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            raise UnsupportedError(f"cv2.dnn.Net.{name}: not for nets of Caffe's files; {_REFUSED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def input_shapes(self) -> Mapping[str, Shape]:
        """The inputs' shapes in the definition, by name; OpenCV does not tell them."""
        return self._net.inputs

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

    def forward(
        self,
        outputName: str | Sequence[str] | None = None,
        outputBlobs: Sequence[Array] | None = None,
        *,
        outBlobNames: Sequence[str] | None = None,
    ) -> Any:
        """The blob of a layer, or a tuple of those of several layers; the last output, if none is named. Only
        what these need is computed. ``outputBlobs`` is not looked at, as in OpenCV."""
        outputName = outputName if outBlobNames is None else outBlobNames
        several = outputName is not None and not isinstance(outputName, str)
        names = [outputName] if isinstance(outputName, str) and outputName else list(outputName or ())
        names = names or self._outputs[-1:]
        blobs = self._net.blobs.keys() - self._net.inputs.keys()
        for name in names:
            if name not in blobs:
                raise NetError(f"forward: there is no layer {name!r}{did_you_mean(name, blobs)}")
        found = self._stretches_for(names).run(self._inputs)
        for name in self._detections & set(names):
            found[name] = likeliest_first(found[name])
        return tuple(found[name] for name in names) if several else found[names[0]]

    def forwardAndRetrieve(self, outBlobNames: Sequence[str]) -> tuple[tuple[Array], ...]:
        """As :meth:`forward`, with each blob in a tuple of all that its layer gives by that name."""
        return tuple((blob,) for blob in self.forward(outBlobNames))

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
        return tuple(sorted({_INPUT_TYPE, *(placed.message.type for placed in self._layers)}))

    def getLayersCount(self, layerType: str) -> int:
        types = [_INPUT_TYPE, *(placed.message.type for placed in self._layers)]
        return types.count(layerType)

    def getLayersShapes(self, netInputShapes: Sequence[Any]) -> tuple[Array, Any, Any]:
        """Numbers of the layers, and the shapes of their bottoms and of their tops, for inputs of these
        shapes: a list of them, or the one of the only input."""
        several = [netInputShapes] if np.ndim(netInputShapes[0]) == 0 else netInputShapes
        given = [tuple(map(int, shape)) for shape in several]
        net = self._net.reshape(dict(zip(self._net.inputs, given, strict=False)))
        first = [*net.inputs]
        bottoms = [first, *(placed.message.bottom for placed in self._layers)]
        tops = [first, *(placed.message.top for placed in self._layers)]
        before, after = (
            tuple(tuple(np.array(net.shapes[blob], np.int32) for blob in blobs) for blobs in ends)
            for ends in (bottoms, tops)
        )
        return np.arange(len(tops), dtype=np.int32), before, after

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
        if self._stretches is None:
            return 0, np.zeros(0)
        profiles = [model.opened.getPerfProfile() for model in self._stretches.models]
        return sum(p[0] for p in profiles), np.concatenate([np.zeros(0), *(np.ravel(p[1]) for p in profiles)])

    def setPreferableBackend(self, backendId: int) -> None:
        """Told to OpenCV, whose new engine runs on the CPU whatever it is told."""
        self._prefer("setPreferableBackend", backendId)

    def setPreferableTarget(self, targetId: int) -> None:
        """As :meth:`setPreferableBackend`."""
        self._prefer("setPreferableTarget", targetId)

    def setHalideScheduler(self, scheduler: str) -> None:
        """Nothing: OpenCV 5 has no Halide."""

    def enableFusion(self, fusion: bool) -> None:
        """Nothing: it is a matter of speed, and no net of OpenCV 5.0.0 runs after it was told not to fuse."""

    def enableWinograd(self, useWinograd: bool) -> None:
        self._prefer("enableWinograd", useWinograd)

    def _prefer(self, method: str, value: Any) -> None:
        self._preferences[method] = value
        for model in self._stretches.models if self._stretches is not None else ():
            getattr(model.opened, method)(value)

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
        return [as_matrix(np.array(self._net.params[use.key]), placed.message.type) for use in placed.params]

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
        self._stretches = None

    def _stretches_for(self, names: Sequence[str]) -> Stretches:
        """What computes these blobs of inputs as they are: what is at hand, or a new one, which also gives
        what was asked for before if the inputs' sizes are those of before."""
        old = self._stretches
        takes = old is not None and old.takes(self._inputs)
        if old is not None and takes and set(names) <= set(old.returned):
            return old
        returned = list(dict.fromkeys([*(old.returned if old is not None and takes else ()), *names]))
        self._net = with_registered(self._net)
        part = part_for(self._net, returned)
        for name in part.inputs:
            if name not in self._inputs:
                raise NetError(f"forward: setInput was not called for the input {name!r}")
        lacking = [placed.name for placed in part.layers if placed.name in self._lacking]
        if lacking:
            raise NetError(f"forward: there are no weights for the layer {lacking[0]!r}")
        part = part.reshape({name: self._inputs[name].shape for name in part.inputs})
        self._stretches = old = None  # the next one needs its memory
        self._stretches = Stretches(part, returned)
        for model in self._stretches.models:
            for method, value in self._preferences.items():
                getattr(model.opened, method)(value)
        return self._stretches
