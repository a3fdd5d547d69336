"""Stored reference outputs of Caffe, and the comparison with the converted model.

A case is a folder: ``net.prototxt``, ``weights.caffemodel`` if the net has parameters, ``case.json``
(phase, level, stages) and ``io.npz`` with ``in:<blob>``, ``out:<blob>``, ``blob:<blob>``, for
gradients ``dout:``, ``din:``, ``dparam:``, ``dblob:``, after the pass ``param_after:``. An ``index.json``
in a folder above may give tolerances for the case; else those of the caller hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import DataError
from vggrepro.evaluation.verify import Difference, compare
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.naming import gradient_name, next_name
from vggrepro.net import Net, load_net
from vggrepro.runtime.session import Session

Arrays = dict[str, npt.NDArray[Any]]
GRADIENTS = ("din", "dparam", "dblob")


@dataclass(frozen=True)
class Tolerance:
    """``|got - want| <= atol + rtol * |want|``; ``relative_atol`` is in units of the largest ``|want|``."""

    rtol: float = 1e-5
    relative_atol: float = 5e-6


@dataclass(frozen=True)
class ReferenceCase:
    """One case folder. Raises DataError where a file is missing or is not what it should be."""

    folder: Path
    fallback: Tolerance = Tolerance()

    @cached_property
    def about(self) -> dict[str, Any]:
        return _json(self.folder / "case.json")

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The case's entry in the nearest index.json above it, or nothing."""
        for parent in self.folder.resolve().parents:
            if (parent / "index.json").exists():
                path = self.folder.resolve().relative_to(parent).as_posix()
                found = [e for e in _json(parent / "index.json")["cases"] if e["path"] == path]
                return found[0] if found else {}
        return {}

    @cached_property
    def io(self) -> Arrays:
        try:
            with np.load(self.folder / "io.npz", allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder / 'io.npz'}: not readable as .npz: {error}") from error

    def arrays(self, kind: str) -> Arrays:
        """The arrays under ``kind:``, by the rest of their keys."""
        pairs = ((key.split(":", 1), value) for key, value in self.io.items())
        return {name: value for (prefix, name), value in pairs if prefix == kind}

    def keys(self, *kinds: str) -> list[str]:
        return [key for key in self.io if key.split(":", 1)[0] in kinds]

    def load(self) -> Net:
        weights = self.folder / "weights.caffemodel"
        return load_net(
            self.folder / "net.prototxt",
            weights if weights.exists() else None,
            phase=self.about["phase"],
            stages=self.about.get("stages", ()),
            level=self.about.get("level", 0),
        )

    def compare(self, key: str, got: npt.NDArray[Any]) -> Difference:
        want = self.io[key]
        given = self.entry.get("backward_tol" if key.split(":", 1)[0] in GRADIENTS else "forward")
        if given is None:
            finite = np.abs(want[np.isfinite(want)])
            atol = self.fallback.relative_atol * float(finite.max(initial=0))
            return compare(key, got, want, atol=atol, rtol=self.fallback.rtol)
        atol = self.entry["atol_by_key"].get(key, given["atol"])
        return compare(key, got, want, atol=atol, rtol=given["rtol"])


def check_forward(
    case: ReferenceCase, net: Net, *, device: str = "cpu", fixed: bool = False, threads: int = 0
) -> list[Difference]:
    """Blobs and moved parameters of one forward pass of the converted model against the case's."""
    blobs = [key.split(":", 1)[1] for key in case.keys("out", "blob")]
    graph = build_forward(net, outputs=blobs, fixed=fixed)
    graph.check()
    got = Session(graph, device, threads=threads).run(case.arrays("in"))
    return [case.compare(key, _found(key, got, net)) for key in case.keys("out", "blob", "param_after")]


def _found(key: str, got: Arrays, net: Net) -> npt.NDArray[Any]:
    kind, name = key.split(":", 1)
    if kind == "param_after":
        layer, index = name.rsplit(":", 1)
        return got.get(next_name(layer, index), net.params[name])
    return got[name] if name in got else got[net.blobs[name]]


def check_backward(
    case: ReferenceCase, net: Net, *, device: str = "cpu", threads: int = 0
) -> list[Difference]:
    """Gradients of the converted model against the case's."""
    graph = build_gradient(net, inputs=[*case.arrays("din"), *case.arrays("dblob")])
    graph.check()
    feeds = {gradient_name(top): array for top, array in case.arrays("dout").items()}
    got = Session(graph, device, threads=threads).run({**case.arrays("in"), **net.params, **feeds})
    keys = case.keys(*GRADIENTS)
    return [case.compare(key, got[gradient_name(key.split(":", 1)[1])]) for key in keys]


def check_case(case: ReferenceCase, device: str = "cpu") -> list[Difference]:
    """All that a case stores: forward and, where it has gradients, backward."""
    net = case.load()
    backward = check_backward(case, net, device=device) if case.keys(*GRADIENTS) else []
    return check_forward(case, net, device=device) + backward


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content
