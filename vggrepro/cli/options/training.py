"""What train_ilsvrc trains, from which weights, and how it runs."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vggrepro.cli.options.device import (
    add_device_option,
    add_precision_option,
    add_threads_option,
    placed,
)
from vggrepro.cli.options.evaluation import add_demo_option, add_prototxt_option
from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.images import add_seed_option
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.training_device import add_exchange_option
from vggrepro.cli.options.values import natural, positive, result_file
from vggrepro.errors import DeviceError, OptionError
from vggrepro.paper.nets import PROTOTXT, solver_prototxt
from vggrepro.paper.trainings import Preset, find_preset
from vggrepro.system.ranks import Ranks
from vggrepro.training.signals import EFFECTS, Effect, Signals

if TYPE_CHECKING:
    from vggrepro.emit import Precision
    from vggrepro.training.definition import Definition
    from vggrepro.training.gradient_exchange import ExchangeKind

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
    batch: int | None = None
    iter_size: int | None = None
    seed: int | None = None
    forks: ForkOptions = field(default_factory=ForkOptions)

    def found_preset(self) -> Preset | None:
        """The row of Table 3, if one is asked for. Raises SolverError for one that is not there."""
        if self.preset is not None:
            return find_preset(self.preset)
        refuse_without("--preset NAME", self, "prototxt_dir")
        return None

    def preset_file(self, preset: Preset) -> Path:
        return solver_prototxt(preset.config, self.prototxt_dir or PROTOTXT)


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
    from vggrepro.caffe.messages import SolverParameter
    from vggrepro.training.assemble import images_per_iteration
    from vggrepro.training.definition import read_definition

    if solver.config is None:
        raise OptionError("no solver: expected --config FILE, --preset NAME or --demo")
    fields: list[Any] = [*settings, *solver.settings]
    if run.snapshot_prefix is not None:
        fields.append(_prefix(run.snapshot_prefix))
    rules = solver.forks.rules()
    definition = read_definition(solver.config, fields, rules)
    policy = definition.param.lr_policy
    if run.patience is not None and policy != "plateau":
        raise OptionError(f"--patience: is for lr_policy 'plateau', but {definition.path} has {policy!r}")
    if solver.iter_size is None:
        return definition, solver.batch
    if not images:
        raise OptionError('--iter-size divides the batch of --data; data layers want --set "iter_size: K"')
    fields.append(SolverParameter(iter_size=solver.iter_size))
    return read_definition(solver.config, fields, rules), solver.batch or images_per_iteration(definition)


def _prefix(prefix: str) -> Any:
    """The message that holds a snapshot prefix, whatever characters it has."""
    from vggrepro.caffe.messages import SolverParameter

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
    add_fork_options(group)
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
        "--log",
        type=result_file,
        metavar="FILE",
        help="JSON lines (default: the snapshot prefix with .jsonl)",
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
