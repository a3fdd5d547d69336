"""Where a converted model comes from and how it was made: entries of its metadata.

Nothing in them changes from run to run of the same command: there is no date.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vggrepro.emit import library_versions
from vggrepro.errors import DataError
from vggrepro.net import Net
from vggrepro.system.terminal import escaped, printable


def made_by(program: str, command: Sequence[str], target: str) -> dict[str, str]:
    """The command line, the runtime that it was made for, and the versions of the libraries that wrote it."""
    return {
        "command": escaped(f"{program} {shlex.join(command)}"),
        "target": target,
        "library_versions": ", ".join(f"{name} {version}" for name, version in library_versions().items()),
    }


def class_names(path: Path, net: Net) -> list[str]:
    """The names of the classes, in the network's order. Raises DataError where their number is that of no
    output, and as ``read_synsets``."""
    from vggrepro.data.truth.labels import read_synsets
    from vggrepro.layers.detection_output import DetectionOutput

    names = read_synsets(path).names
    counts = {shape[1] for shape in net.returned.values() if len(shape) > 1}
    counts |= {p.layer.classes for p in net.layers if isinstance(p.layer, DetectionOutput)}
    if len(names) not in counts:
        there = ", ".join(map(str, sorted(counts))) or "none"
        raise DataError(f"{path}: {len(names)} classes, but the network's outputs have {there}")
    return names


def named_classes(names: Sequence[str]) -> dict[str, str]:
    """The metadata of class names: a JSON list; nothing without names."""
    return {"class_names": json.dumps([printable(name) for name in names])} if names else {}


def measured_error(report: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of what was measured before the model was written: the largest difference from the float64
    reference in units of a blob's largest value, for each run. Nothing if nothing was measured."""
    found = [
        f"{_worst(run['blobs'])} in onnxruntime, every blob ({run['fed']})" for run in report.get("runs", ())
    ]
    found += [
        f"{_worst(check['outputs'])} in {check['runtime']} {check['version']} ({check['input']})"
        for check in report.get("runtimes", ())
    ]
    found += [f"{error:.1e} by float16 weights ({blob})" for blob, error in report.get("fp16", {}).items()]
    return {"measured_error": printable("; ".join(found))} if found else {}


def _worst(differences: Sequence[Mapping[str, Any]]) -> str:
    relative = (d["largest"] / d["magnitude"] if d["magnitude"] else d["largest"] for d in differences)
    return f"{max(relative, default=0.0):.1e}"
