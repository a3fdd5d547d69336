"""A training step in which each thread computes images of its own, from the first layer to the last and back.

So cores do not pass tensors to each other, which takes long where they have no cache in common. It is for a
CPU and for nets whose layers see each image by itself. Each part's losses count for its share of the batch,
and the gradients of all parts are added up, in the order of the images. Weights of fully connected layers are
what a batch of few images spends its memory on: their gradients are not made for each part, but once for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import RuleSet, Shape
from vggrepro.errors import ShapeError
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import LOSS, gradient_name, read_name
from vggrepro.graph.training_step import build_training_step
from vggrepro.graph.weight_gradients import (
    build_weight_gradients,
    factor_shapes,
    layers_of_weights,
    separable_weights,
)
from vggrepro.layers.absval import AbsVal
from vggrepro.layers.accuracy import Accuracy
from vggrepro.layers.concat import Concat
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.dropout import Dropout
from vggrepro.layers.eltwise import Eltwise
from vggrepro.layers.euclidean_loss import EuclideanLoss
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.lrn import LRN
from vggrepro.layers.pooling import Pooling
from vggrepro.layers.relu import ReLU
from vggrepro.layers.rules.loss import Normalization
from vggrepro.layers.sigmoid import Sigmoid
from vggrepro.layers.softmax import Softmax
from vggrepro.layers.softmax_with_loss import SoftmaxWithLoss
from vggrepro.layers.split import Split
from vggrepro.layers.tanh import TanH
from vggrepro.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView, Layout
from vggrepro.runtime.session import Session
from vggrepro.system.threads import ordered_map
from vggrepro.training.bound_step import bind_step
from vggrepro.training.solver_arrays import SolverArrays

MOST = 4
"""Threads. With more of them each would read all weights of the fully connected layers for few images."""

LEAST = 4
"""Images a thread. With two each (VGG-D, 4 images) a step took 5 to 8 % more where cores have a common cache:
each part computes gradients of its own for all convolutions. (It took 14 % less where they have none.)"""

BY_IMAGE = (
    *(AbsVal, Concat, Convolution, Dropout, Eltwise, InnerProduct, LRN),
    *(Pooling, ReLU, Sigmoid, Softmax, Split, TanH),
)
"""Layers whose tops have for each image what the bottoms' alone gives."""


def parts_of(net: Net, threads: int, device: Device) -> int:
    """Into how many parts of equally many images a step is divided; 1 where it stays whole: with fewer than
    LEAST images a thread, or where a layer looks at several images together."""
    images = {shape[0] if shape else 0 for shape in net.inputs.values()}
    if device.kind != "cpu" or not 1 < threads <= MOST or len(images) != 1:
        return 1
    (number,) = images
    if (
        number % threads
        or number < LEAST * threads
        or not all(_by_image(net, placed) for placed in net.layers)
    ):
        return 1
    try:
        part = _part(net, threads)
    except ShapeError:
        return 1
    each = number // threads
    divided = all(_divided(net.shapes[name], shape, number, each) for name, shape in part.shapes.items())
    return threads if divided else 1


def _by_image(net: Net, placed: NetLayer) -> bool:
    layer = placed.layer
    if layer.source:
        return all(top in net.inputs for top in placed.tops)
    if type(layer) is Softmax and layer.axis % len(net.shapes[placed.bottoms[0]]) == 0:
        return False  # it divides by a sum over the images
    if type(layer) is SoftmaxWithLoss:
        averaged = layer.averaging.mode not in (Normalization.NONE, Normalization.PRE_FIXED)
        return averaged and layer.averaging.ignore_label is None and not layer.class_weights
    if type(layer) is Accuracy:
        return layer.ignore_label is None and not layer.per_class
    return type(layer) is EuclideanLoss or (type(layer) in BY_IMAGE and not any(placed.loss_weights))


def _divided(whole: Shape, part: Shape, number: int, each: int) -> bool:
    """Whether a value has the images of a part along its first axis, or is one number."""
    return whole == part == () or (whole[:1] == (number,) and part == (each, *whole[1:]))


def _part(net: Net, count: int) -> Net:
    """The net on one of ``count`` parts of its images. Raises ShapeError where its layers allow none."""
    part = net.reshape({name: (shape[0] // count, *shape[1:]) for name, shape in net.inputs.items()})
    layers = (replace(p, loss_weights=tuple(w / count for w in p.loss_weights)) for p in part.layers)
    return replace(part, layers=tuple(layers))


@dataclass(frozen=True)
class SideBySide:
    """A net's training step in parts."""

    graph: Graph
    """That of one part."""
    session: Session
    """One thread's."""
    weights: Session | None
    """What makes gradients of factors, on all threads; None where there are none."""
    separate: tuple[str, ...]
    """The keys of the weights whose gradients it makes."""
    factors: Mapping[str, Shape]
    """What it reads: outputs of the parts, by name, in the shapes of the whole batch."""
    count: int
    images: int
    """Of one part."""

    @classmethod
    def of(cls, net: Net, count: int, rules: RuleSet | None, device: Device) -> SideBySide:
        part, wanted = _part(net, count), separable_weights(net)
        graph = build_training_step(part, rules, without=wanted)
        session = Session(graph, device, threads=1, training=True)
        separate = tuple(
            p.params[0].key for p in layers_of_weights(net, wanted) if read_name(p.name) in session.outputs
        )
        weights, factors = None, {}
        if separate:
            made = build_weight_gradients(net, separate, rules)
            weights = Session(made, device, threads=count, training=True)
            factors = factor_shapes(net, separate)
        images = next(iter(part.inputs.values()))[0]
        return cls(graph, session, weights, separate, factors, count, images)

    def bind(self, arrays: SolverArrays, gradients: DeviceArray) -> SharedRun:
        """A run that reads a solver's parameters, and writes their gradients to one of its arrays."""
        return SharedRun(self, arrays.places(arrays.values), arrays.places(gradients))


class SharedRun:
    """A run of a step's parts at the same time. As a :class:`BoundRun`, for whole batches."""

    def __init__(
        self, step: SideBySide, params: Mapping[str, DeviceView], gradients: Mapping[str, DeviceView]
    ) -> None:
        self._step = step
        summed = Layout({key: params[key].shape for key in step.graph.gradients})
        room = self._room(summed.size * (step.count - 1), gradients)
        others = [summed.within(room.array, room.offset + i * summed.size) for i in range(step.count - 1)]
        places = [gradients, *others]
        factors = Layout(step.factors)
        left = factors.within(DeviceArray(factors.size, step.session.device), 0)
        self._parts = [bind_step(step.graph, step.session, params, place, elsewhere=left) for place in places]
        self._sums = [[place[key].read() for place in places] for key in summed.shapes]
        self._weights = step.weights.bind() if step.weights is not None else None
        for name, place in left.items():
            for run, part in zip(self._parts, self._shared(place), strict=True):
                run.bind_output(name, part)
        if self._weights is not None:
            for name, place in left.items():
                self._weights.bind_input(name, place)
            for key in step.separate:
                self._weights.bind_output(gradient_name(key), gradients[key])

    def _shared(self, place: DeviceView) -> list[DeviceView]:
        """The places of the parts' images, in that of the whole batch."""
        size, shape = place.size // self._step.count, (self._step.images, *place.shape[1:])
        return [place.part(index * size, size).shaped(shape) for index in range(self._step.count)]

    def _room(self, size: int, gradients: Mapping[str, DeviceView]) -> DeviceView:
        """Memory for the gradients of all parts but the first. The place of a gradient that is made when they
        have been added up serves for that, if one is large enough."""
        free = [gradients[key] for key in self._step.separate if gradients[key].size >= size]
        return free[0] if free else DeviceView(DeviceArray(size, self._step.session.device), 0, (size,))

    def bind_input(self, name: str, place: DeviceView) -> None:
        """Let the coming runs read an input there."""
        for run, part in zip(self._parts, self._shared(place), strict=True):
            run.bind_input(name, part)

    def feed(self, name: str, array: npt.NDArray[Any]) -> None:
        """Give an input for the coming runs; it is shared."""
        for run, part in zip(self._parts, np.split(array, self._step.count), strict=True):
            run.feed(name, part)

    def feed_together(self, names: list[str], array: npt.NDArray[np.int64]) -> None:
        """Give layers that draw their state: a seed, and the number of the batch's first image."""
        for index, run in enumerate(self._parts):
            run.feed_together(names, array + np.array([0, index * self._step.images]))

    def run(self) -> dict[str, npt.NDArray[Any]]:
        """Run, and return the losses and the other outputs, as of the whole batch."""
        results = list(ordered_map(BoundRun.run, self._parts, threads=self._step.count))
        for _ in ordered_map(_add_up, self._sums, threads=self._step.count):
            pass
        if self._weights is not None:
            self._weights.run()
        return {name: _joined(name, [result[name] for result in results]) for name in results[0]}


def _add_up(arrays: Sequence[npt.NDArray[np.float32]]) -> None:
    """Add the others to the first one, in their order."""
    for other in arrays[1:]:
        np.add(arrays[0], other, out=arrays[0])


def _joined(name: str, values: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """An output of the whole batch, of those of its parts: the whole loss is in them by its share."""
    if values[0].shape:
        return np.concatenate(values)
    total = np.sum(values, axis=0, dtype=np.float32)
    return np.asarray(total if name == LOSS else total / np.float32(len(values)))
