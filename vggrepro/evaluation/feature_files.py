"""Files of image descriptors: .npy with a JSON file beside it, or HDF5."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.hdf5 import hdf5_file
from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError
from vggrepro.system.atomic import json_bytes, replacing_path, replacing_paths, writing
from vggrepro.system.extras import extra
from vggrepro.system.json_text import parsed_json
from vggrepro.system.mapped_rows import mapped_rows, reserved_room, scratch_rows

_HDF5 = (".h5", ".hdf5")
_ROWS = 1024
_HDF5_MORE = 512
"""Bytes that HDF5 takes for an image besides its row: its name and label, and a share of the rest."""


def check_name(path: Path) -> None:
    """Raise ProtocolError for a name of an unknown kind, DataError if h5py is missing for HDF5."""
    if path.suffix in _HDF5:
        extra("h5py", "hdf5", f"writing {path}")
    elif path.suffix != ".npy":
        raise ProtocolError(f"{path}: expected a name that ends in .npy, {' or '.join(_HDF5)}")


def blob_files(output: Path, blobs: Sequence[str]) -> dict[str, Path]:
    """Where each blob's descriptors go: a single one's to ``output``, those of several to files with the
    blob's name before the ending, in which what is no letter, digit, dot or dash is a dash."""
    if len(blobs) == 1:
        return {blobs[0]: output}
    names = {blob: re.sub(r"[^\w.-]", "-", blob) for blob in blobs}
    return {blob: output.with_name(f"{output.stem}.{names[blob]}{output.suffix}") for blob in blobs}


class FeatureFile:
    """A file that is being written: ``features`` (N, ...) is a float32 array mapped from disk, to be
    filled."""

    def __init__(
        self,
        target: Path,
        features: npt.NDArray[np.float32],
        path: Path,
        beside: Path | None,
        room: ExitStack | None = None,
    ) -> None:
        """``path`` is what ``target`` is written to, ``beside`` what the JSON file is, which HDF5 has not;
        closing ``room`` frees what is held of the disk for HDF5."""
        self.features = features
        self._target, self._path, self._beside, self._room = target, path, beside, room or ExitStack()

    def describe(self, keys: Sequence[str], labels: Ints | None, facts: Mapping[str, Any]) -> None:
        """Finish the file once ``features`` is complete, with the images' names (N), their labels (N) if
        known, and ``facts`` that are ready for JSON. Raises OSError."""
        if self._beside is None:
            self._write_hdf5(keys, labels, facts)
            return
        named = {"names": list(keys), "labels": None if labels is None else labels.tolist(), **facts}
        with writing(self._beside, described_by(self._target)) as file:
            file.write(json_bytes(named))

    def _write_hdf5(self, keys: Sequence[str], labels: Ints | None, facts: Mapping[str, Any]) -> None:
        h5py = extra("h5py", "hdf5", f"writing {self._target}")
        self._room.close()
        with hdf5_file(self._path, self._target) as file:
            stored = file.create_dataset("features", self.features.shape, np.float32)
            for at in range(0, len(self.features), _ROWS):
                stored[at : at + _ROWS] = self.features[at : at + _ROWS]
            names = [os.fsencode(key) for key in keys]
            file.create_dataset("names", data=names, dtype=h5py.string_dtype())
            if labels is not None:
                file.create_dataset("labels", data=labels)
            file.attrs["settings"] = json.dumps(dict(facts))


@contextmanager
def feature_file(target: Path, shape: tuple[int, ...]) -> Iterator[FeatureFile]:
    """A file of descriptors of this ``shape`` (N, ...). It appears under its name, with the JSON file that an
    .npy has beside it, when the block ends without an error. Its room on the disk is taken at once.

    Raises OSError, which names the file."""
    if target.suffix == ".npy":
        with replacing_paths(target, described_by(target)) as (path, beside):
            yield FeatureFile(target, _mapped_npy(path, shape), path, beside)
        return
    with replacing_path(target) as path, scratch_rows(path.parent, shape) as rows, ExitStack() as room:
        # HDF5 may end the process where it meets a full disk, so that it must not meet one.
        room.enter_context(reserved_room(path.parent, rows.nbytes + _HDF5_MORE * (len(rows) + 256)))
        yield FeatureFile(target, rows, path, None, room)


def described_by(target: Path) -> Path:
    """The JSON file beside an .npy."""
    return target.with_suffix(".json")


def check_described(target: Path) -> None:
    """Raise ProtocolError if the JSON file beside an .npy is there and is not one that describes features:
    it would be lost."""
    beside = described_by(target)
    if target.suffix != ".npy" or not beside.exists():
        return
    try:
        ours = {"names", "labels"} <= set(parsed_json(beside.read_bytes()))
    except (ValueError, TypeError):
        ours = False
    if not ours:
        raise ProtocolError(f"{beside}: describes no features, and would be overwritten: rename one of both")


def _mapped_npy(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        return mapped_rows(path, shape, file.tell())
