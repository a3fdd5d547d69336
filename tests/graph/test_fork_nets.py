"""Whole nets with layers of forks, from text to numbers: as SSD detects, and as SegNet labels pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from test_cuda_kernels import missing

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.errors import GradientError, UnsupportedError
from vggrepro.graph.backward import gradient_model
from vggrepro.graph.forward import to_onnx
from vggrepro.graph.reference import reference_forward
from vggrepro.layers.rules.right_boxes import example_rows
from vggrepro.net import Net, load_net


def convolution(name: str, bottom: str, number: int, stride: int = 1, filler: str = 'type: "xavier"') -> str:
    sizes = f"num_output: {number} kernel_size: 3 pad: 1 stride: {stride}"
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
        f" convolution_param {{ {sizes} weight_filler {{ {filler} }} }} }}\n"
    )


UNSURE = 'type: "gaussian" std: 0.02'
"""Confidences that stay apart in float32."""


def flattened(name: str, bottom: str) -> str:
    """SSD's way: channels last, then one row for each image."""
    return f"""
    layer {{ name: "{name}_perm" type: "Permute" bottom: "{bottom}" top: "{name}_perm"
            permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
    layer {{ name: "{name}_flat" type: "Flatten" bottom: "{name}_perm" top: "{name}_flat"
            flatten_param {{ axis: 1 }} }}
    """


def head(source: str, least: int, most: int, step: int) -> str:
    """Places, confidences and prior boxes of one feature map: 4 boxes at each place, 3 classes."""
    return f"""
    {convolution(f"{source}_loc", source, 16)} {flattened(f"{source}_loc", f"{source}_loc")}
    {convolution(f"{source}_conf", source, 12, 1, UNSURE)} {flattened(f"{source}_conf", f"{source}_conf")}
    layer {{ name: "{source}_prior" type: "PriorBox" bottom: "{source}" bottom: "data" top: "{source}_prior"
            prior_box_param {{ min_size: {least} max_size: {most} aspect_ratio: 2 flip: true clip: false
                variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 step: {step} offset: 0.5 }} }}
    """


def joined(name: str, axis: int, *bottoms: str) -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    return (
        f'layer {{ name: "{name}" type: "Concat" {listed} top: "{name}" concat_param {{ axis: {axis} }} }}\n'
    )


SSD = f"""
name: "small_ssd" input: "data" input_shape {{ dim: 2 dim: 3 dim: 32 dim: 40 }}
{convolution("conv1", "data", 8, 4)}
layer {{ name: "relu1" type: "ReLU6" bottom: "conv1" top: "conv1" }}
layer {{ name: "norm1" type: "Normalize" bottom: "conv1" top: "norm1"
        norm_param {{ across_spatial: false scale_filler {{ type: "constant" value: 20 }}
                     channel_shared: false }} }}
{convolution("conv2", "conv1", 8, 2)}
{head("norm1", 6, 12, 4)} {head("conv2", 12, 20, 8)}
{joined("loc", 1, "norm1_loc_flat", "conv2_loc_flat")}
{joined("conf", 1, "norm1_conf_flat", "conv2_conf_flat")}
{joined("prior", 2, "norm1_prior", "conv2_prior")}
layer {{ name: "rows" type: "Reshape" bottom: "conf" top: "rows"
        reshape_param {{ shape {{ dim: 0 dim: -1 dim: 3 }} }} }}
layer {{ name: "softmax" type: "Softmax" bottom: "rows" top: "softmax" softmax_param {{ axis: 2 }} }}
layer {{ name: "sure" type: "Flatten" bottom: "softmax" top: "sure" }}
layer {{ name: "detections" type: "DetectionOutput" bottom: "loc" bottom: "sure" bottom: "prior"
        top: "detections" include {{ phase: TEST }}
        detection_output_param {{
            num_classes: 3 share_location: true background_label_id: 0 code_type: CENTER_SIZE
            nms_param {{ nms_threshold: 0.45 top_k: 40 }} keep_top_k: 20 confidence_threshold: 0.35
            save_output_param {{ output_directory: "somewhere" output_format: "VOC"
                                resize_param {{ resize_mode: WARP }} }} }} }}
"""

SEGNET = f"""
name: "small_segnet" input: "data" input_shape {{ dim: 2 dim: 3 dim: 13 dim: 10 }} force_backward: true
{convolution("conv1", "data", 4)}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" top: "pool1_mask"
        pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
{convolution("conv2", "pool1", 4)}
layer {{ name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2" top: "pool2_mask"
        pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "up2" type: "Upsample" bottom: "pool2" bottom: "pool2_mask" top: "up2"
        upsample_param {{ scale: 2 upsample_w: 5 upsample_h: 7 }} }}
{convolution("conv3", "up2", 4)}
layer {{ name: "up1" type: "Upsample" bottom: "conv3" bottom: "pool1_mask" top: "up1"
        upsample_param {{ scale: 2 pad_out_h: true }} }}
{convolution("score", "up1", 2)}
layer {{ name: "large" type: "Interp" bottom: "score" top: "large" interp_param {{ zoom_factor: 3 }} }}
"""

CASCADE = f"""
name: "small_cascade" input: "data" input_shape {{ dim: 2 dim: 3 dim: 48 dim: 40 }}
{convolution("conv1", "data", 8, 4)} {convolution("conv2", "conv1", 8, 2)} {convolution("found", "conv2", 7)}
layer {{ name: "boxes" type: "BoxOutput" bottom: "found" top: "boxes" box_output_param {{
        fg_thr: -5 iou_thr: 0.5 field_w: 20 field_h: 24 downsample_rate: 8 max_post_nms_num: 6 }} }}
layer {{ name: "pooled" type: "ROIPooling" bottom: "conv2" bottom: "boxes" top: "pooled"
        roi_pooling_param {{ pooled_w: 2 pooled_h: 3 spatial_scale: 0.125 pad_ratio: 0.25 }} }}
layer {{ name: "places" type: "InnerProduct" bottom: "pooled" top: "places" inner_product_param {{
        num_output: 8 weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
layer {{ name: "second" type: "DecodeBBox" bottom: "places" bottom: "boxes" top: "second"
        propagate_down: 0 propagate_down: 0 bbox_reg_param {{
            bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_mean: 0
            bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }} }}
layer {{ name: "pooled2" type: "ROIPooling" bottom: "conv2" bottom: "second" top: "pooled2"
        roi_pooling_param {{ pooled_w: 2 pooled_h: 3 spatial_scale: 0.125 }} }}
"""


def load(tmp_path: Path, text: str, **options: Any) -> Net:
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    return load_net(path, seed=1, **options)


def pictures(net: Net, images: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((images, *net.inputs["data"][1:])).astype(np.float32)


def outputs(model: onnx.ModelProto, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("size", [(32, 40), (57, 29), None])
def test_ssd(tmp_path: Path, images: int, size: tuple[int, int] | None) -> None:
    """The batch and the size stay free; prior boxes are constants where the size is fixed."""
    net = load(tmp_path, SSD)
    model = to_onnx(net) if size else to_onnx(net.reshape({"data": (images, 3, 32, 40)}), fixed=True)
    dims = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == (["N", 3, "H", "W"] if size else [images, 3, 32, 40])
    assert missing(model) == {"NonMaxSuppression"}
    shape = (images, 3, *(size or (32, 40)))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    got = outputs(model, data=x)["detections"]
    expected = reference_forward(net, {"data": x})["detections"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=5e-6)
    found = got[0, 0, got[0, 0, :, 1] >= 0]
    assert 5 * images < len(found) <= 20 * images
    assert set(found[:, 0]) == set(range(images))
    assert set(found[:, 1]) == {1, 2}
    assert len(got[0, 0]) == 20 * images


def test_ssds_weights_go_through_a_file(tmp_path: Path) -> None:
    net = load(tmp_path, SSD)
    assert net.params["norm1:0"].tolist() == [20] * 8
    path = tmp_path / "ssd.caffemodel"
    blobs: dict[str, list[np.ndarray]] = {}
    for use in net.param_uses:
        blobs.setdefault(use.key.rsplit(":", 1)[0], []).append(net.params[use.key])
    write_caffemodel(path, net.message, blobs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load(tmp_path, SSD, weights=path)
    assert again.loaded == {use.key for use in net.param_uses}
    for key, array in net.params.items():
        np.testing.assert_array_equal(again.params[key], array)


def test_ssd_has_no_gradient_through_detections(tmp_path: Path) -> None:
    """As in SSD; but the layers before it have theirs."""
    with pytest.raises(GradientError, match="DetectionOutput has no backward pass"):
        gradient_model(load(tmp_path, SSD.replace("include { phase: TEST }", "loss_weight: 1")))
    cut = SSD[: SSD.index('layer { name: "detections"')]
    net = load(tmp_path, cut)
    feeds = {f"d:{blob}": np.ones(net.shapes[net.blobs[blob]], np.float32) for blob in ("loc", "sure")}
    got = outputs(gradient_model(net), data=pictures(net, 2), **net.params, **feeds)
    assert all(np.abs(got[f"d:{key}"]).max() > 0 for key in net.params)


SSD_LOSS = """
input: "label" input_shape { dim: 1 dim: 1 dim: 5 dim: 8 }
layer { name: "loss" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior" bottom: "label"
        top: "loss" include { phase: TRAIN } loss_param { normalization: VALID }
        propagate_down: true propagate_down: true propagate_down: false propagate_down: false
        multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE
                              overlap_threshold: 0.3 neg_overlap: 0.3 } }
layer { name: "judged" type: "DetectionEvaluate" bottom: "detections" bottom: "label" top: "judged"
        include { phase: TEST } detection_evaluate_param { num_classes: 3 } }
"""


def test_ssd_learns_along_the_slope(tmp_path: Path) -> None:
    """In each parameter along one direction; and of boxes that are the right ones, all are right."""
    net = load(tmp_path, SSD + SSD_LOSS, phase="TRAIN")
    x, rng = pictures(net, 2), np.random.default_rng(3)
    label = example_rows(5, 2, rng)
    model = gradient_model(net)
    assert missing(model) == set()
    got = outputs(model, data=x, label=label, **net.params)

    def loss(params: dict[str, np.ndarray]) -> float:
        return float(reference_forward(net.with_params(params), {"data": x, "label": label})["loss"])

    assert loss({}) > 1
    for name, array in net.params.items():
        direction = rng.standard_normal(array.shape)
        step = 1e-4 * max(1, np.abs(array).max())  # parameters are kept in float32
        moved = [{name: array.astype(np.float64) + sign * step * direction} for sign in (1, -1)]
        slope = (loss(moved[0]) - loss(moved[1])) / (2 * step)
        assert (got[f"d:{name}"] * direction).sum() == pytest.approx(slope, rel=1e-2, abs=1e-2), name
    judged = load(tmp_path, SSD + SSD_LOSS)
    found = outputs(to_onnx(judged, outputs=["detections"]), data=x, label=label)["detections"]
    label[0, 0, :, :2], label[0, 0, :, 3:7] = found[0, 0, :5, :2], found[0, 0, :5, 3:]
    rows = outputs(to_onnx(judged), data=x, label=label)["judged"][0, 0]
    assert (rows[:2, 2].sum(), rows[2:7, 3:].tolist()) == (5, [[1, 0]] * 5)


def test_segnet(tmp_path: Path) -> None:
    net = load(tmp_path, SEGNET)
    model = to_onnx(net)
    assert missing(model) == set()
    x = pictures(net, 3)
    got = outputs(model, data=x)["large"]
    expected = reference_forward(net, {"data": x})["large"]
    assert got.shape == (3, 2, 37, 28)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_segnets_gradient_is_the_slope(tmp_path: Path) -> None:
    """Along one direction in each parameter and in the input; the masks get none and ask for none."""
    net = load(tmp_path, SEGNET)
    x, rng = pictures(net, 2), np.random.default_rng(7)
    weight = rng.standard_normal(net.outputs["large"])
    model = gradient_model(net, inputs=["data"])
    assert missing(model) == set()
    got = outputs(model, data=x, **net.params, **{"d:large": weight.astype(np.float32)})

    def loss(data: np.ndarray, params: dict[str, np.ndarray]) -> float:
        return float((reference_forward(net.with_params(params), {"data": data})["large"] * weight).sum())

    step = 1e-5
    for name, array in {"data": x, **net.params}.items():
        direction = rng.standard_normal(array.shape)
        moved = [array.astype(np.float64) + sign * step * direction for sign in (1, -1)]
        ends = [loss(m, {}) if name == "data" else loss(x, {name: m}) for m in moved]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert (got[f"d:{name}"] * direction).sum() == pytest.approx(slope, rel=2e-3), name


@pytest.mark.parametrize("kind", ["gabor", "AnchorTarget", "KernelLoss"])
def test_layers_of_forks_that_are_not_there_are_named(tmp_path: Path, kind: str) -> None:
    text = f'{SSD.splitlines()[1]} layer {{ name: "x" type: "{kind}" bottom: "data" top: "x" }}'
    with pytest.raises(UnsupportedError, match=f"layer 'x': Unknown layer type: {kind}"):
        load(tmp_path, text)


def test_a_cascade_pools_boxes_of_every_image(tmp_path: Path) -> None:
    """As MS-CNN finds boxes, and Cascade R-CNN moves them; the size of the batch stays free."""
    net = load(tmp_path, CASCADE)
    model = to_onnx(net, outputs=["boxes", "second", "pooled2"])
    assert missing(model) == {"NonMaxSuppression", "MaxRoiPool"}
    x = pictures(net, 3)
    got, expected = outputs(model, data=x), reference_forward(net, {"data": x})
    for name, array in got.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-4, err_msg=name)
    assert set(got["boxes"][:, 0].reshape(-1)) == {0, 1, 2}
    assert got["pooled2"].shape == (18, 8, 3, 2)


def test_nothing_learns_through_the_skip_of_a_u_net(tmp_path: Path) -> None:
    """MergeCrop's second bottom, which counts but has no gradient, as in naibaf7's Caffe."""
    text = """input: "x" input_shape { dim: 1 dim: 1 dim: 2 dim: 2 }
        layer { name: "s" type: "Scale" bottom: "x" top: "s" scale_param { filler { value: 1 } } }
        layer { name: "m" type: "MergeCrop" bottom: "s" bottom: "s" top: "m"
            mergecrop_param { operation: ADD } }
        layer { name: "l" type: "Reduction" bottom: "m" top: "l" loss_weight: 1 }"""
    net = load(tmp_path, text)
    got = outputs(gradient_model(net), x=np.full((1, 1, 2, 2), 3, np.float32), **net.params)
    assert got["d:s:0"] == 12  # of 4 pixels of 3; twice that, if b had a gradient
