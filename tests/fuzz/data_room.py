"""What the data room reads: images, tars, databases, MATLAB files, lists. Good files are made here."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from fuzz.targets import Target

from vggrepro.data.decode import decode, decode_unchanged
from vggrepro.data.sources import Source, TarSource, open_images
from vggrepro.data.sources.lmdb_file import LmdbFile
from vggrepro.data.truth.labels import (
    Synsets,
    read_blacklist,
    read_devkit_ground_truth,
    read_devkit_meta,
    read_list,
    read_synsets,
)
from vggrepro.errors import VggReproError


@dataclass(frozen=True)
class MadeTarget(Target):
    """A target whose good files are given."""

    made: tuple[bytes, ...] = ()

    def files(self) -> list[bytes]:
        return list(self.made)


TESTS = Path(__file__).parents[1]
MOST_PIXELS = 1 << 20
"""Of an image: a header may be changed to any size."""


def picture() -> np.ndarray:
    small = np.random.default_rng(7).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (37, 29), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, picture(), list(options))[1].tobytes()


IMAGES = {
    "jpeg": [encoded(".jpg"), encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2)],
    "jpeg progressive": [encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)],
    "png": [encoded(".png"), (TESTS / "data/damaged/thin.png").read_bytes()],
    "bmp": [encoded(".bmp")],
    "tiff": [encoded(".tif"), encoded(".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1)],
    "webp": [encoded(".webp"), encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)],
    "pnm": [encoded(".ppm"), encoded(".ppm", cv2.IMWRITE_PXM_BINARY, 0)],
    "sun raster": [encoded(".ras")],
}
if cv2.haveImageWriter(".gif"):  # not before OpenCV 4.11
    IMAGES["gif"] = [encoded(".gif")]


def read_image(path: Path) -> None:
    data = path.read_bytes()
    decode(data, "fuzz", exif="apply", max_pixels=MOST_PIXELS)
    decode(data, "fuzz", grey=True, max_pixels=MOST_PIXELS)
    decode_unchanged(data, "fuzz", max_pixels=MOST_PIXELS)


def read_png_with_right_check_sums(path: Path) -> None:
    """Behind the check sums, which stop nearly every change, is libpng."""
    changed, place = bytearray(path.read_bytes()), 8
    while place + 12 <= len(changed):
        end = place + 8 + int.from_bytes(changed[place : place + 4], "big")
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[place + 4 : end]))
        place = end + 4
    path.write_bytes(changed)
    read_image(path)


def tars() -> list[bytes]:
    made = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=form) as archive:
            for name, data, kind, link in (
                ("a.jpg", b"a" * 700, tarfile.REGTYPE, ""),
                ("d/" * 45 + "b.jpg", b"b", tarfile.REGTYPE, ""),
                ("hard.jpg", b"", tarfile.LNKTYPE, "a.jpg"),
                ("d/soft.jpg", b"", tarfile.SYMTYPE, "../a.jpg"),
                ("e" * 90 + "é.jpg" if form == tarfile.USTAR_FORMAT else "é" * 200 + ".jpg", b"e", b"0", ""),
            ):
                member = tarfile.TarInfo(name)
                member.size, member.type, member.linkname = len(data), kind, link
                archive.addfile(member, io.BytesIO(data))
        nested = io.BytesIO()
        with tarfile.open(fileobj=nested, mode="w", format=form) as archive:
            member = tarfile.TarInfo("n1.tar")
            member.size = len(plain.getvalue())
            archive.addfile(member, io.BytesIO(plain.getvalue()))
        made += [plain.getvalue(), nested.getvalue()]
    return made


def read_all(source: Source) -> None:
    for index in range(len(source)):
        source.key(index)
        source.read(index)


def read_tar(path: Path) -> None:
    read_all(open_images(path))


def read_tar_with_right_check_sums(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    for place in range(0, len(changed) - 511, 512):
        header = changed[place : place + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            changed[place + 148 : place + 156] = b"%06o\0 " % sum(header)
    path.write_bytes(changed)
    read_tar(path)


INDEXED = tars()[1]


def place_indexed(folder: Path) -> Path:
    """The tar of the index, with a time that does not change."""
    path = folder / "indexed.tar"
    path.write_bytes(INDEXED)
    os.utime(path, (1e9, 1e9))
    return path


def tar_index() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        TarSource.open(place_indexed(Path(folder)), index)
        return index.read_bytes()


def read_tar_index(path: Path) -> None:
    source = TarSource.open(place_indexed(path.parent), path)
    assert len(source) == 5
    read_all(source)


def lmdbs() -> list[bytes]:
    return [path.read_bytes() for path in sorted((TESTS / "golden" / "lmdb").glob("*/data.mdb"))]


def read_lmdb(path: Path) -> None:
    folder = path.parent / "database"
    folder.mkdir(exist_ok=True)
    (folder / "data.mdb").write_bytes(path.read_bytes())
    records = LmdbFile.open(folder)
    for index in range(len(records.keys)):
        records.value(index)
    read_all(open_images(folder))


def mats() -> list[bytes]:
    names = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")
    synsets = np.empty((4, 1), [(name, "O") for name in names])
    for place in range(4):
        synsets[place, 0] = (place + 1, f"n{place:08d}", f"wörd {place}", "a gloss", 0, np.zeros((1, 0)))
    made = []
    for compressed in (False, True):
        file = io.BytesIO()
        scipy.io.savemat(file, {"synsets": synsets, "more": np.eye(3)}, do_compression=compressed)
        made.append(file.getvalue())
    return made


DEVKIT = Synsets(("n00000001", "n00000002"), ("", ""), "meta.mat")


def target(name: str, made: list[bytes], parse: Callable[[Path], object]) -> MadeTarget:
    return MadeTarget(name, (), parse, allowed=(VggReproError,), made=tuple(made))


TARGETS = (
    *(target(name, made, read_image) for name, made in IMAGES.items()),
    target("png behind check sums", IMAGES["png"], read_png_with_right_check_sums),
    target("tar", tars(), read_tar),
    target("tar behind check sums", tars(), read_tar_with_right_check_sums),
    target("tar index", [tar_index()], read_tar_index),
    target("lmdb", lmdbs(), read_lmdb),
    target("meta.mat", mats(), read_devkit_meta),
    target("image list", [b"a b/c.jpg 3\nx.jpg 12\n\xff\xe9.jpg 0\n"], read_list),
    target("synset words", [b"n01440764 tench\nn01440765 \xc3\xa9\n"], read_synsets),
    target("devkit ids", [b"1\n2\n1\n"], lambda path: read_devkit_ground_truth(path, DEVKIT)),
    target("blacklist", [b"36\n50\n"], lambda path: read_blacklist(path, 50)),
)
