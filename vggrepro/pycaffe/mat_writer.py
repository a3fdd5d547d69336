"""MatWrite: DeepLab's layer that writes blobs to MATLAB's files, from which its evaluation reads (not from
BVLC Caffe)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import PycaffeError
from vggrepro.pycaffe.hosts import NoBackward
from vggrepro.pycaffe.site import Site
from vggrepro.system.atomic import replacing

_INT8, _INT32, _UINT32, _SINGLE, _MATRIX = 1, 5, 6, 7, 14
"""Types of elements of a MATLAB file."""
_SINGLE_CLASS = 7


@dataclass
class MatWriteHost(NoBackward):
    """Writes each bottom of every ``period``-th pass to a file of its own."""

    prefix: str
    names: tuple[str, ...] | None
    """Of each pass, the name between prefix and ending; None numbers them."""
    period: int
    passes: int = 0

    @classmethod
    def from_param(cls, param: Any) -> MatWriteHost:
        """Parse a ``MatWriteParameter``. Raises PycaffeError in DeepLab's words."""
        if param.period < 1:
            raise PycaffeError("period must be positive")
        names = tuple(_names(param.source, param.strip)) if param.HasField("source") else None
        return cls(param.prefix, names, param.period)

    def reshape(self, site: Site) -> None:
        pass

    def forward(self, site: Site) -> None:
        if self.passes % self.period == 0:
            for index, blob in enumerate(site.bottoms):
                path = f"{self.prefix}{self._name()}_blob_{index}.mat"
                array = blob.net_data
                try:
                    with replacing(path) as file:
                        file.writelines(mat_file("data", array))
                except OSError as error:
                    raise PycaffeError(f"Error creating MAT file {path}: {error.strerror}") from error
        self.passes += 1

    def _name(self) -> str:
        if self.names is None:
            return f"iter_{self.passes}"
        if self.passes >= len(self.names):
            raise PycaffeError("Test has run for more iterations than it was supposed to")
        return self.names[self.passes]


def _names(source: str, strip: int) -> Iterator[str]:
    """The first word of each line of a file, without its last ``strip`` characters."""
    if strip < 0:
        raise PycaffeError("Strip cannot be negative")
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PycaffeError(f"Failed to open source file {source}: {error.strerror}") from error
    for line in lines:
        name = line.split(maxsplit=1)[0] if line.strip() else ""
        if len(name) <= strip:
            raise PycaffeError(f"{source}: Too much stripping: {strip} of {name!r}")
        yield name[: len(name) - strip]


def mat_file(name: str, array: npt.NDArray[np.float32]) -> Sequence[bytes]:
    """A MATLAB file of version 5 with one array of singles. Its axes are those of a blob (N, C, H, W) in
    reverse, because MATLAB counts columns first. Raises PycaffeError for more than four axes."""
    if array.ndim > 4:
        raise PycaffeError("Cannot use legacy accessors on Blobs with > 4 axes.")
    sizes = tuple(reversed((1,) * (4 - array.ndim) + array.shape))
    values = np.ascontiguousarray(array, "<f4").tobytes()
    content = [
        *_element(_UINT32, struct.pack("<2I", _SINGLE_CLASS, 0)),
        *_element(_INT32, struct.pack("<4i", *sizes)),
        *_element(_INT8, name.encode("ascii")),
        *_element(_SINGLE, values),
    ]
    head = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + struct.pack("<H2s", 0x0100, b"IM")
    return [head, struct.pack("<2I", _MATRIX, sum(map(len, content))), *content]


def _element(kind: int, body: bytes) -> tuple[bytes, bytes, bytes]:
    return struct.pack("<2I", kind, len(body)), body, bytes(-len(body) % 8)
