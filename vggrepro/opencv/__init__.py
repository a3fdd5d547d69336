"""OpenCV 4's ``readNetFromCaffe`` on the OpenCV that is installed, so that old scripts run as they are.

:func:`readNetFromCaffe` converts Caffe's files as ``migrate-opencv`` does, and OpenCV runs the model. What it
returns has the methods of OpenCV 4's ``cv2.dnn.Net``: :class:`vggrepro.opencv.imported_net.ImportedNet`.
After :func:`install`, and under ``vggrepro run-pycaffe``, ``cv2.dnn.readNetFromCaffe`` is this function.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.data.opencv import is_opencv5
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.net.load import load_by_rules
from vggrepro.opencv.imported_net import ImportedNet, cv2_module

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
        net = load_by_rules(_path(prototxt, folder / "prototxt"), weights, rules)
    return ImportedNet(replace(net, sources={}))


def install(rules: ForkRules = BVLC) -> None:
    """Make ``cv2.dnn.readNetFromCaffe`` this package's, and ``cv2.dnn.readNet`` for Caffe's files, where the
    installed OpenCV has no importer of its own (from 5 on). Raises ImportError without OpenCV."""
    cv2 = cv2_module()
    if not is_opencv5(cv2):
        return
    own = cv2.dnn.readNet

    def read_net_from_caffe(prototxt: File, caffeModel: File = "") -> ImportedNet:
        return readNetFromCaffe(prototxt, caffeModel, rules=rules)

    def read_net(*arguments: Any, **named: Any) -> Any:
        files = _files_of_caffe(*arguments, **named)
        return own(*arguments, **named) if files is None else read_net_from_caffe(*files)

    cv2.dnn.readNetFromCaffe, cv2.dnn.readNet = read_net_from_caffe, read_net


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
    if not paths:
        files = given["bufferConfig"], given["bufferModel"]
        return files if given["framework"] == "caffe" else None
    model, config = str(given["model"]), str(given["config"])
    of_caffe = any(name.endswith((".caffemodel", ".prototxt")) for name in (model, config))
    if given["framework"] != "caffe" and not of_caffe:
        return None
    return (model, config) if model.endswith(".prototxt") else (config, model)
