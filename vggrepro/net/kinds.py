"""Which class computes a layer of a net: that of its type, or one that stands in for a Python layer."""

from __future__ import annotations

from typing import Any

from vggrepro.errors import UnknownLayerError
from vggrepro.layers.base import AnyLayer, layer_class

STAND_INS = {("rpn.proposal_layer", "ProposalLayer"): "Proposal"}
"""Modules and classes of published Python layers, and the types whose classes know what those do."""


def class_of(definition: Any) -> type[AnyLayer]:
    """The class of a ``LayerParameter``. Raises UnknownLayerError for one that is not registered."""
    python = definition.python_param
    stands_in = STAND_INS.get((python.module, python.layer)) if definition.type == "Python" else None
    try:
        return layer_class(stands_in or definition.type)
    except UnknownLayerError as error:
        if not python.layer:
            raise
        text = f"{error} (class {python.layer!r} of module {python.module!r})"
        raise UnknownLayerError(text, error.types) from None


def is_known(definition: Any) -> bool:
    """Whether there is a class for a ``LayerParameter``."""
    try:
        class_of(definition)
    except UnknownLayerError:
        return False
    return True
