"""Which net a command loads, and how its prototxt is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.read import Options

if TYPE_CHECKING:
    from vggrepro.net import Net


@dataclass(frozen=True)
class NetOptions:
    """A prototxt, and the rules under which it is read."""

    prototxt: str
    phase: Literal["TRAIN", "TEST"] = "TEST"
    stage: tuple[str, ...] = ()
    level: int = 0
    forks: ForkOptions = field(default_factory=ForkOptions)

    def load(self, weights: str | None, *, fill: bool) -> Net:
        """The net, with ``weights`` copied by layer name. ``fill`` and errors: see ``load_net``."""
        from vggrepro.net import load_by_rules

        return load_by_rules(
            self.prototxt,
            weights,
            self.forks.rules(),
            phase=self.phase,
            stages=self.stage,
            level=self.level,
            fill=fill,
        )


def add_net_options(options: Options) -> None:
    """Add the options of :class:`NetOptions`, but not its argument ``prototxt``."""
    options.add_argument(
        "--phase",
        choices=["TRAIN", "TEST"],
        default=NetOptions.phase,
        help="phase of the net (default: TEST)",
    )
    add_state_options(options)
    add_fork_options(options)


def add_state_options(options: Options) -> None:
    """Add ``--stage`` and ``--level``."""
    options.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="NAME",
        help="stage for include/exclude rules; repeatable",
    )
    options.add_argument(
        "--level",
        type=int,
        default=NetOptions.level,
        metavar="N",
        help="level for include/exclude rules (default: 0)",
    )
