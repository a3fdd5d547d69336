"""The launcher of MPI's ranks that tests use."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest


def mpirun() -> str | None:
    """The launcher beside this Python, or on the PATH; None without mpi4py."""
    beside = Path(sys.executable).parent / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    return found if importlib.util.find_spec("mpi4py") else None


needs_mpi = pytest.mark.skipif(mpirun() is None, reason="no mpirun with mpi4py: pip install 'vggrepro[mpi]'")
