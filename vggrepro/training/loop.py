"""The training loop around a solver, as Caffe's ``Solver::Step`` and ``Solver::Solve``: testing, the rate's
plateaus, display, snapshots, signals."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vggrepro.errors import LabelError, SolverError, did_you_mean
from vggrepro.graph.naming import LOSS
from vggrepro.system.quantities import duration
from vggrepro.training import snapshots
from vggrepro.training.feeds import Feeds
from vggrepro.training.journal import Journal, Meter
from vggrepro.training.output_values import named_elements
from vggrepro.training.run_record import RunRecord, facts_changed, read_record, write_record
from vggrepro.training.signals import Signals
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import TrainingData
from vggrepro.training.validation_sets import ValidationSet
from vggrepro.training.whole_snapshots import checksums


@dataclass(frozen=True)
class Settings:
    """What Caffe's solver definition does not say. The validation accuracy that counts is the first test
    net's output ``watch``."""

    images: int
    """Images an iteration, on all ranks together."""
    watch: str | None = None
    patience: int = 3
    """Tests without a better accuracy before the ``plateau`` policy divides the rate. The paper says only
    that it did when the accuracy "stopped improving"."""
    keep: int = 3
    """How many snapshots to keep, besides the best; 0 keeps all."""
    keep_best: bool = True
    """Whether a test with a new best accuracy makes a snapshot, which is kept."""


class Training:
    """One run. ``tests`` are the nets in phase TEST with what they are tested on; ``record`` is what an
    earlier part of the run remembered.

    Raises SolverError if the rate policy is ``plateau`` and no accuracy is watched.
    """

    def __init__(
        self,
        solver: Solver,
        data: TrainingData,
        tests: Sequence[tuple[TestNet, ValidationSet]],
        settings: Settings,
        journal: Journal,
        record: RunRecord | None = None,
    ) -> None:
        self.solver = solver
        self.record = RunRecord(solver.seed) if record is None else record
        self._param = solver.param
        self._data, self._tests = data, tests
        self._settings, self._journal = settings, journal
        self._written: int | None = None
        self._signals = Signals()
        self.stopped_by: int | None = None
        """The number of the signal that stopped the run, on whichever rank it came."""
        self._check()

    def _check(self) -> None:
        path, watch = self.solver.definition.path, self._settings.watch
        outputs = self._tests[0][0].numbers if self._tests else []
        if watch is not None and watch not in outputs:
            raise SolverError(
                f"{path}: no output {watch!r} of one element of the first test net to watch; it has {outputs}"
                + did_you_mean(watch, outputs)
            )
        if self._param.lr_policy == "plateau" and watch is None:
            raise SolverError(
                f"{path}: lr_policy 'plateau' needs a validation accuracy: a test net with an Accuracy layer,"
                " test_iter, test_interval and a validation set"
            )

    def resume(self, state: Path) -> None:
        """Go on from a solver state, and from the record beside it if there is one (Caffe writes none)."""
        self.solver.restore(state)
        beside = snapshots.record_beside(state)
        if beside.exists():
            self._recall(read_record(beside))
        else:
            self._journal.warn(
                f"no record {beside} (Caffe writes none): going on with seed {self.record.seed};"
                f" accuracies and losses before iteration {self.solver.iteration} are not known"
            )
            self.record = replace(self.record, drops_before=self.solver.current_step)
        self._set_step()
        ours = snapshots.paths(self.solver.definition, self.solver.iteration).state
        if ours.exists() and ours.samefile(state):  # and not of another prefix
            self._written = self.solver.iteration
        else:
            self.record = replace(self.record, checksums={})
        self._journal.say(f"going on from {state}")

    def _recall(self, stored: RunRecord) -> None:
        """Go on with the record of an earlier part of the run."""
        for change in facts_changed(stored, self.record.facts):
            self._journal.warn(f"not the run that was interrupted: {change}")
        self.record = replace(stored, facts=self.record.facts)

    def run(self, signals: Signals) -> bool:
        """Train up to max_iter. False if a signal stopped it before that; a snapshot was made then.

        Raises SolverError if the loss or the weights are not finite any more.
        """
        self._signals = signals
        param, solver = self._param, self.solver
        meter = Meter(self._settings.images, solver.iteration, param.max_iter)
        start = {"max_iter": param.max_iter, "seed": self.record.seed, "facts": dict(self.record.facts)}
        self._journal.event("start", solver.iteration, **start)
        finished = True
        with closing(self._data.passes(solver.iteration * param.iter_size)) as passes:
            while finished and solver.iteration < param.max_iter:
                first = solver.iteration == 0
                if self._test_is_due() and (param.test_initialization or not first) and not self._test():
                    finished = False
                    break
                self._step(passes, meter)
                finished = self._obey()
        # DEVIATION: Caffe leaves a stopped run without a snapshot where snapshot_after_train is false.
        if (param.snapshot_after_train or not finished) and self._written != solver.iteration:
            self._snapshot()
        if finished and self._test_is_due():
            finished = self._test()
        self._agree_on_signal()
        self._journal.event("end", solver.iteration, finished=finished)
        return finished

    def _agree_on_signal(self) -> None:
        """Let every rank know which signal stopped the run."""
        came = np.array(self._signals.stopping, np.float32)
        self.solver.ranks.add_up(came)
        self.stopped_by = next(
            (n for n, ranks in zip(self._signals.numbers, came, strict=True) if ranks), None
        )

    def _step(self, passes: Iterator[Feeds], meter: Meter) -> None:
        """One iteration, displayed if it is its turn."""
        solver, iteration, rate = self.solver, self.solver.iteration, self.solver.learning_rate
        begin, waited = time.perf_counter(), self._data.waited
        try:
            means = solver.step_passes(passes)
        except LabelError as error:
            raise LabelError(f"{error} (from {self._data.last_place(error.row)})", error.row) from None
        meter.step(time.perf_counter() - begin, self._data.waited - waited)
        loss = means.pop(LOSS)
        assert isinstance(loss, float)
        if not math.isfinite(loss):
            raise SolverError(f"iteration {iteration}: the loss is {loss}; {self._last_good()}")
        self.record = self.record.with_loss(loss, self._param.average_loss)
        if self._param.display and iteration % self._param.display == 0:
            speed = meter.take(solver.iteration)
            smoothed = self.record.smoothed_loss
            shown = {"loss": smoothed, "rate": float(f"{rate:.7g}"), "outputs": means}
            self._journal.event("train", iteration, **shown, **speed)
            self._journal.say(
                f"iteration {iteration}/{self._param.max_iter}  loss {smoothed:.5g}  rate {rate:g}"
                f"  {speed['images_per_s']:.1f} images/s  data {100 * speed['data_wait']:.0f}%"
                f"  {duration(speed['seconds_left'])} left"
            )
        self._journal.say_alive(f"iteration {iteration}/{self._param.max_iter}  loss {loss:.5g}")

    def _obey(self) -> bool:
        """Snapshots that are due or asked for. False if a signal says to stop, on any rank."""
        solver, interval = self.solver, self._param.snapshot
        asked = np.array([self._signals.stop, self._signals.take_snapshot()], np.float32)
        solver.ranks.add_up(asked)
        if (interval and solver.iteration % interval == 0) or asked[1]:
            self._snapshot()
        return not asked[0]

    def _test_is_due(self) -> bool:
        interval, iteration = self._param.test_interval, self.solver.iteration
        return bool(self._tests) and iteration % interval == 0 and not self.record.tested(iteration)

    def _test(self) -> bool:
        """Test every net, and follow from the accuracy. False if a signal interrupted it."""
        iteration, watch = self.solver.iteration, self._settings.watch
        for index, (net, validation_set) in enumerate(self._tests):
            begin = time.perf_counter()
            scores = net.score(validation_set, self.solver.ranks, lambda: self._signals.stop)
            if scores is None:
                return False
            seconds = round(time.perf_counter() - begin, 3)
            self._journal.event("test", iteration, net=index, scores=scores, seconds=seconds)
            text = "  ".join(f"{name} {value:.5g}" for name, value in named_elements(scores))
            self._journal.say(f"iteration {iteration}  test net {index}: {text}  ({duration(seconds)})")
            watched = scores.get(watch or "") if index == 0 else None
            if isinstance(watched, float):
                self._learn(watched)
        return True

    def _learn(self, accuracy: float) -> None:
        """Note a validation accuracy: it can drop the rate, and make a snapshot the best one."""
        before, solver = self.record.best, self.solver
        self.record = self.record.with_accuracy(solver.iteration, accuracy)
        old = solver.learning_rate
        self._set_step()
        if solver.learning_rate != old:
            self._journal.say(f"rate {old:g} -> {solver.learning_rate:g}: no better accuracy lately")
        better = before is None or accuracy > before[1]
        if self._settings.keep_best and better and solver.iteration > 0:
            self._snapshot()
        elif self._written == solver.iteration:
            self._write_record()

    def _set_step(self) -> None:
        """The plateau policy's drops follow from the accuracies alone."""
        if self._param.lr_policy == "plateau":
            self.solver.current_step = self.record.drops(self._settings.patience)

    def _write_record(self) -> None:
        """Bring the record of a snapshot that was made before its test up to date."""
        if self.solver.ranks.rank == 0:
            path = snapshots.paths(self.solver.definition, self.solver.iteration).record
            write_record(path, self.record)

    def _snapshot(self) -> None:
        """Write the files of this iteration, the solver state last, and remove surplus ones."""
        solver = self.solver
        self._written, already = solver.iteration, self._written == solver.iteration
        if solver.ranks.rank:
            return
        if not already:
            self._check_weights()
            self.record = replace(self.record, checksums={})
            self._write_record()  # first, because a state stands for a complete snapshot
            model, _ = solver.snapshot()
            files = snapshots.paths(solver.definition, solver.iteration)
            self.record = replace(self.record, checksums=checksums(files))
            self._journal.event("snapshot", solver.iteration, file=str(model))
            self._journal.say(f"snapshot {model}")
        self._write_record()
        self._remove_surplus()

    def _remove_surplus(self) -> None:
        solver, best = self.solver, self.record.best if self._settings.keep_best else None
        found = snapshots.existing(solver.definition.snapshot_prefix, last=solver.iteration)
        for iteration in snapshots.surplus(found, self._settings.keep, best[0] if best else None):
            for path in snapshots.paths(solver.definition, iteration).all:
                path.unlink(missing_ok=True)

    def _check_weights(self) -> None:
        for key, array in self.solver.params.items():
            if not np.isfinite(array).all():
                raise SolverError(
                    f"iteration {self.solver.iteration}: {key} is not finite; {self._last_good()}"
                )

    def _last_good(self) -> str:
        """Where to go on from after a divergence, and what may help."""
        advice = "a lower base_lr, clip_gradients, or another --init (glorot) may help"
        found = snapshots.existing(self.solver.definition.snapshot_prefix, last=self.solver.iteration)
        if not found:
            return f"there is no snapshot to go on from; {advice}"
        return f"the last good snapshot is {list(found.values())[-1]}; {advice}"
