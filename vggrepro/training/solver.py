"""Caffe's solver: one step at a time, with everything that lasts on the device."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import SolverError, WeightsError
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import LOSS
from vggrepro.graph.training_step import build_training_step
from vggrepro.graph.update import RULES
from vggrepro.net import ForkRules, Net, build_net
from vggrepro.paper.trainings import Learning
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device, as_device, require
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.precision import prepare_precision, rules_of
from vggrepro.runtime.session import Session
from vggrepro.system.caller_warning import warn_caller
from vggrepro.system.ranks import Alone, Ranks
from vggrepro.system.threads import default_threads
from vggrepro.training import snapshots
from vggrepro.training.bound_step import bind_step
from vggrepro.training.by_shapes import ByShapes
from vggrepro.training.carried_states import CarriedStates
from vggrepro.training.definition import Definition, definition_by_rules
from vggrepro.training.feeds import Feeds, fitted, shapes_of
from vggrepro.training.gradient_exchange import ExchangeKind
from vggrepro.training.held_layers import hold_all_but_fully_connected
from vggrepro.training.initialise import Fillers
from vggrepro.training.memory_advice import advising_passes
from vggrepro.training.moved_statistics import MovedStatistics
from vggrepro.training.nccl_exchange import gradient_exchange
from vggrepro.training.output_values import OutputValues, value_of
from vggrepro.training.rates import learning_rate, next_step
from vggrepro.training.side_by_side import SharedRun, SideBySide, parts_of
from vggrepro.training.solver_arrays import SolverArrays
from vggrepro.training.updater import Updater
from vggrepro.training.weight_files import PathLike, check_weight_files, weight_files

TrainingPrecision = Literal["fp32", "fp32-direct", "tf32"]


@dataclass(frozen=True)
class _Pass:
    """A training step: its graph, the run of an iteration's first pass, and that of the others."""

    graph: Graph
    first: BoundRun | SharedRun
    others: BoundRun | SharedRun
    copying: BoundRun | None
    """The run that takes over what a pass has moved, if it moves any statistics."""


class Solver:
    """Trains a net as Caffe's solver of ``solver_prototxt`` (a path, or what was read from one) does.

    ``weights`` (a path or several) are copied by layer name; without them those that the solver itself
    names. The ``net`` path is taken from the working directory, as in Caffe, else from the solver file's
    folder. Parameters, histories and gradients stay on ``device`` from step to step; ``precision`` is that
    of products and sums. ``threads`` bounds the CPU threads (0: all cores). ``net`` is the net in phase
    TRAIN, without its parameters: those are ``params``. ``seed`` takes the place of ``random_seed``,
    ``fillers`` that of the net's fillers, ``input_shapes`` that of input shapes. ``learning`` "fc" has the
    fully connected layers learn alone. ``allow_unknown``, ``allow_custom``, ``custom_shapes``, ``fork`` and
    ``proto`` are those of ``load_net``; a custom layer can only stand where no gradient passes.

    With several ``ranks`` each has one such solver, on its part of every batch: all begin with the first
    one's parameters, gradients and losses are averaged over them, and dropout draws what it would draw
    for the whole batch. (BatchNorm's statistics are of each rank's part, as in Caffe.) ``exchange`` says how
    gradients travel.

    Raises SolverError for a definition that Caffe would refuse, and all that ``load_net`` raises.
    """

    def __init__(
        self,
        solver_prototxt: PathLike | Definition,
        *,
        weights: PathLike | Sequence[PathLike] | None = None,
        device: Device | str = "cpu",
        precision: TrainingPrecision = "fp32",
        threads: int = 0,
        seed: int | None = None,
        fillers: Fillers | None = None,
        learning: Learning = "all",
        input_shapes: Mapping[str, Shape] | None = None,
        ranks: Ranks | None = None,
        exchange: ExchangeKind = "mpi",
        allow_unknown: bool = False,
        allow_custom: bool = False,
        custom_shapes: Mapping[str, Shape] | None = None,
        fork: str | None = None,
        proto: PathLike | None = None,
    ) -> None:
        fork_rules = ForkRules({}, allow_unknown, allow_custom, custom_shapes or {}, fork, proto)
        self.definition = definition_by_rules(solver_prototxt, fork_rules)
        self.param = self.definition.param
        self.ranks: Ranks = Alone() if ranks is None else ranks
        self.seed = self.ranks.broadcast(_seed(self.param.random_seed if seed is None else seed))
        self.threads, self.iteration, self.current_step = threads, 0, 0
        self.weight_files = weight_files(self.definition, weights)
        """The files whose layers are copied by name, into nets in phase TEST too."""
        self.net = self._build_net(fillers, learning, input_shapes)
        self.device, self.tf32 = _prepared(device, precision), precision == "tf32"
        self.rules = rules_of(precision, self.device)
        self.exchange = gradient_exchange(exchange, self.ranks, self.device)
        histories, several = RULES[self.param.type].histories, self.param.iter_size > 1
        self.arrays = SolverArrays.allocate(self.net, self.device, histories=histories, accumulates=several)
        self._statistics = MovedStatistics(self.net, self.arrays, self.device, threads)
        self._states = CarriedStates()
        self._passes = ByShapes(self._build_pass)
        graph = self._passes(self.net.inputs).graph
        self._numbers = [LOSS, *(blob for blob in graph.blobs if math.prod(self.net.outputs[blob]) == 1)]
        self._others = [blob for blob in graph.blobs if blob not in self._numbers]
        self.label_inputs = {name for check in graph.label_checks for name in check.inputs}
        """The inputs that hold labels, which are checked in the host's memory before a graph runs."""
        self._updater = Updater(self.definition, self.net, self.arrays, self.device, threads, self.ranks.size)
        self._write(self.arrays.values, self.net.params)
        self.net = replace(self.net, params={})  # the device has them now

    def _build_net(
        self, fillers: Fillers | None, learning: Learning, input_shapes: Mapping[str, Shape] | None
    ) -> Net:
        message = self.definition.train_message()
        if fillers is not None:
            fillers.apply(message)
        if learning == "fc":
            hold_all_but_fully_connected(message, self.definition.net_of(message, "TRAIN", input_shapes))
        net = build_net(
            message,
            "TRAIN",
            input_shapes=input_shapes,
            folder=self.definition.folder,
            seed=self.seed,
            weights=self.weight_files,
            custom=self.definition.own_layers(message, "TRAIN"),
        )
        check_weight_files(self.weight_files, self.definition, net)
        self._warn_of_debug_info(net)
        return net

    def _warn_of_debug_info(self, net: Net) -> None:
        """DEVIATION: Caffe prints the mean absolute value of every blob, parameter and gradient then."""
        if self.param.debug_info or net.message.debug_info:
            warn_caller(f"{self.definition.path}: debug_info: true: nothing is printed here")

    def _build_pass(self, shapes: Mapping[str, Shape]) -> _Pass:
        """The training step at some input shapes, on the solver's arrays."""
        net = self.net if shapes == self.net.inputs else self.net.reshape(shapes)
        bind: Callable[[DeviceArray], BoundRun | SharedRun]
        if (parts := parts_of(net, self.threads or default_threads(), self.device)) > 1:
            shared = SideBySide.of(net, parts, self.rules, self.device)
            graph, bind = shared.graph, partial(shared.bind, self.arrays)
        else:
            graph = build_training_step(net, self.rules)
            session = Session(graph, self.device, threads=self.threads, tf32=self.tf32, training=True)
            bind = partial(self._bind, graph, session)
        first = bind(self.arrays.total)
        others = bind(self.arrays.gradients) if self.param.iter_size > 1 else first
        return _Pass(graph, first, others, self._statistics.copying(graph))

    @property
    def learning_rate(self) -> float:
        """The rate of the coming iteration."""
        step = next_step(self.param, self.iteration, self.current_step)
        return learning_rate(self.param, self.iteration, step)

    @property
    def params(self) -> dict[str, npt.NDArray[np.float32]]:
        """Every parameter as ``"layer:index"``; on the CPU views of the memory that training moves."""
        owned = self.arrays.read(self.arrays.values)
        views = {}
        for use in self.net.param_uses:
            views[use.key] = owned[use.owner].reshape(use.definition.shape)
            views[use.key].flags.writeable = False
        return views

    def step(self, feeds: Sequence[Feeds]) -> float:
        """One iteration: ``iter_size`` dicts from input blob to array, one for each pass.

        Returns the loss as Caffe reports it: the mean over the passes of the weighted sum of losses.
        Raises SolverError for a wrong number of dicts, NetError for missing or unknown inputs.
        """
        if len(feeds) != self.param.iter_size:
            raise SolverError(f"iter_size is {self.param.iter_size}, got {len(feeds)} dicts of inputs")
        loss = self.step_passes(feeds)[LOSS]
        assert isinstance(loss, float)
        return loss

    def step_passes(self, feeds: Iterable[Feeds]) -> OutputValues:
        """As :meth:`step`, taking each pass's inputs when the one before is done. Returns the net's outputs
        by blob, and the whole loss as ``loss:total``: means over the passes and ranks of those with one
        element, and of others the elements that the last pass of the first rank gave, as Caffe displays."""
        self.current_step = next_step(self.param, self.iteration, self.current_step)
        coming = iter(feeds)
        totals = np.zeros(len(self._numbers))
        with advising_passes(self.net, self.arrays, self.device, int(self.param.iter_size)):
            for index in range(self.param.iter_size):
                try:
                    feed = next(coming)
                except StopIteration:
                    raise SolverError(f"iteration {self.iteration}: the inputs end at pass {index}") from None
                results = self._forward_backward(feed, index)
                totals += [float(results[name].reshape(())) for name in self._numbers]
            wait = self.exchange.begin(self.arrays.total)
            rate = learning_rate(self.param, self.iteration, self.current_step)
            self._updater.update(rate, self.iteration, wait)
        self.iteration += 1
        self.ranks.add_up(totals)
        means = totals / (self.param.iter_size * self.ranks.size)
        others = {name: value_of(results[name]) for name in self._others}
        return {**dict(zip(self._numbers, means.tolist(), strict=True)), **others}

    def _forward_backward(self, feeds: Feeds, index: int) -> dict[str, npt.NDArray[Any]]:
        fitting = fitted(self.net, feeds)
        built = self._passes(shapes_of(fitting))
        run = built.first if index == 0 else built.others
        for name, value in fitting.items():
            if isinstance(value, DeviceView):
                run.bind_input(name, value)
            else:
                run.feed(name, np.asarray(value, np.float32))
        run.feed_together([s.input for s in built.graph.states if s.random], self._random(index))
        if isinstance(run, BoundRun):
            self._states.feed(run, built.graph)
        results = run.run()
        if isinstance(run, BoundRun):
            self._states.take(run, built.graph)
        if built.copying is not None:
            built.copying.run()
        if index > 0:
            self._updater.accumulate()
        return results

    def _random(self, index: int) -> npt.NDArray[np.int64]:
        """The state of every Dropout: the pass's number on top of the seed, so that it is the same
        after a resume and on any number of ranks."""
        number = self.iteration * int(self.param.iter_size) + index
        shape = next(iter(self.net.inputs.values()), ())
        first = self.ranks.rank * shape[0] if shape else 0
        return np.array([(self.seed + number) % 2**31, first], np.int64)

    def _bind(self, graph: Graph, session: Session, gradients: DeviceArray) -> BoundRun:
        """A pass whose parameters are read, and whose gradients are written, in place."""
        elsewhere = {*graph.statistics.values(), *(state.output for state in graph.states)}
        values = self.arrays.places(self.arrays.values)
        run = bind_step(graph, session, values, self.arrays.places(gradients), elsewhere)
        self._statistics.bind(run, graph)
        self._states.bind(run, graph)
        return run

    def snapshot(self) -> tuple[Path, Path]:
        """Write Caffe's own ``<prefix>_iter_<n>`` .caffemodel and .solverstate (or .h5), each at once
        or not at all, and return their paths."""
        paths = snapshots.paths(self.definition, self.iteration)
        snapshots.write(paths, self.net, self.arrays, self.iteration, self.current_step)
        return paths.model, paths.state

    def restore(self, solverstate: PathLike) -> None:
        """Go on from a .solverstate (or .h5) of ours or of Caffe's. Its weight file is sought where
        it says, and then beside it. States of recurrent layers begin anew, as in Caffe.

        Raises SolverError if histories are missing or of other shapes, WeightsError, ParseError.
        """
        saved = snapshots.read(Path(solverstate), self.arrays)
        if saved.learned_net:
            self._restore_weights(snapshots.weight_file_of(Path(solverstate), saved.learned_net))
        else:
            warn_caller(f"{solverstate}: names no weight file: weights stay as they are")
        for history, stored in zip(self.arrays.histories, saved.histories, strict=True):
            self._write(history, stored)
        self._updater.bind_moves()
        self.iteration, self.current_step = self.ranks.broadcast((saved.iteration, saved.current_step))
        self._states.begin_anew()

    def _write(self, array: DeviceArray, values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write parameters or a history; every rank then has what the first one has."""
        self.arrays.write(array, values)
        self.exchange.share(array)

    def _restore_weights(self, path: Path) -> None:
        """Copy all weights. Raises WeightsError if the file lacks some: the state belongs to all of them."""
        found = snapshots.weights_of(self.net, path)
        missing = [key for key in self.arrays.layout.shapes if key not in found]
        if missing:
            raise WeightsError(f"{path}: lacks {', '.join(missing)}, which the solver state belongs to")
        self._write(self.arrays.values, found)

    def copy_weights(self, path: PathLike, layers: Sequence[str] | None = None) -> list[str]:
        """Copy parameters by layer name from a weight file, all or those of ``layers``, and return the names
        of the layers that got some. Raises WeightsError, also where the file or the net lacks one of
        ``layers``, or nothing is copied."""
        found = snapshots.weights_of(self.net, path, layers)
        if not found:
            raise WeightsError(f"{Path(path)}: nothing to copy: the net has no layer of a name in it")
        self._write(self.arrays.values, found)
        return [p.name for p in self.net.layers if any(use.owner in found for use in p.params)]


def _prepared(device: Device | str, precision: TrainingPrecision) -> Device:
    """The device, which works."""
    found = as_device(device)
    prepare_precision(precision, found)
    require(found)
    return found


def _seed(random_seed: int) -> int:
    """Caffe: a negative seed means another one in every run."""
    return int(random_seed) if random_seed >= 0 else secrets.randbits(31)
