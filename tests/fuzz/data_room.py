"""What the data room reads: for each kind of file some that are good, and the function that reads one.

A row is (name, corpus, function). The function takes the bytes of a file, changed in any way, and may return
or raise VggReproError: nothing else, in bounded time and memory.
"""

from __future__ import annotations

import io
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import scipy.io

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

Row = tuple[str, list[bytes], Callable[[bytes], object]]

TESTS = Path(__file__).parents[1]
_TEMPORARY = tempfile.TemporaryDirectory(prefix="vggrepro-fuzz-")
FOLDER = Path(_TEMPORARY.name)


def file_of(data: bytes, name: str) -> Path:
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


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
    "gif": [encoded(".gif")],
    "tiff": [encoded(".tif"), encoded(".tif", cv2.IMWRITE_TIFF_COMPRESSION, 1)],
    "webp": [encoded(".webp"), encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)],
    "pnm": [encoded(".ppm"), encoded(".ppm", cv2.IMWRITE_PXM_BINARY, 0)],
    "sun raster": [encoded(".ras")],
}


def read_image(data: bytes) -> None:
    decode(data, "fuzz", exif="apply")
    decode(data, "fuzz", grey=True)
    decode_unchanged(data, "fuzz")


def read_png_with_right_check_sums(data: bytes) -> None:
    """Behind the check sums, which stop nearly every change, is libpng."""
    changed, place = bytearray(data), 8
    while place + 12 <= len(changed):
        end = place + 8 + int.from_bytes(changed[place : place + 4], "big")
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[place + 4 : end]))
        place = end + 4
    read_image(bytes(changed))


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


def read_tar(data: bytes) -> None:
    read_all(open_images(file_of(data, "x.tar")))


def read_tar_with_right_check_sums(data: bytes) -> None:
    changed = bytearray(data)
    for place in range(0, len(changed) - 511, 512):
        header = changed[place : place + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            changed[place + 148 : place + 156] = b"%06o\0 " % sum(header)
    read_tar(bytes(changed))


def tar_indexes() -> list[bytes]:
    index = FOLDER / "made.index"
    TarSource.open(file_of(tars()[1], "indexed.tar"), index)
    return [index.read_bytes()]


def read_tar_index(data: bytes) -> None:
    read_all(TarSource.open(FOLDER / "indexed.tar", file_of(data, "index")))


def lmdbs() -> list[bytes]:
    return [path.read_bytes() for path in sorted((TESTS / "golden" / "lmdb").glob("*/data.mdb"))]


def read_lmdb(data: bytes) -> None:
    path = file_of(data, "db/data.mdb").parent
    records = LmdbFile.open(path)
    for index in range(len(records.keys)):
        records.value(index)
    read_all(open_images(path))


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

ROWS: list[Row] = [
    *((name, corpus, read_image) for name, corpus in IMAGES.items()),
    ("png behind its check sums", IMAGES["png"], read_png_with_right_check_sums),
    ("tar", tars(), read_tar),
    ("tar behind its check sums", tars(), read_tar_with_right_check_sums),
    ("tar index", tar_indexes(), read_tar_index),
    ("lmdb", lmdbs(), read_lmdb),
    ("meta.mat", mats(), lambda data: read_devkit_meta(file_of(data, "meta.mat"))),
    ("list", [b"a b/c.jpg 3\nx.jpg 12\n\xff\xe9.jpg 0\n"], lambda data: read_list(file_of(data, "list"))),
    ("synsets", [b"n01440764 tench\nn01440765 \xc3\xa9\n"], lambda data: read_synsets(file_of(data, "list"))),
    ("ids", [b"1\n2\n1\n"], lambda data: read_devkit_ground_truth(file_of(data, "list"), DEVKIT)),
    ("blacklist", [b"36\n50\n"], lambda data: read_blacklist(file_of(data, "list"), 50)),
]
