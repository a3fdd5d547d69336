"""Random convolutions for the property tests: any rank, axis, group, kernel, stride, pad, dilation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from harness import parse, tie_free
from hypothesis import strategies as st

from vggrepro.emit import Dims, Shape
from vggrepro.layers.base import Layer


@dataclass(frozen=True)
class ConvCase:
    type: str
    text: str
    shape: Shape
    dims: Dims
    bottoms: int
    seed: int

    def layer(self) -> Layer:
        names = " ".join(f'bottom: "x{i}" top: "y{i}"' for i in range(self.bottoms))
        return parse(f'type: "{self.type}" {names} convolution_param {{ {self.text} }}')

    def arrays(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Bottoms and parameters."""
        rng = np.random.default_rng(self.seed)
        shapes = [self.shape] * self.bottoms
        params = [tie_free(rng, d.shape) for d in self.layer().param_defs(shapes)]
        return [tie_free(rng, shape) for shape in shapes], params


@st.composite
def conv_cases(draw: st.DrawFn, layer_type: str) -> ConvCase:
    spatial = draw(st.integers(0 if layer_type != "Im2col" else 1, 3))
    leading = tuple(draw(st.integers(1, 2)) for _ in range(draw(st.integers(0, 2))))
    kernel = [draw(st.integers(1, 3)) for _ in range(spatial)]
    stride = [draw(st.integers(1, 3)) for _ in range(spatial)]
    dilation = [draw(st.integers(1, 2)) for _ in range(spatial)]
    pad = [draw(st.integers(0, 2)) for _ in range(spatial)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    windows = list(zip(reach, stride, pad, strict=True))
    if layer_type == "Deconvolution":
        sizes = [draw(st.integers(least, least + 3)) for least in (least_to_deconvolve(*w) for w in windows)]
    else:
        sizes = [draw(st.integers(least_to_convolve(*w), 7)) for w in windows]
    group = draw(st.sampled_from([1, 1, 2, 3])) if layer_type != "Im2col" else 1
    shape = (*leading, group * draw(st.integers(1, 2)), *sizes)
    fields = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    text = " ".join(draw(spelled(name, values)) for name, values in fields.items())
    if layer_type != "Im2col":
        outputs = group * draw(st.integers(1, 2))
        text += f" num_output: {outputs} group: {group} bias_term: {str(draw(st.booleans())).lower()}"
    axis = len(leading)
    text += f" axis: {draw(st.sampled_from([axis, axis - len(shape)]))}"
    free = draw(st.sets(st.sampled_from([a for a in range(len(shape)) if a != axis] or [axis])))
    fitting = not too_short(sizes, windows) or layer_type == "Deconvolution"
    dims = tuple(None if a in free and a != axis and fitting else s for a, s in enumerate(shape))
    bottoms = draw(st.integers(1, 2)) if layer_type != "Im2col" else 1
    return ConvCase(layer_type, text, shape, dims, bottoms, draw(st.integers(0, 2**32 - 1)))


@st.composite
def spelled(draw: st.DrawFn, name: str, values: list[int]) -> str:
    """A field once per axis, once for all where they agree, or as _h and _w."""
    forms = ["each"]
    if len(set(values)) < 2:
        forms.append("once")
    if len(values) == 2 and name != "dilation":
        forms.append("pair")
    form = draw(st.sampled_from(forms))
    if form == "pair":
        return f"{name}_h: {values[0]} {name}_w: {values[1]}"
    repeated = "kernel_size" if name == "kernel" else name
    given = values if form == "each" else values[:1] or [1 if name != "pad" else 0]
    return " ".join(f"{repeated}: {value}" for value in given)


def least_to_convolve(reach: int, stride: int, pad: int) -> int:
    """The smallest size with a window: it may lack up to stride - 1 elements."""
    return max(reach - 2 * pad - (stride - 1), 1)


def least_to_deconvolve(reach: int, stride: int, pad: int) -> int:
    return next(size for size in range(1, 9) if stride * (size - 1) + reach - 2 * pad > 0)


def too_short(sizes: list[int], windows: list[tuple[int, int, int]]) -> bool:
    """Whether a window is larger than all of its padded input: only fixed sizes allow for that."""
    return any(size + 2 * pad < reach for size, (reach, _, pad) in zip(sizes, windows, strict=True))
