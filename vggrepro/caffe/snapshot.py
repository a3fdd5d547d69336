"""Writing weights and solver states as Caffe's ``Net::ToProto`` and ``Solver::Snapshot`` do.

Files are streamed: no copy of the weights is made, and 2 GB are no limit. They take their name only
when they are complete and on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from vggrepro.caffe import hdf5
from vggrepro.caffe.binary import BinaryFile, open_solver_state
from vggrepro.caffe.blob import Float32, Parts, blob_parts, plain_parts
from vggrepro.caffe.messages import LayerParameter, NetParameter, SolverState
from vggrepro.caffe.schema import PRIVATE
from vggrepro.caffe.splits import insert_splits
from vggrepro.caffe.wire import prefix, walk
from vggrepro.errors import VggReproError, WeightsError
from vggrepro.system.atomic import replacing

Arrays = Sequence[npt.NDArray[Any]]

_LAYER = NetParameter.DESCRIPTOR.fields_by_name["layer"].number
_BLOBS = LayerParameter.DESCRIPTOR.fields_by_name["blobs"].number
_HISTORY = SolverState.DESCRIPTOR.fields_by_name["history"].number

SetUp = Callable[[LayerParameter], None]
"""Writes into a ``LayerParameter`` what its layer's set-up in Caffe writes there: the default weight of a
loss, the learning rates of statistics. It is :func:`vggrepro.layers.registry.set_up_definition`, or stands in
for it."""


@dataclass(frozen=True)
class SavedState:
    """A solver's state: what a resumed run needs beside the weights."""

    iter: int
    learned_net: str | None
    """The weight file that was written with it."""
    current_step: int
    history: tuple[Float32, ...]
    """Momentum and other accumulators, in the order of the solver's learnable parameters."""


def saved_net(net: NetParameter, set_up: SetUp | None = None) -> NetParameter:
    """What Caffe writes of a net beside its blobs: the name, and every layer as its set-up left it.

    ``net`` is a ``NetParameter`` in the newest format, filtered for a state. The result has Caffe's
    Split layers, the phase in each layer, and what ``set_up`` adds to each; fields of forks whose numbers are
    of this package alone are left out. Raises NetError.
    """
    split = insert_splits(net)
    saved = NetParameter(name=split.name, layer=split.layer)
    for layer in saved.layer:
        layer.ClearField("blobs")
        _clear_private(layer)
        if not layer.HasField("phase"):
            layer.phase = net.state.phase
        if set_up is not None:
            set_up(layer)
    return saved


def _clear_private(message: Message) -> None:
    """Clear what has numbers that only this package uses, at any depth."""
    for field, value in message.ListFields():
        if field.number > PRIVATE or (field.enum_type and isinstance(value, int) and value > PRIVATE):
            message.ClearField(field.name)
        elif field.message_type:
            for inner in (value,) if hasattr(value, "DESCRIPTOR") else value:
                _clear_private(inner)


def write_caffemodel(
    path: str | PathLike[str], net: NetParameter, blobs: Mapping[str, Arrays], set_up: SetUp | None = None
) -> None:
    """Write a .caffemodel: ``net`` and ``set_up`` as for :func:`saved_net`, each layer's arrays by its name.

    Raises WeightsError for arrays of a layer that the net lacks, OSError if the disk is full.
    """
    with replacing(path) as file:
        put_caffemodel(file, path, net, blobs, set_up)


def put_caffemodel(
    file: IO[bytes],
    path: str | PathLike[str],
    net: NetParameter,
    blobs: Mapping[str, Arrays],
    set_up: SetUp | None = None,
) -> None:
    """As :func:`write_caffemodel`, into an open file that becomes ``path``."""
    saved = saved_net(net, set_up)
    _check_names(path, saved, blobs)
    file.write(NetParameter(name=saved.name).SerializeToString())
    for layer in saved.layer:
        parts = map(blob_parts, blobs.get(layer.name, ()))
        _write_with_blobs(file, layer, _BLOBS, parts, _LAYER)


def write_upgraded(file: IO[bytes], net: NetParameter, source: BinaryFile[NetParameter]) -> None:
    """Write an upgraded ``NetParameter`` whose blobs are placeholders of ``source``, byte for byte.

    Raises ParseError for a malformed blob, before anything is written.
    """
    for layer in net.layer:  # all of them before the first byte is written: the file may be a pipe
        _plain_blobs(layer, source)
    head = NetParameter()
    head.CopyFrom(net)
    head.ClearField("layer")
    file.write(head.SerializePartialToString())
    for layer in net.layer:
        parts = _plain_blobs(layer, source)
        layer.ClearField("blobs")
        _write_with_blobs(file, layer, _BLOBS, parts, _LAYER)


def _plain_blobs(layer: LayerParameter, source: BinaryFile[NetParameter]) -> list[Parts]:
    try:
        return [plain_parts(source.raw(placeholder)) for placeholder in layer.blobs]
    except VggReproError as error:
        raise error.within(f"{source.path}: layer {layer.name!r}") from None


def write_caffemodel_hdf5(
    path: str | PathLike[str], net: NetParameter, blobs: Mapping[str, Arrays], set_up: SetUp | None = None
) -> None:
    """Write a .caffemodel.h5, with the arguments of :func:`write_caffemodel`.

    A parameter that several layers share by name is written by the first of them only. Raises
    WeightsError also for layer names that HDF5 cannot hold, UnsupportedError without h5py.
    """
    saved = saved_net(net, set_up)
    _check_names(path, saved, blobs)
    owned: set[str] = set()
    layers = []
    for layer in saved.layer:
        names = [spec.name for spec in layer.param]
        own = {}
        for index, array in enumerate(blobs.get(layer.name, ())):
            name = names[index] if index < len(names) else ""
            if not name or name not in owned:
                own[index] = array
            owned.add(name)
        layers.append((layer.name, own))
    hdf5.write_layers(path, layers)


def read_solverstate(path: str | PathLike[str]) -> SavedState:
    """Read a .solverstate, binary or HDF5. Raises ParseError or WeightsError."""
    if hdf5.is_hdf5(path):
        return SavedState(*hdf5.read_state(path))
    file = open_solver_state(path)
    state = file.message
    return SavedState(
        state.iter,
        state.learned_net if state.HasField("learned_net") else None,
        state.current_step,
        tuple(
            blob.data for blob in file.decode_all((b, f"history {i}") for i, b in enumerate(state.history))
        ),
    )


def write_solverstate(path: str | PathLike[str], state: SavedState) -> None:
    """Write a binary .solverstate. Raises OSError."""
    head = SolverState(iter=state.iter, learned_net=state.learned_net, current_step=state.current_step)
    with replacing(path) as file:
        _write_with_blobs(file, head, _HISTORY, map(blob_parts, state.history))


def write_solverstate_hdf5(path: str | PathLike[str], state: SavedState) -> None:
    """Write a .solverstate.h5. Raises OSError, UnsupportedError without h5py."""
    hdf5.write_state(path, state.iter, state.learned_net, state.current_step, state.history)


def write_blob(path: str | PathLike[str], array: npt.NDArray[Any]) -> None:
    """Write a .binaryproto file: one array (a mean image, an infogain matrix). Raises OSError."""
    with replacing(path) as file:
        for part in blob_parts(np.asarray(array)):
            file.write(part)


def _check_names(path: str | PathLike[str], net: NetParameter, blobs: Mapping[str, Arrays]) -> None:
    unknown = set(blobs) - {layer.name for layer in net.layer}
    if unknown:
        raise WeightsError(f"{path}: no layer of the net is called {', '.join(map(repr, sorted(unknown)))}")


def _write_with_blobs(
    file: IO[bytes], message: Message, number: int, blobs: Iterable[Parts], outer: int | None = None
) -> None:
    """Write a message that holds no blobs, with ``blobs`` as its field ``number``, in field order;
    as field ``outer`` of the message around it, if there is one."""
    data = message.SerializePartialToString()
    view = memoryview(data)
    cut = next((field.begin for field in walk(view, 0, len(view)) if field.number > number), len(data))
    parts = [part for blob in blobs for part in (prefix(number, sum(map(len, blob))), *blob)]
    if outer is not None:
        file.write(prefix(outer, len(data) + sum(map(len, parts))))
    for part in (data[:cut], *parts, data[cut:]):
        file.write(part)
