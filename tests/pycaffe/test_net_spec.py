"""Nets written in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from nets import make

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe import layers as L
from vggrepro.pycaffe import params as P
from vggrepro.pycaffe.proto import caffe_pb2


def named() -> object:
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[2, 1, 12, 12]), dict(dim=[2])], transform_param=dict(scale=0.5), ntop=2
    )
    n.conv = L.Convolution(n.data, kernel_size=5, num_output=3, weight_filler=dict(type="xavier"))
    n.pool = L.Pooling(n.conv, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.relu = L.ReLU(n.pool, in_place=True)
    n.ip = L.InnerProduct(n.relu, num_output=4, param=[dict(lr_mult=1), dict(lr_mult=2)])
    n.loss = L.SoftmaxWithLoss(n.ip, n.label)
    return n


def test_named_tops(tmp_path: Path) -> None:
    message = named().to_proto()
    assert [layer.name for layer in message.layer] == ["data", "conv", "pool", "relu", "ip", "loss"]
    relu = message.layer[3]
    assert list(relu.top) == list(relu.bottom) == ["pool"]
    assert list(message.layer[4].bottom) == ["pool"] and [p.lr_mult for p in message.layer[4].param] == [1, 2]
    assert message.layer[2].pooling_param.pool == P.Pooling.AVE == 1
    assert message.layer[0].transform_param.scale == 0.5
    net = make(tmp_path, str(message), caffe.TRAIN)
    assert len(net.layers) == 6 and net.forward()["loss"] > 0


def test_made_up_names() -> None:
    data = L.Input(shape=dict(dim=[1, 2]))
    first = L.InnerProduct(data, num_output=2)
    message = caffe.to_proto(L.InnerProduct(first, num_output=3), L.ReLU(first))
    assert [layer.name for layer in message.layer] == ["Input1", "InnerProduct1", "InnerProduct2", "ReLU1"]
    assert first.to_proto().layer[1].inner_product_param.num_output == 2


def test_without_tops(tmp_path: Path) -> None:
    n = caffe.NetSpec()
    n.a, n.b = L.DummyData(shape=dict(dim=3), ntop=2)
    n.quiet = L.Silence(n.a, ntop=0)
    n["quiet too"] = L.Silence(n.b, ntop=0)
    message = n.to_proto()
    assert [layer.name for layer in message.layer] == ["a", "quiet", "quiet too"]
    assert make(tmp_path, str(message)).forward() == {}


def test_as_a_mapping() -> None:
    n = named()
    assert n.keys() == ["data", "label", "conv", "pool", "relu", "ip", "loss"] and n["conv"] is n.conv
    assert n.vals()[2] is n.conv
    n.update("conv", dict(num_output=9))
    assert n.to_proto().layer[1].convolution_param.num_output == 9
    del n["loss"]
    assert n.to_proto().layer[-1].name == "ip"
    with pytest.raises(KeyError):
        _ = n.nothing
    assert not hasattr(n, "nothing") and hasattr(n, "conv")


def test_a_field_given_as_none_stays_unset() -> None:
    conv = L.Convolution(L.DummyData(), num_output=2, kernel_size=3, bias_filler=None, group=None)
    param = conv.to_proto().layer[-1].convolution_param
    assert not param.HasField("bias_filler") and not param.HasField("group") and param.num_output == 2


def test_wrong_inputs_and_fields() -> None:
    data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>\)$"):
        L.Silence(data, ntop=0)
    L.Silence(*data, ntop=0)
    with pytest.raises(AttributeError):
        L.ReLU(data[0], num_output=3).to_proto()


def test_what_the_generators_of_ssd_write(tmp_path: Path) -> None:
    """How its images are disturbed and its tests are reported, which nothing here reads."""
    n = caffe.NetSpec()
    distortion = dict(brightness_prob=0.5, hue_delta=18, random_order_prob=0.0)
    n.data, n.label = L.AnnotatedData(
        data_param=dict(source="lmdb", batch_size=2, backend=P.Data.LMDB),
        annotated_data_param=dict(batch_sampler=[dict(sampler=dict(min_scale=0.3), max_sample=1)]),
        transform_param=dict(
            resize_param=dict(prob=1, height=30, width=30, interp_mode=[P.Resize.LINEAR, P.Resize.AREA]),
            distort_param=distortion,
            expand_param=dict(prob=0.5, max_expand_ratio=4.0),
            noise_param=dict(saltpepper_param=dict(fraction=0.25, value=[1, 2])),
        ),
        ntop=2,
    )
    written = caffe_pb2.NetParameter()
    text_format.Parse(str(n.to_proto()), written)
    transform = written.layer[0].transform_param
    assert {f.name: v for f, v in transform.distort_param.ListFields()} == pytest.approx(distortion)
    assert transform.expand_param.max_expand_ratio == 4 and transform.noise_param.saltpepper_param.fraction
    solver = caffe_pb2.SolverParameter(base_lr=0.5, eval_type="detection", ap_version="11point")
    assert 'eval_type: "detection"' in str(solver) and not solver.show_per_class_result
