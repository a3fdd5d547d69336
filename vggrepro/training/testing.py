"""Testing while training: nets in phase TEST on the trained net's parameters (Caffe's ``TestAll``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import DataError, LabelError, NetError, WeightsError
from vggrepro.graph.model import Graph
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net, build_net
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.session import Session
from vggrepro.system.ranks import Ranks
from vggrepro.training.by_shapes import ByShapes
from vggrepro.training.feeds import shapes_of
from vggrepro.training.output_values import OutputValues
from vggrepro.training.solver import Solver
from vggrepro.training.validation_sets import ValidationBatch, ValidationSet

Results = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Built:
    """The graph of the net at some input shapes, and its run."""

    graph: Graph
    run: BoundRun


class TestNet:
    """A net in phase TEST on the parameters of a solver, which it reads where they are.

    As in Caffe a parameter belongs to the trained layer of the same name; layers that the trained net lacks
    have the values of the solver's weight files, or else their fillers'. Raises WeightsError where shapes
    differ.
    """

    __test__: ClassVar[bool] = False  # for pytest: this is no test

    def __init__(self, solver: Solver, message: Any, input_shapes: Mapping[str, Shape] | None = None) -> None:
        self._solver = solver
        net = build_net(
            message,
            "TEST",
            input_shapes=input_shapes,
            folder=solver.definition.folder,
            seed=solver.seed,
            weights=solver.weight_files,
            custom=solver.definition.own_layers(message, "TEST"),
        )
        trained = {use.key for use in solver.net.param_uses}
        own = {key: array for key, array in net.params.items() if key not in trained}
        self.net: Net = replace(net, params=own)
        self._built = ByShapes(self._build)
        graph = self._built(self.net.inputs).graph
        self.outputs = {blob: graph.blobs[blob] for blob in self.net.outputs}
        """The graph's name of each output that is tested; one that is empty is left out."""
        self._sizes = {blob: math.prod(shape) for blob, shape in self.net.outputs.items()}
        if graph.loss is not None:
            self.outputs[graph.loss] = graph.loss
            self._sizes[graph.loss] = 1

    def _build(self, shapes: Mapping[str, Shape]) -> _Built:
        solver = self._solver
        net = self.net if shapes == self.net.inputs else self.net.reshape(shapes)
        graph = build_validation(net, loss=bool(solver.param.test_compute_loss), rules=solver.rules)
        session = Session(graph, solver.device, threads=solver.threads, tf32=solver.tf32, training=True)
        run = session.bind()
        self._share(solver, run)
        for name in [*graph.blobs.values(), *([] if graph.loss is None else [graph.loss])]:
            run.return_output(name)
        return _Built(graph, run)

    def _share(self, solver: Solver, run: BoundRun) -> None:
        """Let ``run`` read the parameters where the solver moves them."""
        arrays = solver.arrays
        trained = {use.key: use for use in solver.net.param_uses}
        for use in self.net.param_uses:
            if use.owner != use.key:
                continue
            if use.key not in trained:
                run.feed(use.key, self.net.params[use.key])
                continue
            source = trained[use.key]
            if source.definition.shape != use.definition.shape:
                raise WeightsError(
                    f"Cannot share param {use.key}: the net in phase TEST has shape {use.definition.shape},"
                    f" the trained one {source.definition.shape}"
                )
            place = arrays.layout.on_device(arrays.values, source.owner)
            run.bind_input(use.key, DeviceView(place.array, place.offset, use.definition.shape))

    @property
    def numbers(self) -> list[str]:
        """The outputs of one element."""
        return [name for name in self.outputs if self._sizes[name] == 1]

    @property
    def accuracy(self) -> str | None:
        """The blob with the top-1 accuracy: the first top of an Accuracy layer, one with ``top_k: 1``
        if there is one."""
        ranks = [(k, p.message) for p in self.net.layers if (k := p.layer.top_k_accuracy) is not None]
        ranks.sort(key=lambda item: item[0])
        return next((m.top[0] for _, m in ranks if m.top and m.top[0] in self.outputs), None)

    def score(
        self, validation_set: ValidationSet, ranks: Ranks, stop: Callable[[], bool]
    ) -> OutputValues | None:
        """Means of every element of the outputs over the batches of all ranks, each batch weighted by its
        samples.

        None if ``stop`` said so, on any rank. However many ranks there are, the same numbers are added in
        the same order for outputs of one element. Raises NetError for an output with more elements whose
        size changes: they have no means.
        """
        numbers = self.numbers
        sums = np.zeros((validation_set.count, 1 + len(numbers)))  # samples, then samples times output
        others = {n: _RowSums(n, self.net.outputs[n]) for n in self.outputs if n not in numbers}
        stopped = np.zeros(1)
        for batch in validation_set.batches(ranks):
            if stop():
                stopped[0] = 1
                break
            try:
                results = self._outputs(batch)
            except LabelError as error:
                raise LabelError(f"{error} (from {batch.place(error.row)})", error.row) from None
            values = [float(results[self.outputs[name]].reshape(())) for name in numbers]
            sums[batch.number] = batch.samples * np.array([1.0, *values])
            for name, rows in others.items():
                rows.add(batch.samples, results[self.outputs[name]])
        ranks.add_up(stopped)
        ranks.add_up(sums)  # every row is one rank's, so nothing is rounded
        for rows in others.values():
            ranks.add_up(rows.sums)
        if stopped[0]:
            return None
        samples, *totals = sums.sum(axis=0).tolist()
        if samples == 0:
            raise DataError("no image of the validation set can be read")
        means: OutputValues = {n: total / samples for n, total in zip(numbers, totals, strict=True)}
        return {name: means[name] if name in means else others[name].means() for name in self.outputs}

    def _outputs(self, batch: ValidationBatch) -> Results:
        shapes = shapes_of(batch.feeds)
        built = self._built(self._fitting(shapes))
        for name, value in batch.feeds.items():
            if not built.graph.is_free(name, 0) and value.shape[:1] != self.net.inputs[name][:1]:
                raise NetError(
                    f"net {self.net.name!r}: input {name!r} must have shape {self.net.inputs[name]}, got"
                    f" {value.shape}: a layer fixes the batch, so it must divide the validation set"
                )
            if isinstance(value, DeviceView):
                built.run.bind_input(name, value)
            else:
                built.run.feed(name, value)
        return built.run.run()

    def _fitting(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """The input shapes of the graph for these: a smaller batch needs no graph of its own."""
        return {name: (*self.net.inputs[name][:1], *shape[1:]) for name, shape in shapes.items()}


class _RowSums:
    """Sums over batches of an output with several elements. A smaller batch has its first rows alone."""

    def __init__(self, name: str, shape: Shape) -> None:
        self._name, self._shape = name, shape
        self.sums = np.zeros((2, *shape))  # samples, then samples times output

    def add(self, samples: int, values: npt.NDArray[Any]) -> None:
        if values.shape[1:] != self._shape[1:] or len(values) > self._shape[0]:
            raise NetError(
                f"test output {self._name!r}: shape {values.shape} in one batch, {self._shape} in another:"
                " elements that come and go have no means (a Silence layer takes them)"
            )
        rows = self.sums[:, : len(values)]
        rows[0] += samples
        rows[1] += samples * values.astype(np.float64)

    def means(self) -> list[float]:
        counts, totals = self.sums.reshape(2, -1)
        return [float(mean) for mean in totals[counts > 0] / counts[counts > 0]]
