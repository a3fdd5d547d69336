"""The parameters of a net as a whole: copied from files, shared between nets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vggrepro.caffe.weights import read_weights
from vggrepro.errors import PycaffeError
from vggrepro.net import Net as Rules
from vggrepro.net.load import match_weights
from vggrepro.pycaffe import glog
from vggrepro.pycaffe.blob import BlobVec, Floats
from vggrepro.pycaffe.errors import as_runtime_error, check_file
from vggrepro.runtime.device import Device
from vggrepro.training.solver_arrays import SolverArrays

Params = Mapping[str, BlobVec]


def has_any(path: str) -> bool:
    """Whether a file of weights has any bytes. Caffe reads an empty one as a net without layers, which
    scripts that need no weights give; a warning tells of it."""
    if Path(path).stat().st_size > 0 or Path(path).is_fifo():  # a pipe does not tell how much will come
        return True
    glog.warning(f"{path}: the file is empty; no parameters are read from it")
    return False


def copy_from(params: Params, rules: Rules, path: str, *, misfits: bool = False) -> None:
    """Copy what a .caffemodel or .h5 file has for the layers of a net (Caffe's ``CopyTrainedLayersFrom``).
    With ``misfits`` blobs of another shape are left as they are, with a warning."""
    check_file(path)
    if not has_any(path):
        return
    with as_runtime_error():
        found = match_weights(rules, read_weights(path), path, glog.warning if misfits else None)
    for blob in (blob for blobs in params.values() for blob in blobs):
        if blob.name in found:
            blob.data[...] = found[blob.name]


def share(params: Params, others: Params) -> bool:
    """Use the memory of other parameters, by layer name (Caffe's ``ShareTrainedLayersWith``). Returns whether
    any was not shared already. Raises PycaffeError for other shapes."""
    is_new = False
    for name, blobs in params.items():
        theirs = others.get(name, blobs)
        if [blob.dims for blob in blobs] != [blob.dims for blob in theirs]:
            raise PycaffeError(
                f"Cannot share params of layer {name!r}; shape mismatch: {[b.dims for b in theirs]}"
                f" for {[b.dims for b in blobs]}"
            )
        for mine, source in zip(blobs, theirs, strict=True):
            if mine.data_storage is not source.data_storage:
                mine.share(source, diff=False)
                is_new = True
    return is_new


def into_flat_arrays(params: Params, rules: Rules, histories: int) -> SolverArrays:
    """Put parameters and their diffs into flat arrays, on which a solver's rule works."""
    arrays = SolverArrays.allocate(rules, Device("cpu"), histories=histories, accumulates=False)
    for blob in (blob for blobs in params.values() for blob in blobs):
        if blob.name in arrays.layout.shapes:
            blob.data_storage.adopt(arrays.layout.view(arrays.values.read(), blob.name))
            blob.diff_storage.adopt(arrays.layout.view(arrays.total.read(), blob.name))
    return arrays


@contextmanager
def gathered(params: Params, arrays: SolverArrays) -> Iterator[None]:
    """The flat arrays hold the values of all parameters inside, also of those in another net's memory
    since ``share_with``; what becomes of the values is written there."""
    pairs = [
        (blob.net_data, arrays.layout.view(arrays.values.read(), blob.name))
        for blobs in params.values()
        for blob in blobs
        if blob.name in arrays.layout.shapes
    ]
    shared = [(theirs, mine) for theirs, mine in pairs if not np.may_share_memory(theirs, mine)]
    for theirs, mine in shared:
        mine[...] = theirs
    yield
    for theirs, mine in shared:
        theirs[...] = mine


def arrays(params: Params) -> dict[str, list[Floats]]:
    """The values of each layer's parameters, in the net's memory."""
    return {name: [blob.net_data for blob in blobs] for name, blobs in params.items()}
