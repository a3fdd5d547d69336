"""Applying a solver's rule on the device, piece by piece and in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vggrepro.graph.model import Graph
from vggrepro.graph.naming import history_name, moved_name
from vggrepro.graph.update import (
    DECAY,
    GRADIENT,
    RATE,
    SCALE,
    SQUARES,
    TOTAL,
    VALUES,
    accumulate_graph,
    square_graph,
    update_graph,
)
from vggrepro.net import Net, ParamUse
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceScalar, DeviceView
from vggrepro.runtime.elementwise import Elementwise, ElementwiseRun
from vggrepro.runtime.session import Session
from vggrepro.system.threads import default_threads, ordered_map
from vggrepro.training.definition import Definition
from vggrepro.training.gradient_exchange import Wait, ready
from vggrepro.training.solver_arrays import SolverArrays

PIECE = {"cpu": 1 << 22, "cuda": 1 << 24}
"""Elements of one run. On a CPU a thread takes one after another; a GPU wants few launches, but no more
memory for what the nodes hand on than 64 MiB each."""

SUMMED = {"cpu": 1 << 18, "cuda": 1 << 24}
"""Elements whose squares are added up in float32; the sums of such pieces are added up in float64."""


@dataclass(frozen=True)
class _Move:
    """The rule's ``run`` over a piece of a parameter, whose gradients end before ``end`` in their array.
    ``last``: of its session, so that who waits for it has waited for all of them."""

    end: int
    run: BoundRun | ElementwiseRun
    last: bool


class Updater:
    """Caffe's ``ApplyUpdate``: clip, normalise, regularise, move; and the sum over iter_size passes.

    ``rank_count`` is how many ranks' gradients are in the sum. ``keeps_steps``: each update leaves what it
    has subtracted in the gradients' place, as Caffe does, for scripts that look there.
    """

    def __init__(
        self,
        definition: Definition,
        net: Net,
        arrays: SolverArrays,
        device: Device,
        threads: int,
        rank_count: int = 1,
        keeps_steps: bool = False,
    ) -> None:
        self._keeps_steps = keeps_steps
        self._param = definition.param
        self._rank_count = rank_count
        self._arrays = arrays
        self._device = device
        self._threads = min(threads or default_threads(), -(-arrays.layout.size // PIECE[device.kind]))
        self._rates: dict[float, DeviceScalar] = {}
        self._decays: dict[float, DeviceScalar] = {}
        self._scale = DeviceScalar(device)
        self._hyper, self._uses = definition.hyper, [u for u in net.param_uses if u.owner == u.key]
        self.bind_moves()
        self._sums = self._bind_sums() if arrays.total is not arrays.gradients else []
        self._squares = self._bind_squares(threads) if self._clips else []

    @property
    def _clips(self) -> bool:
        return bool(self._param.clip_gradients >= 0)

    def accumulate(self) -> None:
        """Add a pass's gradients to the iteration's."""
        self._run_all(self._sums)

    def update(self, rate: float, iteration: int, wait: Wait = ready) -> None:
        """Move every parameter by the iteration's gradients. ``wait`` is asked for each stretch of them."""
        if self._clips:
            wait(self._arrays.layout.size)
        self._scale.set(self._clip_factor() / (self._param.iter_size * self._rank_count))
        with np.errstate(all="ignore"):  # as in C++, huge rates and momenta of 1 and more give what they give
            for lr_mult, scalar in self._rates.items():
                scalar.set(np.float32(rate * self._correction(iteration)) * np.float32(lr_mult))
            for decay_mult, scalar in self._decays.items():
                scalar.set(np.float32(self._param.weight_decay) * np.float32(decay_mult))
        self._run_all(self._ready(wait))

    def _ready(self, wait: Wait) -> Iterator[_Move]:
        """The moves, each as soon as its gradients are there."""
        for move in self._moves:
            wait(move.end)
            yield move

    def _run_all(self, moves: Iterable[_Move]) -> None:
        if self._device.kind == "cpu" and self._threads > 1:
            for _ in ordered_map(lambda move: move.run.run(), moves, threads=self._threads):
                pass
            return
        for move in moves:
            if move.last:
                move.run.run()
            else:
                move.run.start()

    def _clip_factor(self) -> float:
        """Caffe clips the global L2 norm of the accumulated gradient, averaged over ranks but not yet
        divided by iter_size."""
        if not self._clips:
            return 1.0
        norm = math.sqrt(sum(float(run.run()[SQUARES]) for run in self._squares)) / self._rank_count
        limit = float(self._param.clip_gradients)
        return limit / norm if norm > limit else 1.0

    def _correction(self, iteration: int) -> float:
        if self._param.type != "Adam":
            return 1.0
        momentum, momentum2 = np.float64(self._param.momentum), np.float64(self._param.momentum2)
        t = iteration + 1
        return float(np.sqrt(1 - momentum2**t) / (1 - momentum**t))

    def bind_moves(self) -> None:
        """Find what there is to move, in the order of the gradients in their array. To be called again when
        histories have been written."""
        graphs = {
            d: update_graph(self._param.type, self._hyper, decayed=d, steps=self._keeps_steps)
            for d in (False, True)
        }
        elementwise = {d: self._elementwise(graph) for d, graph in graphs.items()}
        runs: list[tuple[int, BoundRun | ElementwiseRun]] = []
        last: dict[bool, int] = {}
        for use in self._uses:
            if self._idle(use):
                continue
            decayed = bool(self._param.weight_decay * use.decay_mult)
            for start, count in self._pieces(math.prod(use.definition.shape), PIECE):
                end = self._arrays.layout.offsets[use.key] + start + count
                last[decayed] = len(runs)
                runs.append((end, self._move(elementwise[decayed].bind(), use, start, count, decayed)))
        self._moves = [_Move(end, run, index in last.values()) for index, (end, run) in enumerate(runs)]

    def _idle(self, use: ParamUse) -> bool:
        """With lr_mult 0 these rules move neither value nor history while the history is 0; that of a run in
        which lr_mult was another one goes on to move the value. The other rules do move histories."""
        if use.lr_mult != 0 or self._param.type not in ("SGD", "Nesterov"):
            return False
        return not any(self._arrays.layout.on_device(h, use.key).read().any() for h in self._arrays.histories)

    def _elementwise(self, graph: Graph) -> Session | Elementwise:
        """What runs a graph that moves arrays."""
        if self._device.kind == "cpu":
            return Elementwise(graph)
        return Session(graph, self._device, training=True)

    def _move(
        self, run: BoundRun | ElementwiseRun, use: ParamUse, start: int, count: int, decayed: bool
    ) -> BoundRun | ElementwiseRun:
        arrays = self._arrays
        histories = {history_name(index): history for index, history in enumerate(arrays.histories)}
        for name, array in {VALUES: arrays.values, **histories}.items():
            place = arrays.layout.on_device(array, use.key).part(start, count)
            run.bind_input(name, place)
            run.bind_output(moved_name(name), place)
        gradient = arrays.layout.on_device(arrays.total, use.key).part(start, count)
        run.bind_input(GRADIENT, gradient)
        if self._keeps_steps:
            run.bind_output(moved_name(GRADIENT), gradient)
        run.bind_scalar(RATE, self._rates.setdefault(use.lr_mult, DeviceScalar(self._device)))
        run.bind_scalar(SCALE, self._scale)
        if decayed:
            run.bind_scalar(DECAY, self._decays.setdefault(use.decay_mult, DeviceScalar(self._device)))
        return run

    def _bind_sums(self) -> list[_Move]:
        elementwise = self._elementwise(accumulate_graph())
        runs = []
        for start, count in self._pieces(self._arrays.layout.size, PIECE):
            run = elementwise.bind()
            total = DeviceView(self._arrays.total, start, (count,))
            run.bind_input(TOTAL, total)
            run.bind_input(GRADIENT, DeviceView(self._arrays.gradients, start, (count,)))
            run.bind_output(moved_name(TOTAL), total)
            runs.append(_Move(start + count, run, last=True))
        return runs

    def _bind_squares(self, threads: int) -> list[BoundRun]:
        session = Session(square_graph(), self._device, threads=threads, training=True)
        runs = []
        for start, count in self._pieces(self._arrays.layout.size, SUMMED):
            run = session.bind()
            run.bind_input(GRADIENT, DeviceView(self._arrays.total, start, (count,)))
            run.return_output(SQUARES)
            runs.append(run)
        return runs

    def _pieces(self, size: int, pieces: Mapping[str, int]) -> Iterator[tuple[int, int]]:
        piece = pieces[self._device.kind]
        for start in range(0, size, piece):
            yield start, min(piece, size - start)
