"""MultiStageMeanfield: a segmentation refined by its image, by mean field inference (CRF-as-RNN's layer; not
from BVLC Caffe).

Source: torrvision/crfasrnn, field ``multi_stage_meanfield_param``. "Conditional Random Fields as Recurrent
Neural Networks", section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import DOUBLE, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.permutohedral import (
    Lattice,
    ReferenceLattice,
    emit_filter,
    emit_lattice,
    emit_pixel_features,
    pixel_features,
)

LEAST = 1e-20
"""Added to a filter's sum of weights before it divides."""


class _Kernel(NamedTuple):
    lattice: Lattice
    norm: str
    """(P, 1): one over each pixel's sum of weights."""


class _Iteration(NamedTuple):
    """Tensors of one iteration for one image, (P, C) each."""

    prob: str
    filtered: tuple[str, str]
    message: str


class _Saved(NamedTuple):
    unary: Value
    kernels: tuple[tuple[_Kernel, _Kernel], ...]
    """For each image the spatial and the bilateral one."""
    iterations: tuple[tuple[_Iteration, ...], ...]
    weights: tuple[str, ...]
    """(C, C) each."""


@register
@dataclass(frozen=True)
class MultiStageMeanfield(Layer[_Saved]):
    """Bottoms: unary scores u (N, C, H, W), the first estimate q of the same shape, and images (N, 3, H, W).
    Top: the last estimate. Blobs (1, 1, C, C): weights of the spatial and of the bilateral kernel, and
    compatibilities.

    Each iteration takes ``p = softmax(q)``, filters it by Gaussians over places, and over places and colours,
    each divided by its sum of weights, and makes ``q = u - compatibility (spatial S p + bilateral B p)``. The
    Gaussians are those of the permutohedral lattice (:mod:`vggrepro.layers.rules.permutohedral`):
    ``theta_gamma`` is the deviation of places, ``theta_alpha`` and ``theta_beta`` those of places and colours
    of the bilateral one. ``threshold`` and ``force_cpu`` change nothing. No gradient goes to the images.

    DEVIATION: the fork's code for SSE adds points of feature 0 until their number is divisible by 4; here are
    the pixels alone. Its first version reads the weights of classes from files ``spatial.par`` and
    ``bilateral.par``; here they begin at the fields that are set, or at 1.
    """

    type = "MultiStageMeanfield"
    origin = "CRF-as-RNN"
    bottoms = exactly(3)
    blind_bottoms = frozenset({2})

    iterations: int
    alpha: float
    beta: float
    gamma: float
    begin: tuple[tuple[float, ...], tuple[float, ...]] = ((1.0,), (1.0,))
    """First weights of the spatial and the bilateral kernel: one for all classes, or one for each."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MultiStageMeanfield:
        p = param.multi_stage_meanfield_param
        if p.compatibility_mode != p.POTTS:
            raise UnsupportedError(
                "multi_stage_meanfield_param: only compatibility_mode: POTTS is implemented"
            )
        if p.num_iterations <= 1:
            raise NetError(f"Number of iterations must be greater than 1. (got {p.num_iterations})")
        thetas = (p.theta_alpha, p.theta_beta, p.theta_gamma)
        if min(thetas) <= 0:
            raise NetError(f"theta_alpha, theta_beta and theta_gamma must be above 0, got {thetas}")
        return cls(p.num_iterations, *thetas, (_first(p, "spatial"), _first(p, "bilateral")))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        unary, first, images = bottoms
        if len(unary) != 4 or first != unary or images != (unary[0], 3, *unary[2:]):
            raise ShapeError(
                "bottoms must be (N, C, H, W) twice and images (N, 3, H, W),"
                f" got shapes {unary}, {first} and {images}"
            )
        for values in self.begin:
            if len(values) not in (1, unary[1]):
                raise ShapeError(f"{len(values)} filter weights for {unary[1]} classes")
        return (unary,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        classes = bottoms[0][1]
        shape = (1, 1, classes, classes)
        return tuple(
            ParamDef(shape, tuple(float(v) for v in (np.eye(classes) * values).reshape(-1)))
            for values in (*self.begin, (-1.0,))
        )

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        unary = bottoms[0]
        number, classes, height, width = unary.shape
        weights = tuple(g.op("Reshape", p.name, g.ints([classes, classes])) for p in params)
        places = Value(emit_pixel_features(g, height, width, self.gamma), (height * width, 2), np.float64)
        spatial = self._kernel(g, places)
        units, firsts, colours = (_columns(g, bottom) for bottom in bottoms)
        kernels, runs, tops = [], [], []
        for image in range(number):
            wide = emit_pixel_features(g, height, width, self.alpha)
            shaded = g.op("Div", g.op("Cast", colours[image], to=DOUBLE), g.const(self.beta, np.float64))
            features = Value(g.op("Concat", wide, shaded, axis=1), (height * width, 5), np.float64)
            pair = (spatial, self._kernel(g, features))
            q, steps = firsts[image], []
            for _ in range(self.iterations):
                step = self._step(g, pair, weights, q)
                q = g.op("Sub", units[image], g.op("MatMul", step.message, _turned(g, weights[2])))
                steps.append(step)
            kernels.append(pair)
            runs.append(tuple(steps))
            tops.append(q)
        top = _planes(g, tops, unary.shape)
        return Emitted((top,), _Saved(unary, tuple(kernels), tuple(runs), weights))

    def _kernel(self, g: GraphBuilder, features: Value) -> _Kernel:
        lattice = emit_lattice(g, features)
        total = emit_filter(g, lattice, g.op("Expand", g.const(1), g.ints([features.shape[0], 1])))
        return _Kernel(lattice, g.op("Reciprocal", g.op("Add", total, g.const(LEAST))))

    def _step(
        self, g: GraphBuilder, kernels: tuple[_Kernel, _Kernel], weights: Sequence[str], q: str
    ) -> _Iteration:
        prob = g.op("Softmax", q, axis=1)
        filtered = [g.op("Mul", emit_filter(g, k.lattice, prob), k.norm) for k in kernels]
        parts = [g.op("MatMul", f, _turned(g, w)) for f, w in zip(filtered, weights, strict=False)]
        return _Iteration(prob, (filtered[0], filtered[1]), g.op("Add", *parts))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,) * 3, (None,) * 3)
        shape = saved.unary.shape
        d_units, d_firsts = [], []
        d_weights: tuple[list[str], ...] = ([], [], [])
        rows = _columns(g, Value(d_tops[0], shape))
        for d, kernels, steps in zip(rows, saved.kernels, saved.iterations, strict=True):
            d_unit = []
            for step in reversed(steps):
                d_unit.append(d)
                d = self._back(g, kernels, saved.weights, step, d, d_weights)
            d_units.append(g.sum_in_order(d_unit))
            d_firsts.append(d)
        bottoms = [
            _planes(g, rows, shape) if wanted else None
            for rows, wanted in zip((d_units, d_firsts), needed.bottoms, strict=False)
        ]
        size = g.ints([1, 1, shape[1], shape[1]])
        params = [
            g.op("Reshape", g.sum_in_order(terms), size) if wanted else None
            for terms, wanted in zip(d_weights, needed.params, strict=True)
        ]
        return Gradients((*bottoms, None), tuple(params))

    def _back(
        self,
        g: GraphBuilder,
        kernels: tuple[_Kernel, _Kernel],
        weights: Sequence[str],
        step: _Iteration,
        d: str,
        d_weights: Sequence[list[str]],
    ) -> str:
        """The gradient of an iteration's q, from that of the next one's; those of weights are added to
        lists."""
        d_pairwise = g.op("Neg", d)
        d_weights[2].append(g.op("MatMul", _turned(g, d_pairwise), step.message))
        d_message = g.op("MatMul", d_pairwise, weights[2])
        turned, parts = _turned(g, d_message), []
        for index, kernel in enumerate(kernels):
            d_weights[index].append(g.op("MatMul", turned, step.filtered[index]))
            d_filtered = g.op("Mul", g.op("MatMul", d_message, weights[index]), kernel.norm)
            parts.append(emit_filter(g, kernel.lattice, d_filtered, transposed=True))
        d_prob = g.sum_in_order(parts)
        along = g.op("ReduceSum", g.op("Mul", d_prob, step.prob), g.ints([1]))
        return g.op("Mul", g.op("Sub", d_prob, along), step.prob)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        unary, first, images = bottoms
        classes, height, width = unary.shape[1:]
        spatial, bilateral, compatibility = (p.reshape(classes, classes) for p in params)
        places = ReferenceLattice(pixel_features(height, width, self.gamma))
        top = np.empty_like(unary)
        ones = np.ones((height * width, 1))
        for n, image in enumerate(images):
            u, q = (a[n].reshape(classes, -1).T for a in (unary, first))
            wide = pixel_features(height, width, self.alpha)
            colours = ReferenceLattice(np.concatenate([wide, image.reshape(3, -1).T / self.beta], axis=1))
            for _ in range(self.iterations):
                p = np.exp(q - q.max(1, keepdims=True))
                p /= p.sum(1, keepdims=True)
                s, b = (k.filter(p) / (k.filter(ones) + LEAST) for k in (places, colours))
                q = u - (s @ spatial.T + b @ bilateral.T) @ compatibility.T
            top[n] = q.T.reshape(classes, height, width)
        return Referenced((top,))


def _first(p: Any, kernel: str) -> tuple[float, ...]:
    """The first weights of a kernel: a number, or one for each class as a text."""
    text = getattr(p, f"{kernel}_filter_weights_str").split()
    try:
        values = tuple(float(word) for word in text)
    except ValueError:
        raise NetError(f"{kernel}_filter_weights_str: expected numbers, got {' '.join(text)!r}") from None
    if not values and p.HasField(f"{kernel}_filter_weight"):
        values = (getattr(p, f"{kernel}_filter_weight"),)
    return values or (1.0,)


def _turned(g: GraphBuilder, matrix: str) -> str:
    return g.op("Transpose", matrix, perm=[1, 0])


def _columns(g: GraphBuilder, planes: Value) -> list[str]:
    """(N, C, H, W) as N tensors (H * W, C)."""
    number, channels = planes.shape[:2]
    rows = g.op("Transpose", g.op("Reshape", planes.name, g.ints([number, channels, -1])), perm=[0, 2, 1])
    return [g.op("Gather", rows, g.ints(image), axis=0) for image in range(number)]


def _planes(g: GraphBuilder, columns: Sequence[str], shape: Shape) -> str:
    """The way back."""
    rows = [_turned(g, column) for column in columns]
    return g.op("Reshape", g.op("Concat", *rows, axis=0), g.ints(shape))
