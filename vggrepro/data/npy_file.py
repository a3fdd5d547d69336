"""Why a file is none of NumPy's .npy files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

_MAGIC = b"\x93NUMPY"

_LONGEST = 200
"""Characters of NumPy's words, which may have the whole header in them."""


def npy_fault(path: str | PathLike[str], error: Exception) -> str:
    """What is wrong with a file that NumPy could not load: what it is in place of a .npy file, as far as that
    can be told, or the ``error`` of NumPy, which of other files says only that they might be pickles."""
    with Path(path).open("rb") as file:
        head = file.read(4096)
    if head.startswith(_MAGIC):
        return " ".join(str(error).split())[:_LONGEST]
    from vggrepro.caffe.recognise import file_kind  # command lines, which this module is for, do without

    kind = file_kind(head) if head else "an empty file"
    return f"this is {kind}" if kind else f"it begins {head[:4].hex(' ')}"
