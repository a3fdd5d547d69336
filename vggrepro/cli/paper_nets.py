"""Tables 1 and 2 of the paper and the arithmetic of its section 2.3, computed from the nets themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, zip_longest
from typing import Any

from vggrepro.caffe.text import parse_net
from vggrepro.net import NetLayer, load_net
from vggrepro.net.inspect import inspect
from vggrepro.net.net import build
from vggrepro.paper.nets import CONFIGS, SHALLOW, deploy_prototxt
from vggrepro.text_table import aligned

_POOL = "maxpool"
_CHANNELS = 512
"""C of the stacks that are built for section 2.3; their weights are so many times C^2 for any C."""


@dataclass(frozen=True)
class Configuration:
    """A column of Table 1: ``layers`` in the paper's words (conv3-64, LRN, maxpool, FC-4096, soft-max), of
    which ``weight_layers`` have weights, and ``parameters``, weights and biases."""

    name: str
    layers: tuple[str, ...]
    weight_layers: int
    parameters: int

    @property
    def blocks(self) -> list[list[str]]:
        """The layers between the poolings; the fully connected ones are the last block."""
        return [list(block) for pool, block in groupby(self.layers, _POOL.__eq__) if not pool]


@dataclass(frozen=True)
class Stack:
    """Convolutions with C channels at bottom and top, without biases, one upon the other: the side of what
    one output sees, in pixels, and the weights."""

    kernels: tuple[int, ...]
    channels: int
    field: int
    weights: int

    @property
    def coefficient(self) -> float:
        """Weights as a multiple of C^2."""
        return self.weights / self.channels**2

    def __str__(self) -> str:
        return f"{len(self.kernels)} of {self.kernels[0]}x{self.kernels[0]}"


def configuration(name: str) -> Configuration:
    """A configuration of the paper, from its deploy prototxt."""
    net = load_net(deploy_prototxt(name), fill=False)
    words = [word for layer in net.layers if (word := _word(layer)) is not None]
    return Configuration(
        name,
        tuple(words),
        weight_layers=sum(bool(layer.params) for layer in net.layers),
        parameters=inspect(net)[1].parameters,
    )


def _word(layer: NetLayer) -> str | None:
    """A layer as Table 1 calls it; None for those that it does not show."""
    if layer.message.type in ("Convolution", "InnerProduct"):
        shape = layer.params[0].definition.shape
        return f"FC-{shape[0]}" if len(shape) == 2 else f"conv{shape[-1]}-{shape[0]}"
    return {"LRN": "LRN", "Pooling": _POOL, "Softmax": "soft-max"}.get(layer.message.type)


def stack(kernels: Sequence[int], channels: int = _CHANNELS) -> Stack:
    """A net of convolutions with these kernels, and what :func:`inspect` finds of it."""
    size = sum(kernels)
    text = f'layer {{ name: "x0" type: "Input" top: "x0" input_param {{ shape {{ dim: 1 dim: {channels}'
    text += f" dim: {size} dim: {size} }} }} }}\n"
    for number, kernel in enumerate(kernels):
        text += (
            f'layer {{ name: "x{number + 1}" type: "Convolution" bottom: "x{number}" top: "x{number + 1}"'
            f" convolution_param {{ num_output: {channels} kernel_size: {kernel} bias_term: false }} }}\n"
        )
    rows, totals = inspect(build(parse_net(text), "TEST"))
    field = rows[-1].field
    assert field is not None
    return Stack(tuple(kernels), channels, field[0], totals.parameters)


@dataclass(frozen=True)
class PaperNets:
    """What ``--tables`` shows: the configurations of Table 1, the shallow net of section 4.1, and pairs of
    stacks that see the same, of small and of large kernels."""

    configurations: tuple[Configuration, ...]
    shallow: Configuration
    stacks: tuple[tuple[Stack, Stack], ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "configurations": [asdict(one) for one in (*self.configurations, self.shallow)],
            "stacks": [
                [{**asdict(one), "coefficient": one.coefficient} for one in pair] for pair in self.stacks
            ],
        }

    def text(self) -> str:
        """All of it as tables of plain text."""
        parts = ["Table 1: configurations", *self._table_1(), "", "Table 2: parameters in millions"]
        parts += [*self._table_2(), "", "Section 2.3: weights of stacks with C channels, without biases"]
        return "\n".join([*parts, *self._stacks()])

    def _table_1(self) -> list[str]:
        columns = [one.blocks for one in self.configurations]
        head = [[one.name for one in self.configurations]]
        head.append([f"{one.weight_layers} weight layers" for one in self.configurations])
        rows = [*head, [""] * len(columns)]
        for number, blocks in enumerate(zip(*columns, strict=True)):
            rows += [[_POOL] * len(columns)] if number else []
            rows += [list(row) for row in zip_longest(*blocks, fillvalue="")]
        return aligned(rows)

    def _table_2(self) -> list[str]:
        nets = (*self.configurations, self.shallow)
        rows = [(one.name, f"{one.parameters / 1e6:.0f}", f"{one.parameters:,}") for one in nets]
        return aligned([("net", "millions", "exactly"), *rows], right=(1, 2))

    def _stacks(self) -> list[str]:
        rows = [("stack", "field", "weights", f"C = {_CHANNELS}", "more")]
        for small, large in self.stacks:
            more = f"{large.weights / small.weights - 1:.0%}"
            for one, last in ((small, ""), (large, more)):
                field = f"{one.field}x{one.field}"
                rows.append((str(one), field, f"{one.coefficient:g}C^2", f"{one.weights:,}", last))
        return aligned(rows, right=(2, 3, 4))


def paper_nets() -> PaperNets:
    """The nets of the package, and two and three 3x3 convolutions against one of 5x5 and of 7x7."""
    return PaperNets(
        tuple(configuration(name) for name in CONFIGS if name != SHALLOW),
        configuration(SHALLOW),
        tuple((stack([3] * count), stack([2 * count + 1])) for count in (2, 3)),
    )
