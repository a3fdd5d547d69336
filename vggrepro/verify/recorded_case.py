"""Recording a case: what a net answers today, stored so that tomorrow's answers can be compared with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import NetError
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.net.save import put_weights
from vggrepro.system.atomic import json_bytes, made_folder, replacing_paths, writing
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.version import __version__

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class NetState:
    """The stages and level that the net was loaded for, and the rules by which it was read."""

    stages: Sequence[str] = ()
    level: int = 0
    rules: ForkRules = BVLC


def record_case(
    folder: Path, definition: Path, net: Net, inputs: Arrays, state: NetState = NetState()
) -> Path:
    """Write a case (:mod:`vggrepro.verify.reference_case`) into ``folder``, which is made if need be.

    ``definition`` is the net's prototxt, which is copied as it is; its blobs, for ``inputs`` in float32, are
    those of the float64 reference. A former case in the folder is replaced. Raises NetError for inputs that
    do not fit and for a net without outputs, OSError.
    """
    shapes = {name: np.shape(array) for name, array in inputs.items()}
    if shapes != dict(net.inputs):
        raise NetError(f"net {net.name!r}: inputs of shapes {shapes}, expected {dict(net.inputs)}")
    blobs = reference_forward(net, inputs)
    kinds: dict[str, dict[str, Any]] = {"in": dict(inputs), "blob": {}, "out": {}}
    for blob, array in blobs.items():
        if blob not in net.inputs:
            kinds["out" if blob in net.outputs else "blob"][blob] = array
    if not kinds["out"]:
        raise NetError(f"net {net.name!r}: no output to record")
    arrays = {
        f"{kind}:{name}": np.asarray(array, np.float32)
        for kind, named in kinds.items()
        for name, array in named.items()
    }
    about = {
        "phase": net.phase,
        "level": state.level,
        "stages": list(state.stages),
        **state.rules.facts(),
        "made_by": f"vggrepro {__version__}, float64 reference",
    }
    proto = None if state.rules.proto is None else Path(state.rules.proto)
    _write(ReferenceCase(folder), definition, proto, net, arrays, about)
    return folder


def _write(
    case: ReferenceCase,
    definition: Path,
    proto: Path | None,
    net: Net,
    arrays: Arrays,
    about: dict[str, Any],
) -> None:
    """All files or none; those that only a former case has go. ``case.json`` comes last and an old one goes
    first: without it a folder is no case."""
    files = case.files
    packed = io.BytesIO()
    compressed: Callable[..., None] = np.savez_compressed
    compressed(packed, **arrays)
    contents = {files.net: definition.read_bytes(), files.io: packed.getvalue()}
    if proto is not None:
        contents[files.proto] = proto.read_bytes()
    weights = [files.weights] if net.params else []
    places = [*contents, *weights, files.about]
    contents[files.about] = json_bytes(about)
    with made_folder(case.folder), replacing_paths(*places) as hidden:
        for place, temporary in zip(places, hidden, strict=True):
            with writing(temporary, place) as file:
                if place == files.weights:
                    put_weights(file, place, net)
                else:
                    file.write(contents[place])
        former = [place for place in (files.weights, files.proto) if place not in places and place.exists()]
        for place in (files.about, *former) if former else ():
            place.unlink(missing_ok=True)
