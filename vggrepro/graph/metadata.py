"""What a model says of itself: where it came from and what made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from vggrepro.emit import properties
from vggrepro.errors import WeightsError
from vggrepro.net.net import Net
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


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises as :func:`file_digest`."""
    return file_digest(path, "sha256")


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file's bytes by an algorithm of hashlib. Raises WeightsError if the file changes
    meanwhile, OSError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    stamp = _stamp(path)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    if _stamp(path) != stamp:
        raise WeightsError(f"{path}: changed while it was read")
    return digest.hexdigest()


def add_metadata(path: Path, entries: Mapping[str, str]) -> None:
    """Add entries to a written model. Its bytes are a protobuf message: what is added behind them counts as
    if it had been inside."""
    with path.open("ab") as file:
        file.write(properties(entries).SerializeToString())


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written again."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
