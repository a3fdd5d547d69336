"""Folders and tars to read images from."""

import io
import tarfile
from pathlib import Path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def nested(tmp_path: Path) -> Path:
    inner = {
        name: write_tar(
            tmp_path / f"{name}.tar", {f"{name}_{i}.JPEG": f"{name} {i}".encode() for i in (10, 2)}
        )
        for name in ("n00000002", "n00000001")
    }
    return write_tar(
        tmp_path / "train.tar", {f"{name}.tar": path.read_bytes() for name, path in inner.items()}
    )


def folder_of(tmp_path: Path, names: list[str]) -> Path:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path
