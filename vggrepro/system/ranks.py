"""The processes (ranks) that ``mpirun -n N`` started, one for each device, and what they do together."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from vggrepro.errors import DeviceError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

T = TypeVar("T")

_LAUNCHED = ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""What the launchers of MPICH, Intel MPI, Slurm and Open MPI leave in the environment."""

FORWARDED = 0.2
"""Seconds for the launcher to forward what was said, which it drops when ranks are ended."""


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


def find_ranks() -> Ranks:
    """The ranks that a launcher started, or this process alone if none did.

    Raises DeviceError if a launcher started several and mpi4py is missing: each of them would take itself
    for the only one.
    """
    return _Mpi(_load_mpi()) if _launched() else Alone()


def end_all(code: int) -> None:
    """End every rank with the exit ``code``: this one has failed, and the others would wait for it for ever.

    Works from any thread, also while another one waits in a call of MPI. Returns if this process is alone.
    """
    if not _launched():
        return
    try:
        world = _load_mpi().COMM_WORLD
    except DeviceError:
        return
    if world.Get_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(FORWARDED)
        world.Abort(code)


def _launched() -> bool:
    return any(name in os.environ for name in _LAUNCHED)


def _load_mpi() -> Any:
    """mpi4py's module ``MPI``, started. MPICH's own words on an abort are left out: ours have been said."""
    os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise DeviceError(
            f"started by mpirun, but mpi4py does not load ({error}): pip install 'vggrepro[mpi]'"
        ) from error
    return MPI
