"""Summing gradients over GPUs with NCCL: what is exchanged never passes through the host's memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.system.ranks import Ranks
from vggrepro.training.gradient_exchange import ExchangeKind, GradientExchange, MpiExchange, Wait

BUCKET = 1 << 24
"""Elements of one AllReduce, 64 MiB: the first ones can be used while the others are under way."""


class Libraries(NamedTuple):
    """The modules ``nccl.core`` (of the package nccl4py) and ``cuda.core``."""

    nccl: Any
    cuda: Any


class _OnDevice:
    """A stretch of a device array, as the CUDA Array Interface describes it."""

    def __init__(self, view: DeviceView) -> None:
        self.__cuda_array_interface__ = {
            "shape": view.shape,
            "typestr": "<f4",
            "data": (view.address, False),
            "version": 3,
        }


class NcclExchange:
    """One communicator of all ``ranks``, each with a GPU of its own. MPI carries nothing but its id.

    Every rank gets the same bits. Raises OptionError for a CPU, DeviceError where NCCL is not installed or
    does not start.
    """

    def __init__(self, ranks: Ranks, device: Device, libraries: Libraries | None = None) -> None:
        if device.kind != "cuda":
            raise OptionError(f"exchange nccl: NCCL is for GPUs, expected --device cuda, got {device}")
        nccl, cuda = libraries or _load()
        try:
            gpu = cuda.Device(device.index)
            gpu.set_current()
            found = ranks.broadcast(b"" if ranks.rank else bytes(nccl.get_unique_id()))
            self._comm = nccl.Communicator.init(ranks.size, ranks.rank, nccl.UniqueId.from_bytes(found))
            self._stream = gpu.create_stream()
        except Exception as error:  # each library has errors of its own
            raise DeviceError(f"exchange nccl: NCCL does not start on {device}: {_line(error)}") from error
        self._nccl = nccl

    def begin(self, gradients: DeviceArray) -> Wait:
        """Start to replace gradients by their sum over all ranks, bucket by bucket."""
        ready = []
        for start in range(0, gradients.size, BUCKET):
            part = _OnDevice(DeviceView(gradients, start, (min(BUCKET, gradients.size - start),)))
            self._call(self._comm.allreduce, part, part, self._nccl.SUM)
            ready.append(self._stream.record())
        done = 0

        def wait(end: int) -> None:
            nonlocal done
            last = -(-end // BUCKET)
            if done < last:
                self._call(ready[min(last, len(ready)) - 1].sync, on_stream=False)  # a stream keeps its order
                done = last

        return wait

    def share(self, array: DeviceArray) -> None:
        """Give every rank the first one's contents of an array."""
        whole = _OnDevice(DeviceView(array, 0, (array.size,)))
        self._call(self._comm.broadcast, whole, whole, 0)
        self._call(self._stream.sync, on_stream=False)

    def _call(self, function: Any, *arguments: Any, on_stream: bool = True) -> None:
        try:
            function(*arguments, **({"stream": self._stream} if on_stream else {}))
        except Exception as error:
            raise DeviceError(f"exchange nccl: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _load() -> Libraries:
    try:
        import cuda.core
        import nccl.core
    except Exception as error:  # a library that is missing beneath them is told in several ways
        raise DeviceError(
            f"exchange nccl: NCCL does not load ({_line(error)}): pip install 'vggrepro[nccl]'"
        ) from error
    return Libraries(nccl.core, cuda.core)


def gradient_exchange(kind: ExchangeKind, ranks: Ranks, device: Device) -> GradientExchange:
    """The exchange of one kind. Raises DeviceError and OptionError where it cannot be had."""
    return NcclExchange(ranks, device) if kind == "nccl" else MpiExchange(ranks)
