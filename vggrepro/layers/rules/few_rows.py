"""Products of a few rows with a large matrix, which is read at nearly the memory's speed."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.emit import GraphBuilder

MOST = 16
"""Rows up to which this is faster than Gemm. One row alone is read fast by Gemm too."""

LEAST_ELEMENTS = 2**22
"""Elements (16 MiB) of the matrix from which on memory decides."""


def pays(g: GraphBuilder, rows: int | None, elements: int) -> bool:
    """Whether it is faster for so many rows (None: not known) and a matrix of ``elements``."""
    return g.rules == "cpu" and rows is not None and 1 < rows <= MOST and elements >= LEAST_ELEMENTS


def times_transposed(g: GraphBuilder, x: str, matrix: str, bias: Sequence[str]) -> str:
    """x (M, C) times the transpose of the matrix (K, C), plus perhaps one bias (K,): (M, K). The matrix is the
    left factor: ONNX Runtime copies pieces of the right one, 128 x 128 at a time, before it multiplies, and
    reads half as fast so."""
    y = g.op("MatMul", matrix, g.op("Transpose", x, perm=[1, 0]))
    if bias:
        y = g.op("Add", y, g.op("Unsqueeze", *bias, g.ints([1])))
    return g.op("Transpose", y, perm=[1, 0])
