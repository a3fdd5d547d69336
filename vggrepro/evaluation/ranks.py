"""One process a device: how the ranks of ``mpirun -n N`` share an evaluation.

The ranks share nothing but the view cache and a few barriers, so this is all that is asked of MPI.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from vggrepro.errors import DeviceError

T = TypeVar("T")

_LAUNCHED = ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""What the launchers of MPICH, Intel MPI, Slurm and Open MPI leave in the environment."""


class Ranks(Protocol):
    """This process (``rank`` of ``size``) among the others; ``local_rank`` counts on its machine."""

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

    def abort(self) -> None:
        """End every rank: this one has failed, and the others would wait for it for ever."""


@dataclass(frozen=True)
class Alone:
    """A run of one process."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def barrier(self) -> None:
        return None

    def broadcast(self, value: T) -> T:
        return value

    def abort(self) -> None:
        return None


class _Mpi:
    def __init__(self, communicator: Any, shared: Any) -> None:
        self._communicator = communicator
        self.rank: int = communicator.Get_rank()
        self.size: int = communicator.Get_size()
        local = communicator.Split_type(shared)
        self.local_rank: int = local.Get_rank()
        local.Free()

    def barrier(self) -> None:
        self._communicator.Barrier()

    def broadcast(self, value: T) -> T:
        result: T = self._communicator.bcast(value, root=0)
        return result

    def abort(self) -> None:
        self._communicator.Abort(2)


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
    return _Mpi(MPI.COMM_WORLD, MPI.COMM_TYPE_SHARED)
