"""Gaussian filtering over many dimensions by the permutohedral lattice.

Source: "Fast High-Dimensional Filtering Using the Permutohedral Lattice", section 3, as CRF-as-RNN's
ModifiedPermutohedral computes it. Each point of d features lies in a simplex of d + 1 vertices of a lattice.
Its value is spread over these vertices (splat), vertices that are there take up half of each neighbour's
along each of d + 1 axes (blur), and the point gathers its vertices' values again (slice).

A vertex is named by one number, its code: the quotients of its first d coordinates by d + 1, of 12 bits each,
and their common remainder. It takes steps between neighbours by adding constants.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import DOUBLE, FLOAT, INT64, GraphBuilder, Value
from vggrepro.layers.base import Array

BITS = 12
"""Of a quotient. With 5 features every code is below 2^63."""


class Lattice(NamedTuple):
    """A lattice in a graph, of M vertices and one more without value. For each of the d + 1 corners of a
    point's simplex: the vertex (P, 1), int64, and its share (P, 1). For each axis: both neighbours (M + 1),
    int64."""

    corners: tuple[str, ...]
    shares: tuple[str, ...]
    neighbours: tuple[tuple[str, str], ...]


def scales(d: int) -> list[float]:
    """What features are multiplied by, so that the filter has a deviation of 1."""
    return [sqrt(2 / 3) * (d + 1) / sqrt((i + 1) * (i + 2)) for i in range(d)]


def gain(d: int) -> float:
    return 1 / (1 + 2.0**-d)


def emit_lattice(g: GraphBuilder, features: Value) -> Lattice:
    """The lattice of ``features`` (P, d), float64: a vertex more or less changes what others take up, so the
    simplices are found as exactly as in the reference."""
    points, d = features.shape
    elevated = _elevated(g, features.name, d)
    whole = g.op("Round", g.op("Mul", elevated, _double(g, 1 / (d + 1))))
    rank, whole = _ranks(g, elevated, whole, d)
    above = g.op("Sub", elevated, g.op("Mul", whole, _double(g, d + 1)))
    shares = _shares(g, rank, g.op("Mul", above, _double(g, 1 / (d + 1))), d)
    codes = _codes(g, rank, whole, d)
    vertices, index = _numbered(g, g.op("Concat", *codes, axis=0), (d + 1) * points)
    corners = g.ops("Split", index, outputs=d + 1, axis=0, num_outputs=d + 1)
    return Lattice(corners, shares, _neighbours(g, vertices, d, (d + 1) * points))


def _double(g: GraphBuilder, value: npt.ArrayLike) -> str:
    return g.const(value, np.float64)


def _elevated(g: GraphBuilder, features: str, d: int) -> str:
    """The points in the plane of the lattice, (P, d + 1)."""
    scaled = g.op("Mul", features, _double(g, scales(d)))
    columns = [scaled] if d == 1 else list(g.ops("Split", scaled, outputs=d, axis=1, num_outputs=d))
    total, coordinates = columns[-1], [g.op("Mul", columns[-1], _double(g, -d))]
    for j in range(d - 1, 0, -1):
        coordinates.insert(0, g.op("Sub", total, g.op("Mul", columns[j - 1], _double(g, j))))
        total = g.op("Add", total, columns[j - 1])
    return g.op("Concat", total, *coordinates, axis=1)


def _ranks(g: GraphBuilder, elevated: str, whole: str, d: int) -> tuple[str, str]:
    """For each coordinate how many are farther above their rounded ones, (P, d + 1), and the rounded ones
    over d + 1, of a vertex that lies in the plane."""
    above = g.op("Sub", elevated, g.op("Mul", whole, _double(g, d + 1)))
    row, column = g.op("Unsqueeze", above, g.ints([2])), g.op("Unsqueeze", above, g.ints([1]))
    later, earlier = np.triu(np.ones((d + 1, d + 1)), 1), np.tril(np.ones((d + 1, d + 1)), -1)
    less = g.op("Mul", g.op("Cast", g.op("Less", row, column), to=DOUBLE), _double(g, later))
    passed = g.op("Mul", g.op("Cast", g.op("Less", column, row), to=DOUBLE), _double(g, earlier))
    pairs = g.op("Sub", g.op("Add", less, _double(g, earlier)), passed)
    rank = g.op("ReduceSum", pairs, g.ints([2]), keepdims=0)
    rank = g.op("Add", rank, g.op("ReduceSum", whole, g.ints([1])))
    below = g.op("Cast", g.op("Less", rank, _double(g, 0)), to=DOUBLE)
    beyond = g.op("Cast", g.op("GreaterOrEqual", rank, _double(g, d + 1)), to=DOUBLE)
    turn = g.op("Sub", below, beyond)
    return g.op("Add", rank, g.op("Mul", turn, _double(g, d + 1))), g.op("Add", whole, turn)


def _shares(g: GraphBuilder, rank: str, rest: str, d: int) -> tuple[str, ...]:
    """The barycentric coordinates: differences between neighbours in the order of ranks, float32 (P, 1)
    each."""
    own = g.op("Equal", g.op("Unsqueeze", rank, g.ints([1])), _double(g, np.arange(d + 1)[:, None]))
    picked = g.op("Where", own, g.op("Unsqueeze", rest, g.ints([1])), _double(g, 0))
    by_rank = g.op("ReduceSum", picked, g.ints([2]), keepdims=0)  # (P, d + 1)
    falling = g.op("Gather", by_rank, g.ints(range(d, -1, -1)), axis=1)
    before = g.op("Gather", by_rank, g.ints([0, *range(d, 0, -1)]), axis=1)
    shares = g.op("Add", g.op("Sub", falling, before), _double(g, [1, *[0] * d]))
    rounded = g.op("Cast", shares, to=FLOAT)
    return g.ops("Split", rounded, outputs=d + 1, axis=1, num_outputs=d + 1)


def _powers(d: int) -> list[int]:
    return [(d + 1) << (BITS * i) for i in range(d)]


def _codes(g: GraphBuilder, rank: str, whole: str, d: int) -> list[str]:
    """The codes of the d + 1 corners, (P, 1) each."""
    ranks, wholes = (g.op("Gather", name, g.ints(range(d)), axis=1) for name in (rank, whole))
    base = _coded(g, g.op("Cast", wholes, to=INT64), d)
    codes = []
    for corner in range(d + 1):
        back = _coded(g, g.op("Cast", g.op("Greater", ranks, _double(g, d - corner)), to=INT64), d)
        codes.append(g.op("Add", g.op("Sub", base, back), g.ints(corner)))
    return codes


def _coded(g: GraphBuilder, quotients: str, d: int) -> str:
    """The codes, (P, 1), of quotients (P, d) with the remainder 0. They are added one by one: ReduceSum of
    ONNX Runtime rounds int64 beyond 2^53."""
    columns = [quotients] if d == 1 else g.ops("Split", quotients, outputs=d, axis=1, num_outputs=d)
    terms = [g.op("Mul", column, g.ints(power)) for column, power in zip(columns, _powers(d), strict=True)]
    return g.sum_in_order(terms)


def _numbered(g: GraphBuilder, codes: str, number: int) -> tuple[str, str]:
    """The different codes in rising order, (M), and which of them each code is, (number, 1). The second axis
    keeps shape inference from looking for sizes in so many numbers."""
    rising, order = g.ops("TopK", codes, g.ints([number]), outputs=2, axis=0, largest=0, sorted=1)
    later = g.op("Slice", rising, g.ints([1]), g.ints([number]))
    earlier = g.op("Slice", rising, g.ints([0]), g.ints([number - 1]))
    new = g.op("Concat", g.const([[True]], np.bool_), g.op("Not", g.op("Equal", later, earlier)), axis=0)
    ids = g.op("Sub", g.op("CumSum", g.op("Cast", new, to=INT64), g.ints(0)), g.ints(1))
    vertices = g.op("Compress", rising, g.op("Reshape", new, g.ints([-1])), axis=0)
    return g.op("Reshape", vertices, g.ints([-1])), g.op("ScatterElements", codes, order, ids, axis=0)


def _neighbours(g: GraphBuilder, vertices: str, d: int, most: int) -> tuple[tuple[str, str], ...]:
    """Both neighbours along each axis; the number M stands for one that is not there."""
    powers = _powers(d)
    corner = g.op("Mod", vertices, g.ints(d + 1))
    turn = g.ints(d + 1 - sum(powers))
    down = g.op("Where", g.op("Equal", corner, g.ints(0)), turn, g.ints(0))
    up = g.op("Where", g.op("Equal", corner, g.ints(d)), turn, g.ints(0))
    steps = g.const([[power - 1] for power in (*powers, 0)], np.int64)  # (d + 1, 1)
    before = g.op("Add", g.op("Add", vertices, down), steps)
    after = g.op("Sub", g.op("Sub", vertices, up), steps)
    sought = g.op("Concat", before, after, axis=0)  # (2 d + 2, M)
    number = g.op("Shape", vertices)
    found = _found(g, vertices, sought, number, most)
    none = g.op("Expand", number, g.ints([2 * d + 2, 1]))
    rows = g.op("Concat", found, none, axis=1)
    each = [g.op("Gather", rows, g.ints(row), axis=0) for row in range(2 * d + 2)]
    return tuple(zip(each[: d + 1], each[d + 1 :], strict=True))


def _found(g: GraphBuilder, rising: str, sought: str, number: str, most: int) -> str:
    """The places of numbers in a rising list of ``number``, at most ``most``, by halving; ``number`` for
    those that it lacks."""
    last = g.op("Sub", number, g.ints(1))
    at = g.op("Sub", sought, sought)
    for bit in reversed(range(most.bit_length())):
        ahead = g.op("Add", at, g.ints(1 << bit))
        value = g.op("Gather", rising, g.op("Min", ahead, last), axis=0)
        there = g.op("And", g.op("Less", ahead, number), g.op("LessOrEqual", value, sought))
        at = g.op("Where", there, ahead, at)
    return g.op("Where", g.op("Equal", g.op("Gather", rising, at, axis=0), sought), at, number)


def emit_filter(g: GraphBuilder, lattice: Lattice, values: str, *, transposed: bool = False) -> str:
    """Values (P, C), filtered; ``transposed``: by the transpose of the same map."""
    d = len(lattice.corners) - 1
    size = g.op("Shape", lattice.neighbours[0][0])
    held = g.op("Expand", g.const(0), g.op("Concat", size, g.op("Shape", values, start=1), axis=0))
    for corner, share in zip(lattice.corners, lattice.shares, strict=True):
        held = g.op("ScatterND", held, corner, g.op("Mul", values, share), reduction="add")
    for before, after in reversed(lattice.neighbours) if transposed else lattice.neighbours:
        both = g.op("Add", g.op("Gather", held, before, axis=0), g.op("Gather", held, after, axis=0))
        held = g.op("Add", held, g.op("Mul", both, g.const(0.5)))
    parts = [
        g.op("Mul", g.op("GatherND", held, corner), share)
        for corner, share in zip(lattice.corners, lattice.shares, strict=True)
    ]
    return g.op("Mul", g.sum_in_order(parts), g.const(gain(d)))


class ReferenceLattice:
    """The same in float64, with the vertices' coordinates themselves."""

    def __init__(self, features: Array) -> None:
        points, d = features.shape
        self.d = d
        scaled = (features * scales(d)).T
        rows = [-d * scaled[-1]]
        total = scaled[-1].copy()
        for j in range(d - 1, 0, -1):
            rows.insert(0, total - j * scaled[j - 1])
            total += scaled[j - 1]
        elevated = np.stack([total, *rows], axis=1)
        nearest = np.rint(elevated * (1 / (d + 1)))
        above = elevated - nearest * (d + 1)
        rank = np.argsort(np.argsort(-above, 1, kind="stable"), 1) + nearest.sum(1, keepdims=True)
        turn = (rank < 0).astype(float) - (rank > d)
        rank, nearest = (rank + turn * (d + 1)).astype(int), nearest + turn
        rest = np.take_along_axis(elevated / (d + 1) - nearest, np.argsort(-rank, 1), 1)
        self.shares = np.diff(rest, axis=1, prepend=rest[:, -1:] - 1)
        corners = [nearest * (d + 1) + i - (d + 1) * (rank > d - i) for i in range(d + 1)]
        keys = np.concatenate(corners)[:, :d].astype(np.int64)
        vertices, index = np.unique(keys, axis=0, return_inverse=True)
        self.index = index.reshape(d + 1, points)
        self.vertices = len(vertices)
        places = {tuple(vertex): place for place, vertex in enumerate(vertices.tolist())}
        self.neighbours = [
            [self._places(places, vertices + sign * self._step(axis)) for sign in (1, -1)]
            for axis in range(d + 1)
        ]

    def _step(self, axis: int) -> npt.NDArray[np.int64]:
        step = np.full(self.d + 1, -1)
        step[axis] = self.d
        return step[: self.d]

    def _places(
        self, places: dict[tuple[int, ...], int], vertices: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        return np.array([places.get(tuple(vertex), self.vertices) for vertex in vertices.tolist()])

    def filter(self, values: Array) -> Array:
        """Values (P, C), filtered."""
        held = np.zeros((self.vertices + 1, values.shape[1]))
        for index, share in zip(self.index, self.shares.T, strict=True):
            for channel, column in enumerate(values.T):
                held[:-1, channel] += np.bincount(index, column * share, self.vertices)
        for before, after in self.neighbours:
            held[:-1] += 0.5 * (held[before] + held[after])
        parts = [held[i] * share[:, None] for i, share in zip(self.index, self.shares.T, strict=True)]
        return np.asarray(sum(parts) * gain(self.d))


def emit_pixel_features(g: GraphBuilder, height: int, width: int, scale: float) -> str:
    """Column and row of each pixel, divided by ``scale``: float64 (H * W, 2)."""
    sides = (np.arange(width)[None, :, None] / scale, np.arange(height)[:, None, None] / scale)
    planes = [g.op("Expand", _double(g, side), g.ints([height, width, 1])) for side in sides]
    return g.op("Reshape", g.op("Concat", *planes, axis=2), g.ints([height * width, 2]))


def pixel_features(height: int, width: int, scale: float) -> Array:
    """The same in NumPy."""
    rows, columns = np.indices((height, width))
    return np.stack([columns.reshape(-1), rows.reshape(-1)], axis=1) / scale
