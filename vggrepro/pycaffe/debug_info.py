"""``debug_info: true``: the mean absolute values of blobs, parameters and gradients, logged in every pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vggrepro.pycaffe import glog
from vggrepro.pycaffe.blob import Blob, Floats, Storage
from vggrepro.pycaffe.passes import Passes
from vggrepro.pycaffe.site import Site


class DebugInfo:
    """What Caffe's net logs of its passes while ``debug_info`` is on. Layers then run one by one."""

    def __init__(self, sites: Sequence[Site], passes: Passes, on: bool) -> None:
        self._sites, self._passes = sites, passes
        self._on = False
        self.switch(on)

    def switch(self, on: bool) -> None:
        """Begin to log, or end it."""
        if on == self._on:
            return
        self._on = on
        for callbacks, callback in (
            (self._passes.after_forward, self._forward),
            (self._passes.after_backward, self._backward),
        ):
            (callbacks.append if on else callbacks.remove)(callback)

    def _forward(self, index: int) -> None:
        site = self._sites[index]
        for top in site.tops:
            _say("Forward", site, f"top blob {top.name} data: {_mean(top.net_data):g}", 591)
        for name, blob in zip(_names(site), site.blobs, strict=True):
            _say("Forward", site, f"param blob {name} data: {_mean(blob.net_data):g}", 603)

    def _backward(self, index: int) -> None:
        site = self._sites[index]
        if site.runs_backward:
            for needed, bottom in zip(site.needed.bottoms, site.bottoms, strict=True):
                if needed:
                    _say("Backward", site, f"bottom blob {bottom.name} diff: {_mean(bottom.net_diff):g}", 619)
            for number, (needed, blob) in enumerate(zip(site.needed.params, site.blobs, strict=True)):
                if needed:  # Caffe tells parameters by their names in the forward pass alone
                    _say("Backward", site, f"param blob {number} diff: {_mean(blob.net_diff):g}", 630)

    def all_params(self) -> None:
        """Log the norms of all parameters, as Caffe does behind a whole backward pass of a solver; one that a
        script begins has no such end."""
        if not self._on:
            return
        owned: dict[Storage, Blob] = {blob.data_storage: blob for s in self._sites for blob in s.blobs}
        data = [blob.net_data for blob in owned.values()]
        diff = [blob.net_diff for blob in owned.values()]
        sums = [sum(float(np.abs(a).sum(dtype=np.float64)) for a in arrays) for arrays in (data, diff)]
        squares = [
            sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays) for arrays in (data, diff)
        ]
        glog.log(
            f"    [Backward] All net params (data, diff): L1 norm = ({sums[0]:g}, {sums[1]:g});"
            f" L2 norm = ({math.sqrt(squares[0]):g}, {math.sqrt(squares[1]):g})",
            "net.cpp:552",
        )


def _say(what: str, site: Site, text: str, line: int) -> None:
    glog.log(f"    [{what}] Layer {site.name}, {text}", f"net.cpp:{line}")


def _names(site: Site) -> list[str]:
    """What a layer's parameters are called: by the names in its definition, or else their numbers."""
    given = [param.name for param in site.message.param]
    return [(given[i] if i < len(given) else "") or str(i) for i in range(len(site.blobs))]


def _mean(array: Floats) -> float:
    return float(np.abs(array).mean(dtype=np.float64)) if array.size else 0.0
