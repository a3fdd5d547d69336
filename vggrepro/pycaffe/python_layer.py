"""``Layer``: layers that a script computes itself, in Python (Caffe's Python layer)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import PycaffeError
from vggrepro.layers.base import Array, Emitted, ParamDef, Referenced, Shapes, at_least
from vggrepro.layers.base import Layer as Rules
from vggrepro.layers.registry import known_types
from vggrepro.pycaffe.blob import BlobVec
from vggrepro.pycaffe.site import Site


class Layer:
    """The base of Python layers. Before ``setup`` is called it has ``param_str`` and ``phase``; ``blobs`` are
    its parameters, which ``setup`` adds (``self.blobs.add_blob(3, 4)``). A layer has its own
    ``forward(bottom, top)``, which writes ``top[i].data``, and, where a net learns,
    ``backward(top, propagate_down, bottom)``, which writes ``bottom[i].diff`` where ``propagate_down[i]``.
    As in Caffe the base has neither: a pass that needs one raises AttributeError."""

    type = "Python"

    def __init__(self, param: Any) -> None:
        pass

    @property
    def blobs(self) -> BlobVec:
        blobs: BlobVec = self.__dict__.setdefault("_blobs", BlobVec())
        return blobs

    def setup(self, bottom: BlobVec, top: BlobVec) -> None:
        """Called once, when the net is made."""

    def reshape(self, bottom: BlobVec, top: BlobVec) -> None:
        """Called before every forward pass: gives the tops their shapes."""


def layer_type_list() -> list[str]:
    """The types of layers that nets may have."""
    return sorted([*known_types(), Layer.type])


@dataclass
class _Permission:
    given: bool = False


_PERMISSION = _Permission()


def allow_python_layers(allowed: bool = True) -> None:
    """Let nets import the modules that their Python layers name. A net definition alone imports no code."""
    _PERMISSION.given = allowed


def make_instance(message: Any, phase: int, allowed: bool | None) -> Any:
    """The object of a Python layer's class, before its setup. Raises PycaffeError unless importing was
    allowed, and for a module or class that there is not."""
    param, where = message.python_param, f"layer {message.name!r}"
    if not (_PERMISSION.given if allowed is None else allowed):
        raise PycaffeError(
            f"{where}: class {param.layer!r} of module {param.module!r}: a net imports code only if it is"
            " told to: pass allow_python_layers=True, call vggrepro.pycaffe.install(), or use"
            " vggrepro run-pycaffe"
        )
    try:
        module = importlib.import_module(param.module)
    except ImportError as error:
        raise PycaffeError(f"{where}: module {param.module!r}: {error}") from error
    kind = getattr(module, param.layer, None)
    if kind is None:
        raise PycaffeError(f"{where}: module {param.module!r} has no class {param.layer!r}")
    instance = kind(message)
    instance.param_str = instance.param_str_ = param.param_str  # the second before Caffe 1.0
    instance.phase = phase
    return instance


@dataclass(frozen=True, eq=False)
class PythonRules(Rules[None]):
    """A Python layer among the layers of a net: its shapes are what the object says."""

    type = "Python"
    bottoms = at_least(0)
    tops = at_least(0)
    in_place = True

    instance: Any
    bottom_blobs: BlobVec
    top_blobs: BlobVec

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PythonRules:
        raise AssertionError("a Python layer is made by its net")

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """Sets the object up. The net asks once, when it is made."""
        for blob, shape in zip(self.bottom_blobs, bottoms, strict=True):
            blob.reshape(*shape)
        self.instance.setup(self.bottom_blobs, self.top_blobs)
        self.instance.reshape(self.bottom_blobs, self.top_blobs)
        return tuple(top.dims for top in self.top_blobs)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return tuple(ParamDef(blob.dims) for blob in self.instance.blobs)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        raise AssertionError("a Python layer is no part of a graph")

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        raise AssertionError("a Python layer has no reference")


@dataclass(frozen=True)
class PythonHost:
    """Runs a Python layer's object."""

    instance: Any

    def reshape(self, site: Site) -> None:
        self.instance.reshape(site.bottoms, site.tops)

    def forward(self, site: Site) -> None:
        self.instance.forward(site.bottoms, site.tops)

    def backward(self, site: Site) -> None:
        self.instance.backward(site.tops, list(site.needed.bottoms), site.bottoms)
