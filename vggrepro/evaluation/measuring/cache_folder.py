"""Where a view cache lies: in the folder that was named, or in a temporary one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vggrepro.data.sources.base import Source
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.image_choice import source_fingerprint
from vggrepro.evaluation.measuring.row_kind import POSTERIORS, RowKind
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.system.lock import try_lock
from vggrepro.system.ranks import Ranks

_TEMPORARY = ".vggrepro-cache-"
"""What the names of temporary caches begin with."""


@contextmanager
def opened_cache(
    source: Source, ranks: Ranks, folder: Path | None, kind: RowKind = POSTERIORS
) -> Iterator[ViewCache]:
    """The cache for the images of ``source`` in ``folder``, or in a temporary one that is removed afterwards.

    The first rank opens it before the others, because it writes the manifest. Raises ProtocolError as
    :class:`ViewCache`, and for a temporary folder that another machine has.
    """
    header = source_fingerprint(source)
    with _folder(folder, ranks) as root:
        if ranks.rank:
            ranks.barrier()
        keep = folder is not None
        with ViewCache(root, header, len(source), keep_views=keep, lock=not ranks.rank, kind=kind) as cache:
            if not ranks.rank:
                ranks.barrier()
            yield cache


@contextmanager
def _folder(folder: Path | None, ranks: Ranks) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    if not ranks.rank:
        _remove_abandoned()
    made = Path(tempfile.mkdtemp(prefix=_TEMPORARY)) if not ranks.rank else None
    root = ranks.broadcast(made)
    if root is None or not root.is_dir():
        raise ProtocolError(f"{root}: not on this machine; ranks on several machines need a shared --cache")
    try:
        yield root
    finally:
        if not ranks.rank:
            shutil.rmtree(root)


def _remove_abandoned() -> None:
    """Remove the temporary caches of this user that killed runs have left: nobody has locked them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*/lock"):
        with suppress(OSError), path.open("r+b") as file:
            if try_lock(file.fileno()):
                shutil.rmtree(path.parent)
