"""Reference outputs that Caffe has computed and that are stored in a folder, compared with a converted
model's.

A case is a folder with ``net.prototxt``, ``weights.caffemodel`` if the net has parameters, ``case.json``
(phase, level, stages; ``fork_rules``, by which a definition of a fork is read, with its schema in
``net.proto``) and ``io.npz``, whose arrays are named by their kind and what they are of:

- ``in:<blob>``, ``out:<blob>``, ``blob:<blob>``: inputs, outputs and other blobs of a forward pass;
- ``param_after:<layer>:<index>``: a parameter as the forward pass leaves it (running statistics);
- ``dout:<blob>``: the gradient that is given for an output; ``din:<blob>``, ``dblob:<blob>`` and
  ``dparam:<layer>:<index>``: the gradients of inputs, other blobs and parameters that follow from it;
- ``in2:``, ``out2:``, ``param_after2:``: the same of a second forward pass of the same net.

An ``index.json`` in a folder above may give tolerances for the case; otherwise those of the caller hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import PHASES
from vggrepro.emit import RuleSet
from vggrepro.errors import DataError, naming
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import gradient_name
from vggrepro.graph.reference import Arrays
from vggrepro.net import ForkRules, Net, load_by_rules
from vggrepro.runtime.device import as_device
from vggrepro.runtime.session import Session
from vggrepro.system.json_text import parsed_json
from vggrepro.system.npz import UNREADABLE_NPZ
from vggrepro.verify.comparison import Difference, compare, magnitude

VALUES = ("out", "blob", "param_after")
GRADIENTS = ("din", "dparam", "dblob")
SECOND = ("out2", "param_after2")
FED = ("in", "dout", "in2")


@dataclass(frozen=True)
class Tolerance:
    """``|got - want| <= atol + rtol * |want|``; ``relative_atol`` is in units of the largest ``|want|``."""

    rtol: float = 1e-5
    relative_atol: float = 5e-6


@dataclass(frozen=True)
class CaseFiles:
    """What a case's folder holds."""

    net: Path
    weights: Path
    about: Path
    io: Path
    proto: Path


@dataclass(frozen=True)
class ReferenceCase:
    """One case folder. Raises DataError where a file is missing or is not what it should be."""

    folder: Path
    fallback: Tolerance = Tolerance()

    @property
    def files(self) -> CaseFiles:
        names = ("net.prototxt", "weights.caffemodel", "case.json", "io.npz", "net.proto")
        return CaseFiles(*(self.folder / name for name in names))

    @cached_property
    def about(self) -> dict[str, Any]:
        """What ``case.json`` says: phase, level, stages."""
        about = _json(self.folder / "case.json")
        if not isinstance(about.get("phase"), str) or about["phase"] not in PHASES:
            raise DataError(f"{self.folder / 'case.json'}: expected a phase, TRAIN or TEST")
        stages, level = about.get("stages", []), about.get("level", 0)
        if not (isinstance(stages, list) and all(isinstance(s, str) for s in stages) and type(level) is int):
            raise DataError(
                f"{self.folder / 'case.json'}: expected stages as a list of texts, level as a number"
            )
        return about

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The case's entry in the nearest index.json above it, or nothing."""
        for parent in self.folder.resolve().parents:
            if (parent / "index.json").exists():
                path = self.folder.resolve().relative_to(parent).as_posix()
                entries = _json(parent / "index.json").get("cases", [])
                if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                    raise DataError(f"{parent / 'index.json'}: expected a list of objects under 'cases'")
                return next((e for e in entries if e.get("path") == path), {})
        return {}

    @cached_property
    def io(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of ``io.npz`` by their whole keys."""
        path = self.folder / "io.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                io = {key: arrays[key] for key in arrays.files}
        except FileNotFoundError:
            raise DataError(f"{path}: No such file or directory") from None
        except MemoryError as error:
            raise MemoryError(f"{path}: {error}") from error
        except UNREADABLE_NPZ as error:
            raise DataError(f"{path}: not readable as .npz: {error}") from error
        kinds = (*FED, *VALUES, *GRADIENTS, *SECOND)
        strange = [key for key in io if ":" not in key or key.split(":", 1)[0] not in kinds]
        if strange or not io:
            raise DataError(
                f"{path}: key {strange[0]!r} is of no known kind" if strange else f"{path}: empty"
            )
        for key, array in io.items():
            if array.dtype.kind not in "fiub":
                raise DataError(f"{path}: {key!r} holds {array.dtype}, expected numbers")
        return io

    def arrays(self, kind: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays under ``kind:``, by the rest of their keys."""
        pairs = ((key.split(":", 1), value) for key, value in self.io.items())
        return {name: value for (prefix, name), value in pairs if prefix == kind}

    def keys(self, *kinds: str) -> list[str]:
        """The whole keys of the arrays of these kinds, in the order of the file."""
        return [key for key in self.io if key.split(":", 1)[0] in kinds]

    @property
    def rules(self) -> ForkRules:
        """How the case's net is read."""
        with naming(str(self.files.about)):
            return ForkRules.from_facts(self.about, self.files.proto)

    def load(self) -> Net:
        """The case's net, with its weights, in its phase."""
        weights = self.folder / "weights.caffemodel"
        return load_by_rules(
            self.folder / "net.prototxt",
            weights if weights.exists() else None,
            self.rules,
            phase=self.about["phase"],
            stages=self.about.get("stages", ()),
            level=self.about.get("level", 0),
        )

    def compare(self, key: str, got: npt.NDArray[Any]) -> Difference:
        """``got`` beside the stored array of this key, under the case's tolerance for it."""
        want = self.io[key]
        given = self.entry.get("backward_tol" if key.split(":", 1)[0] in GRADIENTS else "forward")
        if given is None:
            atol = self.fallback.relative_atol * magnitude(want)
            return compare(key, got, want, atol=atol, rtol=self.fallback.rtol)
        try:
            atol = float(self.entry.get("atol_by_key", {}).get(key, given["atol"]))
            rtol = float(given["rtol"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self.folder}: tolerances of its index.json: {error!r}") from error
        return compare(key, got, want, atol=atol, rtol=rtol)

    def compare_all(self, kinds: tuple[str, ...], found: Mapping[str, npt.NDArray[Any]]) -> list[Difference]:
        """Every stored array of these kinds beside what was ``found``, by its key. Raises DataError for a key
        under which nothing was found."""
        keys = self.keys(*kinds)
        missing = [key for key in keys if key not in found]
        if missing:
            raise DataError(f"{self.folder / 'io.npz'}: {missing[0]!r}: the net has nothing of that name")
        return [self.compare(key, found[key]) for key in keys]


def check_forward(
    case: ReferenceCase,
    net: Net,
    *,
    device: str = "cpu",
    fixed: bool = False,
    threads: int = 0,
    rules: RuleSet | None = None,
) -> list[Difference]:
    """One forward pass of the converted model, by the rules for ``device`` or by others,
    against the case's: its blobs, and parameters as it leaves them."""
    blobs = [key.split(":", 1)[1] for key in case.keys("out", "blob")]
    graph = build_forward(net, outputs=blobs, fixed=fixed, rules=rules or as_device(device).kind)
    graph.check()
    got = Session(graph, device, threads=threads).run(case.arrays("in"))
    found = {f"{kind}:{blob}": got[graph.blobs[blob]] for kind in ("out", "blob") for blob in blobs}
    after = {f"param_after:{key}": array for key, array in {**net.params, **_moved(graph, got)}.items()}
    return case.compare_all(VALUES, {**found, **after})


def check_second(case: ReferenceCase, net: Net, *, device: str = "cpu", threads: int = 0) -> list[Difference]:
    """A second forward pass, at input shapes of its own, against the case's: it begins with the states and
    running statistics that the first has left."""
    graph = build_forward(net, rules=as_device(device).kind)
    first = Session(graph, device, threads=threads).run(case.arrays("in"))
    states = {state.input: first[state.output] for state in graph.states}
    inputs = case.arrays("in2")
    again = net.with_params(_moved(graph, first)).reshape({n: array.shape for n, array in inputs.items()})
    graph = build_forward(again, rules=as_device(device).kind)
    got = Session(graph, device, threads=threads).run({**inputs, **states})
    found = {f"out2:{blob}": got[graph.blobs[blob]] for blob in again.outputs}
    after = {f"param_after2:{key}": array for key, array in {**again.params, **_moved(graph, got)}.items()}
    return case.compare_all(SECOND, {**found, **after})


def check_backward(
    case: ReferenceCase,
    net: Net,
    *,
    device: str = "cpu",
    threads: int = 0,
    rules: RuleSet | None = None,
) -> list[Difference]:
    """Gradients of the converted model against the case's, by the rules for ``device`` or by others."""
    inputs = [*case.arrays("din"), *case.arrays("dblob")]
    graph = build_gradient(net, inputs=inputs, rules=rules or as_device(device).kind)
    graph.check()
    feeds = {gradient_name(top): array for top, array in case.arrays("dout").items()}
    got = Session(graph, device, threads=threads).run({**case.arrays("in"), **net.params, **feeds})
    given = {key: gradient_name(key.split(":", 1)[1]) for key in case.keys(*GRADIENTS)}
    return case.compare_all(GRADIENTS, {key: got[name] for key, name in given.items() if name in got})


def check_case(case: ReferenceCase, device: str = "cpu") -> list[Difference]:
    """All that a case stores: the forward pass, the second one and the gradients, where it has them."""
    net = case.load()
    found = check_forward(case, net, device=device)
    if case.keys(*SECOND):
        found += check_second(case, net, device=device)
    if case.keys(*GRADIENTS):
        found += check_backward(case, net, device=device)
    return found


def _moved(graph: Graph, outputs: Arrays) -> Arrays:
    """The new values of the parameters that a graph's forward pass moved, by key."""
    return {key: outputs[name] for key, name in graph.statistics.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = parsed_json(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content
