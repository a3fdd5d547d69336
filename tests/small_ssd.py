"""The beginning of a small SSD net: one feature map with two boxes at each place."""

from __future__ import annotations


def ssd_head(classes: int, *, conv: float = 0.01, loc: float = 0.1, conf: float = 0.1) -> str:
    """Layers from ``data`` to the places of boxes ``loc_flat``, their confidences ``conf_perm`` and the boxes
    ``prior``. ``conv``, ``loc`` and ``conf`` are the standard deviations of the convolutions' weights."""
    return f"""
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{
  num_output: 8 kernel_size: 5 stride: 5 weight_filler {{ type: "gaussian" std: {conv} }} }} }}
layer {{ name: "loc" type: "Convolution" bottom: "conv" top: "loc" convolution_param {{
  num_output: 8 kernel_size: 1 weight_filler {{ type: "gaussian" std: {loc} }} }} }}
layer {{ name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" }}
layer {{ name: "conf" type: "Convolution" bottom: "conv" top: "conf" convolution_param {{
  num_output: {2 * classes} kernel_size: 1 weight_filler {{ type: "gaussian" std: {conf} }} }} }}
layer {{ name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "prior" type: "PriorBox" bottom: "conv" bottom: "data" top: "prior"
  prior_box_param {{ min_size: 6 max_size: 12 variance: 0.1 }} }}
"""


def ssd_loss(classes: int) -> str:
    """The loss of :func:`ssd_head`'s boxes beside the right ones, ``label``."""
    return f"""
layer {{ name: "conf_flat" type: "Flatten" bottom: "conf_perm" top: "conf_flat" }}
layer {{ name: "loss" type: "MultiBoxLoss" bottom: "loc_flat" bottom: "conf_flat" bottom: "prior"
  bottom: "label" propagate_down: true propagate_down: true propagate_down: false propagate_down: false
  top: "loss" multibox_loss_param {{ num_classes: {classes} code_type: CENTER_SIZE }} }}
"""
