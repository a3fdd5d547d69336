"""What a model says of itself: where it came from and what made it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from vggrepro.errors import WeightsError
from vggrepro.net.net import Net
from vggrepro.version import __version__


def metadata(net: Net) -> dict[str, str]:
    """Toolkit version, phase, and name and SHA-256 of each source file of the net that still exists."""
    entries = {"vggrepro_version": __version__, "caffe_phase": net.phase}
    for kind, name in net.sources.items():
        path = Path(name)
        entries[f"{kind}_file"] = path.name
        if path.exists():
            entries[f"{kind}_sha256"] = _sha256(path, _stamp(path))
    return entries


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written again."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _sha256(path: Path, stamp: tuple[int, int]) -> str:
    """A file's digest; ``stamp`` keeps the cache from giving that of an older file of this name."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if _stamp(path) != stamp:
        raise WeightsError(f"{path}: changed while it was read")
    return digest.hexdigest()
