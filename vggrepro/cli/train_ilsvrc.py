"""train_ilsvrc: train a net as Caffe's solver does, on the paper's pipeline."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.evaluation import ReadingOptions, RunningOptions
from vggrepro.cli.options.images import warn_of_bad_images
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.training import (
    RunSettings,
    SolverOptions,
    add_run_options,
    add_solver_options,
    definition_of,
)
from vggrepro.cli.options.training_device import training_precision
from vggrepro.cli.options.training_images import (
    AugmentationOptions,
    ImageOptions,
    add_augmentation_options,
    add_image_options,
    training_images,
)
from vggrepro.cli.options.training_weights import WeightOptions, add_weight_options
from vggrepro.cli.run import Parser, called, run_ranks
from vggrepro.paper.trainings import BATCH, list_presets
from vggrepro.system.notes import next_step
from vggrepro.system.ranks import Ranks, end_all
from vggrepro.training.signals import Signals, StoppedBySignal

if TYPE_CHECKING:
    from vggrepro.training.assemble import TrainingPlan
    from vggrepro.training.loop import Training

_EXAMPLES = (
    "--demo",
    "--preset A:256 --data ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar \\\n"
    "      --val-labels val.txt --synsets synset_words.txt --device cuda",
    'mpirun -n 4 %(prog)s --config solver.prototxt --set "max_iter: 1000" --resume auto --device cuda',
)
_EPILOG = """under mpirun each rank has a device of its own

SIGINT, SIGTERM and SIGUSR1 make a snapshot and end the run, SIGHUP makes a snapshot; a second SIGINT ends
it at once. --resume goes on.

Exit codes: 0 done, 2 it could not be done, 128 + N stopped by signal N (SIGINT 130, SIGTERM 143;
--stop-code 0 makes it 0)."""


@dataclass(frozen=True)
class TrainingOptions:
    """The command line."""

    solver: SolverOptions
    images: ImageOptions
    augmentation: AugmentationOptions
    weights: WeightOptions
    run: RunSettings
    quiet: bool
    traceback: bool

    def completed(self) -> tuple[TrainingOptions, Sequence[str]]:
        """What ``--demo`` or ``--preset`` stand for, wherever nothing else is given; and settings of
        their solver, which ``--set`` may replace.

        Raises OptionError for options that do not go with them.
        """
        from vggrepro.cli import training_demo

        preset = self.solver.found_preset()
        if self.solver.demo:
            options = replace(
                self,
                solver=replace(self.solver, config=training_demo.SOLVER),
                images=training_demo.demo_images(self.images),
                augmentation=training_demo.demo_augmentation(self.augmentation),
                run=replace(self.run, patience=self.run.patience or training_demo.PATIENCE),
            )
            return options, training_demo.SETTINGS
        if preset is None:
            return self, []
        smallest = self.augmentation.smallest
        if smallest is None and self.images.data is not None:
            smallest = preset.smallest
        options = replace(
            self,
            solver=replace(self.solver, config=self.solver.preset_file(preset)),
            augmentation=replace(self.augmentation, smallest=smallest),
            weights=self.weights.of_preset(preset),
        )
        return options, preset.settings(self.solver.batch or BATCH)

    def snapshot_prefix(self) -> str:
        """Where the run's snapshots go."""
        options, settings = self.completed()
        images = options.images.data is not None
        return definition_of(options.solver, options.run, settings, images=images)[0].snapshot_prefix

    def plan(self, ranks: Ranks) -> TrainingPlan:
        """The run that is asked for, on this rank."""
        from vggrepro.training.assemble import TrainingPlan

        options, settings = self.completed()
        solver, run = options.solver, options.run
        definition, batch = definition_of(solver, run, settings, images=options.images.data is not None)
        net = definition.train_message()
        custom = definition.own_layers(net, "TRAIN")
        return TrainingPlan(
            definition,
            training_images(options.images, options.augmentation, net, custom),
            options.weights.initial(definition.snapshot_prefix, ranks),
            options.weights.fine_tune,
            batch=batch,
            seed=solver.seed,
            device=run.placed(definition, ranks),
            threads=run.threads,
            precision=training_precision(run.precision),
            tests=not options.images.no_test,
            watch=run.watch,
            patience=run.patience or TrainingPlan.patience,
            keep=run.keep,
            keep_best=run.keep_best,
            ranks=ranks,
            exchange=run.exchange,
            max_pixels=options.images.decoding.max_pixels,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error, 128 + N stopped by signal N (or 0 by ``--stop-code``)."""
    options = read(TrainingOptions, parser().parse_args(argv))
    if options.solver.list_presets:
        print(list_presets())
        return 0
    with options.run.signals() as signals:
        return run_ranks(
            lambda ranks: _train(options, ranks, signals), traceback=options.traceback, quiet=options.quiet
        )


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="train_ilsvrc",
        examples=_EXAMPLES,
        description="Train a net as Caffe's solver does, on images as in section 3.1 of the paper.",
        epilog=_EPILOG,
    )
    add_solver_options(parser)
    images = "without --data the net's own data layers are read, as Caffe reads them"
    add_image_options(parser.add_argument_group("images", images))
    augmentation = "augmentation (section 3.1; the crop is the net's input)"
    add_augmentation_options(parser.add_argument_group(augmentation))
    add_weight_options(parser.add_argument_group("initialisation (section 3.1)"))
    add_run_options(parser.add_argument_group("the run"))
    add_quiet_option(parser)
    return parser


def _train(options: TrainingOptions, ranks: Ranks, signals: Signals) -> int:
    """The exit code of a run that ends, or that a signal stops; then one line says what is kept of it."""
    from vggrepro.training import snapshots

    prefix = options.snapshot_prefix()
    try:
        with snapshots.sole_run(prefix) if ranks.rank == 0 else nullcontext():
            stopped_by = _run(options, prefix, ranks, signals)
    except StoppedBySignal as stopped:
        stopped_by = stopped.number
        _say_stopped(stopped_by, prefix)
        end_all(options.run.code_of(stopped_by))  # the others may wait for this one
    else:
        if stopped_by is not None and ranks.rank == 0:
            _say_stopped(stopped_by, prefix)
    return 0 if stopped_by is None else options.run.code_of(stopped_by)


def _say_stopped(number: int, prefix: str) -> None:
    from vggrepro.training import snapshots

    name = signal.Signals(number).name
    print(f"stopped by {name}: {snapshots.describe_kept(prefix)}", file=sys.stderr, flush=True)


def _run(options: TrainingOptions, prefix: str, ranks: Ranks, signals: Signals) -> int | None:
    """Train. The number of the signal that stopped the run, if one did."""
    from vggrepro.training.assemble import assemble
    from vggrepro.training.journal import Journal

    with signals.interrupting():
        plan = options.plan(ranks)
        journal = Journal(options.run.log or Path(f"{prefix}.jsonl"), silent=ranks.rank > 0)
    try:
        with signals.interrupting(), options.run.advising():
            training = assemble(plan, journal)
        finished = training.run(signals)
    finally:
        journal.close()
    for reader in (plan.images.train, plan.images.val) if plan.images else ():
        if reader is not None:
            warn_of_bad_images(reader.bad)
    if not finished:
        return training.stopped_by
    if ranks.rank == 0:
        if options.solver.demo:
            with signals.interrupting():
                _evaluate_demo(options, plan, training)
        log = shlex.quote(str(options.run.log or f"{prefix}.jsonl"))
        next_step(f"{called('plot-training')} {log} -o curves.png")
    return None


def _evaluate_demo(options: TrainingOptions, plan: TrainingPlan, training: Training) -> None:
    """The errors of the demo's trained net, with images read and the net run as in training."""
    from vggrepro.cli import training_demo
    from vggrepro.training import snapshots

    assert plan.images is not None
    weights = snapshots.paths(plan.definition, training.solver.iteration).model
    decoding = options.images.decoding
    reading = ReadingOptions(
        decoding.exif,
        decoding.on_bad_image,
        options.augmentation.kernel,
        max_pixels=decoding.max_pixels,
    )
    running = RunningOptions(plan.device, plan.threads, options.images.workers, precision=plan.precision)
    training_demo.evaluate_demo(weights, plan.images.augmentation.mean_bgr, reading, running)
