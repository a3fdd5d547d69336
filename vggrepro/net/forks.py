"""What a fork's layers mean where their fields do not tell, for names of layers that several forks share.

A net whose fork is named (``--fork``, ``load_net(fork=...)``) has these fields wherever it sets none itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from vggrepro.errors import NetError, UpgradeError
from vggrepro.net.fork_table import ALIGNED_CROPS, FORKS, FROM, ONLY_IN
from vggrepro.system.caller_warning import warn_caller

if TYPE_CHECKING:
    from vggrepro.caffe.messages import NetParameter


def with_defaults(message: NetParameter, fork: str | None) -> NetParameter:
    """A copy of an upgraded net in which each layer of the fork has the fields that tell it from others;
    without a fork, and without a layer that only one fork has, the net itself.

    Raises NetError for a fork that is not in ``FORKS``, UpgradeError for crops that cannot be aligned.
    """
    if fork is None:
        fork = next((ONLY_IN[layer.type] for layer in message.layer if layer.type in ONLY_IN), None)
    message = _with_aligned_crops(message, fork)
    if fork is None:
        _hint_at_fork({layer.type for layer in message.layer})
        return message
    if fork not in FORKS:
        raise NetError(f"fork {fork!r}: expected one of {', '.join(sorted(FORKS))}")
    from google.protobuf import text_format

    from vggrepro.caffe.messages import LayerParameter, NetParameter

    told = NetParameter()
    told.CopyFrom(message)
    for layer in told.layer:
        if layer.type in FORKS[fork]:
            own = LayerParameter()
            own.CopyFrom(layer)
            layer.CopyFrom(text_format.Parse(FORKS[fork][layer.type], LayerParameter()))
            layer.MergeFrom(own)
    return told


def _with_aligned_crops(message: NetParameter, fork: str | None) -> NetParameter:
    """A net with AutoCrop, RCF's name of what FCN's Caffe called Crop, and the Crop layers of forks that mean
    the same, as Crop layers with offsets; the net itself if it has none."""
    plain = [
        i
        for i, layer in enumerate(message.layer)
        if layer.type == "Crop" and not layer.HasField("crop_param")
    ]
    automatic = [i for i, layer in enumerate(message.layer) if layer.type == "AutoCrop"]
    if fork in ALIGNED_CROPS:
        automatic += plain
    elif fork is None and plain:
        _hint_at_aligned_crops(message, plain)
    if not automatic:
        return message
    from vggrepro.caffe.crop_offsets import set_crop_offsets

    told = type(message)()
    told.CopyFrom(message)
    for index in automatic:
        told.layer[index].type = "Crop"
    set_crop_offsets(told, automatic)
    return told


def _hint_at_aligned_crops(message: NetParameter, crops: Sequence[int]) -> None:
    """Warn of Crop layers that begin elsewhere if they are those of a fork."""
    from vggrepro.caffe.crop_offsets import set_crop_offsets

    aligned = type(message)()
    aligned.CopyFrom(message)
    with contextlib.suppress(UpgradeError):
        set_crop_offsets(aligned, crops)
    moved = [aligned.layer[i] for i in crops if any(aligned.layer[i].crop_param.offset)]
    if moved:
        offset = ", ".join(map(str, moved[0].crop_param.offset))
        warn_caller(
            f"Crop is taken for BVLC Caffe's, which without an offset cuts at 0; HED's would cut"
            f" {moved[0].name!r} at {offset}: --fork hed (fork='hed')"
        )


def _hint_at_fork(types: Set[str]) -> None:
    """Warn of layers that are taken for BVLC Caffe's where a fork may be meant."""
    for kind in sorted(types & FROM.keys()):
        fork = FROM[kind]
        for meant in sorted(types & FORKS[fork].keys()):
            warn_caller(
                f"{meant} is taken for BVLC Caffe's; {kind} hints at another: --fork {fork} (fork={fork!r})"
            )
