"""Caffe's HDF5 files: weights (``/data/<layer>/<index>``) and solver states.

h5py is imported only for such a file (``pip install 'vggrepro[hdf5]'``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.blob import Float32
from vggrepro.caffe.hdf5_reader import Hdf5Reader, import_h5py, opened
from vggrepro.errors import ParseError, WeightsError
from vggrepro.system.atomic import replacing_path
from vggrepro.system.file_names import file_path

Array: TypeAlias = npt.NDArray[Any]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_INDEX = re.compile("0|[1-9][0-9]*")
MAX_DEPTH = 32
"""Slashes in a layer's name."""


def is_hdf5(path: str | PathLike[str]) -> bool:
    """Whether the file begins as HDF5 files do. A file that cannot be read does not."""
    try:
        with file_path(path).open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def read_layers(path: str | PathLike[str]) -> list[tuple[str, dict[int, Float32]]]:
    """The layers of a weight file and, by index, the arrays that each owns.

    Raises ParseError or WeightsError; UnsupportedError if h5py is not installed.
    """
    with opened(path) as reader:
        return list(_layers(reader, reader.members(reader.group("data")), ""))


def read_state(path: str | PathLike[str]) -> tuple[int, str | None, int, tuple[Float32, ...]]:
    """Iteration, learned net, current step and history of a solver state. Raises as :func:`read_layers`."""
    with opened(path) as reader:
        history = _indexed(reader, reader.members(reader.group("history")), f"{path}: history")
        if set(history) != set(range(len(history))):
            raise WeightsError(f"{path}: history {sorted(history)} has gaps")
        net = reader.value("learned_net")
        if not isinstance(net, str | bytes | None):
            raise ParseError(f"{path}: learned_net is {net}, expected a file's name")
        learned_net = net.decode() if isinstance(net, bytes) else net
        blobs = tuple(history[index] for index in range(len(history)))
        return _integer(reader, "iter"), learned_net, _integer(reader, "current_step"), blobs


def write_layers(path: str | PathLike[str], layers: Sequence[tuple[str, Mapping[int, Array]]]) -> None:
    """Write a weight file: every layer a group, with the arrays that it owns. Raises WeightsError."""
    with _writing(path) as file:
        data = file.create_group("data")
        for name, blobs in layers:
            if name in ("", ".") or "/" in name or "\0" in name or name in data:
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
def _writing(path: str | PathLike[str]) -> Iterator[Any]:
    with replacing_path(path) as temporary, hdf5_file(temporary, path) as file:
        yield file


@contextmanager
def hdf5_file(temporary: Path, path: str | PathLike[str]) -> Iterator[Any]:
    """A new HDF5 file that :func:`replacing_path` gave for ``path``, open for writing. Nobody else opens it,
    so it is not locked. Raises OSError, which names ``path``."""
    h5py = import_h5py(path)
    try:
        with h5py.File(temporary, "w", locking=False) as file:
            yield file
    except (OSError, RuntimeError) as error:  # of HDF5, which tells the system's error in its message
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), os.fspath(path)) from error


def _write_string(file: Any, name: str, text: str) -> None:
    """A string as ``H5LTmake_dataset_string`` writes it: a scalar of C characters with a NUL at the end."""
    h5py = import_h5py(file.filename)
    data = text.encode() + b"\0"
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(data))
    dataset = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(data), mtype=kind)


def _layers(
    reader: Hdf5Reader, groups: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, dict[int, Float32]]]:
    """Every group is a layer.

    DEVIATION: a layer with slashes in its name, which Caffe cannot write, is read from groups in
    groups, as other tools write it; Caffe would ignore it.
    """
    if prefix.count("/") > MAX_DEPTH:
        raise ParseError(f"{reader.path}: groups in groups, more than {MAX_DEPTH} deep")
    for key, group in groups.items():
        name = prefix + key
        if not reader.is_group(group):
            raise ParseError(f"{reader.path}: has an array {name!r} where layers are expected")
        members = reader.members(group)
        inner = {key: member for key, member in members.items() if reader.is_group(member)}
        arrays = {key: member for key, member in members.items() if key not in inner}
        yield name, _indexed(reader, arrays, f"{reader.path}: layer {name!r}")
        yield from _layers(reader, inner, f"{name}/")


def _integer(reader: Hdf5Reader, name: str) -> int:
    value = reader.value(name)
    if value is None:
        raise ParseError(f"{reader.path}: has no {name}, which Caffe's file would have")
    return int(value)


def _indexed(reader: Hdf5Reader, members: Mapping[str, Any], where: str) -> dict[int, Float32]:
    arrays: dict[int, Float32] = {}
    for name, dataset in members.items():
        if not _INDEX.fullmatch(name) or reader.is_group(dataset):
            raise ParseError(f"{where}: has {name!r}, expected arrays named by their index")
        arrays[int(name)] = reader.array(dataset, f"{where}, blob {name}")
    return dict(sorted(arrays.items()))
