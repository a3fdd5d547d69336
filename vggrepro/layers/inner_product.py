"""Fully connected layer (Caffe's InnerProduct layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from vggrepro.caffe.messages import FillerParameter, LayerParameter, ParamSpec
from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import (
    AnyLayer,
    Array,
    Emitted,
    Gradients,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.rules import few_rows
from vggrepro.layers.rules.axes import canonical_axis
from vggrepro.layers.rules.product import ProductLayer
from vggrepro.layers.rules.window import WindowParam


@dataclass(frozen=True)
class _Saved:
    """What backward needs: the bottom as a matrix (M, inputs), its dims as a blob, and the weight."""

    matrix: str
    bottom: Dims
    weight: str


@register
@dataclass(frozen=True)
class InnerProduct(ProductLayer[_Saved]):
    """y = x W^T + b, with x the bottom as a matrix (M, inputs) and W (num_output, inputs).

    The axes from ``axis`` on make up the inputs; the axes before it stay, so the top is
    (leading axes..., num_output). With ``transpose`` the weight is stored as (inputs, num_output).
    """

    type = "InnerProduct"

    num_output: int
    bias_term: bool = True
    axis: int = 1
    transpose: bool = False
    weight_filler: Any = field(default_factory=FillerParameter)
    bias_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> AnyLayer:
        """happynear's layer, where its field is set."""
        p = param.inner_product_param
        if p.normalize:
            from vggrepro.layers.unit_inner_product import UnitInnerProduct

            return UnitInnerProduct.from_param(param, phase)
        if p.num_output == 0:
            raise NetError("num_output 0: must be > 0")
        return cls(p.num_output, p.bias_term, p.axis, p.transpose, p.weight_filler, p.bias_filler)

    @classmethod
    def own(cls, definition: Any) -> Any:
        return definition.inner_product_param

    def output_axis(self, rank: int) -> int:
        return rank - 1

    def scaled(self, weight: Array, factor: Array) -> Array:
        return weight * factor if self.transpose else super().scaled(weight, factor)

    def _axis(self, dims: Dims) -> int:
        return canonical_axis(self.axis, dims, self.type)

    def _inputs(self, dims: Dims) -> int:
        return prod(Value("inputs", dims[self._axis(dims) :]).shape)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ((*bottoms[0][: self._axis(bottoms[0])], self.num_output),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = (self.num_output, self._inputs(bottoms[0]))
        weight = ParamDef(shape[::-1] if self.transpose else shape, self.weight_filler)
        return (weight, ParamDef((self.num_output,), self.bias_filler)) if self.bias_term else (weight,)

    def reach(self, bottom: Shape) -> Reach | None:
        """All of a map (N, C, H, W), if the layer is fully connected over it."""
        return Reach((bottom[2], bottom[3]), (1, 1)) if self._axis(bottom) == 1 else None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        axis = self._axis(x.dims)
        matrix = self._matrix(g, x, axis)
        y = self._product(g, matrix, [p.name for p in params], x.dims)
        top = y if axis == 1 else self._restore(g, y, x, axis)
        return Emitted((top,), _Saved(matrix, x.dims, params[0].name))

    def _product(self, g: GraphBuilder, matrix: str, params: Sequence[str], bottom: Dims) -> str:
        """y (M, num_output) from the bottom as a matrix."""
        weight, *bias = params
        rows = self._few_rows(g, bottom)
        if rows is None:
            return g.op("Gemm", matrix, *params, transB=int(not self.transpose))
        return few_rows.times_transposed(g, matrix, rows, weight, bias)

    def _few_rows(self, g: GraphBuilder, bottom: Dims) -> int | None:
        """M where products of a few rows with the weight have rules of their own, else None."""
        leading = bottom[: self._axis(bottom)]
        fixed = [size for size in leading if size is not None]
        rows = prod(fixed) if len(fixed) == len(leading) else None
        few = not self.transpose and few_rows.pays(g, rows, self.num_output * self._inputs(bottom))
        return rows if few else None

    def _matrix(self, g: GraphBuilder, x: Value, axis: int) -> str:
        inputs = self._inputs(x.dims)
        return x.name if axis == 1 and x.rank == 2 else g.op("Reshape", x.name, g.ints([-1, inputs]))

    def _restore(self, g: GraphBuilder, y: str, x: Value, axis: int) -> str:
        """(M, num_output) as (leading axes of x..., num_output)."""
        leading = x.dims[:axis]
        if leading.count(None) < 2:
            sizes = [-1 if d is None else d for d in leading]
            return g.op("Reshape", y, g.ints([*sizes, self.num_output]))
        shape = g.op("Shape", x.name, start=0, end=axis)
        return g.op("Reshape", y, g.op("Concat", shape, g.ints([self.num_output]), axis=0))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        (d_top,) = d_tops
        if d_top is None:
            return Gradients((None,), (None,) * (1 + self.bias_term))
        plain = len(saved.bottom) == 2 and self._axis(saved.bottom) == 1
        dy = d_top if self._axis(saved.bottom) == 1 else g.op("Reshape", d_top, g.ints([-1, self.num_output]))
        d_bottom = d_weight = d_bias = None
        if needed.bottoms[0]:
            dx = self._input_gradient(g, dy, saved)  # (M, inputs)
            shape = Value("bottom", saved.bottom).shape
            d_bottom = dx if plain else g.op("Reshape", dx, g.ints(shape))
        if needed.params[0]:
            factors = (saved.matrix, dy) if self.transpose else (dy, saved.matrix)
            d_weight = g.op("Gemm", *factors, transA=1)
        if self.bias_term and needed.params[1]:
            d_bias = g.op("ReduceSum", dy, g.ints([0]), keepdims=0)
        return Gradients((d_bottom,), (d_weight, d_bias)[: 1 + self.bias_term])

    def _input_gradient(self, g: GraphBuilder, dy: str, saved: _Saved) -> str:
        """dx (M, inputs) from dy (M, num_output). For one row Gemm is faster than in parts."""
        rows = self._few_rows(g, saved.bottom)
        if rows is None or rows == 1 or self.num_output % few_rows.STEP:
            return g.op("Gemm", dy, saved.weight, transB=int(self.transpose))
        return few_rows.times(g, dy, saved.weight, rows, (self.num_output, self._inputs(saved.bottom)))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        weight, *bias = params
        y = x.reshape(-1, self._inputs(x.shape)) @ (weight if self.transpose else weight.T)
        for b in bias:
            y = y + b
        return Referenced((y.reshape(*x.shape[: self._axis(x.shape)], self.num_output),))

    def macs(self, bottoms: Shapes) -> int:
        return prod(bottoms[0]) * self.num_output

    def as_convolution(self, bottom: Shape) -> Convolution:
        """The convolution that does the same on a bottom (N, C, H, W), and goes on to larger ones: with
        a kernel of H x W, or 1 x 1 on (N, C). Section 3.2 of the paper: "the fully-connected layers
        are first converted to convolutional layers". Its weight is the layer's own, not transposed, in
        the shape (num_output, C, H, W).

        Raises UnsupportedError where the inputs are not the channels, height and width of an image.
        """
        if len(bottom) not in (2, 4) or self._axis(bottom) != 1:
            raise UnsupportedError(
                f"{self.type} with axis {self.axis} over a bottom of shape {tuple(bottom)} is no"
                " convolution; expected (N, C, H, W) or (N, C), and axis 1"
            )
        height, width = bottom[2:] or (1, 1)
        window = WindowParam.of_kernel(height, width)
        return Convolution(
            self.num_output,
            window,
            bias_term=self.bias_term,
            weight_filler=self.weight_filler,
            bias_filler=self.bias_filler,
        )

    @staticmethod
    def convolution_definition(definition: Any, weight: Shape) -> Any:
        """The layer's ``LayerParameter`` as that of :meth:`as_convolution`, whose ``weight`` is
        (num_output, C, H, W)."""
        result = LayerParameter()
        result.CopyFrom(definition)
        result.type = Convolution.type
        result.ClearField("inner_product_param")
        old, new = definition.inner_product_param, result.convolution_param
        new.num_output, _, new.kernel_h, new.kernel_w = weight
        new.bias_term = old.bias_term
        new.weight_filler.CopyFrom(old.weight_filler)
        new.bias_filler.CopyFrom(old.bias_filler)
        for spec in result.param[:1]:  # the weight's
            spec.share_mode = ParamSpec.PERMISSIVE  # (K, C * H * W) may be shared as (K, C', H', W')
        return result
