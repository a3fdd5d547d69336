"""Products of a few rows with a large matrix, which is read at nearly the memory's speed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggrepro.emit import GraphBuilder, tensor_info

MOST = 16
"""Rows up to which this is faster than Gemm."""

LEAST_ELEMENTS = 2**22
"""Elements (16 MiB) of the matrix from which on memory decides."""

STEP = 16
"""Rows of a matrix that :func:`times` multiplies at a time."""


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


def times(g: GraphBuilder, x: str, matrix: str, rows: int, shape: tuple[int, int]) -> str:
    """x (M, K), of ``rows`` rows, times the matrix (K, C) of a shape: (M, C). K is a multiple of ``STEP``.

    ONNX Runtime copies pieces of the matrix here too, but of 16 rows it takes 1024 columns at a time, which
    lie together. So products with 16 rows are added up: 45 ms for 71 (8 times 4096 x 25088, one thread).
    """
    inner, columns = shape
    steps = inner // STEP
    lefts = g.op("Transpose", g.op("Reshape", x, g.ints([rows, steps, STEP])), perm=[1, 0, 2])
    rights = g.op("Reshape", matrix, g.ints([steps, STEP, columns]))
    zeros = g.op("Expand", g.const(0), g.ints([rows, columns]))
    body = g.inside("Scan")
    total, left, right = (body.fresh(hint) for hint in ("total", "left", "right"))
    added = body.op("Gemm", left, right, total)
    dims = {total: (rows, columns), left: (rows, STEP), right: (STEP, columns), added: (rows, columns)}
    *taken, given = (tensor_info(name, sizes, np.float32) for name, sizes in dims.items())
    return g.op("Scan", zeros, lefts, rights, body=body.body(taken, [given]), num_scan_inputs=2)
