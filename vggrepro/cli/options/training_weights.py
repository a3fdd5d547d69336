"""From which weights training begins, or where it goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.values import amount
from vggrepro.errors import OptionError
from vggrepro.paper.trainings import PRESET_SCHEME, VARIANCE_STD, Learning, Preset, Scheme
from vggrepro.system.ranks import Ranks

if TYPE_CHECKING:
    from vggrepro.training.assemble import InitialWeights


@dataclass(frozen=True)
class WeightOptions:
    """Where the weights come from. ``init`` None: as the preset draws them, or the prototxt without one."""

    init: Scheme | None = None
    init_std: float = VARIANCE_STD
    init_from: Path | None = None
    weights: tuple[str, ...] = ()
    fine_tune: Learning = "all"
    resume: str | None = None

    def check(self, preset: Preset) -> None:
        """Raise OptionError if the preset needs weights that are not given: a deeper net begins at random
        only where ``init`` asks for that."""
        needs = f"preset {preset.name} needs {preset.needs}"
        trained = bool(self.weights or self.resume)
        if preset.start == "trained" and not trained:
            raise OptionError(f"{needs} (or --resume)")
        at_random = self.init not in (None, "prototxt")
        if preset.start == "net A" and not (trained or self.init_from or at_random):
            raise OptionError(
                f"{needs} (or another --init than the prototxt's, such as glorot, without net A)"
            )

    def of_preset(self, preset: Preset) -> WeightOptions:
        """What the preset draws, wherever nothing else is given. Raises OptionError as :meth:`check` does."""
        self.check(preset)
        return replace(self, init=self.init or PRESET_SCHEME)

    def initial(self, prefix: str, ranks: Ranks) -> InitialWeights:
        """``prefix`` is that of the run's snapshots, among which the first rank looks for one to resume.

        Raises SolverError for a new run that would overwrite them, or the weights that it begins with.
        """
        from vggrepro.training.assemble import InitialWeights, check_kept, find_state
        from vggrepro.training.definition import weight_names
        from vggrepro.training.initialise import Fillers

        if self.init != "variance":
            refuse_without("--init variance", self, "init_std")
        state = ranks.broadcast(find_state(prefix, self.resume) if ranks.rank == 0 else None)
        fillers = Fillers(self.init or "prototxt", self.init_std)
        files = [Path(name) for given in self.weights for name in weight_names(given)]
        if state is None:
            check_kept(prefix, [*files, *([] if self.init_from is None else [self.init_from])])
        return InitialWeights(fillers, self.init_from, files, state)


def add_weight_options(options: Options) -> None:
    """Add the options of :class:`WeightOptions`."""
    options.add_argument(
        "--init",
        choices=get_args(Scheme),
        default=WeightOptions.init,
        help="fillers: the prototxt's; normal with the variance of 10^-2 that the paper prints, or with"
        " --init-std; Glorot and Bengio's; or He's (default: prototxt; with --preset glorot)",
    )
    options.add_argument(
        "--init-std",
        type=amount,
        default=WeightOptions.init_std,
        metavar="STD",
        help="standard deviation of --init variance (default: 0.1, the root of 10^-2)",
    )
    options.add_argument(
        "--init-from",
        type=Path,
        metavar="FILE",
        help="copy the first four convolutions and the fully connected layers of net A's caffemodel",
    )
    options.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="FILE",
        help="caffemodel, of which all layers are copied by name; several with commas between them, or repeat"
        " the option",
    )
    options.add_argument(
        "--fine-tune",
        choices=get_args(Learning),
        default=WeightOptions.fine_tune,
        help="which layers learn: all, or the fully connected ones alone, as of the submission's jittered net"
        " (section 4.4) (default: all)",
    )
    options.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="FILE",
        help="go on from a .solverstate, Caffe's too; auto: the newest one of the snapshot prefix, if any",
    )
