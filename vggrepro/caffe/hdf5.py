"""Caffe's HDF5 files: weights (``/data/<layer>/<index>``) and solver states.

h5py is imported only for such a file (``pip install 'vggrepro[hdf5]'``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.blob import MAX_COUNT, Float32
from vggrepro.errors import ParseError, UnsupportedError, WeightsError
from vggrepro.system.atomic import replacing_path
from vggrepro.system.extras import extra

Array: TypeAlias = npt.NDArray[Any]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FAILURES = (OSError, KeyError, ValueError, TypeError, RuntimeError)
"""What h5py raises for damaged files."""


def is_hdf5(path: str | PathLike[str]) -> bool:
    """Whether the file begins as HDF5 files do. A file that cannot be read does not."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def read_layers(path: str | PathLike[str]) -> list[tuple[str, dict[int, Float32]]]:
    """The layers of a weight file and, by index, the arrays that each owns.

    Raises ParseError or WeightsError; UnsupportedError if h5py is not installed.
    """
    with _reading(path) as file:
        return list(_layers(_group(file, "data", path), "", str(path)))


def read_state(path: str | PathLike[str]) -> tuple[int, str | None, int, tuple[Float32, ...]]:
    """Iteration, learned net, current step and history of a solver state. Raises as :func:`read_layers`."""
    with _reading(path) as file:
        history = _indexed(_group(file, "history", path), f"{path}: history")
        if set(history) != set(range(len(history))):
            raise WeightsError(f"{path}: history {sorted(history)} has gaps")
        net = file["learned_net"][()] if "learned_net" in file else None
        learned_net = net.decode() if isinstance(net, bytes) else net
        blobs = tuple(history[index] for index in range(len(history)))
        return _integer(file["iter"]), learned_net, _integer(file["current_step"]), blobs


def write_layers(path: str | PathLike[str], layers: Sequence[tuple[str, Mapping[int, Array]]]) -> None:
    """Write a weight file: every layer a group, with the arrays that it owns. Raises WeightsError."""
    with _writing(path) as file:
        data = file.create_group("data")
        for name, blobs in layers:
            if not name or "/" in name or name in data:
                raise WeightsError(f"{path}: layer {name!r}: HDF5 cannot hold a layer of this name")
            group = data.create_group(name)
            for index, array in blobs.items():
                group.create_dataset(str(index), data=np.asarray(array, "<f4"))


def write_state(
    path: str | PathLike[str],
    iteration: int,
    learned_net: str | None,
    step: int,
    history: Sequence[Array],
) -> None:
    """Write a solver state, in the types that Caffe reads back."""
    with _writing(path) as file:
        file.create_dataset("iter", data=np.array([iteration], "<i4"))
        if learned_net is not None:
            _write_string(file, "learned_net", learned_net)
        file.create_dataset("current_step", data=np.array([step], "<i4"))
        group = file.create_group("history")
        for index, array in enumerate(history):
            group.create_dataset(str(index), data=np.asarray(array, "<f4"))


@contextmanager
def _reading(path: str | PathLike[str]) -> Iterator[Any]:
    try:
        with _h5py(path).File(path, "r") as file:
            yield file
    except _FAILURES as error:
        raise ParseError(f"{path}: {' '.join(str(error).split())}") from None


@contextmanager
def _writing(path: str | PathLike[str]) -> Iterator[Any]:
    h5py = _h5py(path)
    with replacing_path(path) as temporary, h5py.File(temporary, "w") as file:
        yield file


def _h5py(path: str | PathLike[str]) -> Any:
    return extra("h5py", "hdf5", f"{path}: an HDF5 file", UnsupportedError)


def _write_string(file: Any, name: str, text: str) -> None:
    """A string as ``H5LTmake_dataset_string`` writes it: a scalar of C characters with a NUL at the end."""
    h5py = _h5py(file.filename)
    data = text.encode() + b"\0"
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(data))
    dataset = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(data), mtype=kind)


def _layers(group: Any, prefix: str, path: str) -> Iterator[tuple[str, dict[int, Float32]]]:
    """Every group is a layer.

    DEVIATION: a layer with slashes in its name, which Caffe cannot write, is read from groups in
    groups, as other tools write it; Caffe would ignore it.
    """
    for key, inner in group.items():
        name = prefix + key
        if not hasattr(inner, "items"):
            raise ParseError(f"{path}: has an array {name!r} where layers are expected")
        groups = {key: item for key, item in inner.items() if hasattr(item, "items")}
        arrays = {key: item for key, item in inner.items() if key not in groups}
        yield name, _indexed(arrays, f"{path}: layer {name!r}")
        yield from _layers(groups, f"{name}/", path)


def _group(file: Any, name: str, path: str | PathLike[str]) -> Any:
    group = file.get(name)
    if not hasattr(group, "items"):
        raise ParseError(f"{path}: has no group {name!r}, which Caffe's file would have")
    return group


def _integer(dataset: Any) -> int:
    return int(np.asarray(dataset[()]).reshape(-1)[0])


def _indexed(group: Mapping[str, Any], where: str) -> dict[int, Float32]:
    arrays: dict[int, Float32] = {}
    for name, dataset in group.items():
        if not name.isdecimal() or not hasattr(dataset, "shape"):
            raise ParseError(f"{where}: has {name!r}, expected arrays named by their index")
        arrays[int(name)] = _array(dataset, f"{where}, blob {name}")
    return dict(sorted(arrays.items()))


def _array(dataset: Any, where: str) -> Float32:
    if dataset.dtype.kind not in "fiu":
        raise WeightsError(f"{where}: unsupported datatype {dataset.dtype}")
    if dataset.size is None or dataset.size > MAX_COUNT:
        raise WeightsError(f"{where}: shape {dataset.shape}: blob size exceeds INT_MAX")
    plain = dataset.compression is None
    if plain and dataset.id.get_storage_size() < dataset.size * dataset.dtype.itemsize:
        raise WeightsError(f"{where}: shape {dataset.shape}, but the file holds fewer values")
    values: Float32 = np.asarray(dataset[()]).astype(np.float32, copy=False)
    return values
