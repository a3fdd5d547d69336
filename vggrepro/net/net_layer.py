"""A layer in its place in a net."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vggrepro.errors import VggReproError
from vggrepro.layers.base import AnyLayer, ParamDef


@dataclass(frozen=True)
class ParamUse:
    """One parameter of one layer. ``owner`` is the key of the layer that holds a shared one.

    ``needs_gradient`` is this layer's own say (its lr_mult is not 0); the multipliers of a shared
    parameter are those that all its layers agree on.
    """

    key: str
    owner: str
    definition: ParamDef
    lr_mult: float
    decay_mult: float
    needs_gradient: bool


@dataclass(frozen=True)
class NetLayer:
    """A layer in its place: the values it reads and writes, its parameters, its loss weights."""

    name: str
    layer: AnyLayer
    message: Any
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[ParamUse, ...]
    loss_weights: tuple[float, ...]

    @property
    def propagate_down(self) -> tuple[bool, ...]:
        return tuple(self.message.propagate_down)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Puts a layer's name in front of an error that does not name it."""
    try:
        yield
    except VggReproError as error:
        if repr(name) in str(error):
            raise
        raise type(error)(f"layer {name!r}: {error}") from error
