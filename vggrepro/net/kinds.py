"""Which class computes a layer of a net: that of its type, or one that stands in for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import UnknownLayerError, UnsupportedError
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.euclidean_loss_of_elements import EuclideanLossOfElements
from vggrepro.layers.fork_data import ForkData
from vggrepro.layers.pooling_of_axes import PoolingOfAxes, has_axes_of_its_own
from vggrepro.layers.registry import find_layer_class, layer_class

STAND_INS = {
    ("rpn.proposal_layer", "ProposalLayer"): "Proposal",
    ("rpn.anchor_target_layer", "AnchorTargetLayer"): "AnchorTargetLayer",
    ("rpn.proposal_target_layer", "ProposalTargetLayer"): "ProposalTargetLayer",
    ("roi_data_layer.layer", "OHEMDataLayer"): "OHEMDataLayer",
    ("pyloss", "EuclideanLossLayer"): "EuclideanLossLayer",
}
"""Modules and classes of published Python layers, and the types whose classes know what those do."""

AMBIGUOUS = {
    "CrossEntropyLoss": "forks differ: of probabilities, or of scores with a softmax inside",
    "DiceLoss": "forks differ: behind a sigmoid, of the likeliest classes, of sums over images",
    "K1_EuclideanLoss": "versions differ in what it is divided by: the elements, or these times N",
    "K2_EuclideanLoss": "versions differ: of the mean of all elements, or of each",
    "MMDLoss": "forks differ: of means, of random pairs by kernels",
    "SoftmaxCrossEntropyLoss": "forks differ: of each class, or the Kullback-Leibler divergence",
    "Sqrt": "forks differ in what becomes of negative numbers; of others Power with power 0.5 is the root",
    "WeightedEuclideanLoss": "forks differ: weights as they are, scaled to a mean of 1, or matrices",
}
"""Types of forks that are not implemented because nothing in a net tells which of several rules is meant."""

OWN_PARAMETERS = {
    "fixed_param": ("FixedNeuron",),
    "quantization_param": ("ConvolutionRistretto", "DeconvolutionRistretto", "FcRistretto"),
    "loss_param.balanced": ("SigmoidCrossEntropyLoss",),
    "loss_param.by_element": ("EuclideanLoss",),
    "loss_param.negative_weight": ("SigmoidCrossEntropyLoss",),
    "roi_pooling_param.corner_grid": ("ROIAlign",),
}
"""Fields of forks that change what any layer computes, and the types that know how. Behind a point stands a
field of a parameter that several types share."""


def check_own_parameters(definition: Any) -> None:
    """Raise UnsupportedError for a field of forks in a layer that does not know it."""
    for path, types in OWN_PARAMETERS.items():
        if definition.type not in types and _has(definition, path):
            parameter, _, field = path.partition(".")
            name = f"{parameter}: {field}" if field else parameter
            raise UnsupportedError(f"{name} is implemented for {', '.join(types)} alone")


def _has(definition: Any, path: str) -> bool:
    """Whether a ``LayerParameter`` sets a field: to more than ``false``, where a parameter has it."""
    parameter, _, field = path.partition(".")
    if not definition.HasField(parameter):
        return False
    return not field or bool(getattr(getattr(definition, parameter), field))


def class_of(definition: Any) -> type[AnyLayer]:
    """The class of a ``LayerParameter``. Raises UnknownLayerError for one that is not registered."""
    python = definition.python_param
    stands_in = _published(definition)
    if stands_in is None and _gives_data(definition):
        return ForkData
    if definition.type == "Pooling" and has_axes_of_its_own(definition.pooling_param):
        return PoolingOfAxes
    if definition.type == "EuclideanLoss" and definition.loss_param.by_element:
        return EuclideanLossOfElements
    if definition.type == "Softmax" and definition.softmax_param.dimension != "channel":
        stands_in = "SpatialSoftmax"
    try:
        return layer_class(stands_in or definition.type)
    except UnknownLayerError as error:
        if python.layer:
            about = f"class {python.layer!r} of module {python.module!r}{_other_bottoms(definition)}"
        elif definition.type in AMBIGUOUS:
            about = AMBIGUOUS[definition.type]
        else:
            raise
        raise UnknownLayerError(f"{error} ({about})", error.types) from None


def _published(definition: Any) -> str | None:
    """The type that knows what a Python layer does, if its module and class are published ones. A layer with
    another number of bottoms is another one of that name."""
    known = _of_that_name(definition)
    return None if known is None or _other_bottoms(definition) else known


def _of_that_name(definition: Any) -> str | None:
    """The type that stands in for a published Python layer of this module and class, if there is one."""
    python = definition.python_param
    return STAND_INS.get((python.module, python.layer)) if definition.type == "Python" else None


def _other_bottoms(definition: Any) -> str:
    """How a Python layer differs from the published one of its name; "" if not."""
    known, count = _of_that_name(definition), len(definition.bottom)
    if known is None or not count or count in layer_class(known).bottoms:
        return ""
    return f" with {count} bottom blob(s); the published one takes {layer_class(known).bottoms.limit(count)}"


def _gives_data(definition: Any) -> bool:
    """Whether a layer of an unknown type is a data layer: it has tops alone, and is Python's or called so."""
    if definition.bottom or not definition.top or find_layer_class(definition.type) is not None:
        return False
    return definition.type == "Python" or "data" in definition.type.lower()


def is_known(definition: Any) -> bool:
    """Whether there is a class for a ``LayerParameter``."""
    try:
        class_of(definition)
    except UnknownLayerError:
        return False
    return True


def has_own_fields(definition: Any) -> bool:
    """Whether a ``LayerParameter`` may have fields that the schema lacks, because they only say how a layer
    of a fork reads or writes files."""
    return is_known(definition) and class_of(definition).own_fields


def fed_shapes(definition: Any, given: Mapping[str, Shape]) -> list[Shape]:
    """The shapes of the tops of an Input or of a data layer of a fork, if all of them are given or follow
    from that of the first: none otherwise."""
    found = class_of(definition)
    first = given.get(next(iter(definition.top), ""))
    beside = found().shapes_beside(first) if first and issubclass(found, ForkData) else ()
    told = {**dict(zip(definition.top, beside, strict=False)), **given}
    return [told[top] for top in definition.top] if set(definition.top) <= set(told) else []


def is_fork_data(definition: Any) -> bool:
    """Whether a ``LayerParameter`` is a data layer of a fork."""
    return has_own_fields(definition) and class_of(definition).source
