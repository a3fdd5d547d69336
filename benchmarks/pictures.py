"""Made-up pictures like ILSVRC's, in a tar like ILSVRC's."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

QUALITY = 95


def picture(rng: np.random.Generator, height: int = 375, width: int = 500) -> bytes:
    """A JPEG of about 110 kB, ILSVRC's average at its average size, with a photograph's spectrum: noise at
    all scales, its amplitude falling with frequency."""
    image = np.zeros((height, width, 3), np.float32)
    for cells in (3, 6, 12, 24, 48, 96, 192, 384):
        noise = rng.normal(size=(cells, cells * 4 // 3, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (110 / cells**0.5)
    pixels = np.clip(image + 118, 0, 255).astype(np.uint8)
    encoded: bytes = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return encoded


def write_tar(path: Path, pictures: Sequence[bytes]) -> Path:
    """The pictures as members of class n00000001."""
    with tarfile.open(path, "w") as archive:
        for number, data in enumerate(pictures):
            member = tarfile.TarInfo(f"n00000001_{number:06d}.JPEG")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path
