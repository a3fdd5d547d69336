"""Caffe's solver: one step at a time, with everything that lasts on the device."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.snapshot import (
    SavedState,
    read_solverstate,
    write_caffemodel,
    write_caffemodel_hdf5,
    write_solverstate,
    write_solverstate_hdf5,
)
from vggrepro.caffe.weights import read_weights
from vggrepro.emit import Shape
from vggrepro.errors import NetError, SolverError
from vggrepro.graph.naming import gradient_name, next_name, state_name
from vggrepro.graph.train import LOSS, build_train
from vggrepro.graph.update import RULES
from vggrepro.net import Net
from vggrepro.net.load import match_weights
from vggrepro.runtime.buffers import BoundRun, FlatBuffer, Layout
from vggrepro.runtime.session import Session
from vggrepro.training.definition import Definition, read_definition
from vggrepro.training.rates import learning_rate, next_step
from vggrepro.training.updater import Memory, Updater

Feeds = Mapping[str, npt.NDArray[Any]]
Reduce = Callable[[FlatBuffer], None]


class Solver:
    """Trains a net as Caffe's solver of ``solver_prototxt`` does.

    ``weights`` (a path or several) are copied by layer name. The ``net`` path is taken from the working
    directory, as in Caffe, else from the solver file's folder. Parameters, histories and gradients
    stay on ``device`` from step to step.

    ``input_shapes`` replaces input shapes (a rank's part of the batch); ``reduce`` is called with the
    gradients of each iteration before they are used (averaging over ranks); ``first_sample`` is
    the place of this solver's samples in the whole batch, on which dropout masks depend.

    Raises SolverError for a definition that Caffe would refuse, and all that ``load_net`` raises.
    """

    def __init__(
        self,
        solver_prototxt: str | os.PathLike[str],
        *,
        weights: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        device: str = "cpu",
        threads: int = 0,
        seed: int | None = None,
        input_shapes: Mapping[str, Shape] | None = None,
        reduce: Reduce | None = None,
        first_sample: int = 0,
    ) -> None:
        self.definition: Definition = read_definition(solver_prototxt)
        self.param = self.definition.param
        self.seed = _seed(self.param.random_seed if seed is None else seed)
        self.iteration = 0
        self.current_step = 0
        self.net: Net = self.definition.train_net(self.seed, _paths(weights), input_shapes)
        self._reduce = reduce
        self._first_sample = first_sample
        self._train = build_train(self.net)
        session = Session(self._train.graph, device, threads=threads)
        self.device = session.device
        self._memory = self._allocate()
        self._states = self._initial_states()
        self._pass = self._bind(session)
        self._updater = Updater(self.definition, self.net, self._memory, self.device, threads)
        self._write(self._memory.values, self.net.params)

    def _allocate(self) -> Memory:
        layout = Layout({u.key: u.definition.shape for u in self.net.param_uses if u.owner == u.key})
        values, gradients, *histories = (
            FlatBuffer(layout.size, self.device) for _ in range(2 + RULES[self.param.type].histories)
        )
        total = FlatBuffer(layout.size, self.device) if self.param.iter_size > 1 else gradients
        return Memory(layout, values, gradients, total, tuple(histories))

    @property
    def learning_rate(self) -> float:
        """The rate of the coming iteration."""
        return learning_rate(self.param, self.iteration, next_step(self.param, self.iteration, self.current_step))

    @property
    def params(self) -> dict[str, npt.NDArray[np.float32]]:
        """Every parameter as ``"layer:index"``; on the CPU views of the memory that training moves."""
        flat = self._memory.values.read()
        views = {}
        for use in self.net.param_uses:
            view = self._memory.layout.view(flat, use.owner).reshape(use.definition.shape)
            view.flags.writeable = False
            views[use.key] = view
        return views

    def step(self, feeds: Sequence[Feeds]) -> float:
        """One iteration: ``iter_size`` dicts from input blob to array, one for each pass.

        Returns the loss as Caffe reports it: the mean over the passes of the weighted sum of losses.
        Raises SolverError for a wrong number of dicts, NetError for missing or unknown inputs.
        """
        return self.step_outputs(feeds)[LOSS]

    def step_outputs(self, feeds: Sequence[Feeds]) -> dict[str, float]:
        """As :meth:`step`, with the means of the net's scalar outputs besides, by blob."""
        if len(feeds) != self.param.iter_size:
            raise SolverError(f"iter_size is {self.param.iter_size}, got {len(feeds)} dicts of inputs")
        self.current_step = next_step(self.param, self.iteration, self.current_step)
        totals: dict[str, float] = {}
        for index, feed in enumerate(feeds):
            for name, value in self._forward_backward(feed, index).items():
                totals[name] = totals.get(name, 0.0) + value
            if self.param.iter_size > 1:
                self._updater.accumulate(first=index == 0)
        if self._reduce is not None:
            self._reduce(self._memory.total)
        self._updater.update(self.learning_rate, self.iteration)
        self.iteration += 1
        return {name: total / len(feeds) for name, total in totals.items()}

    def _forward_backward(self, feeds: Feeds, index: int) -> dict[str, float]:
        self._check(feeds)
        for name, array in feeds.items():
            self._pass.feed(name, np.asarray(array, np.float32))
        for name, array in self._states.items():
            self._pass.feed(name, self._random(index) if name.endswith(":random") else array)
        results = self._pass.run()
        self._keep(results)
        return {name: float(results[name]) for name in (LOSS, *self._train.scalars)}

    def _random(self, index: int) -> npt.NDArray[np.int64]:
        """The state of every Dropout: the pass's number on top of the seed, so that it is the same
        after a resume and on any number of ranks."""
        number = self.iteration * int(self.param.iter_size) + index
        return np.array([(self.seed + number) % 2**31, self._first_sample], np.int64)

    def _keep(self, results: Mapping[str, npt.NDArray[Any]]) -> None:
        """Carry states over to the next pass, and moved statistics into the parameters."""
        for name in self._states:
            self._states[name] = results[f"next:{name[len('state:') :]}"]
        moved = [
            (use.owner, results[next_name(placed.name, index)])
            for placed in self.net.layers
            for index, use in enumerate(placed.params)
            if next_name(placed.name, index) in results
        ]
        if moved:
            self._write(self._memory.values, dict(moved))

    def _check(self, feeds: Feeds) -> None:
        for name in {*feeds, *self.net.inputs}:
            if name not in feeds or name not in self.net.inputs:
                what = "missing" if name in self.net.inputs else "unknown"
                raise NetError(f"net {self.net.name!r}: {what} input {name!r}; it takes {list(self.net.inputs)}")
            if np.shape(feeds[name]) != self.net.inputs[name]:
                raise NetError(f"input {name!r}: shape {np.shape(feeds[name])}, expected {self.net.inputs[name]}")

    def _initial_states(self) -> dict[str, npt.NDArray[Any]]:
        return {
            state_name(placed.name, state.name): state.initial
            for placed in self.net.layers
            for state in placed.layer.state_defs([self.net.shapes[b] for b in placed.bottoms])
        }

    def _bind(self, session: Session) -> BoundRun:
        run = BoundRun(session.raw, self.device)
        for key in self._memory.layout.shapes:
            run.bind_input(key, self._memory.layout.slice(self._memory.values, key))
        for key in self._train.learned:
            run.bind_output(gradient_name(key), self._memory.layout.slice(self._memory.gradients, key))
        for name in session.outputs:
            if not name.startswith("d:"):
                run.return_output(name)
        return run

    def _write(self, buffer: FlatBuffer, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        flat = buffer.read()
        for key, array in arrays.items():
            if key in self._memory.layout.shapes:
                self._memory.layout.view(flat, key)[...] = array
        buffer.write(flat)

    def snapshot(self) -> tuple[Path, Path]:
        """Write Caffe's own ``<prefix>_iter_<n>`` .caffemodel and .solverstate (or .h5), each at once
        or not at all, and return their paths."""
        stem = f"{self.definition.snapshot_prefix}_iter_{self.iteration}"
        hdf5 = self.param.snapshot_format == type(self.param).HDF5
        model, state = Path(stem + ".caffemodel" + ".h5" * hdf5), Path(stem + ".solverstate" + ".h5" * hdf5)
        (write_caffemodel_hdf5 if hdf5 else write_caffemodel)(model, self.net.message, self._blobs())
        histories = [buffer.read() for buffer in self._memory.histories]
        saved = SavedState(
            iter=self.iteration,
            learned_net=str(model),
            current_step=self.current_step,
            history=tuple(self._memory.layout.view(h, key) for h in histories for key in self._memory.layout.shapes),
        )
        (write_solverstate_hdf5 if hdf5 else write_solverstate)(state, saved)
        return model, state

    def _blobs(self) -> dict[str, list[npt.NDArray[np.float32]]]:
        params = self.params
        return {p.name: [params[use.key] for use in p.params] for p in self.net.layers if p.params}

    def restore(self, solverstate: str | os.PathLike[str]) -> None:
        """Go on from a .solverstate (or .h5) of ours or of Caffe's. Its weight file is sought where
        it says, and then beside it.

        Raises SolverError if histories are missing or of other shapes, WeightsError, ParseError.
        """
        path = Path(solverstate)
        saved = read_solverstate(path)
        keys = [(buffer, key) for buffer in self._memory.histories for key in self._memory.layout.shapes]
        if len(saved.history) != len(keys):
            raise SolverError(f"{path}: Incorrect length of history blobs: {len(saved.history)}, expected {len(keys)}")
        for array, (_, key) in zip(saved.history, keys, strict=True):
            if array.shape != self._memory.layout.shapes[key]:
                raise SolverError(f"{path}: history of {key} has shape {array.shape}, expected {self._memory.layout.shapes[key]}")
        if saved.learned_net:
            self.copy_weights(_beside(path, saved.learned_net))
        for buffer in self._memory.histories:
            self._write(buffer, {k: a for a, (b, k) in zip(saved.history, keys, strict=True) if b is buffer})
        self.iteration, self.current_step = saved.iter, saved.current_step

    def copy_weights(self, path: str | os.PathLike[str]) -> None:
        """Copy parameters by layer name from a weight file. Raises WeightsError."""
        self._write(self._memory.values, match_weights(self.net, read_weights(path), os.fspath(path)))


def _paths(weights: Any) -> list[str]:
    if weights is None:
        return []
    if isinstance(weights, str):
        return weights.split(",")  # Caffe takes several files with commas between
    return [os.fspath(weights)] if isinstance(weights, os.PathLike) else [os.fspath(w) for w in weights]


def _seed(random_seed: int) -> int:
    """Caffe: a negative seed means another one in every run."""
    return int(random_seed) if random_seed >= 0 else secrets.randbits(31)


def _beside(state: Path, learned_net: str) -> Path:
    named = Path(learned_net)
    return named if named.exists() else state.parent / named.name
