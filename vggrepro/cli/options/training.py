"""What train_ilsvrc trains, from which weights, and how it runs."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from vggrepro.caffe.messages import SolverParameter
from vggrepro.cli.options.device import (
    add_device_option,
    add_precision_option,
    add_threads_option,
    placed,
)
from vggrepro.cli.options.evaluation import add_demo_option, add_prototxt_option
from vggrepro.cli.options.images import add_seed_option
from vggrepro.cli.options.net import add_input_shape_option, parse_shapes
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.training_device import add_exchange_option
from vggrepro.cli.options.values import amount, natural, positive
from vggrepro.emit import Precision
from vggrepro.errors import DeviceError, OptionError
from vggrepro.paper.nets import PROTOTXT, solver_prototxt
from vggrepro.paper.trainings import Preset, find_preset
from vggrepro.system.ranks import Ranks
from vggrepro.training.assemble import InitialWeights, check_kept, find_state, images_per_iteration
from vggrepro.training.definition import Definition, read_definition, weight_names
from vggrepro.training.gradient_exchange import ExchangeKind
from vggrepro.training.held_layers import Learning
from vggrepro.training.initialise import PRESET_SCHEME, SCHEMES, VARIANCE_STD, Fillers, Scheme
from vggrepro.training.signals import EFFECTS, Effect, Signals

StopCode = Literal["signal", "0"]


@dataclass(frozen=True)
class SolverOptions:
    """What to train. Of ``config``, ``preset``, ``demo`` and ``list_presets`` one is given."""

    config: Path | None = None
    preset: str | None = None
    demo: bool = False
    list_presets: bool = False
    prototxt_dir: Path | None = None
    settings: tuple[str, ...] = ()
    input_shape: tuple[str, ...] = ()
    batch: int | None = None
    iter_size: int | None = None
    seed: int | None = None

    def found_preset(self) -> Preset | None:
        """The row of Table 3, if one is asked for. Raises SolverError for one that is not there."""
        if self.preset is not None:
            return find_preset(self.preset)
        refuse_without("--preset NAME", self, "prototxt_dir")
        return None

    def preset_file(self, preset: Preset) -> Path:
        return solver_prototxt(preset.config, self.prototxt_dir or PROTOTXT)


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
        if self.init != "variance":
            refuse_without("--init variance", self, "init_std")
        state = ranks.broadcast(find_state(prefix, self.resume) if ranks.rank == 0 else None)
        fillers = Fillers(self.init or "prototxt", self.init_std)
        files = [Path(name) for given in self.weights for name in weight_names(given)]
        if state is None:
            check_kept(prefix, [*files, *([] if self.init_from is None else [self.init_from])])
        return InitialWeights(fillers, self.init_from, files, state)


@dataclass(frozen=True)
class RunSettings:
    """How the training runs, and what it leaves behind. None: what the solver says."""

    device: str | None = None
    precision: Precision = "fp32"
    exchange: ExchangeKind = "mpi"
    threads: int = 0
    snapshot_prefix: str | None = None
    keep: int = 3
    keep_best: bool = True
    patience: int | None = None
    watch: str | None = None
    log: Path | None = None
    sigint_effect: Effect = "stop"
    sighup_effect: Effect = "snapshot"
    sigterm_effect: Effect = "stop"
    sigusr1_effect: Effect = "stop"
    stop_code: StopCode = "signal"

    def signals(self) -> Signals:
        """What notes the signals during the run."""
        return Signals(self.sigint_effect, self.sighup_effect, self.sigterm_effect, self.sigusr1_effect)

    def code_of(self, number: int) -> int:
        """The exit code of a run that a signal stopped: 128 and its number, as shells have it, or 0."""
        return 128 + number if self.stop_code == "signal" else 0

    def placed(self, definition: Definition, ranks: Ranks) -> str:
        """The device of this rank. The solver's ``solver_mode: GPU`` is ``cuda``, or with a ``device_id``
        exactly that GPU."""
        param = definition.param
        named = f"cuda:{param.device_id}" if param.HasField("device_id") else "cuda"
        said = "cpu" if param.solver_mode == type(param).CPU else named
        return placed(said if self.device is None else self.device, ranks)

    @contextmanager
    def advising(self) -> Iterator[None]:
        """Within the block, where the device is set up: an error of one that only the solver asks for says
        how to do without."""
        try:
            yield
        except DeviceError as error:
            if self.device is not None:
                raise
            raise DeviceError(f"{error}; or, whatever solver_mode says, train with --device cpu") from error


def definition_of(
    solver: SolverOptions, run: RunSettings, settings: Sequence[str], *, images: bool
) -> tuple[Definition, int | None]:
    """The solver with what the command line says in its fields' place, and the images of an iteration (None:
    as many as the solver and its net say).

    ``settings`` replace fields of the file, and are themselves replaced by ``--set``; ``images`` tells
    whether there are any to make batches of. Raises ParseError, SolverError, OptionError.
    """
    if solver.config is None:
        raise OptionError("no solver: expected --config FILE, --preset NAME or --demo")
    fields: list[Any] = [*settings, *solver.settings]
    if run.snapshot_prefix is not None:
        fields.append(_prefix(run.snapshot_prefix))
    shapes = parse_shapes(solver.input_shape, "--input-shape")
    definition = read_definition(solver.config, fields, shapes)
    policy = definition.param.lr_policy
    if run.patience is not None and policy != "plateau":
        raise OptionError(f"--patience: is for lr_policy 'plateau', but {definition.path} has {policy!r}")
    if solver.iter_size is None:
        return definition, solver.batch
    if not images:
        raise OptionError('--iter-size divides the batch of --data; data layers want --set "iter_size: K"')
    fields.append(SolverParameter(iter_size=solver.iter_size))
    return read_definition(solver.config, fields, shapes), solver.batch or images_per_iteration(definition)


def _prefix(prefix: str) -> Any:
    """The message that holds a snapshot prefix, whatever characters it has."""
    try:
        return SolverParameter(snapshot_prefix=prefix)
    except ValueError:
        raise OptionError(f"--snapshot-prefix {prefix!r}: expected UTF-8") from None


def add_solver_options(parser: ArgumentParser) -> None:
    """Add the options of :class:`SolverOptions`, as a group."""
    group = parser.add_argument_group("what to train")
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, metavar="FILE", help="a solver prototxt")
    which.add_argument(
        "--preset", metavar="NAME", help='a row of Table 3, as A:256 or "D:256;512", or B-5x5:256'
    )
    add_demo_option(which, "a miniature of net A on the embedded digits")
    which.add_argument("--list-presets", action="store_true", help="list the presets, and stop")
    add_prototxt_option(group)
    add_input_shape_option(group)
    group.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar='"FIELD: VALUE"',
        help="replace a field of the solver, as it would be written there; repeatable",
    )
    group.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help="images an iteration; fewer than 256 lower the rate of --preset in proportion (default: the"
        " prototxt's)",
    )
    group.add_argument(
        "--iter-size",
        type=positive,
        metavar="K",
        help="make an iteration's batch in K passes, of less memory (default: the prototxt's)",
    )
    add_seed_option(group, None, "seed of everything random (default: random_seed of the solver)")


def add_weight_options(options: Options) -> None:
    """Add the options of :class:`WeightOptions`."""
    options.add_argument(
        "--init",
        choices=SCHEMES,
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


def add_run_options(options: Options) -> None:
    """Add the options of :class:`RunSettings`."""
    add_device_option(options, RunSettings.device)
    add_precision_option(options)
    add_exchange_option(options)
    add_threads_option(options)
    options.add_argument(
        "--snapshot-prefix",
        metavar="PREFIX",
        help="what snapshots' paths begin with (default: the solver's)",
    )
    options.add_argument(
        "--keep",
        type=natural,
        default=RunSettings.keep,
        metavar="K",
        help="last snapshots to keep, 0: all (default: 3)",
    )
    options.add_argument(
        "--keep-best",
        action=BooleanOptionalAction,
        default=RunSettings.keep_best,
        help="make and keep a snapshot where the validation accuracy is the best so far",
    )
    options.add_argument(
        "--patience",
        type=positive,
        metavar="N",
        help="lr_policy plateau: tests without a better accuracy before the rate drops (default: 3;"
        " with --demo 2)",
    )
    options.add_argument(
        "--watch", metavar="BLOB", help="the accuracy that counts (default: the first test net's top-1)"
    )
    options.add_argument(
        "--log", type=Path, metavar="FILE", help="JSON lines (default: the snapshot prefix with .jsonl)"
    )
    _add_signal_options(options)


def _add_signal_options(options: Options) -> None:
    for name in ("sigint", "sighup", "sigterm", "sigusr1"):
        default = getattr(RunSettings, f"{name}_effect")
        like = "as in Caffe" if name in ("sigint", "sighup") else "for schedulers"
        options.add_argument(
            f"--{name}-effect", choices=EFFECTS, default=default, help=f"{like} (default: {default})"
        )
    options.add_argument(
        "--stop-code",
        choices=get_args(StopCode),
        default=RunSettings.stop_code,
        help="exit code of a run that a signal stopped: 128 and its number (SIGINT 130, SIGTERM 143), or 0"
        " (default: signal)",
    )
