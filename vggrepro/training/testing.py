"""Testing while training: nets in phase TEST on the trained net's parameters (Caffe's ``TestAll``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import DataError, NetError, WeightsError
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net, build_net
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.session import Session
from vggrepro.system.ranks import Ranks
from vggrepro.training.solver import Feeds, Solver
from vggrepro.training.validation_sets import ValidationSet

Scores = dict[str, float]


class TestNet:
    """A net in phase TEST on the parameters of a solver, which it reads where they are.

    As in Caffe a parameter belongs to the trained layer of the same name; layers that the trained net lacks
    keep their fillers' values. Raises WeightsError where shapes differ.
    """

    __test__: ClassVar[bool] = False  # for pytest: this is no test

    def __init__(self, solver: Solver, message: Any, input_shapes: Mapping[str, Shape] | None = None) -> None:
        definition, compute_loss = solver.definition, bool(solver.param.test_compute_loss)
        self.net: Net = build_net(
            message, "TEST", input_shapes=input_shapes, folder=definition.folder, seed=solver.seed
        )
        self._graph = build_validation(self.net, loss=compute_loss)
        self._run = Session(self._graph, solver.device, threads=solver.threads, training=True).bind()
        self._share(solver, self._run)
        self.outputs = {blob: self._graph.blobs[blob] for blob, s in self.net.outputs.items() if s == ()}
        if self._graph.loss is not None:
            self.outputs[self._graph.loss] = self._graph.loss
        for name in self.outputs.values():
            self._run.return_output(name)
        self.net = self.net.with_params({})

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
    def accuracy(self) -> str | None:
        """The blob with the top-1 accuracy: the first scalar top of an Accuracy layer, one with ``top_k: 1``
        if there is one."""
        ranks = [(k, p.message) for p in self.net.layers if (k := p.layer.top_k_accuracy) is not None]
        ranks.sort(key=lambda item: item[0])
        return next((m.top[0] for _, m in ranks if m.top and m.top[0] in self.outputs), None)

    def score(self, validation_set: ValidationSet, ranks: Ranks, stop: Callable[[], bool]) -> Scores | None:
        """Means of the scalar outputs over the batches of all ranks, each batch weighted by its samples.

        None if ``stop`` said so, on any rank. However many ranks there are, the same numbers are added in
        the same order.
        """
        sums = np.zeros((validation_set.count, 1 + len(self.outputs)))  # samples, then samples times output
        stopped = np.zeros(1)
        for batch in validation_set.batches(ranks):
            if stop():
                stopped[0] = 1
                break
            results = self._outputs(batch.feeds)
            values = [float(results[name]) for name in self.outputs.values()]
            sums[batch.number] = batch.samples * np.array([1.0, *values])
        ranks.add_up(stopped)
        ranks.add_up(sums)  # every row is one rank's, so nothing is rounded
        if stopped[0]:
            return None
        samples, *totals = sums.sum(axis=0).tolist()
        if samples == 0:
            raise DataError("no image of the validation set can be read")
        return {name: total / samples for name, total in zip(self.outputs, totals, strict=True)}

    def _outputs(self, feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        for name, value in feeds.items():
            if not self._graph.is_free(name, 0) and value.shape != self.net.inputs[name]:
                raise NetError(
                    f"net {self.net.name!r}: input {name!r} must have shape {self.net.inputs[name]}, got"
                    f" {value.shape}: a layer fixes the batch, so it must divide the validation set"
                )
            if isinstance(value, DeviceView):
                self._run.bind_input(name, value)
            else:
                self._run.feed(name, value)
        return self._run.run()
