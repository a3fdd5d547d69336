"""What reading a damaged .npy or .npz raises: NumPy passes on what it, Python's parser, its zip reader and
its decompressor raise."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib

UNREADABLE_NPZ = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,  # encrypted, or a method that the zip reader does not have
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
