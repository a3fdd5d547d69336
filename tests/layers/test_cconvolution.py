"""CConvolution and CInnerProduct: the layer they mask, with the masked weights; which fork's they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from harness import check_forward, parse, tie_free

from vggrepro import load_net, to_onnx
from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import UnsupportedError

CONVOLUTION = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 2 }"
PRODUCT = "inner_product_param { num_output: 4 }"
SURGERY = (
    "gamma: 0.0001 power: 1 c_rate: 2 iter_stop: 14000 weight_mask_filler { value: 1 }"
    " bias_mask_filler { value: 1 }"
)
AUTO = "upper_bound: 0.94 iter_stop: 30000 inter_iter: 1500 weight_mask_filler { value: 1 }"
KINDS = {
    "CConvolution": (CONVOLUTION, "cconvolution_param", (2, 4, 5, 6)),
    "CInnerProduct": (PRODUCT, "cinner_product_param", (3, 2, 4)),
}


def masked(kind: str, fork: str, phase: int = 1):
    own, field, _ = KINDS[kind]
    return parse(f'type: "{kind}" {own} {field} {{ {fork} }}', phase)


@pytest.mark.parametrize("fork", [SURGERY, AUTO])
@pytest.mark.parametrize("kind", KINDS)
def test_masked_weights(kind: str, fork: str) -> None:
    rng = np.random.default_rng(0)
    own, _, shape = KINDS[kind]
    layer, plain = masked(kind, fork), parse(f'type: "{kind[1:]}" {own}')
    x = tie_free(rng, shape)
    weight, bias = plain.param_defs([shape])
    shapes = [weight.shape, bias.shape, weight.shape, bias.shape][: 4 if fork == SURGERY else 3]
    assert [d.shape for d in layer.param_defs([shape])] == shapes
    w, b = tie_free(rng, weight.shape), tie_free(rng, bias.shape)
    masks = [rng.integers(0, 2, s).astype(np.float32) for s in shapes[2:]]
    (y,) = check_forward(layer, [x], [w, b, *masks])
    kept = b * masks[1] if fork == SURGERY else b
    (expected,) = plain.reference([x], [w * masks[0], kept], []).tops
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(y, plain.reference([x], [w, b], []).tops[0])
    assert layer.macs([shape]) == plain.macs([shape])


def test_masks_come_from_the_weight_file_and_are_multiplied_once(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 1 dim: 4 dim: 5 dim: 6 } layer { name: "c" type: "CConvolution"'
        ' bottom: "x" top: "c" param { lr_mult: 1 } param { lr_mult: 2 }'
        f" {CONVOLUTION} cconvolution_param {{ {SURGERY} }} }}"
    )
    net = load_net(path)
    assert list(net.params) == ["c:0", "c:1", "c:2", "c:3"] and (net.params["c:2"] == 1).all()
    net = net.with_params({"c:2": np.zeros_like(net.params["c:2"]), "c:1": np.arange(4, dtype=np.float32)})
    model = to_onnx(net)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.ones((1, 4, 5, 6), np.float32)})
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(4).reshape(1, 4, 1, 1), y.shape))


def test_refuses() -> None:
    for kind in KINDS:
        with pytest.raises(
            UnsupportedError, match=f"{kind} is implemented for the phase TEST alone.* {kind[1:]} learns"
        ):
            masked(kind, SURGERY, TRAIN)
        for fork in ("iter_stop: 3", "gamma: 1 upper_bound: 1"):
            with pytest.raises(UnsupportedError, match=r"expected gamma, power, .* or is_pruning, .*; got "):
                masked(kind, fork)
    own, field, _ = KINDS["CInnerProduct"]
    without = own.replace("num_output", "bias_term: false num_output")
    for fork in (SURGERY, AUTO):
        with pytest.raises(UnsupportedError, match="CInnerProduct with bias_term: false"):
            parse(f'type: "CInnerProduct" {without} {field} {{ {fork} }}')
