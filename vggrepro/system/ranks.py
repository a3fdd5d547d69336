"""The processes (ranks) that ``mpirun -n N`` started, one for each device, and what they do together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from vggrepro.errors import DeviceError

T = TypeVar("T")
Array = npt.NDArray[Any]

_LAUNCHED = ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""What the launchers of MPICH, Intel MPI, Slurm and Open MPI leave in the environment."""


class Ranks(Protocol):
    """This process, number ``rank`` of ``size``, among the others.

    ``local_rank`` is its number among those of the same machine.
    """

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def local_rank(self) -> int: ...

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""

    def copy_first(self, array: Array) -> None:
        """Overwrite a contiguous array with rank 0's."""

    def add_up(self, array: Array) -> None:
        """Overwrite a contiguous array with the sum of every rank's, the same bits on all of them."""

    def begin_add_up(self, array: Array) -> Callable[[], None]:
        """As :meth:`add_up`, but return at once; the array is ready when the returned call returns."""

    def abort(self) -> None:
        """End every rank: this one has failed, and the others would wait for it for ever."""


@dataclass(frozen=True)
class Alone:
    """A single process, which no launcher started."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def barrier(self) -> None:
        return None

    def broadcast(self, value: T) -> T:
        return value

    def copy_first(self, array: Array) -> None:
        return None

    def add_up(self, array: Array) -> None:
        return None

    def begin_add_up(self, array: Array) -> Callable[[], None]:
        return self.barrier

    def abort(self) -> None:
        return None


class _Mpi:
    """The ranks of MPI's world, through mpi4py's module ``MPI``."""

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._world = mpi.COMM_WORLD
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        local = self._world.Split_type(mpi.COMM_TYPE_SHARED)
        self.local_rank: int = local.Get_rank()
        local.Free()

    def barrier(self) -> None:
        self._world.Barrier()

    def broadcast(self, value: T) -> T:
        result: T = self._world.bcast(value, root=0)
        return result

    def copy_first(self, array: Array) -> None:
        self._world.Bcast(array, root=0)

    def add_up(self, array: Array) -> None:
        self._world.Allreduce(self._mpi.IN_PLACE, array, op=self._mpi.SUM)

    def begin_add_up(self, array: Array) -> Callable[[], None]:
        request = self._world.Iallreduce(self._mpi.IN_PLACE, array, op=self._mpi.SUM)

        def wait() -> None:
            request.Wait()

        return wait

    def abort(self) -> None:
        self._world.Abort(2)


def find_ranks() -> Ranks:
    """The ranks that a launcher started, or this process alone if none did.

    Raises DeviceError if a launcher started several and mpi4py is missing: each of them would take itself
    for the only one.
    """
    if not any(name in os.environ for name in _LAUNCHED):
        return Alone()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise DeviceError(
            f"started by mpirun, but mpi4py does not load ({error}): pip install 'vggrepro[mpi]'"
        ) from error
    return _Mpi(MPI)
