"""Trees of labels, in which each node's children share its probability (YOLO9000's WordTree): in NumPy, and
as nodes.

A file has a line for each label, its name and its parent's number or -1. Neighbours of one parent are a
group, over which a softmax is taken. Section 4 of "YOLO9000: Better, Faster, Stronger"; ``tree`` of
choasup/caffe-yolo9000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array

Ints = npt.NDArray[np.int64]


def read_numbers(path: str, column: int) -> tuple[int, ...]:
    """A whole number of each line of a text file, from its words. Raises NetError."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
        return tuple(int(line.split()[column]) for line in lines if line.strip())
    except OSError as error:
        raise NetError(f"{path}: {error.strerror}") from None
    except (IndexError, ValueError):
        raise NetError(f"{path}: expected a whole number as word {column + 1} of each line") from None


@dataclass(frozen=True)
class LabelTree:
    """The parent of each label, -1 for none."""

    parents: tuple[int, ...]

    @classmethod
    def read(cls, path: str, labels: int) -> LabelTree:
        """The tree of a file. Raises NetError for one that has not so many labels, or whose parents do not
        come before their children."""
        parents = read_numbers(path, 1)
        if len(parents) != labels:
            raise NetError(f"{path}: {len(parents)} labels, expected {labels}")
        for label, parent in enumerate(parents):
            if not -1 <= parent < label:
                raise NetError(
                    f"{path}: label {label} has the parent {parent}: expected an earlier one or -1"
                )
        return cls(parents)

    @property
    def sizes(self) -> list[int]:
        """How many labels each group has, in the order of the groups."""
        return [len(list(group)) for _, group in groupby(self.parents)]

    @property
    def groups(self) -> Ints:
        """The number of each label's group."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def chain(self, label: int) -> list[int]:
        """A label, its parent, and so on."""
        found = []
        while label >= 0:
            found.append(label)
            label = self.parents[label]
        return found

    @property
    def _chains(self) -> Ints:
        """Of each label its chain (labels, depth), filled up with the number of labels."""
        chains = [self.chain(label) for label in range(len(self.parents))]
        depth = max(map(len, chains))
        return np.array([[*chain, *[len(chains)] * (depth - len(chain))] for chain in chains])

    def emit_shares(self, g: GraphBuilder, scores: str) -> str:
        """The softmax over each group of scores (N, A, labels)."""
        sizes = self.sizes
        if len(sizes) == 1:
            return g.op("Softmax", scores, axis=2)
        parts = g.ops("Split", scores, g.ints(sizes), outputs=len(sizes), axis=2)
        return g.op("Concat", *(g.op("Softmax", part, axis=2) for part in parts), axis=2)

    def emit_chains(self, g: GraphBuilder, labels: str) -> tuple[str, str]:
        """Of labels (N, K), int64, 1 for each label in the groups of the chain, and 1 for each of the chain:
        float32 (N, K, labels)."""
        known = g.op("Unsqueeze", g.op("Gather", g.const(self._chains, np.int64), labels), g.ints([3]))
        groups = np.append(self.groups, -1)
        taught = g.op("Gather", g.const(groups, np.int64), known)  # (N, K, depth, 1)
        every = g.const(np.arange(len(self.parents)), np.int64)
        return (
            _some(g, g.op("Equal", taught, g.const(self.groups, np.int64))),
            _some(g, g.op("Equal", known, every)),
        )

    def emit_probability(self, g: GraphBuilder, shares: str, labels: str) -> str:
        """Of shares (N, A, labels) and one label for each image, int64 (N), the product over its chain: (N,
        A)."""
        chain = g.op("Gather", g.const(self._chains, np.int64), labels)  # (N, depth)
        rows = g.op("Slice", g.op("Shape", shares), g.ints([0]), g.ints([2]))
        whole = g.op("Concat", rows, g.ints([self._chains.shape[1]]), axis=0)
        index = g.op("Expand", g.op("Unsqueeze", chain, g.ints([1])), whole)  # (N, A, depth)
        ones = g.op("Expand", g.const(1), g.op("Concat", rows, g.ints([1]), axis=0))
        found = g.op("GatherElements", g.op("Concat", shares, ones, axis=2), index, axis=2)
        return g.op("ReduceProd", found, g.ints([2]), keepdims=0)

    def shares(self, scores: Array) -> Array:
        """As ``emit_shares``, of scores (A, labels)."""
        powers = np.exp(scores - scores.max(1, keepdims=True))
        sums = np.add.reduceat(powers, np.cumsum([0, *self.sizes[:-1]]), axis=1)
        values: Array = powers / sums[:, self.groups]
        return values

    def teach(self, slopes: Array, shares: Array, label: int, scale: float) -> None:
        """Write into the slopes (labels) of one box what its label says of the groups of its chain."""
        chain = self.chain(label)
        for node in chain:
            group = self.groups == self.groups[node]
            slopes[group] = scale * shares[group]
        slopes[chain] -= scale


def _some(g: GraphBuilder, flags: str) -> str:
    """Whether one is true along the third axis, which goes; float32."""
    return g.op("ReduceMax", g.op("Cast", flags, to=FLOAT), g.ints([2]), keepdims=0)


def mapped(labels: Ints, numbers: Sequence[int]) -> Ints:
    """Labels by a map; one that it lacks becomes 0."""
    table = np.append(numbers, 0)
    return np.asarray(table[np.where((labels >= 0) & (labels < len(numbers)), labels, len(numbers))])


def emit_mapped(g: GraphBuilder, labels: str, numbers: Sequence[int]) -> str:
    """:func:`mapped` as nodes, int64."""
    last = g.ints(len(numbers))
    inside = g.op("And", g.op("GreaterOrEqual", labels, g.ints(0)), g.op("Less", labels, last))
    return g.op("Gather", g.ints([*numbers, 0]), g.op("Where", inside, labels, last))
