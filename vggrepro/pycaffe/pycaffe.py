"""``caffe.pycaffe``: where Caffe's package defines ``Net``, and takes the solvers from."""

from __future__ import annotations

from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
]
