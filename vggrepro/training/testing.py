"""Testing while training: nets in phase TEST on the trained net's parameters (Caffe's ``TestAll``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import DataError, LabelError, NetError, UnsupportedError, WeightsError
from vggrepro.graph.model import Graph
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net, build_net
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.session import Session
from vggrepro.system.ranks import Ranks
from vggrepro.training.average_precision import Detections
from vggrepro.training.by_shapes import ByShapes
from vggrepro.training.carried_states import CarriedStates
from vggrepro.training.feeds import shapes_of
from vggrepro.training.output_values import OutputMeans, OutputValues
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
    have the values of the solver's weight files, or else their fillers'. With ``eval_type: "detection"`` the
    outputs are what DetectionEvaluate layers give, and their scores mean average precisions, as in SSD.
    Raises WeightsError where shapes differ.
    """

    __test__: ClassVar[bool] = False  # for pytest: this is no test

    def __init__(self, solver: Solver, message: Any, input_shapes: Mapping[str, Shape] | None = None) -> None:
        self._solver = solver
        self._detects = solver.param.eval_type == "detection"
        self._states = CarriedStates()
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
        self._sizes = {blob: 0 if self._detects else math.prod(s) for blob, s in self.net.outputs.items()}
        if graph.loss is not None:
            self.outputs[graph.loss] = graph.loss
            self._sizes[graph.loss] = 1

    def _build(self, shapes: Mapping[str, Shape]) -> _Built:
        solver = self._solver
        net = self.net if shapes == self.net.inputs else self.net.reshape(shapes)
        with_loss = bool(solver.param.test_compute_loss)
        graph = build_validation(net, loss=with_loss, carried=self._detects, rules=solver.rules)
        session = Session(graph, solver.device, threads=solver.threads, tf32=solver.tf32, training=True)
        run = session.bind()
        self._share(solver, run)
        self._states.bind(run, graph)
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
        """The outputs whose score is one number."""
        return list(self.outputs) if self._detects else self._single

    @property
    def _single(self) -> list[str]:
        """The outputs of one element."""
        return [name for name in self.outputs if self._sizes[name] == 1]

    @property
    def accuracy(self) -> str | None:
        """The blob with the top-1 accuracy: the first top of an Accuracy layer, one with ``top_k: 1``
        if there is one. Of detections the first output."""
        if self._detects:
            return next(iter(self.net.outputs), None)
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
        size changes: they have no means; and UnsupportedError for detections on several ranks.
        """
        if self._detects and ranks.size > 1:
            raise UnsupportedError('eval_type: "detection" tests on one rank alone')
        self._states.begin_anew()  # each test begins with the first batch
        numbers = self._single
        sums = np.zeros((validation_set.count, 1 + len(numbers)))  # samples, then samples times output
        others = {n: self._collector(n) for n in self.outputs if n not in numbers}
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
            rows.add_up(ranks)
        if stopped[0]:
            return None
        samples, *totals = sums.sum(axis=0).tolist()
        if samples == 0:
            raise DataError("no image of the validation set can be read")
        means = {n: total / samples for n, total in zip(numbers, totals, strict=True)}
        scores: OutputValues = {}
        for name in self.outputs:
            scores |= others[name].scores() if name in others else {name: means[name]}
        return scores

    def _collector(self, name: str) -> OutputMeans | _Precisions:
        if self._detects:
            return _Precisions(name, self._solver.param)
        return OutputMeans(name, self.net.outputs[name])

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
        self._states.feed(built.run, built.graph)
        results = built.run.run()
        self._states.take(built.run, built.graph)
        return results

    def _fitting(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """The input shapes of the graph for these: a smaller batch needs no graph of its own."""
        return {name: (*self.net.inputs[name][:1], *shape[1:]) for name, shape in shapes.items()}


class _Precisions:
    """The mean average precision of an output, and with ``show_per_class_result`` that of each class."""

    def __init__(self, name: str, param: Any) -> None:
        self._found, self._param = Detections(name), param

    def add(self, samples: int, values: npt.NDArray[Any]) -> None:
        self._found.add(values)

    def add_up(self, ranks: Ranks) -> None:
        """There is one rank alone."""

    def scores(self) -> OutputValues:
        name, version = self._found.name, self._param.ap_version
        scores: OutputValues = {name: self._found.mean(version)}
        if self._param.show_per_class_result:
            scores |= {f"{name}:class{k}": ap for k, ap in self._found.averages(version).items()}
        return scores
