"""Sets of images: a folder, a tar (nested or not) read in place, Caffe's LMDB and LevelDB."""

from __future__ import annotations

from pathlib import Path

from vggrepro.data.sources.base import Selection, Source, alphabetical, listed, select, with_labels
from vggrepro.data.sources.folder import FolderSource
from vggrepro.data.sources.leveldb import LevelDbSource, is_leveldb
from vggrepro.data.sources.lmdb import LmdbSource, is_lmdb
from vggrepro.data.sources.tar import TarSource
from vggrepro.errors import DataError
from vggrepro.system.file_names import foreign

__all__ = [
    "FolderSource",
    "LmdbSource",
    "Selection",
    "Source",
    "TarSource",
    "alphabetical",
    "listed",
    "open_images",
    "select",
    "with_labels",
]


def open_images(path: str | Path, *, tar_index: Path | None = None) -> Source:
    """Open what ``path`` holds: a folder of images, a folder with an LMDB or LevelDB, or a tar.

    ``tar_index`` is where the index of a tar is kept (see TarSource). Raises DataError for anything else.
    """
    path = Path(path)
    if is_lmdb(path):
        return LmdbSource.open(path)
    if is_leveldb(path):
        return LevelDbSource.open(path)
    if path.is_dir():
        return FolderSource.open(path)
    if path.is_file():
        return TarSource.open(path, tar_index)
    raise DataError(f"{path}: no such folder or tar of images{foreign(path)}")
