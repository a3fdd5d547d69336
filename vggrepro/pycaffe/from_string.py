"""Nets and solvers of definitions that a script has in memory, as in philkr/caffe."""

from __future__ import annotations

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import SolverParameter
from vggrepro.errors import PycaffeError
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.solver import Solver, get_solver
from vggrepro.pycaffe.text_file import text_file


def get_net_from_string(definition: str, phase: int) -> Net:
    """The net of a prototxt's text. Raises RuntimeError where Caffe would stop."""
    with text_file(definition, "net.prototxt") as path:
        return Net(path, phase)


def get_solver_from_string(definition: str | bytes) -> Solver:
    """The solver of a prototxt's text, or of a serialized ``SolverParameter``. Files that it names are looked
    for from the working directory. Raises RuntimeError where Caffe would stop."""
    if isinstance(definition, bytes):
        try:
            message = SolverParameter.FromString(definition)
        except DecodeError as error:
            raise PycaffeError(
                f"get_solver_from_string: bytes that are no SolverParameter: {error}"
            ) from None
        definition = text_format.MessageToString(message)
    with text_file(definition, "solver.prototxt") as path:
        return get_solver(path)
