"""Archives of NVIDIA DIGITS: a trained Caffe model with what belongs to it, as "Download Model" packs it.

A tar (.tar.gz) or zip with ``info.json``, which names the other files: deploy prototxt, snapshot, mean image
and class names. Source: NVIDIA/DIGITS, the task statistics of its Caffe jobs.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from os import PathLike
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import IO, Any

from vggrepro.errors import ParseError
from vggrepro.system.disk_space import NO_SPACE
from vggrepro.system.file_names import failure
from vggrepro.system.json_text import parsed_json

_FILES = {
    "deploy file": "deploy.prototxt",
    "snapshot file": "",
    "mean file": "mean.binaryproto",
    "labels file": "labels.txt",
}
"""What ``info.json`` calls the files, and how they are called where it does not say."""

MOST_SMALL = 64 << 20
"""Bytes up to which a file is unpacked whatever the archive's length; beyond, ``RATIO`` times that."""
RATIO = 50

_DAMAGES = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, ValueError),
)


@dataclass(frozen=True)
class DigitsJob:
    """The files of a job, unpacked to a folder that is removed when the process ends."""

    deploy: Path
    snapshot: Path
    mean: Path | None
    """The mean image, B, G, R."""
    labels: Path | None
    """The names of the classes, one a line."""
    size: int | None
    """Height and width of the images that the net was trained on, where both are one."""
    warped: bool
    """Whether images were resized to that size whatever their shape ("squash")."""
    folder: tempfile.TemporaryDirectory[str]


Members = Mapping[str, tuple[int, Callable[[], IO[bytes]]]]
"""The regular files of an archive: by their names without folders, size and how to open them."""


def is_job_archive(path: str | PathLike[str]) -> bool:
    """Whether a file is a tar or zip, which no prototxt or caffemodel is. Python takes zeros, of which a
    broken download may consist, for an empty tar; one with files begins with a name."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        begun = file.read(1) != b"\0"
    return begun and (tarfile.is_tarfile(path) or zipfile.is_zipfile(path))


@cache  # an archive is unpacked once
def open_job(path: Path) -> DigitsJob:
    """Unpack what an archive has of a Caffe job. Raises ParseError for another archive or a damaged one, and
    OSError where the temporary folder has no room for it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                return _unpacked(path, _zip_members(zipped))
        with closing(tarfile.open(path)) as tar:
            return _unpacked(path, _tar_members(tar))
    except _DAMAGES as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
        problem = failure(error) if isinstance(error, OSError) else " ".join(str(error).split())
        raise ParseError(f"{path}: a damaged archive: {problem}") from None


def _tar_members(tar: tarfile.TarFile) -> Members:
    def opener(member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
        return lambda: tar.extractfile(member) or BytesIO()

    files = [member for member in tar if member.isreg()]
    return {PurePosixPath(m.name).name: (m.size, opener(m)) for m in files}


def _zip_members(zipped: zipfile.ZipFile) -> Members:
    def opener(member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
        return lambda: zipped.open(member)

    files = [member for member in zipped.infolist() if not member.is_dir()]
    return {PurePosixPath(m.filename).name: (m.file_size, opener(m)) for m in files}


def _unpacked(path: Path, members: Members) -> DigitsJob:
    info = _info(path, members)
    names = {kind: PurePosixPath(str(info.get(kind, usual))).name for kind, usual in _FILES.items()}
    if names["snapshot file"] not in members:
        names["snapshot file"] = _last_snapshot(members)
    for kind in ("deploy file", "snapshot file"):
        if names[kind] not in members:
            what = names[kind] or ".caffemodel"
            raise ParseError(f"{path}: no {what} in this archive; expected a Caffe job of DIGITS")
    folder = tempfile.TemporaryDirectory(prefix="vggrepro-digits-")
    files: dict[str, Path | None] = dict.fromkeys(_FILES)
    for kind, name in names.items():
        if name in members:
            files[kind] = _unpack(path, name, members, Path(folder.name))
    deploy, snapshot = files["deploy file"], files["snapshot file"]
    assert deploy is not None and snapshot is not None
    size = info.get("image dimensions")
    square = size[0] if isinstance(size, list) and len(size) > 1 and size[0] == size[1] else None
    warped = info.get("image resize mode") == "squash"
    return DigitsJob(
        deploy,
        snapshot,
        files["mean file"],
        files["labels file"],
        square,
        warped,
        folder,
    )


def _info(path: Path, members: Members) -> dict[str, Any]:
    """What ``info.json`` says, {} without one. Raises ParseError for a job of another framework."""
    if "info.json" not in members:
        return {}
    size, opened = members["info.json"]
    with opened() as file:
        try:
            info = parsed_json(file.read(min(size, MOST_SMALL)))
        except ValueError as error:
            raise ParseError(f"{path}: info.json: {error}") from None
    framework = info.get("framework", "caffe") if isinstance(info, dict) else None
    if framework != "caffe":
        raise ParseError(f"{path}: info.json: framework {framework!r}, expected a Caffe job of DIGITS")
    found: dict[str, Any] = info
    return found


def _last_snapshot(members: Members) -> str:
    """The snapshot of the most iterations; an empty name if there is none."""

    def iterations(name: str) -> int:
        numbers = re.findall(r"\d+", name)
        return int(numbers[-1]) if numbers else 0

    return max((name for name in members if name.endswith(".caffemodel")), key=iterations, default="")


def _unpack(path: Path, name: str, members: Members, folder: Path) -> Path:
    size, opened = members[name]
    if size > max(MOST_SMALL, RATIO * path.stat().st_size):
        raise ParseError(f"{path}: {name}: {size:,} bytes, which an archive of this length cannot hold")
    with opened() as source, (folder / name).open("wb") as target:
        copyfileobj(source, target)
    return folder / name
