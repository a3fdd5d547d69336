"""Two answers for the same blobs, side by side: how far a converted model is off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.net.surgery import fully_convolutional as surgery
from vggrepro.runtime.session import Session

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Difference:
    """One blob's differences: the largest and the mean one, and the blob's largest magnitude."""

    blob: str
    shape: tuple[int, ...]
    largest: float
    mean: float
    magnitude: float
    passed: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    blob: str, got: npt.NDArray[Any], want: npt.NDArray[Any], *, atol: float, rtol: float = 0.0
) -> Difference:
    """Passed if ``|got - want| <= atol + rtol * |want|`` everywhere; NaN equals NaN, infinity itself."""
    if got.shape != want.shape:
        return Difference(blob, got.shape, float("inf"), float("inf"), _magnitude(want), False)
    exact = np.asarray(want, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got - exact)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        passed = bool(np.all(same | (off <= atol + rtol * np.abs(exact))))
    off = np.where(same, 0.0, off)
    return Difference(
        blob,
        got.shape,
        float(off.max(initial=0)),
        float(off.mean()) if off.size else 0.0,
        _magnitude(exact),
        passed,
    )


def _magnitude(array: npt.NDArray[Any]) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0))


def verify(
    net: Net, inputs: Arrays, *, tolerance: float, fully_convolutional: bool = False, device: str = "cpu"
) -> list[Difference]:
    """Every blob of the converted net against the float64 reference, in the order of the net.

    ``tolerance`` is relative to the largest magnitude of each blob.
    """
    judged = surgery(net) if fully_convolutional else net
    blobs = [blob for blob in judged.blobs if blob not in judged.inputs]
    graph = build_forward(net, outputs=blobs, fully_convolutional=fully_convolutional)
    got = Session(graph, device).run(inputs, blobs)
    want = reference_forward(judged, inputs)
    return [compare(b, got[b], want[b], atol=tolerance * _magnitude(want[b])) for b in blobs]


def table(differences: list[Difference]) -> str:
    """A text table of differences, a line for each blob."""
    width = max([len(d.blob) for d in differences] + [4])
    lines = [f"{'blob':<{width}}  {'largest':>9}  {'mean':>9}  {'magnitude':>9}  shape"]
    for d in differences:
        mark = "" if d.passed else "  FAILED"
        lines.append(
            f"{d.blob:<{width}}  {d.largest:9.2e}  {d.mean:9.2e}  {d.magnitude:9.2e}  {d.shape}{mark}"
        )
    return "\n".join(lines)
