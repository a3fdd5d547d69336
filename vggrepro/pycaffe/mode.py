"""Caffe's global state: the device, the random seed, and what it says of several solvers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.emit import Shape
from vggrepro.errors import DeviceError, PycaffeError
from vggrepro.net.fork_rules import ForkRules, PathLike
from vggrepro.pycaffe import glog
from vggrepro.runtime.device import parse_device, require
from vggrepro.system.ranks import find_ranks

GRADIENT, DECONVNET, GUIDED = "gradient", "Zeiler & Fergus", "Guided Backprop"
EXCITATION = "Excitation Backprop"
"""The sets of rules by which nets pass back; the two in the middle as scripts name them."""


@dataclass
class _Caffe:
    gpu: bool = False
    device: int = 0
    devices: tuple[int, ...] = ()
    threads: int = 0
    rng: np.random.Generator | None = None
    rank: int = 0
    phase: int = TRAIN
    backward_rules: str = GRADIENT
    fork_rules: ForkRules = field(default_factory=ForkRules)


_STATE = _Caffe()


def set_mode_cpu() -> None:
    """Run everything on the CPU, and pass back gradients: the default."""
    _STATE.gpu, _STATE.backward_rules = False, GRADIENT


def set_mode_gpu() -> None:
    """Run on the GPU that ``set_device`` named (0). Raises RuntimeError that says why if there is none that
    ONNX Runtime can use: nothing falls back to the CPU."""
    _check_gpu(_STATE.device)
    _STATE.gpu, _STATE.backward_rules = True, GRADIENT


def set_mode_eb_cpu() -> None:
    """``set_mode_cpu``, but pass back by Excitation Backprop, as in jimmie33/Caffe-ExcitationBP."""
    set_mode_cpu()
    _STATE.backward_rules = EXCITATION


def set_mode_eb_gpu() -> None:
    """The same on the GPU."""
    set_mode_gpu()
    _STATE.backward_rules = EXCITATION


def set_mode_dc_cpu() -> None:
    """``set_mode_cpu``, but pass back by Guided Backprop, as in jimmie33/Caffe-ExcitationBP."""
    set_mode_cpu()
    _STATE.backward_rules = GUIDED


def set_mode_dc_gpu() -> None:
    """The same on the GPU."""
    set_mode_gpu()
    _STATE.backward_rules = GUIDED


def backward_rules() -> str:
    """The set of rules by which nets pass back."""
    return _STATE.backward_rules


def set_device(device_id: int) -> None:
    """Choose the GPU. As in Caffe that does not switch to GPU mode. Raises RuntimeError if it does not
    work."""
    _check_gpu(int(device_id))
    _STATE.device = int(device_id)


def enumerate_devices(silent: bool = False) -> int:
    """The number of GPUs that work; unless ``silent``, it is logged. Of naibaf7/caffe, as the two below."""
    count = 0
    while _gpu_problem(count) is None:
        count += 1
    if not silent:
        glog.log(f"Total devices: {count}")
    return count


def set_devices(devices: Sequence[int]) -> None:
    """Name the GPUs that ``select_device`` may choose; the first is chosen. Raises RuntimeError if one does
    not work, or there is none."""
    if not len(devices):
        raise PycaffeError("set_devices: expected the numbers of GPUs, got none")
    for device in devices:
        _check_gpu(int(device))
    _STATE.devices = tuple(int(device) for device in devices)
    set_device(_STATE.devices[0])


def select_device(device_id: int, list_id: bool) -> None:
    """Choose a GPU by its number, or with ``list_id`` by its place in the list of ``set_devices``. Raises
    RuntimeError if there is none."""
    if list_id and not 0 <= device_id < len(_STATE.devices):
        raise PycaffeError(f"select_device: place {device_id} in the devices {_STATE.devices} of set_devices")
    set_device(_STATE.devices[device_id] if list_id else device_id)


def check_mode_cpu() -> bool:
    """Whether passes run on the CPU. Of forks whose Python layers compute on the GPU themselves."""
    return not _STATE.gpu


def check_mode_gpu() -> bool:
    """Whether passes run on the GPU. Of the same forks."""
    return _STATE.gpu


def get_device() -> int:
    """The number of the GPU that ``set_device`` chose, 0 at first. Of the same forks."""
    return _STATE.device


def set_threads(threads: int) -> None:
    """Bound the CPU threads of nets that are made from now on (0: all cores). Not part of Caffe's module."""
    _STATE.threads = int(threads)


def set_random_seed(seed: int) -> None:
    """Make fillers, Dropout and data layers that are made from now on draw the same numbers in every run."""
    _STATE.rng = np.random.default_rng(int(seed))


def set_phase_train() -> None:
    """Make nets that name no phase, as before Caffe 1.0, for phase TRAIN: the default."""
    _STATE.phase = TRAIN


def set_phase_test() -> None:
    """Make nets that name no phase for phase TEST."""
    _STATE.phase = TEST


def default_phase() -> int:
    return _STATE.phase


def set_fork_rules(
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    allow_unknown: bool = False,
    allow_custom: bool = False,
    custom_shapes: Mapping[str, Shape] | None = None,
    fork: str | None = None,
    proto: PathLike | None = None,
) -> None:
    """Read the definitions of nets and solvers that are made from now on as ``vggrepro.load_net`` does with
    these arguments. A custom layer that a pass comes to is an error. Not part of Caffe's module."""
    _STATE.fork_rules = ForkRules(
        input_shapes or {}, allow_unknown, allow_custom, custom_shapes or {}, fork, proto
    )


def fork_rules() -> ForkRules:
    return _STATE.fork_rules


def read_by(rules: ForkRules) -> None:
    """Read definitions by these rules from here on."""
    _STATE.fork_rules = rules


@contextmanager
def reading_by(rules: ForkRules) -> Iterator[None]:
    """Read definitions by these rules inside the block."""
    before = _STATE.fork_rules
    read_by(rules)
    try:
        yield
    finally:
        read_by(before)


def draw_seed() -> int:
    """A seed for the next net, from the one that was set, or from the system."""
    if _STATE.rng is None:
        return secrets.randbits(31)
    return int(_STATE.rng.integers(2**31))


def device_name() -> str:
    """The device of the coming pass: ``cpu`` or ``cuda:N``."""
    return f"cuda:{_STATE.device}" if _STATE.gpu else "cpu"


def threads() -> int:
    return _STATE.threads


def _gpu_problem(index: int) -> str | None:
    """Why a GPU does not work."""
    try:
        require(parse_device(f"cuda:{index}"))
    except DeviceError as error:
        return str(error)
    return None


def _check_gpu(index: int) -> None:
    problem = _gpu_problem(index)
    if problem is not None:
        raise PycaffeError(problem)


def solver_count() -> int:
    """How many solvers train together: one."""
    return 1


def set_solver_count(count: int) -> None:
    _refuse_several(count, "set_solver_count")


def solver_rank() -> int:
    """The number of this solver among those that train together: 0."""
    return 0


def set_solver_rank(rank: int) -> None:
    if rank != 0:
        _refuse_several(rank + 1, "set_solver_rank")


def set_multiprocess(multiprocess: bool) -> None:
    """Nothing: one solver trains, in whatever process."""


def mpi_init() -> None:
    """What scripts of yjxiong/caffe call first: nothing, where one process runs. Raises RuntimeError where
    MPI started several."""
    _refuse_several(find_ranks().size, "mpi_init")


def has_nccl() -> bool:
    """Whether the module was built with NCCL: it was not."""
    return False


SEVERAL = "training on several GPUs is offered by tools/train_ilsvrc.py under mpirun, not by this module"


class NCCL:
    """Caffe's communicator between the GPUs of solvers that train together. The one solver that there is here
    has nobody to speak to, so that Caffe's ``train.py`` and its like train on one GPU."""

    def __init__(self, solver: object, uid: str) -> None:
        pass

    @staticmethod
    def new_uid() -> str:
        """What the solvers of one training have in common."""
        return ""

    def bcast(self) -> None:
        """Give every solver the parameters of the first: nothing."""


def _refuse_several(count: int, name: str) -> None:
    if count != 1:
        raise PycaffeError(f"{name}: {count} solvers: {SEVERAL}")
