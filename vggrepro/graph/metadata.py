"""What a model says of itself: where it came from and what made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vggrepro.emit import properties
from vggrepro.net.net import Net
from vggrepro.system.file_digest import file_sha256
from vggrepro.system.terminal import printable
from vggrepro.version import __version__


def metadata(net: Net) -> dict[str, str]:
    """Toolkit version, phase, and the names of the files that the net came from."""
    files = {f"{kind}_file": printable(Path(name).name) for kind, name in net.sources.items()}
    return {"vggrepro_version": __version__, "caffe_phase": net.phase, **files}


def digests(sources: Mapping[str, str]) -> dict[str, str]:
    """``<kind>_sha256`` of each source file that still exists. Raises WeightsError as :func:`file_sha256`."""
    paths = {kind: Path(name) for kind, name in sources.items()}
    return {f"{kind}_sha256": file_sha256(path) for kind, path in paths.items() if path.exists()}


def add_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Add entries to a written model. Its bytes are a protobuf message: what is added behind them counts as
    if it had been inside."""
    with path.open("ab") as file:
        file.write(properties(entries).SerializeToString())
