"""train_ilsvrc: train a net as Caffe's solver does, on the paper's pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vggrepro.cli import training_demo
from vggrepro.cli.options.training import (
    add_augmentation_options,
    add_image_options,
    add_start_options,
    images_from,
)
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import Parser, run_ranks
from vggrepro.errors import SolverError
from vggrepro.evaluation.presets import PROTOTXT
from vggrepro.paper.trainings import find_preset, list_presets
from vggrepro.system.ranks import Ranks
from vggrepro.training import snapshots
from vggrepro.training.assemble import Plan, Start, assemble, images_per_iteration
from vggrepro.training.definition import Definition, read_definition
from vggrepro.training.initialise import Fillers
from vggrepro.training.journal import Journal
from vggrepro.training.loop import latest
from vggrepro.training.signals import EFFECTS, Signals

STOPPED = 1

_EPILOG = """examples:
  train_ilsvrc --demo
  train_ilsvrc --preset A:256 --data ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar \\
      --val-labels val.txt --synsets synset_words.txt --device cuda
  train_ilsvrc --preset D:256 --init-from vgg_a_256_iter_370000.caffemodel --data ...
  train_ilsvrc --config solver.prototxt --set "max_iter: 1000" --resume
  mpirun -n 4 python tools/train_ilsvrc.py --device cuda ...    (one rank a device)

Exit codes: 0 done, 1 stopped by a signal (--resume goes on), 2 it could not be done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 stopped by a signal, 2 an error."""
    arguments = _parser().parse_args(argv)
    if arguments.list_presets:
        print(list_presets())
        return 0
    return run_ranks(lambda ranks: _train(arguments, ranks))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="train_ilsvrc",
        description="Train a net as Caffe's solver does, on images as in section 3.1 of the paper.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(parser)
    add_image_options(parser)
    add_augmentation_options(parser)
    add_start_options(parser)
    _add_run(parser)
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to train")
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, metavar="FILE", help="a solver prototxt")
    which.add_argument("--preset", metavar="NAME", help='a row of Table 3, as A:256 or "D:256;512"')
    which.add_argument("--demo", action="store_true", help="a miniature of net A on the embedded digits")
    which.add_argument("--list-presets", action="store_true", help="list the presets, and stop")
    group.add_argument(
        "--prototxt-dir",
        type=Path,
        default=PROTOTXT,
        metavar="DIR",
        help="where the presets' solvers are, as D/solver.prototxt (default: %(default)s)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar='"FIELD: VALUE"',
        help="replace a field of the solver, as it would be written there; repeatable",
    )
    group.add_argument(
        "--batch", type=positive, metavar="N", help="images an iteration (default: the prototxt's)"
    )
    group.add_argument(
        "--iter-size",
        type=positive,
        metavar="K",
        help="make an iteration's batch in K passes, of less memory (default: the prototxt's)",
    )
    group.add_argument("--seed", type=int, metavar="S", help="of everything random (default: random_seed)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--device", help="cpu, cuda or cuda:N; cuda is one a rank (default: the solver's solver_mode)"
    )
    group.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads of the net (default: 0, all cores)"
    )
    group.add_argument(
        "--snapshot-prefix",
        metavar="PREFIX",
        help="what snapshots' paths begin with (default: the solver's)",
    )
    group.add_argument(
        "--keep", type=int, default=3, metavar="K", help="last snapshots to keep, 0: all (default: 3)"
    )
    group.add_argument(
        "--keep-best",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="make and keep a snapshot where the validation accuracy is the best so far",
    )
    group.add_argument(
        "--patience",
        type=positive,
        metavar="N",
        help="lr_policy plateau: tests without a better accuracy before the rate drops (default: 3;"
        " with --demo 2)",
    )
    group.add_argument(
        "--watch", metavar="BLOB", help="the accuracy that counts (default: the first test net's top-1)"
    )
    group.add_argument(
        "--log", type=Path, metavar="FILE", help="JSON lines (default: the snapshot prefix with .jsonl)"
    )
    for name, default in (("sigint", "stop"), ("sighup", "snapshot")):
        group.add_argument(
            f"--{name}-effect", choices=EFFECTS, default=default, help=f"as in Caffe (default: {default})"
        )


def _train(arguments: argparse.Namespace, ranks: Ranks) -> int:
    if arguments.demo:
        training_demo.complete(arguments)
    definition = _definition(arguments)
    plan = _plan(arguments, definition, ranks)
    Path(definition.snapshot_prefix).parent.mkdir(parents=True, exist_ok=True)
    log = arguments.log or Path(f"{definition.snapshot_prefix}.jsonl")
    journal = Journal(log, silent=ranks.rank > 0)
    try:
        training = assemble(plan, journal)
        with Signals(arguments.sigint_effect, arguments.sighup_effect) as signals:
            finished = training.run(signals)
    finally:
        journal.close()
    _warn_of_bad_images(plan)
    if finished and arguments.demo and ranks.rank == 0:
        return training_demo.evaluate(snapshots.paths(definition, training.solver.iteration).model)
    return 0 if finished else STOPPED


def _plan(arguments: argparse.Namespace, definition: Definition, ranks: Ranks) -> Plan:
    fillers = Fillers(arguments.init, arguments.init_std)
    resume = ranks.broadcast(_resume(arguments, definition) if ranks.rank == 0 else None)
    return Plan(
        definition,
        images_from(arguments, definition.train_message()),
        Start(fillers, arguments.init_from, arguments.weights, resume),
        batch=arguments.batch,
        seed=arguments.seed,
        device=_device(arguments, definition, ranks),
        threads=arguments.threads,
        tests=not arguments.no_test,
        watch=arguments.watch,
        patience=arguments.patience or 3,
        keep=arguments.keep,
        keep_best=arguments.keep_best,
        ranks=ranks,
    )


def _definition(arguments: argparse.Namespace) -> Definition:
    """The solver, with what the command line says in its fields' place."""
    path, settings = arguments.config, []
    if arguments.preset is not None:
        preset = find_preset(arguments.preset)
        path = arguments.prototxt_dir / preset.config / "solver.prototxt"
        settings += preset.settings
        arguments.smallest = arguments.smallest or preset.smallest
        _check_start(arguments, preset.start, f"preset {preset.name} needs {preset.needs}")
    settings += arguments.set
    if arguments.snapshot_prefix is not None:
        settings.append(f'snapshot_prefix: "{arguments.snapshot_prefix}"')
    definition = read_definition(path, settings)
    if arguments.iter_size is None:
        return definition
    if arguments.data is None:
        raise SolverError('--iter-size divides the batch of --data; data layers want --set "iter_size: K"')
    arguments.batch = arguments.batch or images_per_iteration(definition)
    return read_definition(path, [*settings, f"iter_size: {arguments.iter_size}"])


def _warn_of_bad_images(plan: Plan) -> None:
    for reader in (plan.images.train, plan.images.val) if plan.images else ():
        summary = reader.bad.summary() if reader is not None else None
        if summary is not None:
            print(f"warning: {summary}", file=sys.stderr)


def _check_start(arguments: argparse.Namespace, start: str, needs: str) -> None:
    given = arguments.init_from or arguments.weights or arguments.resume
    if start == "trained" and not (arguments.weights or arguments.resume):
        raise SolverError(f"{needs} (or --resume)")
    if start == "net A" and not given and arguments.init == "prototxt":
        raise SolverError(f"{needs} (or another --init, which makes that unnecessary)")


def _resume(arguments: argparse.Namespace, definition: Definition) -> Path | None:
    """The state to go on from. Snapshots that a new run would overwrite are refused."""
    newest = latest(definition.snapshot_prefix)
    if arguments.resume is None:
        if newest is not None:
            raise SolverError(
                f"{newest} exists: --resume goes on from it, --snapshot-prefix begins another run"
            )
        return None
    return newest if arguments.resume == "auto" else Path(arguments.resume)


def _device(arguments: argparse.Namespace, definition: Definition, ranks: Ranks) -> str:
    """``--device``, or what the solver says; with several ranks each has its own GPU."""
    param = definition.param
    device = arguments.device
    if device is None:
        device = "cpu" if param.solver_mode == type(param).CPU else f"cuda:{param.device_id}"
    if ranks.size > 1 and device in ("cuda", "cuda:0"):
        return f"cuda:{ranks.local_rank}"
    return str(device)
