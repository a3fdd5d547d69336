"""From one Net to another: the same net with some of its layers replaced, added or gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import NetParameter
from vggrepro.net.net import Net, build


def copy_of(message: Any) -> Any:
    """A message of its own, to be changed."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def rewritten(
    net: Net, layers: Iterable[Any], params: Mapping[str, npt.NDArray[np.float32]] | None = None
) -> Net:
    """The net that these layers (``LayerParameter`` messages) make, in the phase and at the input shapes of
    ``net``. ``params`` holds new values by owner's key; every other parameter keeps those of ``net``.

    Raises what :func:`vggrepro.net.net.build` raises.
    """
    message = NetParameter()
    message.CopyFrom(net.message)
    message.ClearField("layer")
    message.layer.extend(layers)
    tops = {top for layer in message.layer for top in layer.top}
    inputs = {name: shape for name, shape in net.inputs.items() if name in tops}
    built = build(message, net.phase, inputs, net.custom)
    values = {**net.params, **(params or {})}
    owned = {use.key: use.definition.shape for use in built.param_uses if use.owner == use.key}
    # A shared parameter may have changed its shape with the layer that owns it.
    filled = built.with_params({key: values[key].reshape(shape) for key, shape in owned.items()})
    unloaded = {use.key for use in net.param_uses if use.owner not in net.loaded}
    return replace(filled, sources=net.sources, loaded=frozenset(owned.keys() - unloaded))
