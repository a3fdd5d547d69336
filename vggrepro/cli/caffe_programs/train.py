"""caffe train: train or finetune a model."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from vggrepro.caffe.state import add_stages
from vggrepro.cli.caffe_programs.action import ActionFlags, action_flags, copy_weights
from vggrepro.errors import DeviceError, OptionError, SolverError
from vggrepro.pycaffe import glog, mode
from vggrepro.pycaffe.errors import check_file
from vggrepro.pycaffe.net_log import log_net
from vggrepro.pycaffe.solver import Solver
from vggrepro.system.interrupts import exit_code
from vggrepro.training.definition import Definition, read_definition
from vggrepro.training.signals import EFFECTS, Effect, Signals


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done or stopped by SIGINT, 128 + N stopped by another signal."""
    with action_flags(arguments) as flags:
        return 0 if flags is None else _train(flags)


def _train(flags: ActionFlags) -> int:
    if not flags.solver:
        raise OptionError("Need a solver definition to train.")
    if flags.snapshot and flags.weights:
        raise OptionError("Give a snapshot to resume training or weights to finetune but not both.")
    signals = Signals(_effect("sigint", flags.sigint_effect), _effect("sighup", flags.sighup_effect))
    with signals:
        with signals.interrupting():
            solver = _solver(flags)
        solver.set_requests(lambda: _request(signals))
        solver.solve()
        glog.log("Optimization Done.", "caffe.cpp:259")
    came = [number for number, stops in zip(signals.numbers, signals.stopping, strict=True) if stops]
    others = [number for number in came if number != signal.SIGINT]
    return exit_code(others[0]) if solver.stopped and others else 0


def _effect(name: str, text: str) -> Effect:
    for effect in EFFECTS:
        if text == effect:
            return effect
    raise OptionError(f'-{name}_effect: Invalid signal effect "{text}" was specified: {", ".join(EFFECTS)}')


def _request(signals: Signals) -> Effect:
    if signals.stop:
        return "stop"
    return "snapshot" if signals.take_snapshot() else "none"


def _solver(flags: ActionFlags) -> Solver:
    check_file(flags.solver)
    definition = read_definition(flags.solver, rules=mode.fork_rules())
    state = definition.param.train_state
    state.level = flags.level
    add_stages(state, flags.stages)
    _choose_device(flags, definition)
    if definition.param.snapshot or definition.param.snapshot_after_train:
        _check_prefix(definition.snapshot_prefix)
    glog.log(f"Initializing solver from parameters:\n{definition.param}", "solver.cpp:44")
    solver = Solver.from_definition(definition)
    for net in (solver.net, *solver.test_nets):
        log_net(net)
    glog.log("Solver scaffolding done.", "solver.cpp:56")
    if flags.snapshot:
        glog.log(f"Resuming from {flags.snapshot}", "caffe.cpp:241")
        solver.restore(flags.snapshot)
    for file in flags.weight_files:
        glog.log(f"Finetuning from {file}", "caffe.cpp:155")
        for net in (solver.net, *solver.test_nets):
            copy_weights(net, file)
    glog.log("Starting Optimization", "caffe.cpp:248")
    return solver


def _choose_device(flags: ActionFlags, definition: Definition) -> None:
    """The GPU of ``-gpu``, or else the one that the solver says expressly; otherwise the CPU."""
    param = definition.param
    gpus = flags.gpus()
    if not flags.gpu and param.HasField("solver_mode") and param.solver_mode == type(param).GPU:
        gpus = [param.device_id]
    if len(gpus) > 1:
        raise DeviceError(f"-gpu {flags.gpu}: {mode.SEVERAL}")
    if not gpus:
        glog.log("Use CPU.", "caffe.cpp:197")
        mode.set_mode_cpu()
        return
    glog.log(f"Using GPUs {gpus[0]}", "caffe.cpp:204")
    mode.set_device(gpus[0])
    mode.set_mode_gpu()


def _check_prefix(prefix: str) -> None:
    folder = Path(prefix).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SolverError(
            f"Cannot write to snapshot prefix '{prefix}'."
            "  Make sure that the directory exists and is writable."
        )
