"""What the four actions of Caffe's command share: their flags, the device, weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vggrepro import pycaffe
from vggrepro.caffe.weights import read_weights
from vggrepro.cli.caffe_programs.program import logging, printed_help
from vggrepro.cli.options.gflags import GlogFlags, flag, read_flags
from vggrepro.errors import DeviceError, OptionError
from vggrepro.pycaffe import glog, mode
from vggrepro.pycaffe.net import Net
from vggrepro.runtime.gpu_properties import gpu_count


@dataclass(frozen=True)
class ActionFlags(GlogFlags):
    """The flags of Caffe's command, all known to each of its actions."""

    gpu: str = flag("", "run on the GPU of this number, or on all of them: all, or 0,1")
    solver: str = flag("", "train: the solver definition, a text file")
    model: str = flag("", "test, time: the net definition, a text file")
    phase: str = flag("", "time: TRAIN or TEST; TRAIN if it is not given")
    level: int = flag(0, "level of the net")
    stage: str = flag("", "stages of the net, separated by ','")
    snapshot: str = flag("", "train: the solver state to resume from")
    weights: str = flag("", "train, test: weight files, separated by ','; not together with -snapshot")
    iterations: int = flag(50, "test, time: how many iterations to run")
    sigint_effect: str = flag("stop", "train: what SIGINT does: snapshot, stop or none")
    sighup_effect: str = flag("snapshot", "train: what SIGHUP does: snapshot, stop or none")

    @property
    def stages(self) -> list[str]:
        return [name for name in self.stage.split(",") if name]

    @property
    def weight_files(self) -> list[str]:
        return self.weights.split(",") if self.weights else []

    def gpus(self) -> list[int]:
        """The numbers of the GPUs that are asked for. Raises OptionError for what is no number, DeviceError
        for ``all`` where there is none."""
        if self.gpu == "all":
            found = list(range(gpu_count()))
            if not found:
                raise DeviceError("-gpu all: the driver sees no GPU")
            return found
        try:
            return [int(part) for part in self.gpu.split(",")] if self.gpu else []
        except ValueError:
            raise OptionError(f"-gpu {self.gpu}: expected all, or numbers with commas between them") from None


@contextmanager
def action_flags(arguments: Sequence[str]) -> Iterator[ActionFlags | None]:
    """The flags of an action, for a block in which they are in force: the log goes where they say, and nets
    may import the modules of their Python layers. None if only help was asked for, which is printed.

    Raises OptionError for wrong flags.
    """
    if printed_help(arguments, "caffe train|test|time|device_query [FLAGS]", ActionFlags):
        yield None
        return
    flags, words = read_flags(ActionFlags, arguments)
    if words:
        raise OptionError(f"one action at a time, and flags: what is {' '.join(words)!r}?")
    pycaffe.install()
    mode.set_threads(_threads())
    with logging(flags, "caffe"):
        yield flags


def _threads() -> int:
    """The CPU threads that the environment allows, in the words that Caffe's BLAS heeds; 0: all cores."""
    given = (os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    return next((int(text) for text in given if text.isdecimal()), mode.threads())


def use_one_device(flags: ActionFlags) -> None:
    """Switch to the first GPU that is asked for, or to the CPU. Raises PycaffeError if it does not work."""
    gpus = flags.gpus()
    for unused in gpus[:0:-1]:
        glog.log(f"Not using GPU #{unused} for single-GPU function", "caffe.cpp:261")
    if gpus:
        glog.log(f"Use GPU with device ID {gpus[0]}", "caffe.cpp:269")
        mode.set_device(gpus[0])
        mode.set_mode_gpu()
    else:
        glog.log("Use CPU.", "caffe.cpp:281")
        mode.set_mode_cpu()


def copy_weights(net: Net, path: str) -> None:
    """Copy a file's parameters by layer name, and log the layers that the net lacks. Raises PycaffeError."""
    net.copy_from(path)
    saved = read_weights(path)
    for layer in saved:
        if layer.name not in net.layer_dict:
            glog.log(f"Ignoring source layer {layer.name}", "net.cpp:744")
    if not any(layer.blobs and layer.name in net.params for layer in saved):
        glog.warning(f"{path}: NOTHING is copied: the net has no layer of a name in it")
