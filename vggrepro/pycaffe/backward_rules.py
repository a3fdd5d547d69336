"""What layers pass back instead of their gradients, to show what a net decided by. A backward pass follows
one of these sets of rules; a layer that is not in it computes its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vggrepro.layers.eltwise import Eltwise
from vggrepro.layers.pooling import Pooling
from vggrepro.layers.relu import ReLU
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.blob import Blob, BlobVec
from vggrepro.pycaffe.engine import Program
from vggrepro.pycaffe.segments import Memories, Segment, backward_segment, forward_segment
from vggrepro.pycaffe.site import Site

Rule = Callable[[Site], None]
"""Writes the bottoms' diffs of a layer, from its tops'."""


def _deconvnet(site: Site) -> None:
    """ReLU passes back what is positive (Zeiler and Fergus 2014, section 2.1)."""
    site.bottoms[0].net_diff[...] = np.maximum(site.tops[0].net_diff, 0)


def _guided(site: Site) -> None:
    """ReLU passes back the gradient of what is positive (Springenberg et al. 2015, section 3.4)."""
    layer = site.layer
    assert isinstance(layer, ReLU)
    slope = np.where(site.bottoms[0].net_data > 0, np.float32(1), np.float32(layer.negative_slope))
    site.bottoms[0].net_diff[...] = np.maximum(site.tops[0].net_diff, 0) * slope


def _unchanged(site: Site) -> None:
    site.bottoms[0].net_diff[...] = site.tops[0].net_diff


def _excite(site: Site) -> None:
    """Share each top value's diff among the bottom values in proportion to what they excite it by, with the
    positive weights alone and no bias (Zhang et al. 2016, equation 10). Parameters get no gradient."""
    own = replace(
        site,
        bottoms=_copies(site.bottoms),
        tops=_copies(site.tops),
        blobs=_copies(site.blobs),
        needed=replace(site.needed, params=(False,) * len(site.blobs)),
        destroys=(),
    )
    for copy, blob in zip(own.bottoms, site.bottoms, strict=True):
        copy.net_data[...] = blob.net_data
    for copy, blob in zip(own.blobs[:1], site.blobs[:1], strict=True):
        copy.net_data[...] = np.maximum(blob.net_data, 0)
    memories = Memories({}, {})
    _run(forward_segment([own], memories, frozen=False))
    for copy, blob in zip(own.tops, site.tops, strict=True):
        excited = copy.net_data
        divides = excited != 0 if site.blobs else excited > 0
        np.divide(blob.net_diff, excited, out=copy.net_diff, where=divides)
    _run(backward_segment([own], memories))
    for copy, blob, needed in zip(own.bottoms, site.bottoms, site.needed.bottoms, strict=True):
        if needed:
            blob.net_diff[...] = copy.net_diff * copy.net_data


def _second_bottom(site: Site) -> None:
    """A sum passes all back to its second bottom, as the fork has it."""
    for index, (bottom, needed) in enumerate(zip(site.bottoms, site.needed.bottoms, strict=True)):
        if needed:
            bottom.net_diff[...] = site.tops[0].net_diff if index == 1 else 0


def _nothing(site: Site) -> None:
    """The fork leaves the diffs of a product's bottoms as they are."""


BACKWARD_RULES: Mapping[str, Mapping[str, Rule]] = {
    mode.GRADIENT: {},
    mode.DECONVNET: {"ReLU": _deconvnet},
    mode.GUIDED: {"ReLU": _guided},
    mode.EXCITATION: {
        "Convolution": _excite,
        "InnerProduct": _excite,
        "Pooling AVE": _excite,
        "Eltwise SUM": _second_bottom,
        "Eltwise PROD": _nothing,
        "BatchNorm": _unchanged,
        "Scale": _unchanged,
        "LRN": _unchanged,
    },
}
"""The sets of rules by name, and each rule by what ``kind_of`` says of a layer: of yosinski/caffe and
arikpoz/caffe, and of jimmie33/Caffe-ExcitationBP."""


def kind_of(site: Site) -> str:
    """A layer's type, with the method of Pooling and the operation of Eltwise."""
    if isinstance(site.layer, Pooling):
        return f"Pooling {site.layer.method}"
    if isinstance(site.layer, Eltwise):
        return f"Eltwise {site.message.eltwise_param.EltwiseOp.Name(site.layer.operation)}"
    return site.type


def _copies(blobs: Sequence[Blob]) -> BlobVec:
    """Blobs of the same names and shapes with memories of their own."""
    copies = BlobVec(Blob(*blob.dims) for blob in blobs)
    for copy, blob in zip(copies, blobs, strict=True):
        copy.name = blob.name
    return copies


def _run(segment: Segment) -> None:
    Program(segment, mode.device_name(), mode.threads()).run()
