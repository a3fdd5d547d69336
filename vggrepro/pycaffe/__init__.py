"""The ``caffe`` Python module of BVLC Caffe 1.0, on ONNX Runtime.

``import vggrepro.pycaffe as caffe`` is one way to use it; after :func:`install` scripts find it as ``caffe``.
"""

from __future__ import annotations

import importlib
import sys

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import PycaffeError
from vggrepro.pycaffe import _caffe, classifier, coord_map, detector, draw, io, net_spec, proto, pycaffe
from vggrepro.pycaffe.blob import Blob
from vggrepro.pycaffe.classifier import Classifier
from vggrepro.pycaffe.detector import Detector
from vggrepro.pycaffe.fork_modules import find_fork_modules
from vggrepro.pycaffe.from_string import get_net_from_string, get_solver_from_string
from vggrepro.pycaffe.glog import init_log, log, set_logging_disabled
from vggrepro.pycaffe.lone_layer import create_layer
from vggrepro.pycaffe.mode import (
    NCCL,
    check_mode_cpu,
    check_mode_gpu,
    enumerate_devices,
    get_device,
    has_nccl,
    mpi_init,
    select_device,
    set_device,
    set_devices,
    set_fork_rules,
    set_mode_cpu,
    set_mode_dc_cpu,
    set_mode_dc_gpu,
    set_mode_eb_cpu,
    set_mode_eb_gpu,
    set_mode_gpu,
    set_multiprocess,
    set_phase_test,
    set_phase_train,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.net_spec import NetSpec, layers, params, to_proto
from vggrepro.pycaffe.python_layer import Layer, allow_python_layers, layer_type_list
from vggrepro.pycaffe.segmenter import Segmenter
from vggrepro.pycaffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)
from vggrepro.pycaffe.solver_parameter import NetState, SolverParameter
from vggrepro.pycaffe.timer import Timer

get_solver_from_file = get_solver
"""philkr/caffe's name."""

__version__ = "1.0.0"
"""The version of Caffe whose module this is."""

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "NetState",
    "RMSPropSolver",
    "SGDSolver",
    "Segmenter",
    "SolverParameter",
    "Timer",
    "_caffe",
    "allow_python_layers",
    "check_mode_cpu",
    "check_mode_gpu",
    "classifier",
    "coord_map",
    "create_layer",
    "detector",
    "draw",
    "enumerate_devices",
    "get_device",
    "get_net_from_string",
    "get_solver",
    "get_solver_from_file",
    "get_solver_from_string",
    "has_nccl",
    "init_log",
    "install",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "mpi_init",
    "net_spec",
    "params",
    "proto",
    "pycaffe",
    "select_device",
    "set_device",
    "set_devices",
    "set_fork_rules",
    "set_logging_disabled",
    "set_mode_cpu",
    "set_mode_dc_cpu",
    "set_mode_dc_gpu",
    "set_mode_eb_cpu",
    "set_mode_eb_gpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_phase_test",
    "set_phase_train",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]

SUBMODULES = (
    "_caffe",
    "classifier",
    "coord_map",
    "detector",
    "draw",
    "io",
    "net_spec",
    "proto",
    "proto.caffe_pb2",
    "pycaffe",
)
"""What scripts import from ``caffe`` as modules."""


def install() -> None:
    """Make ``import caffe`` find this module, with all of its submodules, and let nets import the modules
    that their Python layers name. Modules that a fork adds (``caffe.model_libs``) are looked for in folders
    ``caffe`` of ``sys.path``. Raises RuntimeError if another module of that name is imported already."""
    own = sys.modules[__name__]
    if sys.modules.get("caffe", own) is not own:
        other = getattr(sys.modules["caffe"], "__file__", None)
        raise PycaffeError(f"install(): another module called caffe is imported already: {other}")
    sys.modules["caffe"] = own
    for name in SUBMODULES:
        sys.modules[f"caffe.{name}"] = importlib.import_module(f"{__name__}.{name}")
    find_fork_modules()
    allow_python_layers()
