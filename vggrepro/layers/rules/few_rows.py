"""Products of a few rows with a large matrix, which is read at nearly the memory's speed."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.emit import GraphBuilder

MOST = 16
"""Rows up to which this is faster than Gemm."""

LEAST_ELEMENTS = 2**22
"""Elements (16 MiB) of the matrix from which on memory decides."""


def pays(g: GraphBuilder, rows: int | None, elements: int) -> bool:
    """Whether it is faster for so many rows (None: not known) and a matrix of ``elements``."""
    return g.rules == "cpu" and rows is not None and rows <= MOST and elements >= LEAST_ELEMENTS


def times_transposed(g: GraphBuilder, x: str, rows: int, matrix: str, bias: Sequence[str]) -> str:
    """x (rows, C) times the transpose of the matrix (K, C), plus perhaps one bias (K,): (rows, K).

    The matrix is the left factor. As the right one it would be copied: 128 x 128 elements at a time before
    they are multiplied, which reads it half as fast, or, if it is constant, when the session is made.
    The bias is added before the product is transposed: behind it ONNX Runtime makes a Gemm of all three, to
    which the bias does not fit.
    """
    if rows == 1:  # ONNX Runtime has a product with a column of its own, but not if it must transpose a row
        y = g.op("Reshape", g.op("MatMul", matrix, g.op("Reshape", x, g.ints([-1, 1]))), g.ints([1, -1]))
        return g.op("Add", y, *bias) if bias else y
    y = g.op("MatMul", matrix, g.op("Transpose", x, perm=[1, 0]))
    if bias:
        y = g.op("Add", y, g.op("Unsqueeze", *bias, g.ints([1])))
    return g.op("Transpose", y, perm=[1, 0])
