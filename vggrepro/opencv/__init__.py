"""OpenCV 4's ``readNetFromCaffe`` on the OpenCV that is installed, so that old scripts run as they are.

:func:`readNetFromCaffe` converts Caffe's files as ``migrate-opencv`` does, and OpenCV runs the model. What it
returns has the methods of OpenCV 4's ``cv2.dnn.Net``: :class:`vggrepro.opencv.imported_net.ImportedNet`.
After :func:`install`, and under ``vggrepro run-pycaffe``, ``cv2.dnn.readNetFromCaffe`` is this function.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.data.opencv import is_opencv5
from vggrepro.errors import UnknownLayerError, UnsupportedError, some_of
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.net.load import load_by_rules
from vggrepro.net.net import Net
from vggrepro.opencv.imported_net import ImportedNet
from vggrepro.opencv.models import (
    ClassificationModel,
    DetectionModel,
    KeypointsModel,
    Model,
    SegmentationModel,
)
from vggrepro.opencv.script_layer import ScriptRules, registerLayer, unregisterLayer
from vggrepro.opencv.stretches import cv2_module

File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | npt.NDArray[np.uint8]
"""A path, or what a file holds."""


def readNetFromCaffe(prototxt: File, caffeModel: File = "", *, rules: ForkRules = BVLC) -> ImportedNet:
    """The net of a prototxt and its caffemodel, in phase TEST: paths, or bytes (also uint8 arrays).

    Layers whose weights the caffemodel lacks must be given them before ``forward``. ``rules`` say how
    definitions of forks are read. Raises what :func:`vggrepro.load_net` raises.
    """
    # On Windows a file that is mapped cannot be removed.
    with tempfile.TemporaryDirectory(prefix="vggrepro-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        weights = _path(caffeModel, folder / "caffeModel") if _is_given(caffeModel) else None
        named = {f.name: getattr(rules, f.name) for f in fields(ForkRules)}
        net = _read(_path(prototxt, folder / "prototxt"), weights, ScriptRules(**named))
    return ImportedNet(replace(net, sources={}))


def install(rules: ForkRules = BVLC) -> None:
    """Give the installed OpenCV what it lacks from 5 on: ``cv2.dnn.readNetFromCaffe``, and for Caffe's files
    ``cv2.dnn.readNet``, ``cv2.dnn_DetectionModel`` and its like, and ``cv2.dnn_registerLayer``. Raises
    ImportError without OpenCV."""
    cv2 = cv2_module()
    if not is_opencv5(cv2):
        return
    own = _own(cv2.dnn.readNet)
    own_register, own_unregister = _own(cv2.dnn_registerLayer), _own(cv2.dnn_unregisterLayer)

    def read_net_from_caffe(*files: File, **named: File) -> ImportedNet:
        renamed = {_BUFFERS.get(name, name): file for name, file in named.items()}
        return readNetFromCaffe(*files, **renamed, rules=rules)

    def read_net(*arguments: Any, **named: Any) -> Any:
        files = _files_of_caffe(*arguments, **named)
        return own(*arguments, **named) if files is None else read_net_from_caffe(*files)

    def register_layer(type: str, cls: Any) -> None:
        registerLayer(type, cls)
        own_register(type, cls)

    def unregister_layer(type: str) -> None:
        unregisterLayer(type)
        own_unregister(type)

    cv2.dnn.readNetFromCaffe, cv2.dnn.readNet = read_net_from_caffe, _instead_of(own, read_net)
    cv2.dnn_registerLayer = _instead_of(own_register, register_layer)
    cv2.dnn_unregisterLayer = _instead_of(own_unregister, unregister_layer)
    for name, kind in _MODELS.items():
        both = _model_maker(kind, _own(getattr(cv2.dnn, name)), read_net_from_caffe)
        setattr(cv2.dnn, name, both)
        setattr(cv2, f"dnn_{name}", both)
    cv2.dnn.shrinkCaffeModel = _shrink_caffe_model
    layouts = {f"DNN_LAYOUT_{name}": f"DATA_LAYOUT_{name}" for name in _LAYOUTS}
    removed = {"DNN_BACKEND_HALIDE": 1, **{old: getattr(cv2, new) for old, new in layouts.items()}}
    for name, value in removed.items():
        setattr(cv2.dnn, name, getattr(cv2.dnn, name, value))


def _own(found: Any) -> Any:
    """What OpenCV has of a name, also where this package's has taken its place before."""
    return getattr(found, "__wrapped__", found)


def _instead_of(own: Any, ours: Any) -> Any:
    """A function that takes the place of OpenCV's, which it keeps."""
    ours.__wrapped__ = own
    return ours


def _shrink_caffe_model(*_: Any, **__: Any) -> None:
    raise UnsupportedError(
        "cv2.dnn.shrinkCaffeModel: not here; vggrepro convert-caffemodel --target opencv5 --fp16 makes a"
        " model with float16 weights"
    )


_BUFFERS = {"bufferProto": "prototxt", "bufferModel": "caffeModel"}
"""What OpenCV calls arguments that are bytes."""

_MODELS = {
    kind.__name__: kind
    for kind in (Model, ClassificationModel, DetectionModel, KeypointsModel, SegmentationModel)
}

_LAYOUTS = ("UNKNOWN", "ND", "NCHW", "NCDHW", "NHWC", "NDHWC", "PLANAR")
"""Constants that have another name in OpenCV 5."""


def _model_maker(kind: type[Model], own: Any, read: Callable[[File, File], ImportedNet]) -> Any:
    """What makes OpenCV's model, or this package's where the net is Caffe's."""

    def make(*arguments: Any, **named: Any) -> Any:
        network = named.get("network", *arguments[:1])
        if isinstance(network, ImportedNet):
            return kind(network)
        files = None if isinstance(network, cv2_module().dnn.Net) else _files_of_caffe(*arguments, **named)
        return own(*arguments, **named) if files is None else kind(read(*files))

    return _instead_of(own, make)


def _read(prototxt: str, weights: str | None, rules: ForkRules) -> Net:
    try:
        return load_by_rules(prototxt, weights, rules)
    except UnknownLayerError as error:
        types = some_of([f"cv2.dnn_registerLayer({name!r}, ...)" for name in dict.fromkeys(error.types)])
        raise UnknownLayerError(
            f"{error}; a class of yours: {types} before the net is read", error.types
        ) from None


def _is_given(file: File) -> bool:
    return bool(os.fspath(file)) if isinstance(file, os.PathLike) else len(file) > 0


def _path(file: File, place: Path) -> str:
    """The path of a file; bytes are written to ``place``."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    place.write_bytes(bytes(file))
    return str(place)


def _files_of_caffe(*arguments: Any, **named: Any) -> tuple[File, File] | None:
    """Prototxt and caffemodel among the arguments of ``readNet``, paths in either order or bytes; None if the
    files are another framework's."""
    paths = "bufferModel" not in named and all(isinstance(a, (str, os.PathLike)) for a in arguments[:2])
    order = ("model", "config", "framework") if paths else ("framework", "bufferModel", "bufferConfig")
    given = {**dict.fromkeys(order, ""), **dict(zip(order, arguments, strict=False)), **named}
    framework = str(given["framework"]).lower()
    if not paths:
        return (given["bufferConfig"], given["bufferModel"]) if framework == "caffe" else None
    model, config = str(given["model"]), str(given["config"])
    of_caffe = any(name.endswith((".caffemodel", ".prototxt")) for name in (model, config))
    if framework != "caffe" and not of_caffe:
        return None
    swapped = model.endswith(".prototxt") or config.endswith(".caffemodel")
    return (model, config) if swapped else (config, model)
