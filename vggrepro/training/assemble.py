"""Putting a run together: solver, data and test nets, from what a command or a script asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggrepro.caffe.messages import PHASES
from vggrepro.data.augment import Augmentation
from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.loader import TrainingLoader
from vggrepro.data.reading import Reader
from vggrepro.emit import Shape
from vggrepro.errors import DataError, SolverError
from vggrepro.paper.trainings import Learning
from vggrepro.runtime.device import parse_device
from vggrepro.system.file_names import file_path
from vggrepro.system.ranks import Alone, Ranks
from vggrepro.system.threads import default_threads
from vggrepro.training.definition import Definition
from vggrepro.training.gradient_exchange import ExchangeKind
from vggrepro.training.initialise import PRETRAINED, Fillers, describe_copy
from vggrepro.training.journal import Journal
from vggrepro.training.loop import Settings, Training
from vggrepro.training.run_record import RunRecord, read_record
from vggrepro.training.snapshots import latest, record_beside, writes
from vggrepro.training.solver import Solver, TrainingPrecision
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import (
    CropsToBlob,
    ImageInputs,
    ImageTrainingData,
    LayerTrainingData,
    TrainingData,
)
from vggrepro.training.validation_sets import ImageValidationSet, LayerValidationSet, ValidationSet
from vggrepro.training.whole_snapshots import check_whole


@dataclass(frozen=True)
class TrainingImages:
    """The paper's pipeline: what is trained on, what is tested on, and how images become crops."""

    train: Reader
    val: Reader | None
    augmentation: Augmentation
    val_smallest: int
    """Smaller side of the validation images, of which the centre is cut."""
    workers: int | None = None
    """Threads that decode; None: all processors."""


@dataclass(frozen=True)
class InitialWeights:
    """Where the weights come from: ``fillers``; over them the layers of ``init_from`` that section 3.1
    names, or all layers of ``weights``, by name; or everything from the solver state ``resume``."""

    fillers: Fillers = field(default_factory=Fillers)
    init_from: Path | None = None
    weights: Sequence[Path] = ()
    resume: Path | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """A run. Without ``images`` the net's own data layers are read. ``batch`` (None: the prototxt's, times
    its iter_size) is the number of images an iteration, on all ranks and in all passes together.
    ``max_pixels`` is the most that an image of the data layers may have; ``images`` know their own bound."""

    definition: Definition
    images: TrainingImages | None
    initial: InitialWeights = field(default_factory=InitialWeights)
    learning: Learning = "all"
    batch: int | None = None
    seed: int | None = None
    device: str = "cpu"
    precision: TrainingPrecision = "fp32"
    threads: int = 0
    tests: bool = True
    watch: str | None = None
    patience: int = 3
    keep: int = 3
    keep_best: bool = True
    ranks: Ranks = field(default_factory=Alone)
    exchange: ExchangeKind = "mpi"
    max_pixels: int = MAX_PIXELS


def assemble(plan: TrainingPlan, journal: Journal) -> Training:
    """Build the solver and all around it, and load what the plan starts from.

    Raises DataError, NetError, SolverError, WeightsError, DeviceError for what does not fit together, and
    SolverError for a damaged snapshot to resume, naming the newest whole one.
    """
    if plan.initial.resume is not None and plan.ranks.rank == 0:
        check_whole(plan.initial.resume, plan.definition.snapshot_prefix)
    seed = _seed(plan)
    shapes, images = _train_shapes(plan, seed)
    solver = Solver(
        plan.definition,
        weights=list(plan.initial.weights) or None,
        device=plan.device,
        precision=plan.precision,
        threads=plan.threads,
        seed=seed,
        fillers=plan.initial.fillers,
        learning=plan.learning,
        input_shapes=shapes,
        ranks=plan.ranks,
        exchange=plan.exchange,
    )
    _initialise(plan, solver, journal)
    data = _training_data(plan, solver)
    tests = _tests(plan, solver)
    watch = plan.watch or (tests[0][0].accuracy if tests else None)
    settings = Settings(images, watch, plan.patience, plan.keep, plan.keep_best)
    record = RunRecord(solver.seed, _facts(plan, images))
    training = Training(solver, data, tests, settings, journal, record)
    if plan.initial.resume is not None:
        training.resume(plan.initial.resume)
    return training


def find_state(prefix: str, resume: str | None) -> Path | None:
    """The solver state to go on from: ``resume``, or for "auto" the newest one of the snapshot ``prefix``, if
    there is one; None begins anew.

    Raises SolverError for a new run whose snapshots would overwrite those of another, OSError for a name that
    no file can have.
    """
    newest = latest(prefix)
    if resume is not None:
        return newest if resume == "auto" else file_path(resume)
    if newest is not None:
        raise SolverError(f"{newest} exists: --resume goes on from it, --snapshot-prefix begins another run")
    return None


def check_kept(prefix: str, files: Iterable[Path]) -> None:
    """Raise SolverError if a new run's snapshots, or their removal, would destroy one of ``files``."""
    for file in files:
        if writes(prefix, file.name) and file.resolve().parent == Path(prefix).resolve().parent:
            raise SolverError(
                f"{file}: a snapshot of this run would overwrite it: --snapshot-prefix names others"
            )


def _seed(plan: TrainingPlan) -> int | None:
    """That of the run that is resumed; it must not be given another one."""
    given = plan.definition.param.random_seed if plan.seed is None else plan.seed
    if plan.initial.resume is None:
        return plan.seed
    record = record_beside(plan.initial.resume)
    if not record.exists() and given < 0:
        raise SolverError(
            f"{plan.initial.resume}: the record {record.name} is missing, and with it the run's seed: give"
            " it by --seed N (the log's first line has it, if the run was ours)"
        )
    if not record.exists():
        return plan.seed
    stored = read_record(record).seed
    if given >= 0 and given != stored:
        raise SolverError(f"{plan.initial.resume}: the run has seed {stored}; it cannot go on with {given}")
    return stored


def _train_shapes(plan: TrainingPlan, seed: int | None) -> tuple[dict[str, Shape], int]:
    """Input shapes of one pass on one rank, and the images of an iteration."""
    passes, ranks = int(plan.definition.param.iter_size), plan.ranks.size
    message = plan.definition.train_message()
    if plan.images is None:
        if plan.batch is not None:
            raise SolverError("a batch can be given for images alone; data layers have a batch_size")
        shapes = _layer_data(plan, message, "TRAIN", plan.ranks, seed or 0).shapes()
        return shapes, _batch(plan.definition, message, shapes) * passes * ranks
    inputs = plan.definition.net_of(message).inputs
    images = plan.batch or images_per_iteration(plan.definition)
    if images % (passes * ranks):
        raise SolverError(
            f"a batch of {images} images does not divide into {passes} passes on {ranks} ranks:"
            " see batch and iter_size"
        )
    share = images // (passes * ranks)
    return {name: (share, *shape[1:]) for name, shape in inputs.items()}, images


def _batch(definition: Definition, message: Any, inputs: Mapping[str, Shape]) -> int:
    """The first size of the first input, or of the first layer's top where all data are constants."""
    if inputs:
        return next(iter(inputs.values()))[0]
    net = definition.net_of(message)
    return net.shapes[net.layers[0].tops[0]][0]


def images_per_iteration(definition: Definition) -> int:
    """The prototxt's batch times its iter_size."""
    inputs = definition.net_of(definition.train_message()).inputs
    return next(iter(inputs.values()))[0] * int(definition.param.iter_size)


def _initialise(plan: TrainingPlan, solver: Solver, journal: Journal) -> None:
    """Say what was copied; copy what section 3.1 copies."""
    layers = [p.name for p in solver.net.layers if p.params]
    if plan.initial.init_from is not None:
        copied = solver.copy_weights(plan.initial.init_from, PRETRAINED)
        journal.say(describe_copy(str(plan.initial.init_from), copied, layers))
    elif plan.initial.weights:
        loaded = [p.name for p in solver.net.layers if any(u.owner in solver.net.loaded for u in p.params)]
        journal.say(describe_copy(", ".join(map(str, plan.initial.weights)), loaded, layers))


def _training_data(plan: TrainingPlan, solver: Solver) -> TrainingData:
    if plan.images is None:
        message = plan.definition.train_message()
        data = _layer_data(plan, message, "TRAIN", solver.ranks, solver.seed)
        data.bring_to(solver.device, in_host=solver.label_inputs)
        return data
    inputs = ImageInputs(solver.net)
    loader = TrainingLoader(
        plan.images.train,
        plan.images.augmentation,
        batch=inputs.batch * solver.ranks.size,
        seed=solver.seed,
        rank=solver.ranks.rank,
        ranks=solver.ranks.size,
        threads=plan.images.workers,
    )
    ahead = solver.device.kind != "cpu"
    to_blob = CropsToBlob(solver.device, inputs.batch, inputs.side, plan.threads, double_buffered=ahead)
    return ImageTrainingData(loader, inputs, to_blob)


def _tests(plan: TrainingPlan, solver: Solver) -> list[tuple[TestNet, ValidationSet]]:
    messages = plan.definition.test_messages() if plan.tests else []
    tests: list[tuple[TestNet, ValidationSet]] = []
    for message, test_iter in zip(messages, plan.definition.param.test_iter, strict=False):
        if plan.images is None:
            if test_iter <= 0:
                continue  # nothing is tested: HED's and FCN's scripts do it by themselves
            layers = _layer_data(plan, message, "TEST", Alone(), solver.seed)
            tests.append((TestNet(solver, message, layers.shapes()), LayerValidationSet(layers, test_iter)))
            continue
        if plan.images.val is None:
            raise DataError(
                f"{plan.definition.path}: the solver tests every {plan.definition.param.test_interval}"
                " iterations, but there is no validation set"
            )
        net = TestNet(solver, message)
        inputs = ImageInputs(net.net)
        images = ImageValidationSet(
            plan.images.val,
            inputs,
            CropsToBlob(solver.device, inputs.batch, inputs.side, plan.threads),
            plan.images.augmentation.mean_bgr,
            plan.images.val_smallest,
            plan.images.augmentation.kernel,
            plan.images.workers,
        )
        tests.append((net, images))
    return tests


def _layer_data(plan: TrainingPlan, message: Any, phase: str, ranks: Ranks, seed: int) -> LayerTrainingData:
    plan.definition.check_read(message)
    return LayerTrainingData(
        message,
        PHASES[phase],
        seed,
        plan.definition.folder,
        ranks,
        max_pixels=plan.max_pixels,
    )


def _facts(plan: TrainingPlan, images: int) -> Mapping[str, Any]:
    """What the run's numbers depend on besides solver, net and seed, to the last bit: the order of sums is
    another on other devices, with other numbers of threads, passes or ranks."""
    facts: dict[str, Any] = {
        "batch": images,
        "iter_size": int(plan.definition.param.iter_size),
        "ranks": plan.ranks.size,
        "device": parse_device(plan.device).kind,
        "threads": plan.threads or default_threads(),
        "patience": plan.patience,
        "learning": plan.learning,
        **plan.definition.rules.facts(),
    }
    if plan.precision != "fp32":
        facts["precision"] = plan.precision
    if plan.images is None:
        return facts
    augmentation = plan.images.augmentation
    colour = augmentation.colour
    return {
        **facts,
        "data": plan.images.train.source.name,
        "images": len(plan.images.train.source),
        "smallest": list(augmentation.smallest),
        "mean_bgr": list(augmentation.mean_bgr),
        "flip": augmentation.flip,
        "colour": None if colour is None else [augmentation.reading, augmentation.colour_std],
        "kernel": augmentation.kernel,
        "offsets": augmentation.offsets,
    }
