"""How several ranks train, and how exactly: ``--exchange``, and what of ``--precision`` training has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options
from vggrepro.errors import OptionError

if TYPE_CHECKING:
    from vggrepro.emit import Precision
    from vggrepro.training.solver import TrainingPrecision


def training_precision(precision: Precision) -> TrainingPrecision:
    """Raises OptionError for float16, in which small gradients and steps vanish."""
    if precision == "fp16":
        raise OptionError("--precision fp16: of evaluation alone, expected fp32, fp32-direct or tf32")
    return precision


def add_exchange_option(options: Options) -> None:
    """Add ``--exchange``."""
    options.add_argument(
        "--exchange",
        choices=["mpi", "nccl"],
        default="mpi",
        help="how several ranks sum their gradients: mpi, through the host's memory, or nccl, from GPU to GPU"
        " (default: mpi)",
    )
