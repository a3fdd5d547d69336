"""The contract that every Caffe layer fills.

A layer is a frozen dataclass of its parsed parameters. It holds no arrays and remembers nothing
between calls: parameters and state arrive as arguments, what backward needs leaves as ``saved``.
One module holds all that is known of a layer: parameters, shape rule, ONNX emission, gradient
rule and float64 reference, because they share the same facts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.registry import register as register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.count import Count as Count
from vggrepro.layers.rules.count import at_least as at_least
from vggrepro.layers.rules.count import exactly as exactly
from vggrepro.layers.rules.data_rows import DataRows as DataRows

Array = npt.NDArray[np.float64]
Shapes = Sequence[Shape]

S = TypeVar("S")
"""What a layer saves in ``emit`` for its ``grad``."""


@dataclass(frozen=True)
class ParamDef:
    """A learned blob of a layer: its shape, and its ``FillerParameter`` or the first values as a tuple."""

    shape: Shape
    filler: Any = field(default_factory=FillerParameter)
    statistic: bool = False  # True for what the forward pass updates and no solver touches (BatchNorm)
    moved: bool = False  # True for what learns, but is overwritten in TRAIN before (MarginInnerProduct)
    also_saved_as: tuple[Shape, ...] = ()  # other shapes that the blob has in weight files of some forks
    spreads: bool = False  # True where of a saved blob of another height or width the averages are taken


@dataclass(frozen=True)
class StateDef:
    """A tensor that a layer carries from one call to the next; ``initial`` is its first value."""

    name: str
    initial: npt.NDArray[Any]
    random: bool = False
    """True for int64 (2,): the seed of a random draw and the number of the batch's first sample. Training
    sets both before each run, so that draws depend neither on resuming nor on the number of ranks."""


@dataclass(frozen=True)
class Emitted(Generic[S]):
    """What ``emit`` leaves: the tops' tensor names and, for the backward rule, what it saved."""

    tops: tuple[str, ...]
    saved: S
    """None for layers without a backward rule, or whose rule needs nothing."""
    next_params: Mapping[int, str] = field(default_factory=dict)
    """New values of parameters that the forward pass itself moves (BatchNorm in TRAIN), by index."""
    next_states: tuple[str, ...] = ()
    """The state after this call, in the order of ``state_defs``."""


@dataclass(frozen=True)
class Referenced:
    """What ``reference`` leaves: tops, and moved parameters and states as in :class:`Emitted`."""

    tops: tuple[Array, ...]
    next_params: Mapping[int, Array] = field(default_factory=dict)
    next_states: tuple[npt.NDArray[Any], ...] = ()


@dataclass(frozen=True)
class Needed:
    """Which gradients a caller of ``grad`` wants, one flag for each bottom and parameter."""

    bottoms: tuple[bool, ...]
    params: tuple[bool, ...]


@dataclass(frozen=True)
class Gradients:
    """Tensor names of gradients, one for each bottom and parameter; None where none flows."""

    bottoms: tuple[str | None, ...] = ()
    params: tuple[str | None, ...] = ()


Affine: TypeAlias = "tuple[Array | int, Array | int]"
"""Factor and summand: numbers, or an array with one for each channel."""


@dataclass(frozen=True)
class Reach:
    """A window in height and width: how far it extends, and by how much the next one is shifted."""

    extent: tuple[int, int]
    stride: tuple[int, int]


class Layer(ABC, Generic[S]):
    """One Caffe layer. Shapes are as Caffe's blobs; every blob is float32, labels too."""

    type: ClassVar[str]
    origin: ClassVar[str] = "BVLC Caffe"
    """Whose layer it is; for a layer that BVLC Caffe lacks, the fork that its rules are from."""
    bottoms: ClassVar[Count] = exactly(1)
    tops: ClassVar[Count] = exactly(1)
    source: ClassVar[bool] = False
    """True for Input and the data layers: their tops are inputs of the graph."""
    own_fields: ClassVar[bool] = False
    """True for layers of forks that read or write files: fields that the schema lacks are no fault there."""
    loss: ClassVar[bool] = False
    """True where the first top is a loss, with weight 1 unless ``loss_weight`` says otherwise."""
    has_gradient: ClassVar[bool] = True
    """False for layers that Caffe declares without a backward pass (ArgMax, Accuracy, Threshold)."""
    gives_posteriors: ClassVar[bool] = False
    """True where the tops are the probabilities of classes, and the bottoms their scores (Softmax)."""
    silences: ClassVar[bool] = False
    """True for a layer that reads its bottoms only so that they are no outputs of the net (Silence)."""
    moves_values: ClassVar[bool] = False
    """True where the tops hold nothing but values of the bottoms, at other places (Reshape, Slice)."""
    varies: ClassVar[bool] = False
    """True for sources whose images may have another size in every batch: Caffe reshapes the net then."""
    data_rows: ClassVar[DataRows | None] = None
    """Where the data decide how many rows the tops have in Caffe; None for most layers."""
    right_boxes: ClassVar[frozenset[int]] = frozenset()
    """Bottoms that hold the right boxes of images (:mod:`vggrepro.layers.rules.right_boxes`)."""
    silent_bottoms: ClassVar[frozenset[int]] = frozenset()
    """Blind bottoms that may depend on what learns: backward leaves them out, where others are an error."""

    @property
    def in_place(self) -> bool:
        """True where Caffe computes the right thing with the top in the bottom's memory. A layer sets it
        as a class attribute, or overrides this where it depends on its parameters."""
        return False

    @property
    def steep(self) -> bool:
        """True where a bottom that is off by rounding may move a top by far more. Set as ``in_place``."""
        return False

    @property
    def tells_params(self) -> bool:
        """False where ``param_defs`` may lack parameters that the layer has, so that ``param`` messages
        beyond them are no fault (a custom node without a weight file)."""
        return True

    @property
    def blind_bottoms(self) -> frozenset[int]:
        """Bottoms that never get a gradient: labels, markers, selectors, indices. Set as ``in_place``."""
        return frozenset()

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        """Which bottom holds labels or other indices, and which are allowed. None for most layers."""
        return None

    @property
    def top_k_accuracy(self) -> int | None:
        """The k of a layer whose first top is the share of labels among the k best scores (Accuracy), which
        training watches and a deploy net lacks. None for all other layers."""
        return None

    @classmethod
    @abstractmethod
    def from_param(cls, param: Any, phase: int) -> Layer[S]:
        """Parse a ``LayerParameter``. Raises UnsupportedError for what is set but not implemented,
        NetError for what Caffe refuses. Messages need not name the layer: who calls this adds its name."""

    @classmethod
    def set_up(cls, definition: Any) -> None:
        """Write into a ``LayerParameter`` what Caffe's ``LayerSetUp`` does: of a loss its default weight."""
        if cls.loss and not definition.loss_weight:
            definition.loss_weight.append(1)

    @classmethod
    def resolve_files(cls, definition: Any, resolve: Callable[[str], str]) -> None:
        """Replace each path in a ``LayerParameter`` that ``from_param`` opens by what ``resolve`` makes of
        it. Most layers open no files."""

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any] | None:
        """The fillers of weight and bias in the ``LayerParameter`` of a convolution or fully connected layer,
        whose initialisation the paper speaks of (section 3.1). None for all other layers."""
        return None

    @abstractmethod
    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """Shapes of the tops. Raises ShapeError where Caffe's ``Reshape`` would stop."""

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """Axes of the bottoms that a graph must not leave free: of such a size ``emit`` has another rule."""
        return frozenset()

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        """The parameters that the layer has with these bottoms, in Caffe's order."""
        return ()

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        """What the layer carries from call to call, with its value before the first call."""
        return ()

    @abstractmethod
    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[S]:
        """Add the forward pass to ``g``. A dimension that is None must stay free in the graph, or
        ``Value.shape`` raises FixedShapeError and the caller fixes it."""

    def grad(self, g: GraphBuilder, saved: S, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Add the backward pass, as Caffe's ``Backward`` computes it. ``d_tops`` holds None for a
        top that no gradient reaches; a loss layer gets its loss weight as a scalar there."""
        raise UnsupportedError(f"layer type {self.type}: no gradient rule")

    def reread(self, saved: S, bottoms: Sequence[str], tops: Sequence[str]) -> S:
        """``saved`` as Caffe's ``Backward`` finds it, which reads bottoms and tops again: ``bottoms`` and
        ``tops`` are the tensors that these blobs hold in the end. Layers that read copies leave it so."""
        return saved

    @abstractmethod
    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[npt.NDArray[Any]]
    ) -> Referenced:
        """The same forward pass in float64 NumPy, written for plainness: the judge of ``emit``."""

    def prediction(self, definition: Any) -> Any | None:
        """What a deploy net has in place of a loss with a prediction inside: the ``LayerParameter`` of the
        layer that makes it, with the bottom, and without name and top. None for all other layers."""
        return None

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        """The s and t of a layer that computes ``s * x + t`` of its only bottom, of ``rank`` axes, with one s
        and t, float64, for each channel along ``axis``. None where the layer does not."""
        return None

    def macs(self, bottoms: Shapes) -> int:
        """Multiply-accumulates of one forward pass; 0 for layers without matrix products."""
        return 0

    def reach(self, bottom: Shape) -> Reach | None:
        """What one element of the top sees of a (N, C, H, W) bottom; None if that is no window."""
        return Reach((1, 1), (1, 1))


AnyLayer: TypeAlias = Layer[Any]
"""A layer of whatever type."""
