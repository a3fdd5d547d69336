"""Where and how a command computes: ``--device``, ``--precision`` and ``--threads``."""

from __future__ import annotations

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import natural
from vggrepro.system.ranks import Ranks


def add_device_option(options: Options, default: str | None = "cpu") -> None:
    """Add ``--device``. A ``default`` of None is what the solver says."""
    options.add_argument(
        "--device",
        default=default,
        metavar="DEVICE",
        help="cpu, cuda or cuda:N; of several ranks each takes its own GPU with cuda, and exactly GPU N with"
        f" cuda:N (default: {default or 'solver_mode and device_id of the solver'})",
    )


def add_precision_option(options: Options) -> None:
    """Add ``--precision``."""
    options.add_argument(
        "--precision",
        choices=["fp32", "fp32-direct", "tf32", "fp16"],
        default="fp32",
        help="of products and sums: fp32; on a CPU fp32-direct, which sums 3x3 convolutions directly and not"
        " by minimal filtering (slower, about half the rounding); on a GPU tf32's ten bits of mantissa, or"
        " (but in training) fp16 throughout (default: fp32)",
    )


def add_threads_option(options: Options) -> None:
    """Add ``--threads``."""
    options.add_argument(
        "--threads",
        type=natural,
        default=0,
        metavar="N",
        help="CPU threads of the network (default: 0, all cores)",
    )


def placed(device: str, ranks: Ranks) -> str:
    """The device of this rank: ``cuda`` of several ranks is one GPU each, by their numbers on the machine;
    every other name means what it says."""
    return f"cuda:{ranks.local_rank}" if device == "cuda" and ranks.size > 1 else device
