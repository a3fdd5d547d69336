"""Files of image descriptors: .npy with a JSON file beside it, or HDF5."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError
from vggrepro.system.atomic import replacing_path, write_json
from vggrepro.system.extras import extra

_HDF5 = (".h5", ".hdf5")
_ROWS = 1024


def check_name(path: Path) -> None:
    """Raise ProtocolError for a name of an unknown kind, DataError if h5py is missing for HDF5."""
    if path.suffix in _HDF5:
        extra("h5py", "hdf5", f"writing {path}")
    elif path.suffix != ".npy":
        raise ProtocolError(f"{path}: expected a name that ends in .npy, {' or '.join(_HDF5)}")


class FeatureFile:
    """A file that is being written: ``features`` (N, ...) is a float32 array mapped from disk, to be
    filled."""

    def __init__(self, target: Path, path: Path, features: npt.NDArray[np.float32]) -> None:
        self.features = features
        self._target, self._path = target, path

    def describe(self, keys: Sequence[str], labels: Ints | None, facts: Mapping[str, Any]) -> None:
        """Finish the file once ``features`` is complete, with the images' names (N), their labels (N) if
        known, and ``facts`` that are ready for JSON."""
        if self._target.suffix in _HDF5:
            self._write_hdf5(keys, labels, facts)
            return
        named = {"names": list(keys), "labels": None if labels is None else labels.tolist(), **facts}
        write_json(self._target.with_suffix(".json"), named)

    def _write_hdf5(self, keys: Sequence[str], labels: Ints | None, facts: Mapping[str, Any]) -> None:
        h5py = extra("h5py", "hdf5", f"writing {self._target}")
        with h5py.File(self._path, "w") as file:
            stored = file.create_dataset("features", self.features.shape, np.float32)
            for at in range(0, len(self.features), _ROWS):
                stored[at : at + _ROWS] = self.features[at : at + _ROWS]
            file.create_dataset("names", data=list(keys), dtype=h5py.string_dtype())
            if labels is not None:
                file.create_dataset("labels", data=labels)
            file.attrs["settings"] = json.dumps(dict(facts))


@contextmanager
def feature_file(target: Path, shape: tuple[int, ...]) -> Iterator[FeatureFile]:
    """A file of descriptors of this ``shape`` (N, ...). It appears under its name when the block ends without
    an error."""
    with replacing_path(target) as path:
        if target.suffix == ".npy":
            yield FeatureFile(target, path, np.lib.format.open_memmap(path, "w+", np.float32, shape))
            return
        scratch = path.with_suffix(".npy")
        try:
            yield FeatureFile(target, path, np.lib.format.open_memmap(scratch, "w+", np.float32, shape))
        finally:
            scratch.unlink(missing_ok=True)
