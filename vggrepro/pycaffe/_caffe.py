"""``caffe._caffe``: the names of Caffe's compiled module, for scripts that ask for its types and functions.

What Boost wraps in a class of its own for each kind of vector is a Python list here.
"""

from __future__ import annotations

from vggrepro.pycaffe.blob import Blob, BlobVec, IntVec
from vggrepro.pycaffe.glog import init_log, log
from vggrepro.pycaffe.mode import (
    NCCL,
    has_nccl,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.python_layer import Layer, layer_type_list
from vggrepro.pycaffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    Solver,
    get_solver,
)
from vggrepro.pycaffe.timer import Timer

RawBlobVec = BlobVec
LayerVec = NetVec = StringVec = DtypeVec = BoolVec = list

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "BlobVec",
    "BoolVec",
    "DtypeVec",
    "IntVec",
    "Layer",
    "LayerVec",
    "NesterovSolver",
    "Net",
    "NetVec",
    "RMSPropSolver",
    "RawBlobVec",
    "SGDSolver",
    "Solver",
    "StringVec",
    "Timer",
    "get_solver",
    "has_nccl",
    "init_log",
    "layer_type_list",
    "log",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
]
