"""The reference walk: a net's forward pass in float64 NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import NetError, naming
from vggrepro.graph.label_checks import check_of_layer
from vggrepro.graph.naming import next_name, state_name
from vggrepro.net.net import Net
from vggrepro.net.shapes import check_sizes

Arrays = Mapping[str, npt.NDArray[Any]]


def reference_forward(net: Net, inputs: Arrays) -> dict[str, npt.NDArray[np.float64]]:
    """Every blob of the net, by name, as each layer's float64 reference computes it. A blob that is
    changed in place means its last value. Raises NetError for a missing or unknown input, ShapeError for one
    that the net cannot take, LabelError for a label that is no class."""
    values, _ = reference_walk(net, inputs, {})
    return {blob: values[value] for blob, value in net.blobs.items()}


def shaped_for(net: Net, inputs: Arrays) -> Net:
    """The net at the shapes of the inputs. Raises NetError for a missing or unknown one, ShapeError for one
    that the net cannot take."""
    for name in [*net.inputs, *inputs]:
        if name not in inputs or name not in net.inputs:
            what = "missing" if name in net.inputs else "unknown"
            raise NetError(f"net {net.name!r}: {what} input {name!r}; it takes {list(net.inputs)}")
    shaped = net.reshape({name: np.shape(array) for name, array in inputs.items()})
    check_sizes(shaped.layers, shaped.shapes)
    return shaped


def reference_walk(
    net: Net, inputs: Arrays, states: Arrays, measured: Arrays = MappingProxyType({})
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[Any]]]:
    """Every value of the net, and the new states and moved parameters under their ``next:`` names.
    ``states`` overrides initial states by their ``state:`` names. Steep layers read what a model ``measured``
    of the values, where it did, in place of the reference's own."""
    shaped = shaped_for(net, inputs)
    values = {name: np.asarray(array, np.float64) for name, array in inputs.items()}
    moved: dict[str, npt.NDArray[Any]] = {}
    for net_layer in shaped.layers:
        if net_layer.layer.source:
            continue
        labels = net_layer.layer.allowed_labels([shaped.shapes[b] for b in net_layer.bottoms])
        if labels is not None:
            check_of_layer(net_layer, labels, values)
        definitions = net_layer.layer.state_defs([shaped.shapes[b] for b in net_layer.bottoms])
        with naming(net_layer.place):
            result = net_layer.layer.reference(
                [_read(b, values, measured if net_layer.layer.steep else {}) for b in net_layer.bottoms],
                [np.asarray(net.params[use.key], np.float64) for use in net_layer.params],
                [states.get(state_name(net_layer.name, d.name), d.initial) for d in definitions],
            )
        values.update(zip(net_layer.tops, result.tops, strict=True))
        moved.update({next_name(net_layer.name, index): array for index, array in result.next_params.items()})
        named = zip(definitions, result.next_states, strict=True)
        moved.update({next_name(net_layer.name, d.name): array for d, array in named})
    return values, moved


def _read(
    value: str, exact: Mapping[str, npt.NDArray[np.float64]], measured: Arrays
) -> npt.NDArray[np.float64]:
    """What a layer reads: a measured array, in the shape of the exact one, if it has as many elements."""
    found = measured.get(value)
    if found is None or found.size != exact[value].size:
        return exact[value]
    return found.astype(np.float64).reshape(exact[value].shape)
