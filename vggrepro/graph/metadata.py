"""What a model says of itself: where it came from and what made it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import vggrepro
from vggrepro.net.net import Net


def metadata(net: Net) -> dict[str, str]:
    """Toolkit version, phase, and name and SHA-256 of each source file of the net."""
    entries = {"vggrepro_version": vggrepro.__version__, "caffe_phase": net.phase}
    for kind, path in net.sources.items():
        status = Path(path).stat()
        entries[f"{kind}_file"] = Path(path).name
        entries[f"{kind}_sha256"] = _sha256(path, status.st_mtime_ns, status.st_size)
    return entries


@lru_cache(maxsize=16)
def _sha256(path: str, mtime: int, size: int) -> str:
    """A file's digest; time and size are there so that a changed file is read again."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
