"""A folder with a net's files in Caffe's newest format, and whose names a tool may have given its arrays.

``net.prototxt`` and ``net.caffemodel`` are what a tool is given. ``names.json`` has for each input and output
blob the layer that makes it, because some tools call an array by its layer.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

PROTOTXT, WEIGHTS, NAMES = "net.prototxt", "net.caffemodel", "names.json"


def paired(model: str, side: str, found: list[str]) -> dict[str, str]:
    """The tool's name for each blob of the ``side``, "inputs" or "outputs": the blob's or its layer's name,
    or one that begins with either, or else the one in the blob's place. Raises LookupError for a blob that
    the tool's model lacks."""
    layers = json.loads((Path(model) / NAMES).read_text())[side]
    by_name = {blob: _named(blob, layer, found) for blob, layer in layers.items()}
    if all(by_name.values()) and len(set(by_name.values())) == len(layers):
        return by_name
    if len(layers) == len(found):
        return dict(zip(layers, found))  # noqa: B905 - some tools need a Python without strict
    missing = [blob for blob, name in by_name.items() if not name]
    raise LookupError(f"the model has {side} {found}, the net {missing or list(layers)}")


def _named(blob: str, layer: str, found: list[str]) -> str:
    exact = [name for name in found if name in (blob, layer)]
    begun = [name for name in found if name.startswith((blob + "_", layer + "_"))]
    return (exact + begun + [""])[0]


def run_tool(command: list[str], folder: str, result: Path) -> None:
    """Run a tool's command in a folder. Raises RuntimeError with its last words if there is no ``result``."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not result.exists():
        words = done.stdout.decode(errors="replace").strip()
        raise RuntimeError(f"\n{words[-3000:]}" if words else f"exit code {done.returncode}")
