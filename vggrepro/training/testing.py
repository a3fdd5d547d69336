"""Testing while training: nets in phase TEST on the trained net's parameters (Caffe's ``TestAll``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels
from vggrepro.data.preprocess import Kernel, centre_offset, cut, rescale
from vggrepro.data.reading import Reader
from vggrepro.emit import Shape
from vggrepro.errors import DataError, NetError, WeightsError
from vggrepro.graph.naming import output_names
from vggrepro.graph.training_step import LOSS
from vggrepro.graph.validation import build_test
from vggrepro.net import Net, build_net
from vggrepro.runtime.buffers import BoundRun, Slice
from vggrepro.runtime.session import Session
from vggrepro.system.ranks import Ranks
from vggrepro.training.batches import ImageInputs, LayerBatches, Preparer
from vggrepro.training.solver import Feeds, Solver

Scores = dict[str, float]


@dataclass(frozen=True)
class Portion:
    """One batch of a test: its number, how many samples it holds, and what the net is fed."""

    number: int
    samples: int
    feeds: Feeds


class Portions(Protocol):
    """A test's batches. ``count`` is how many there are on all ranks together."""

    @property
    def count(self) -> int: ...

    def portions(self, ranks: Ranks) -> Iterator[Portion]:
        """The batches of one rank: every ``ranks.size``-th."""


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
        graph, self.any_size = build_test(self.net, loss=compute_loss)
        session = Session(graph, str(solver.device), threads=solver.threads, training=True)
        self._run = BoundRun(session.raw, session.device)
        self._share(solver)
        names = output_names(self.net)
        self.outputs = {b: names[b] for b, shape in self.net.outputs.items() if shape == ()}
        if compute_loss:
            self.outputs[LOSS] = LOSS
        for name in self.outputs.values():
            self._run.return_output(name)
        self.net = self.net.with_params({})

    def _share(self, solver: Solver) -> None:
        memory = solver.memory
        trained = {use.key: use for use in solver.net.param_uses}
        for use in self.net.param_uses:
            if use.owner != use.key:
                continue
            if use.key not in trained:
                self._run.feed(use.key, self.net.params[use.key])
                continue
            source = trained[use.key]
            if source.definition.shape != use.definition.shape:
                raise WeightsError(
                    f"Cannot share param {use.key}: the net in phase TEST has shape {use.definition.shape},"
                    f" the trained one {source.definition.shape}"
                )
            place = memory.layout.slice(memory.values, source.owner)
            self._run.bind_input(use.key, Slice(place.buffer, place.offset, use.definition.shape))

    @property
    def accuracy(self) -> str | None:
        """The blob with the top-1 accuracy: the first scalar top of an Accuracy layer, one with ``top_k: 1``
        if there is one."""
        layers = [p.message for p in self.net.layers if p.message.type == "Accuracy"]
        layers.sort(key=lambda message: message.accuracy_param.top_k)
        return next((m.top[0] for m in layers if m.top and m.top[0] in self.outputs), None)

    def score(self, batches: Portions, ranks: Ranks, stop: Callable[[], bool]) -> Scores | None:
        """Means of the scalar outputs over the batches of all ranks, each batch weighted by its samples.

        None if ``stop`` said so, on any rank. However many ranks there are, the same numbers are added in
        the same order.
        """
        sums = np.zeros((batches.count, 1 + len(self.outputs)))  # samples, then samples times output
        stopped = np.zeros(1)
        for portion in batches.portions(ranks):
            if stop():
                stopped[0] = 1
                break
            results = self._outputs(portion.feeds)
            values = [float(results[name]) for name in self.outputs.values()]
            sums[portion.number] = portion.samples * np.array([1.0, *values])
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
            if not self.any_size and value.shape != self.net.inputs[name]:
                raise NetError(
                    f"net {self.net.name!r}: input {name!r} must have shape {self.net.inputs[name]}, got"
                    f" {value.shape}: a layer fixes the batch, so it must divide the validation set"
                )
            if isinstance(value, Slice):
                self._run.bind_input(name, value)
            else:
                self._run.feed(name, value)
        return self._run.run()


@dataclass(frozen=True)
class ImageTest:
    """Every image of a validation set once: rescaled to a smaller side of ``smallest``, centre crop.

    The last batch is smaller where the net allows it; otherwise the number of images must be a multiple of
    the batch.
    """

    reader: Reader
    inputs: ImageInputs
    prepare: Preparer
    mean_bgr: tuple[float, float, float]
    smallest: int
    kernel: Kernel = "linear"
    threads: int | None = None

    @property
    def count(self) -> int:
        return -(-len(self.reader.source) // self.inputs.batch)

    def portions(self, ranks: Ranks) -> Iterator[Portion]:
        batch, source = self.inputs.batch, self.reader.source
        mine = (i for i in range(len(source)) if i // batch % ranks.size == ranks.rank)
        crops = self.reader.each(mine, self._crop, threads=self.threads, ahead=2 * batch)
        for number, group in groupby(crops, key=lambda item: item[0] // batch):
            indices, images = zip(*group, strict=True)
            shifts = np.tile(-np.array(self.mean_bgr, np.float32), (len(images), 1))
            labels = np.array([self._label(index) for index in indices], np.int64)
            blob = self.prepare(np.stack(images), shifts)
            yield Portion(number, len(images), self.inputs.feeds(blob, labels))

    def _crop(self, pixels: Pixels) -> Pixels:
        scaled = rescale(pixels, self.smallest, self.kernel)
        side = self.inputs.side
        return cut(scaled, centre_offset(scaled.shape[0], scaled.shape[1], side), side)

    def _label(self, index: int) -> int:
        label = self.reader.source.label(index)
        if label is None:
            name = self.reader.source.key(index)
            raise DataError(f"{self.reader.source.name}: {name}: the image has no label")
        return label


@dataclass(frozen=True)
class LayerTest:
    """``test_iter`` batches of the net's own data layers.

    DEVIATION: each test begins with the first batch; Caffe goes on where the last test ended, so that two
    tests differ unless test_iter batches are the whole set.
    """

    batches: LayerBatches
    count: int

    def portions(self, ranks: Ranks) -> Iterator[Portion]:
        # LayerBatches divides every batch among the ranks; for tests it is made for one.
        for number, feeds in enumerate(islice(self.batches.passes(0), self.count)):
            if number % ranks.size == ranks.rank:
                yield Portion(number, next(iter(feeds.values())).shape[0], feeds)
