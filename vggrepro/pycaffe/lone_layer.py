"""``create_layer``: layers that a script runs without a net, as in tnarihi's fork of Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import text_format

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import PycaffeError
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.blob import Blob, BlobVec
from vggrepro.pycaffe.definition import define, read_message
from vggrepro.pycaffe.errors import as_runtime_error
from vggrepro.pycaffe.net import Net
from vggrepro.pycaffe.proto import caffe_pb2
from vggrepro.pycaffe.text_file import text_file


def create_layer(param: Any) -> LoneLayer:
    """The layer of a ``LayerParameter``, in its phase (TRAIN if it names none)."""
    return LoneLayer(param)


class LoneLayer:
    """A layer that is given its bottoms and tops at each call: lists of ``caffe.Blob``, which keep their
    places in memory. After ``SetUp`` a Python layer's own attributes are found here too. All methods raise
    RuntimeError where Caffe would stop.
    """

    def __init__(self, param: Any) -> None:
        self._param = caffe_pb2.LayerParameter()
        self._param.CopyFrom(param)
        self._net: Net | None = None
        self._given: tuple[list[Blob], list[Blob]] = ([], [])

    @property
    def type(self) -> str:
        return str(self._param.type)

    @property
    def blobs(self) -> BlobVec:
        """The parameters; none before ``SetUp``."""
        return BlobVec() if self._net is None else BlobVec(self._net._sites[-1].blobs)

    def SetUp(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Make the parameters, unless there are some, and give the tops their shapes."""
        self._set_up(bottom, top)

    def Reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give the tops the shapes that follow from the bottoms'."""
        self._on(bottom, top).reshape()

    def Forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> float:
        """Write the tops' data, and return the loss, 0 for a layer that is none."""
        net = self._on(bottom, top)
        return net._forward(0, len(net.layers) - 1)

    def Backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Write the diffs of the parameters, and of the bottoms where ``propagate_down`` says so."""
        net = self._on(bottom, top)
        kept = [None if wanted else b.diff.copy() for b, wanted in zip(bottom, propagate_down, strict=True)]
        net.clear_param_diffs()
        net._backward(len(net.layers) - 1, 0)
        for blob, diff in zip(bottom, kept, strict=True):
            if diff is not None:
                blob.diff[...] = diff

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self._net is None or self.type != "Python":
            raise AttributeError(f"layer of type {self.type} has no attribute {name!r}")
        return getattr(self._net.layers[-1], name)

    def _on(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> Net:
        """The layer on these blobs."""
        if self._net is None:
            raise PycaffeError(f"layer of type {self.type}: SetUp must be called first")
        given = [id(blob) for blobs in self._given for blob in blobs]
        if given != [id(blob) for blob in (*bottom, *top)]:
            self._set_up(bottom, top)
        return self._net

    def _set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Make a net of this layer alone, with an Input for the bottoms, on the memory of the blobs."""
        names = {id(blob): f"blob{number}" for number, blob in enumerate([*bottom, *top])}
        net = caffe_pb2.NetParameter(name="layer", force_backward=True)
        read = {names[id(blob)]: blob for blob in bottom}
        if read:
            source = net.layer.add(name="(input)", type="Input", top=list(read))
            for blob in read.values():
                source.input_param.shape.add().dim.extend(blob.dims)
        layer = net.layer.add()
        layer.CopyFrom(self._param)
        layer.name = layer.name or layer.type
        layer.bottom[:] = [names[id(blob)] for blob in bottom]
        layer.top[:] = [names[id(blob)] for blob in top]
        before = self.blobs
        self._net = _net_on(net, {**read, **{names[id(blob)]: blob for blob in top}})
        self._given = (list(bottom), list(top))
        for blob, old in zip(self.blobs, before, strict=False):
            blob.share(old, diff=True)


def _net_on(net: Any, blobs: dict[str, Blob]) -> Net:
    """The net of a ``NetParameter``, with blobs that there are already."""
    phase = net.layer[-1].phase if net.layer[-1].HasField("phase") else TRAIN
    with text_file(text_format.MessageToString(net), "layer.prototxt") as path, as_runtime_error():
        message, custom = read_message(path, phase, 0, ())
        return Net.from_definition(define(message, phase, seed=mode.draw_seed(), custom=custom, blobs=blobs))
