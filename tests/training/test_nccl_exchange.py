"""Summing gradients with NCCL, against a stand-in that keeps its contract: collectives are queued on a stream
in one order on all ranks, work on device addresses, and are done when the stream or an event says so. Where
nccl4py is installed, the stand-in itself is held against it."""

from __future__ import annotations

import ctypes
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray
from vggrepro.system.ranks import Alone
from vggrepro.training import nccl_exchange as module
from vggrepro.training.nccl_exchange import Libraries, NcclExchange

CUDA = Device("cuda")


class World:
    """What the ranks of one communicator share; each rank is a thread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size)
        self.parts: dict[int, np.ndarray] = {}
        self.carried: Any = None

    def gathered(self, rank: int, part: np.ndarray) -> list[np.ndarray]:
        self.parts[rank] = part.copy()
        self.barrier.wait(10)
        found = [self.parts[r] for r in range(self.size)]
        self.barrier.wait(10)
        return found


@dataclass(frozen=True)
class Rank(Alone):
    """A rank whose MPI carries the communicator's id alone."""

    world: World = field(default_factory=lambda: World(1))

    def broadcast(self, value: Any) -> Any:
        if self.rank == 0:
            self.world.carried = value
        self.world.barrier.wait(10)
        assert isinstance(self.world.carried, bytes)
        return self.world.carried

    def copy_first(self, array: np.ndarray) -> None:
        pytest.fail("passes through the host")

    def begin_add_up(self, array: np.ndarray) -> Callable[[], None]:
        pytest.fail("passes through the host")


class Stream:
    """Work that is queued, and done when someone waits for it."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.done = 0

    def finish(self, count: int) -> None:
        while self.done < count:
            self.queue[self.done]()
            self.done += 1

    def record(self) -> Any:
        return SimpleNamespace(sync=partial(self.finish, len(self.queue)))

    def sync(self) -> None:
        self.finish(len(self.queue))


def memory(buffer: Any) -> np.ndarray:
    """The memory that a CUDA Array Interface describes; here it is the host's."""
    about = buffer.__cuda_array_interface__
    assert (about["typestr"], about["version"], about["data"][1]) == ("<f4", 3, False)
    (count,) = about["shape"]
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(about["data"][0]))


class Communicator:
    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank = world, rank
        self.lengths: list[int] = []

    def allreduce(self, send: Any, receive: Any, op: Any, *, stream: Stream) -> None:
        assert op == "sum"
        self.lengths.append(memory(send).size)

        def work() -> None:
            memory(receive)[:] = np.sum(
                self.world.gathered(self.rank, memory(send)), axis=0, dtype=np.float32
            )

        stream.queue.append(work)

    def broadcast(self, send: Any, receive: Any, root: int, *, stream: Stream) -> None:
        def work() -> None:
            memory(receive)[:] = self.world.gathered(self.rank, memory(send))[root]

        stream.queue.append(work)


class UniqueId(bytes):
    @staticmethod
    def from_bytes(carried: bytes) -> UniqueId:
        return UniqueId(carried)


class Nccl:
    """``nccl.core`` and ``cuda.core`` of one rank."""

    SUM = "sum"

    def __init__(self, world: World) -> None:
        self.world = world
        self.current: list[int] = []
        self.UniqueId = UniqueId
        outer = self

        class _Communicator:
            @staticmethod
            def init(ranks: int, rank: int, unique: bytes) -> Communicator:
                assert (ranks, unique) == (world.size, b"id")
                outer.comm = Communicator(world, rank)
                return outer.comm

        class _Device:
            def __init__(self, index: int) -> None:
                self.index = index

            def set_current(self) -> None:
                outer.current.append(self.index)

            def create_stream(self) -> Stream:
                outer.stream = Stream()
                return outer.stream

        self.Communicator, self.Device = _Communicator, _Device

    def get_unique_id(self) -> bytes:
        return b"id"

    def exchange(self, rank: int) -> NcclExchange:
        ranks = Rank(rank=rank, size=self.world.size, local_rank=rank, world=self.world)
        return NcclExchange(ranks, Device("cuda", rank), Libraries(self, self))


def on_ranks(size: int, work: Callable[[int, Nccl, NcclExchange], Any]) -> list[Any]:
    world = World(size)

    def one(rank: int) -> Any:
        nccl = Nccl(world)
        return work(rank, nccl, nccl.exchange(rank))

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


def array_of(values: np.ndarray) -> DeviceArray:
    array = DeviceArray(values.size, Device("cpu"))
    array.write(values.astype(np.float32))
    return array


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_rank_gets_the_sum(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKET", 4)

    def work(rank: int, nccl: Nccl, exchange: NcclExchange) -> tuple[list[int], list[int], np.ndarray]:
        array = array_of(np.arange(10) * (rank + 1))
        exchange.begin(array)(10)
        return nccl.current, nccl.comm.lengths, array.read().copy()

    for rank, (current, lengths, found) in enumerate(on_ranks(size, work)):
        assert (current, lengths) == ([rank], [4, 4, 2])
        np.testing.assert_array_equal(found, np.arange(10) * sum(range(1, size + 1)))


def test_a_stretch_is_ready_when_its_buckets_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKET", 4)

    def work(rank: int, nccl: Nccl, exchange: NcclExchange) -> list[int]:
        wait = exchange.begin(array_of(np.ones(10)))
        done = [nccl.stream.done]
        for end in (1, 4, 5, 3, 10, 16):
            wait(end)
            done.append(nccl.stream.done)
        return done

    assert on_ranks(2, work) == [[0, 1, 1, 2, 2, 3, 3]] * 2


def test_the_first_ranks_array_is_shared() -> None:
    def work(rank: int, nccl: Nccl, exchange: NcclExchange) -> np.ndarray:
        array = array_of(np.full(5, rank + 1))
        exchange.share(array)
        return array.read().copy()

    for found in on_ranks(2, work):
        np.testing.assert_array_equal(found, np.ones(5))


def test_what_cannot_start_is_an_error() -> None:
    nccl = Nccl(World(1))
    nccl.get_unique_id = lambda: 1 / 0
    with pytest.raises(DeviceError, match=r"^exchange nccl: NCCL does not start on cuda:0: division by zero"):
        nccl.exchange(0)
    with pytest.raises(OptionError, match="NCCL is for GPUs, expected --device cuda, got cpu"):
        NcclExchange(Alone(), Device("cpu"))


def test_what_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(
        DeviceError, match=r"^exchange nccl: NCCL does not load .*pip install 'vggrepro\[nccl\]'"
    ):
        NcclExchange(Alone(), CUDA)


def test_an_exchange_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nccl = Nccl(World(1))
    exchange = nccl.exchange(0)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("NCCL_UNHANDLED_SYSTEM_ERROR\nmore")

    monkeypatch.setattr(nccl.comm, "allreduce", fails)
    with pytest.raises(DeviceError, match=r"^exchange nccl: NCCL_UNHANDLED_SYSTEM_ERROR$"):
        exchange.begin(array_of(np.ones(3)))


def test_the_package_is_called_as_the_stand_in_is() -> None:
    """Every call that the stand-in takes, the package takes: as many arguments, the same keywords."""
    nccl = pytest.importorskip("nccl.core")
    cuda = pytest.importorskip("cuda.core")
    stand_in = Nccl(World(1))
    calls = [
        (stand_in.get_unique_id, nccl.get_unique_id),
        (stand_in.UniqueId.from_bytes, nccl.UniqueId.from_bytes),
        (stand_in.Communicator.init, nccl.Communicator.init),
        (Communicator.allreduce, nccl.Communicator.allreduce),
        (Communicator.broadcast, nccl.Communicator.broadcast),
        (stand_in.Device, cuda.Device),
        (stand_in.Device.set_current, cuda.Device.set_current),
        (stand_in.Device.create_stream, cuda.Device.create_stream),
        (Stream.record, cuda.Stream.record),
        (Stream.sync, cuda.Stream.sync),
        (Stream.sync, cuda.Event.sync),
    ]
    for ours, theirs in calls:
        parameters = inspect.signature(ours).parameters.values()
        names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        inspect.signature(theirs).bind(*[0] * (len(parameters) - len(names)), **dict.fromkeys(names))
    assert nccl.SUM == nccl.NcclRedOp.SUM
    unique = bytes(range(128))
    assert bytes(nccl.UniqueId.from_bytes(unique)) == unique
