"""Backward passes that begin at a layer in the middle of a net, by gradients or as a deconvnet, as the forks
of the deep visualization toolbox (yosinski/caffe, arikpoz/caffe) offer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from vggrepro.errors import PycaffeError
from vggrepro.pycaffe.batches import Arrays
from vggrepro.pycaffe.blob import Blob
from vggrepro.pycaffe.errors import as_runtime_error, place_of
from vggrepro.pycaffe.mode import DECONVNET, GUIDED
from vggrepro.pycaffe.passes import Passes


class _Net(Protocol):
    inputs: list[str]
    _layer_names: list[str]
    _passes: Passes

    @property
    def blobs(self) -> Mapping[str, Blob]: ...
    @property
    def top_names(self) -> Mapping[str, list[str]]: ...
    @property
    def bottom_names(self) -> Mapping[str, list[str]]: ...
    def backward(self, diffs: Sequence[str] | None = None, start: str | None = None) -> Arrays: ...
    def deconv(
        self, diffs: Sequence[str] | None = None, start: str | None = None, *, deconv_type: str
    ) -> Arrays: ...


class DeconvnetNames:
    """``backward_from_layer``, ``deconv_from_layer`` and ``deconv`` are of the forks."""

    def backward_from_layer(
        self: _Net,
        start_name: str,
        start_diff: npt.NDArray[Any],
        diffs: Sequence[str] | None = None,
        zero_higher: bool = False,
    ) -> Arrays:
        """Give the first top of the layer ``start_name`` the diff ``start_diff``, which has its shape, and
        run backward from that layer. ``zero_higher`` sets the diffs of all later blobs to zero, which the
        pass itself does not read. Returns the diffs of the inputs and of ``diffs``. Raises RuntimeError for
        a layer that there is not and for another shape."""
        _begin(self, start_name, start_diff, zero_higher)
        return self.backward(diffs, start_name)

    def deconv_from_layer(
        self: _Net,
        start_name: str,
        start_diff: npt.NDArray[Any],
        diffs: Sequence[str] | None = None,
        zero_higher: bool = False,
        deconv_type: str = DECONVNET,
    ) -> Arrays:
        """The same by :meth:`deconv`."""
        _begin(self, start_name, start_diff, zero_higher)
        return self.deconv(diffs, start_name, deconv_type=deconv_type)

    def deconv(
        self: _Net,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        *,
        deconv_type: str = DECONVNET,
    ) -> Arrays:
        """Run the layers backward from ``start`` to ``end`` (default: all) from what the diffs hold, with
        another rule for ReLU: ``deconv_type`` is ``Zeiler & Fergus`` or ``Guided Backprop``. Every other
        layer computes its gradient. Returns the diffs of the inputs (with ``end``: of that layer's bottoms)
        and of ``diffs``."""
        if deconv_type not in (DECONVNET, GUIDED):
            raise PycaffeError(f"deconv_type {deconv_type!r}, expected {DECONVNET!r} or {GUIDED!r}")
        first, last, wanted = way_back(self, diffs, start, end)
        with as_runtime_error():
            self._passes.backward(first, last, deconv_type)
        return {name: self.blobs[name].diff for name in wanted}


def way_back(
    net: _Net, diffs: Sequence[str] | None, start: str | None, end: str | None
) -> tuple[int, int, list[str]]:
    """The places of the layers at which a backward pass begins and ends, by default the last and the first,
    and the blobs whose diffs it returns: with ``end`` that layer's bottoms, else the inputs, and ``diffs``.
    Raises ValueError for a layer that there is not."""
    first = place_of(start, net._layer_names, len(net._layer_names) - 1)
    last = place_of(end, net._layer_names, 0)
    return first, last, [*(net.bottom_names[end] if end is not None else net.inputs), *(diffs or ())]


def _begin(net: _Net, layer: str, diff: npt.NDArray[Any], zero_higher: bool) -> None:
    """Write the diff that a pass begins with."""
    if not net.top_names.get(layer):
        raise PycaffeError(f"start_name {layer!r}: the net has no layer of this name that has a top")
    top = net.top_names[layer][0]
    blob = net.blobs[top]
    if diff.shape != blob.dims:
        raise PycaffeError(f"Expected start_diff of shape {blob.dims} but got {diff.shape}")
    if zero_higher:
        names = list(net.blobs)
        for name in names[names.index(top) + 1 :]:
            net.blobs[name].diff[...] = 0
    blob.diff[...] = diff
