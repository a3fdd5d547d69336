"""Large weights stored as float16: half the file, and the arithmetic stays float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.errors import UnsupportedError
from vggrepro.graph.model import LARGE
from vggrepro.graph.targets.draft import Draft


def with_half_weights(draft: Draft) -> Draft:
    """The draft with every large float32 constant as float16 behind a Cast.

    DEVIATION: a weight is rounded to 11 bits, a relative error of up to 4.9e-4, and to multiples of 6e-8 near
    zero. Raises UnsupportedError for one beyond 65504.
    """
    g = GraphBuilder()
    for name in [*draft.graph.input_names, *draft.constants, *draft.producers]:
        g.reserve(name)
    stored: dict[str, npt.NDArray[np.float16]] = {}
    casts = {}
    for name, array in draft.constants.items():
        if array.dtype != np.float32 or array.nbytes < LARGE:
            continue
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.array_equal(np.isfinite(half), np.isfinite(array)):
            raise UnsupportedError(f"weights {name!r}: values beyond 65504 are not in float16")
        stored[name] = half
        casts[name] = g.op("Cast", name, to=FLOAT)
    nodes = []
    for node in draft.nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = [casts.get(name, name) for name in node.input]
        nodes.append(copy)
    return replace(draft, nodes=[*g.nodes, *nodes], constants={**draft.constants, **stored})
