"""Which value each layer reads and writes: in-place layers resolved to single assignment.

Caffe lets a layer overwrite its bottom. Here every contents of a blob is a *value* of its own:
the first bears the blob's name, each later one the blob's name, ``#`` and the layer's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.errors import NetError, did_you_mean, naming
from vggrepro.layers.base import AnyLayer
from vggrepro.net.net_layer import place_of


@dataclass(frozen=True)
class Wires:
    """The values that one layer reads (``bottoms``) and writes (``tops``)."""

    bottoms: tuple[str, ...]
    tops: tuple[str, ...]


@dataclass(frozen=True)
class Wiring:
    """Wires of each layer in order; the last value of each blob; the blobs that nobody consumes."""

    layers: tuple[Wires, ...]
    blobs: dict[str, str]
    outputs: tuple[str, ...]


class _Wirer:
    def __init__(self) -> None:
        self.current: dict[str, str] = {}
        self.readers: dict[str, int] = {}
        self.available: set[str] = set()

    def read(self, message: Any, index: int) -> str:
        blob = message.bottom[index]
        if blob not in self.current:
            where = f"(layer '{message.name}', bottom index {index})"
            raise NetError(f"Unknown bottom blob '{blob}' {where}{did_you_mean(blob, self.current)}")
        value = self.current[blob]
        self.readers[value] += 1
        self.available.discard(blob)
        return value

    def automatic(self, message: Any, index: int) -> str:
        """The value of a top that the definition does not name."""
        value = self._new(f"{message.name}/(automatic)_{index}")
        self.readers[value] = 0
        return value

    def _new(self, value: str) -> str:
        """The name of a new value: with a number behind it where another layer of this name made one."""
        number, name = 1, value
        while name in self.readers:
            number += 1
            name = f"{value}#{number}"
        return name

    def write(self, message: Any, layer: AnyLayer, index: int) -> str:
        blob = message.top[index]
        in_place = index < len(message.bottom) and message.bottom[index] == blob
        if in_place and not layer.in_place:
            raise NetError(
                f"{layer.type} Layer does not allow in-place computation. (top and bottom are both {blob!r})"
            )
        if blob in self.current and (not in_place or self.readers[self.current[blob]] > 1):
            raise NetError(f"Top blob '{blob}' produced by multiple sources.")
        value = self.current[blob] = self._new(f"{blob}#{message.name}") if in_place else blob
        self.readers[value] = int(any(message.loss_weight[index : index + 1]))  # Caffe splits it for its loss
        self.available.add(blob)
        return value


def wire(messages: Sequence[Any], layers: Sequence[AnyLayer]) -> Wiring:
    """Resolve the names of a net, as Caffe's ``Net::Init`` does.

    Raises NetError for an unknown bottom (a cycle shows as one too), a blob with two sources, an
    in-place layer that cannot be one, and a wrong number of ``propagate_down``.
    """
    wirer = _Wirer()
    wires = []
    for message, layer in zip(messages, layers, strict=True):
        with naming(place_of(message)):
            _check_propagate_down(message)
        bottoms = tuple(wirer.read(message, i) for i in range(len(message.bottom)))
        with naming(place_of(message)):
            tops = [wirer.write(message, layer, i) for i in range(len(message.top))]
        tops += [wirer.automatic(message, i) for i in range(automatic_tops(message, type(layer)))]
        wires.append(Wires(bottoms, tuple(tops)))
    return Wiring(tuple(wires), wirer.current, tuple(sorted(wirer.available)))


def _check_propagate_down(message: Any) -> None:
    given, bottoms = len(message.propagate_down), len(message.bottom)
    if given not in (0, bottoms):
        raise NetError(
            f"propagate_down param must be specified either 0 or bottom_size times ({given} vs. {bottoms})"
        )


def check_counts(message: Any, kind: type[AnyLayer]) -> None:
    """Caffe's ``CheckBlobCounts``. Raises NetError for a wrong number of bottoms or tops."""
    tops = len(message.top) + automatic_tops(message, kind)
    checks = (
        (len(message.bottom), kind.bottoms, "takes", "bottom blob(s) as input."),
        (tops, kind.tops, "produces", "top blob(s) as output."),
    )
    for number, count, verb, what in checks:
        if number not in count:
            limit = count.limit(number)
            raise NetError(f"{kind.type} Layer {verb} {limit} {what} (got {number})")


def automatic_tops(message: Any, kind: type[AnyLayer]) -> int:
    """Caffe's ``AutoTopBlobs``: a loss layer without a top gets an anonymous one."""
    return max(0, kind.tops.least - len(message.top)) if kind.loss else 0
