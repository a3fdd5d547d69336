"""vggrepro: Caffe models to ONNX, and the VGG paper's training and evaluation on ONNX Runtime."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vggrepro.version import __version__ as __version__

_HOMES = {
    "Layer": "vggrepro.layers.base",
    "Net": "vggrepro.net",
    "Preprocessing": "vggrepro.graph.embedded_preprocessing",
    "Session": "vggrepro.runtime.session",
    "Solver": "vggrepro.training.solver",
    "VggReproError": "vggrepro.errors",
    "gradient_model": "vggrepro.graph.backward",
    "load_net": "vggrepro.net",
    "read_mean_image": "vggrepro.data.mean_image",
    "register_layer": "vggrepro.layers.registry",
    "reference_forward": "vggrepro.graph.reference",
    "save_weights": "vggrepro.net",
    "to_onnx": "vggrepro.graph.forward",
    "upgrade_net": "vggrepro.caffe.upgrade",
    "upgrade_solver": "vggrepro.caffe.upgrade",
}

__all__ = [
    "Layer",
    "Net",
    "Preprocessing",
    "Session",
    "Solver",
    "VggReproError",
    "gradient_model",
    "load_net",
    "read_mean_image",
    "reference_forward",
    "register_layer",
    "save_weights",
    "to_onnx",
    "upgrade_net",
    "upgrade_solver",
]

if TYPE_CHECKING:
    from vggrepro.caffe.upgrade import upgrade_net, upgrade_solver
    from vggrepro.data.mean_image import read_mean_image
    from vggrepro.errors import VggReproError
    from vggrepro.graph.backward import gradient_model
    from vggrepro.graph.embedded_preprocessing import Preprocessing
    from vggrepro.graph.forward import to_onnx
    from vggrepro.graph.reference import reference_forward
    from vggrepro.layers.base import Layer
    from vggrepro.layers.registry import register_layer
    from vggrepro.net import Net, load_net, save_weights
    from vggrepro.runtime.session import Session
    from vggrepro.training.solver import Solver


def __getattr__(name: str) -> Any:
    """The public names, each imported when it is first used: reading a prototxt needs no runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
