"""What a fork's layers mean where their fields do not tell, for names of layers that several forks share.

A net whose fork is named (``--fork``, ``load_net(fork=...)``) has these fields wherever it sets none itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggrepro.errors import NetError

if TYPE_CHECKING:
    from vggrepro.caffe.messages import NetParameter

FORKS: dict[str, dict[str, str]] = {
    "cascade-rcnn": {"ROIAlign": "roi_pooling_param { corner_grid: true }"},
    "cuhk": {"BN": "bn_param { frozen: false }"},
    "faceboxes": {"PriorBox": "prior_box_param { faceboxes: true }"},
    "happynear": {"Flip": "flip_param { flip_width: true flip_height: false }"},
    "inisis": {"HardSigmoid": "hardsigmoid_param { alpha: 0.2 beta: 0.5 }"},
    "junhyukoh": {"Lstm": "lstm_param { batch_size: 1 }"},
    "segnet": {"BN": "bn_param { bn_mode: LEARN }"},
    "textboxes": {"PriorBox": "prior_box_param { denser_prior_boxes: true }"},
}
"""By the name of a fork: types of layers, and the inside of a layer whose fields are the fork's own rules."""

ONLY_IN = dict.fromkeys(("BoxOutput", "BoxGroupOutput", "DecodeBBox", "ScaleRoute"), "cascade-rcnn")
"""Types of layers that one fork alone has, by which it is known without being named."""


def with_defaults(message: NetParameter, fork: str | None) -> NetParameter:
    """A copy of an upgraded net in which each layer of the fork has the fields that tell it from others;
    without a fork, and without a layer that only one fork has, the net itself.

    Raises NetError for a fork that is not in ``FORKS``.
    """
    if fork is None:
        fork = next((ONLY_IN[layer.type] for layer in message.layer if layer.type in ONLY_IN), None)
    if fork is None:
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
