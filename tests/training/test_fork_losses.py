"""Nets of forks, as their own train definitions have them, learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggrepro.training.solver import Solver

BIASES = " ".join(f"biases: {b}" for b in (10, 14, 23, 27, 37, 58, 81, 82))
NO_RATE = "param { lr_mult: 0 decay_mult: 0 }"


def convolution(name: str, bottom: str, filters: int, more: str = "", kind: str = "Convolution") -> str:
    return f"""
layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" param {{ lr_mult: 1 decay_mult: 1 }}
        convolution_param {{ num_output: {filters} bias_term: false {more}
            weight_filler {{ type: "msra" }} }} }}
layer {{ name: "{name}/bn" type: "BatchNorm" bottom: "{name}" top: "{name}" {NO_RATE} {NO_RATE} {NO_RATE} }}
layer {{ name: "{name}/scale" type: "Scale" bottom: "{name}" top: "{name}" scale_param {{
        filler {{ value: 1 }} bias_term: true bias_filler {{ value: 0 }} }} }}
layer {{ name: "{name}/relu" type: "ReLU" bottom: "{name}" top: "{name}" }}"""


def head(number: int, bottom: str, step: int, masks: str) -> str:
    return f"""
layer {{ name: "out{number}" type: "Convolution" bottom: "{bottom}" top: "out{number}"
        convolution_param {{ num_output: 14 kernel_size: 1 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "loss{number}" type: "Yolov3" bottom: "out{number}" bottom: "label" top: "det_loss{number}"
        loss_weight: 1 yolov3_param {{ side: 13 num_class: 2 num: 2 object_scale: 5.0 noobject_scale: 1.0
            class_scale: 1.0 coord_scale: 1.0 thresh: 0.6 anchors_scale : {step} use_logic_gradient : false
            {BIASES} {masks} }} }}"""


YOLO = f"""
name: "MobileNet-YOLO"
layer {{ name: "data" type: "AnnotatedData" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ scale: 0.007843 mirror: true mean_value: 127.5
    resize_param {{ prob: 0.5 resize_mode: WARP height: 96 width: 96 interp_mode: LINEAR interp_mode: AREA }}
    resize_param {{ prob: 0.5 resize_mode: WARP height: 64 width: 64 interp_mode: LANCZOS4 }}
    emit_constraint {{ emit_type: CENTER }} distort_param {{ hue_prob: 0.5 }} expand_param {{ prob: 0.5 }} }}
  data_param {{ source: "trainval_lmdb" batch_size: 2 backend: LMDB }}
  annotated_data_param {{ yolo_data_type : 1 batch_sampler {{ max_sample: 1 }} label_map_file: "map" }} }}
{convolution("conv0", "data", 8, "kernel_size: 3 pad: 1 stride: 4")}
{convolution("conv1/dw", "conv0", 8, "kernel_size: 3 pad: 1 stride: 2 group: 8", "DepthwiseConvolution")}
{convolution("conv1", "conv1/dw", 16, "kernel_size: 1")}
{convolution("conv2/dw", "conv1", 16, "kernel_size: 3 pad: 1 stride: 2 group: 16", "DepthwiseConvolution")}
{convolution("conv2", "conv2/dw", 16, "kernel_size: 1")}
layer {{ name: "upsample" type: "Upsample" bottom: "conv2" top: "upsample" upsample_param {{ scale: 2 }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "conv1" bottom: "upsample" top: "sum" }}
{head(1, "conv2", 16, "mask:2 mask:3")}
{head(2, "sum", 8, "mask:0 mask:1")}
"""


def test_mobilenet_yolo_v3_learns(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(YOLO)
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path / "net.prototxt"}" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 max_iter: 9'
    )
    shapes = {"data": (2, 3, 64, 96), "label": (2, 1, 300, 5)}
    solver = Solver(tmp_path / "solver.prototxt", input_shapes=shapes, seed=1, threads=1)
    labels = np.zeros(shapes["label"], np.float32)
    labels[0, 0, :2] = [[1, 0.5, 0.5, 0.7, 0.9], [0, 0.2, 0.3, 0.15, 0.2]]
    labels[1, 0, :1] = [[0, 0.7, 0.6, 0.4, 0.5]]
    images = np.random.default_rng(0).normal(size=shapes["data"]).astype(np.float32)
    losses = [solver.step([{"data": images, "label": labels}]) for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0]


def c3d_convolution(number: int, bottom: str, filters: int) -> str:
    return f"""
layers {{ name: "conv{number}a" type: CONVOLUTION3D bottom: "{bottom}" top: "conv{number}a"
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  convolution_param {{ num_output: {filters} kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1
    weight_filler {{ type: "gaussian" std: 0.1 }} bias_filler {{ type: "constant" value: 0 }} }} }}
layers {{ name: "relu{number}a" type: RELU bottom: "conv{number}a" top: "conv{number}a" }}
layers {{ name: "pool{number}" type: POOLING3D bottom: "conv{number}a" top: "pool{number}"
  pooling_param {{ pool: MAX kernel_size: 2 kernel_depth: {number} stride: 2
    temporal_stride: {number} }} }}"""


C3D = f"""
name: "DeepConv3DNet"
layers {{ name: "data" type: VIDEO_DATA top: "data" top: "label"
  image_data_param {{ source: "train.lst" use_image: false mean_file: "mean.binaryproto" batch_size: 3
    crop_size: 18 mirror: true show_data: 0 new_height: 20 new_width: 30 new_length: 6 shuffle: true }}
  include: {{ phase: TRAIN }} }}
{c3d_convolution(1, "data", 4)}
{c3d_convolution(2, "pool1", 6)}
layers {{ name: "fc6" type: INNER_PRODUCT bottom: "pool2" top: "fc6" inner_product_param {{ num_output: 8
  weight_filler {{ type: "gaussian" std: 0.05 }} }} }}
layers {{ name: "relu6" type: RELU bottom: "fc6" top: "fc6" }}
layers {{ name: "drop6" type: DROPOUT bottom: "fc6" top: "fc6" dropout_param {{ dropout_ratio: 0.1 }} }}
layers {{ name: "fc8" type: INNER_PRODUCT bottom: "fc6" top: "fc8" inner_product_param {{ num_output: 3
  weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
layers {{ name: "loss" type: SOFTMAX_LOSS bottom: "fc8" bottom: "label" }}
"""


def test_c3d_in_the_format_of_2014_learns(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(C3D)
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path / "net.prototxt"}" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 9'
    )
    solver = Solver(tmp_path / "solver.prototxt", input_shapes={"label": (3,)}, seed=1, threads=1)
    assert solver.net.shapes["data"] == (3, 3, 6, 18, 18)
    assert solver.net.shapes["pool1"] == (3, 4, 6, 9, 9)
    assert solver.net.shapes["pool2"] == (3, 6, 3, 5, 5)
    videos = np.random.default_rng(0).normal(size=(3, 3, 6, 18, 18)).astype(np.float32)
    batch = {"data": videos, "label": np.float32([0, 1, 2])}
    losses = [solver.step([batch]) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


DEFORMABLE = """
name: "deformable"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 4 dim: 9 dim: 8 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 dim: 6 } } }
layer { name: "class" type: "Input" top: "class" input_param { shape { dim: 4 } } }
layer { name: "offset" type: "Convolution" bottom: "data" top: "offset"
        convolution_param { num_output: 36 kernel_size: 3 pad: 2 dilation: 2
            weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "dec" type: "DeformableConvolution" bottom: "data" bottom: "offset" top: "dec"
        param { lr_mult: 1 } param { lr_mult: 2 }
        deformable_convolution_param { num_output: 8 kernel_size: 3 stride: 1 pad: 2 engine: 1 dilation: 2
            deformable_group: 2 weight_filler { type: "msra" } bias_filler { type: "constant" } } }
layer { name: "relu" type: "ReLU" bottom: "dec" top: "dec" }
layer { name: "pool" type: "Pooling" bottom: "dec" top: "pool"
        pooling_param { pool: AVE kernel_size: 3 stride: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "multi" type: "MultiLabelLoss" bottom: "fc" bottom: "label" top: "multi" }
layer { name: "lifted" type: "LiftedStructSimilaritySoftmaxLoss" bottom: "fc" bottom: "class" top: "lifted"
        loss_weight: 0.1 lifted_struct_sim_softmax_loss_param { margin: 1 } }
layer { name: "right" type: "MultiLabelAccuracy" bottom: "fc" bottom: "label" top: "right" }
"""


def test_a_deformable_net_with_several_labels_learns(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(DEFORMABLE)
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path / "net.prototxt"}" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 max_iter: 30'
    )
    solver = Solver(tmp_path / "solver.prototxt", seed=1, threads=1)
    rng = np.random.default_rng(0)
    batch = {
        "data": rng.normal(size=(4, 4, 9, 8)).astype(np.float32),
        "label": rng.choice([-1, 0, 1], (4, 6)).astype(np.float32),
        "class": np.float32([0, 1, 0, 1]),
    }
    losses = [solver.step([batch]) for _ in range(25)]
    assert losses[-1] < 0.3 * losses[0]
