"""What Caffe's solver logs of its progress and of the outputs of its nets."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from vggrepro.pycaffe.net import Net


class Progress:
    """Losses and speed of training. The loss that is displayed is the mean of the last ``average_loss``
    iterations of one call of ``step``."""

    def __init__(self) -> None:
        self._average_loss = 1
        self._losses: list[float] = []
        self._shown: int | None = None
        self._began = 0.0

    def start(self, iteration: int, average_loss: int) -> None:
        """Begin a call of ``step``. As in Caffe the losses and the clock begin again, and the iterations are
        counted on from the one that was displayed last."""
        self._average_loss = average_loss
        self._losses = []
        self._began = time.perf_counter()
        if self._shown is None:
            self._shown = iteration

    def add(self, loss: float) -> None:
        """Count the loss of an iteration."""
        self._losses = [*self._losses, loss][-self._average_loss :]

    @property
    def loss(self) -> float:
        return sum(self._losses) / max(1, len(self._losses))

    def line(self, iteration: int, display: int) -> str:
        """The line of an iteration that is displayed, with the speed since the one before."""
        now = time.perf_counter()
        seconds, iterations = now - self._began, iteration - (self._shown or 0)
        self._shown, self._began = iteration, now
        speed = f"{iterations / seconds:g} iter/s, {seconds:g}s/{display} iters"
        return f"Iteration {iteration} ({speed}), loss = {self.loss:g}"


def output_lines(net: Net, outputs: Iterable[tuple[str, Any]], what: str) -> list[str]:
    """The lines that Caffe logs of a net's outputs, one for each element: ``what``, the element's number, the
    blob's name, the value, and of a loss its weighted value as well."""
    lines: list[str] = []
    for name, array in outputs:
        weight = net.blob_loss_weights[name]
        for value in np.ravel(array):
            loss = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
            lines.append(f"{what} #{len(lines)}: {name} = {value:g}{loss}")
    return lines
