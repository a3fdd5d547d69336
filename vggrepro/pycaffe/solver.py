"""Caffe's solvers, as scripts use them: ``SGDSolver``, ``get_solver`` and their kin."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from vggrepro.caffe.messages import TEST, TRAIN, SolverParameter
from vggrepro.errors import PycaffeError
from vggrepro.graph.update import RULES
from vggrepro.pycaffe import glog, mode, parameters
from vggrepro.pycaffe.blob import Blob
from vggrepro.pycaffe.definition import define_for_solver
from vggrepro.pycaffe.errors import as_runtime_error, check_file
from vggrepro.pycaffe.net import Net, PathLike
from vggrepro.pycaffe.output_scores import OutputScores
from vggrepro.pycaffe.rare_names import RareSolverNames
from vggrepro.pycaffe.solver_log import Progress, output_lines
from vggrepro.pycaffe.solver_parameter import SolverParameter as ByAttributes
from vggrepro.pycaffe.text_file import text_file
from vggrepro.runtime.device import Device
from vggrepro.training import snapshots
from vggrepro.training.definition import Definition, read_definition
from vggrepro.training.rates import learning_rate, next_step
from vggrepro.training.signals import Effect
from vggrepro.training.updater import Updater
from vggrepro.training.weight_files import weight_files


class Solver(RareSolverNames):
    """Trains the net of a solver prototxt. ``net`` and ``test_nets`` are :class:`Net`; ``iter`` counts the
    iterations done.

    What a script writes into the nets' parameters, or into their diffs before ``apply_update``, counts.
    Raises RuntimeError where Caffe would stop.
    """

    solver_type: ClassVar[str] = ""

    def __init__(self, solver_file: PathLike) -> None:
        path = os.fsdecode(solver_file)
        check_file(path)
        with as_runtime_error():
            definition = _read(path, self.solver_type)
        self._set_up(definition)

    @classmethod
    def from_definition(cls, definition: Definition) -> Solver:
        """The solver of what was read already, of the type that it names. Not part of Caffe's module."""
        solver = _CLASSES[definition.param.type].__new__(_CLASSES[definition.param.type])
        solver._set_up(definition)
        return solver

    def _set_up(self, definition: Definition) -> None:
        self._definition = definition
        with as_runtime_error():
            self.param: Any = SolverParameter()
            self.param.CopyFrom(self._definition.param)
            if self.param.random_seed >= 0:
                mode.set_random_seed(self.param.random_seed)
            self.net = _train_net(self._definition)
            self.test_nets = [
                _net(message, TEST, self._definition) for message in self._definition.test_messages()
            ]
            for net in self.test_nets:
                net._debug_info.switch(bool(self.param.debug_info))
            self._arrays = parameters.into_flat_arrays(
                self.net.params, self.net.rules, RULES[self._definition.param.type].histories
            )
            rules = self.net.rules
            device = Device("cpu")  # where the arrays are that scripts see
            self._updater = Updater(
                self._definition, rules, self._arrays, device, mode.threads(), keeps_steps=True
            )
        self.iter = 0
        self._current_step = 0
        self._progress = Progress()
        self._callbacks: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
        self._requests: Callable[[], Effect] = lambda: "none"
        self.stopped = False
        """Whether the last ``solve`` was stopped early. Not part of Caffe's module."""

    def set_requests(self, requests: Callable[[], Effect]) -> None:
        """Ask ``requests()`` after each iteration, and before each pass of a test, what to do: ``snapshot``,
        ``stop`` or ``none`` (Caffe's ``SetActionFunction``). Not part of Caffe's module."""
        self._requests = requests

    @property
    def lr(self) -> float:
        """The learning rate of the coming iteration."""
        return learning_rate(self.param, self.iter, next_step(self.param, self.iter, self._current_step))

    def step(self, iters: int) -> float:
        """Run this many iterations: forward, backward, update; tests and snapshots where they are due.
        Returns the mean loss of the last ``average_loss``, as forks do."""
        param = self.param
        self._progress.start(self.iter, param.average_loss)
        for _ in range(iters):
            self.net.clear_param_diffs()
            due = param.test_interval and self.iter % param.test_interval == 0
            if due and (self.iter > 0 or param.test_initialization):
                self._test_all()
                if self.stopped:
                    break
            for on_start, _ in self._callbacks:
                on_start()
            display = param.display > 0 and self.iter % param.display == 0
            self.net._debug_info.switch(display and param.debug_info)
            loss = sum(self._forward_backward() for _ in range(param.iter_size)) / param.iter_size
            self._progress.add(loss)
            if display:
                self._display()
            for _, on_gradients_ready in self._callbacks:
                on_gradients_ready()
            self.apply_update()
            self.iter += 1
            request = self._requests()
            if (param.snapshot and self.iter % param.snapshot == 0) or request == "snapshot":
                self.snapshot()
            if request == "stop":
                self.stopped = True
                break
        return self._progress.loss

    def solve(self, resume_file: PathLike | None = None) -> None:
        """Train to ``max_iter``, from a solver state if one is given, with the last snapshot and test."""
        param = self.param
        self.stopped = False
        glog.log(f"Solving {self.net.rules.name}", "solver.cpp:272")
        glog.log(f"Learning Rate Policy: {param.lr_policy}", "solver.cpp:273")
        if resume_file is not None:
            glog.log(f"Restoring previous solver status from {os.fsdecode(resume_file)}", "solver.cpp:280")
            self.restore(resume_file)
        self.step(max(0, param.max_iter - self.iter))
        if param.snapshot_after_train and not (param.snapshot and self.iter % param.snapshot == 0):
            self.snapshot()
        if self.stopped:
            glog.log("Optimization stopped early.", "solver.cpp:295")
            return
        if param.display and self.iter % param.display == 0:
            self._progress.add(self.net._forward(0, len(self.net.layers) - 1))
            glog.log(f"Iteration {self.iter}, loss = {self._progress.loss:g}", "solver.cpp:310")
        if param.test_interval and self.iter % param.test_interval == 0:
            self._test_all()
        glog.log("Optimization Done.", "solver.cpp:315")

    def apply_update(self) -> None:
        """Move the parameters by what their diffs say now, by the solver's rule at this iteration's rate.
        What was subtracted is left in the diffs."""
        with as_runtime_error(), parameters.gathered(self.net.params, self._arrays):
            step, self._current_step = (
                self._current_step,
                next_step(self.param, self.iter, self._current_step),
            )
            if step != self._current_step and self.param.lr_policy == "multistep":
                glog.log(f"MultiStep Status: Iteration {self.iter}, step = {step + 1}", "sgd_solver.cpp:46")
            rate = learning_rate(self.param, self.iter, self._current_step)
            self._updater.update(rate, self.iter)
        for blob, lr_mult in self._learned():
            blob.data_storage.touch()
            if lr_mult == 0 and self._definition.param.type in ("SGD", "Nesterov"):
                blob.net_diff[...] = 0

    def snapshot(self) -> None:
        """Write ``<snapshot_prefix>_iter_<n>`` .caffemodel and .solverstate (or .h5), as Caffe does."""
        with as_runtime_error(), parameters.gathered(self.net.params, self._arrays):
            paths = snapshots.paths(self._definition, self.iter)
            kind = "HDF5" if paths.state.suffix == ".h5" else "binary proto"
            glog.log(f"Snapshotting to {kind} file {paths.model}", "solver.cpp:447")
            snapshots.write_model(paths, self.net.rules, self._arrays)
            glog.log(f"Snapshotting solver state to {kind} file {paths.state}", "sgd_solver.cpp:273")
            snapshots.write_state(paths, self._arrays, self.iter, self._current_step)

    def restore(self, state_file: PathLike) -> None:
        """Go on from a .solverstate (or .h5), and the weight file that it names."""
        path = Path(os.fsdecode(state_file))
        check_file(str(path))
        with as_runtime_error(), parameters.gathered(self.net.params, self._arrays):
            saved = snapshots.read(path, self._arrays)
            if saved.learned_net:
                weights = snapshots.weight_file_of(path, saved.learned_net)
                found = snapshots.weights_of(self.net.rules, weights)
                self._arrays.write(self._arrays.values, found)
            for history, arrays in zip(self._arrays.histories, saved.histories, strict=True):
                self._arrays.write(history, arrays)
        self._updater.bind_moves()
        self.iter, self._current_step = saved.iteration, saved.current_step
        for blob, _ in self._learned():
            blob.data_storage.touch()

    def share_weights(self, net: Net) -> None:
        """Make another net use the parameters of the trained one."""
        net.share_with(self.net)

    def add_callback(
        self, on_start: Callable[[], Any] | mode.NCCL, on_gradients_ready: Callable[[], Any] | None = None
    ) -> None:
        """Call ``on_start()`` before each iteration's first pass, ``on_gradients_ready()`` before its update.
        An NCCL has nothing to do."""
        if not isinstance(on_start, mode.NCCL):
            if on_gradients_ready is None:
                raise PycaffeError("Solver.add_callback takes two functions, or an NCCL")
            self._callbacks.append((on_start, on_gradients_ready))

    def _forward_backward(self) -> float:
        last = len(self.net.layers) - 1
        loss = self.net._forward(0, last)
        self.net._backward(last, 0)
        self.net._debug_info.all_params()
        return loss

    def _learned(self) -> list[tuple[Blob, float]]:
        blobs = {blob.name: blob for blobs in self.net.params.values() for blob in blobs}
        return [(blobs[use.key], use.lr_mult) for use in self.net.rules.param_uses if use.owner == use.key]

    def _display(self) -> None:
        glog.log(self._progress.line(self.iter, self.param.display), "solver.cpp:218")
        outputs = [(name, self.net.array(name)) for name in self.net.outputs]
        for line in output_lines(self.net, outputs, "    Train net output"):
            glog.log(line, "solver.cpp:237")
        glog.log(f"Iteration {self.iter}, lr = {self.lr:g}", "sgd_solver.cpp:105")

    def _test_all(self) -> None:
        for number, net in enumerate(self.test_nets):
            self._test(number, net)
            if self.stopped:
                glog.log("Test interrupted.", "solver.cpp:376")
                return

    def _test(self, number: int, net: Net) -> None:
        """Test a net over ``test_iter`` batches, and log the scores of its outputs."""
        glog.log(f"Iteration {self.iter}, Testing net (#{number})", "solver.cpp:330")
        net.share_with(self.net)
        passes = self.param.test_iter[number]
        scores, loss = OutputScores(net, self.param), 0.0
        for _ in range(passes):
            self._obey_in_test()
            if self.stopped:
                return
            loss += net._forward(0, len(net.layers) - 1)
            scores.add()
        if self.param.test_compute_loss:
            glog.log(f"Test loss: {loss / passes if passes else math.nan:g}", "solver.cpp:381")
        if passes > 0:  # the published solvers of HED and FCN have none: their scripts test by themselves
            scores.log()

    def _obey_in_test(self) -> None:
        request = self._requests()
        if request == "snapshot":
            self.snapshot()
        self.stopped = request == "stop"


class SGDSolver(Solver):
    solver_type = "SGD"


class NesterovSolver(Solver):
    solver_type = "Nesterov"


class AdaGradSolver(Solver):
    solver_type = "AdaGrad"


class RMSPropSolver(Solver):
    solver_type = "RMSProp"


class AdaDeltaSolver(Solver):
    solver_type = "AdaDelta"


class AdamSolver(Solver):
    solver_type = "Adam"


_CLASSES: dict[str, type[Solver]] = {
    kind.solver_type: kind
    for kind in (SGDSolver, NesterovSolver, AdaGradSolver, RMSPropSolver, AdaDeltaSolver, AdamSolver)
}


def get_solver(solver_file: PathLike | ByAttributes) -> Solver:
    """The solver of the type that the file names, or as in naibaf7/caffe of a ``SolverParameter``. Raises
    RuntimeError where Caffe would stop."""
    if isinstance(solver_file, ByAttributes):
        with text_file(str(solver_file.message), "solver.prototxt") as file:
            return get_solver(file)
    path = os.fsdecode(solver_file)
    check_file(path)
    with as_runtime_error():
        definition = read_definition(path, rules=mode.fork_rules())
    return Solver.from_definition(definition)


def _read(path: str, solver_type: str) -> Definition:
    """A solver's definition; the class that a script names counts, not the type in the file."""
    definition = read_definition(path, rules=mode.fork_rules())
    if solver_type in ("", definition.param.type):
        return definition
    return read_definition(path, [f'type: "{solver_type}"'], mode.fork_rules())


def _train_net(definition: Definition) -> Net:
    weights = [os.fsdecode(file) for file in weight_files(definition, None)]
    return _net(definition.train_message(), TRAIN, definition, weights)


def _net(message: Any, phase: int, definition: Definition, weights: list[str] | None = None) -> Net:
    return Net.from_definition(define_for_solver(definition, message, phase, weights or []))
