"""Writing the parameters of a net to Caffe's files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vggrepro.caffe.snapshot import put_caffemodel, write_caffemodel, write_caffemodel_hdf5
from vggrepro.errors import WeightsError
from vggrepro.layers.registry import set_up_definition
from vggrepro.net.net import Net
from vggrepro.system.atomic import OutputFile, replacing_paths, writing

_WRITERS = {".caffemodel": write_caffemodel, ".h5": write_caffemodel_hdf5}


def save_weights(net: Net, path: str | os.PathLike[str]) -> None:
    """Write the net's parameters to a .caffemodel, or to HDF5 if ``path`` ends in .h5, as Caffe's
    ``Net::ToProto`` and ``Net::ToHDF5`` do. The file takes its name when it is complete.

    Raises WeightsError for another ending and for a net that lacks values (``load_net`` with ``fill=False``),
    UnsupportedError without h5py, OSError.
    """
    _check_whole(net, Path(path))
    write_weights(Path(path), net, net.params)


def _check_whole(net: Net, path: Path) -> None:
    missing = [use.key for use in net.param_uses if use.key not in net.params]
    if missing:
        raise WeightsError(f"{path}: the net has no values of {missing[0]} to write")


def write_weights(path: Path, net: Net, owned: Mapping[str, npt.NDArray[Any]]) -> None:
    """As :func:`save_weights`, with the values of parameters by their owners' keys."""
    if path.suffix not in _WRITERS:
        raise WeightsError(f"{path}: expected a name that ends in {' or '.join(_WRITERS)}")
    _WRITERS[path.suffix](path, net.message, _blobs(net, owned), set_up_definition)


def save_net(net: Net, text: str, prototxt: Path, caffemodel: Path) -> None:
    """Write a net's definition, which is ``text``, and its parameters: both files or none. Raises OSError."""
    with replacing_paths(prototxt, caffemodel) as (definition, weights):
        with writing(definition, prototxt) as file:
            file.write(text.encode())
        with writing(weights, caffemodel) as file:
            put_weights(file, caffemodel, net)


def put_weights(file: OutputFile, path: Path, net: Net) -> None:
    """Write the parameters of a net to the open file that becomes the .caffemodel ``path``. Raises
    WeightsError as :func:`save_weights`."""
    _check_whole(net, path)
    put_caffemodel(file, path, net.message, _blobs(net, net.params), set_up_definition)


def _blobs(net: Net, owned: Mapping[str, npt.NDArray[Any]]) -> dict[str, list[npt.NDArray[Any]]]:
    return {
        layer.name: [owned[use.owner].reshape(use.definition.shape) for use in layer.params]
        for layer in net.layers
        if layer.params
    }
