"""How strong the noise is that a net is verified on: as its images are, so that its scores tell it apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.net import Net

PIXELS = 50.0
"""Standard deviation of pixels, 0-255, less their mean."""

NORMALISED = 1.0
"""Standard deviation of what nets take whose images are scaled to about -1 to 1."""

_SATURATED = 1 - 1e-6
"""From here on a posterior tells nothing of its score: in float32 those of many scores are equal."""


def declared_std(net: Net) -> float:
    """The standard deviation of the net's images: that of pixels times the ``scale`` of its data layers."""
    scales = [
        float(p.message.transform_param.scale) for p in net.layers if p.message.HasField("transform_param")
    ]
    return PIXELS * (scales[-1] if scales and scales[-1] > 0 else 1.0)


def saturated(net: Net, values: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Whether most winning classes in the blobs of posteriors among ``values`` have probability 1: a deploy
    net that says nothing of its images' scale was fed far too strong ones."""
    tops = {top for p in net.layers if p.layer.gives_posteriors for top in p.message.top}
    winners = [values[top][values[top] > 0.5] for top in tops if top in values]
    found = np.concatenate(winners) if winners else np.zeros(0)
    return bool(len(found)) and float(np.mean(found >= _SATURATED)) > 0.5
