"""The registry of layer types: each module of this package enters its layers when it is imported, which is
when somebody asks for their types."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from vggrepro.errors import RegistrationError, UnknownLayerError

if TYPE_CHECKING:
    from vggrepro.layers.base import AnyLayer

_REGISTRY: dict[str, type[AnyLayer]] = {}
L = TypeVar("L", bound="type[AnyLayer]")


def register(cls: L) -> L:
    """Enter a layer class under its ``type``. A type that two classes claim is a bug, and raises."""
    if cls.type in _REGISTRY:
        raise ValueError(f"layer type {cls.type!r} is registered twice")
    _REGISTRY[cls.type] = cls
    return cls


def register_layer(cls: L, *, replace: bool = False) -> L:
    """Make a layer class from outside this package known by its ``type``; a decorator too. Raises
    RegistrationError for what is no complete layer class, and for a known type, unless it is to ``replace``.
    """
    from vggrepro.layers.base import Layer

    load_catalogue()
    name = getattr(cls, "type", None)
    if not (isinstance(cls, type) and issubclass(cls, Layer) and isinstance(name, str)):
        raise RegistrationError(f"{cls!r}: expected a subclass of vggrepro.Layer with a type")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    if lacking:
        raise RegistrationError(f"layer type {name!r}: {cls.__qualname__} lacks {', '.join(lacking)}")
    if name in _REGISTRY and not replace:
        raise RegistrationError(f"layer type {name!r} exists; replace=True takes its place")
    _REGISTRY[name] = cls
    return cls


@cache  # a net may have many layers of unknown types, each of which asks for the whole catalogue
def load_catalogue(only: str | None = None) -> None:
    """Import the modules of this package, which enter their layers: all, or that of this name without "_"."""
    for name in _modules():
        if only in (None, name.replace("_", "")):
            importlib.import_module(f"{__package__}.{name}")


@cache
def _modules() -> tuple[str, ...]:
    return tuple(m.name for m in pkgutil.iter_modules(importlib.import_module(__package__ or "").__path__))


def find_layer_class(type_name: str) -> type[AnyLayer] | None:
    """The class of a layer type; None for a type that is not registered."""
    of_data = type_name in ("HDF5Data", "ImageData", "MemoryData", "WindowData")
    for only in ("data" if of_data else type_name.lower(), None):  # all modules take a fifth of a second
        if type_name not in _REGISTRY:
            load_catalogue(only)
    return _REGISTRY.get(type_name)


def layer_class(type_name: str) -> type[AnyLayer]:
    """The class of a layer type. Raises UnknownLayerError for one that is not registered."""
    if (found := find_layer_class(type_name)) is None:
        raise UnknownLayerError(f"Unknown layer type: {type_name}", (type_name,))
    return found


def set_up_definition(definition: Any) -> None:
    """:meth:`Layer.set_up` of a ``LayerParameter`` of any type. One that is not registered stays as it is."""
    if (found := find_layer_class(definition.type)) is not None:
        found.set_up(definition)


def known_types() -> list[str]:
    load_catalogue()
    return sorted(_REGISTRY)
