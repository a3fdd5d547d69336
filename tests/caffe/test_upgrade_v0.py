"""The oldest format: every field, type and padding layer, and what Caffe stops at."""

import pytest

from vggrepro.caffe import messages, text, upgrade, upgrade_v0
from vggrepro.errors import UpgradeError

V0_FIELDS = {
    "num_output: 3": {"conv": "convolution_param", "innerproduct": "inner_product_param"},
    "biasterm: false": {"conv": "convolution_param", "innerproduct": "inner_product_param"},
    'weight_filler { type: "xavier" }': {"conv": "convolution_param", "innerproduct": "inner_product_param"},
    "bias_filler { value: 2 }": {"conv": "convolution_param", "innerproduct": "inner_product_param"},
    "pad: 2": {"conv": "convolution_param", "pool": "pooling_param"},
    "kernelsize: 3": {"conv": "convolution_param", "pool": "pooling_param"},
    "group: 2": {"conv": "convolution_param"},
    "stride: 4": {"conv": "convolution_param", "pool": "pooling_param"},
    "pool: STOCHASTIC": {"pool": "pooling_param"},
    "dropout_ratio: 0.25": {"dropout": "dropout_param"},
    "local_size: 3": {"lrn": "lrn_param"},
    "alpha: 2": {"lrn": "lrn_param"},
    "beta: 2": {"lrn": "lrn_param"},
    "k: 2": {"lrn": "lrn_param"},
    'source: "s"': {
        "data": "data_param",
        "hdf5_data": "hdf5_data_param",
        "images": "image_data_param",
        "window_data": "window_data_param",
        "infogain_loss": "infogain_loss_param",
    },
    "batchsize: 7": {
        "data": "data_param",
        "hdf5_data": "hdf5_data_param",
        "images": "image_data_param",
        "window_data": "window_data_param",
    },
    "rand_skip: 5": {"data": "data_param", "images": "image_data_param"},
    "shuffle_images: true": {"images": "image_data_param"},
    "new_height: 9": {"images": "image_data_param"},
    "new_width: 9": {"images": "image_data_param"},
    "concat_dim: 0": {"concat": "concat_param"},
    "det_fg_threshold: 0.1": {"window_data": "window_data_param"},
    "det_bg_threshold: 0.2": {"window_data": "window_data_param"},
    "det_fg_fraction: 0.3": {"window_data": "window_data_param"},
    "det_context_pad: 4": {"window_data": "window_data_param"},
    'det_crop_mode: "square"': {"window_data": "window_data_param"},
    'hdf5_output_param { file_name: "f" }': {"hdf5_output": "hdf5_output_param"},
}
RENAMED = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "shuffle_images": "shuffle",
    "det_fg_threshold": "fg_threshold",
    "det_bg_threshold": "bg_threshold",
    "det_fg_fraction": "fg_fraction",
    "det_context_pad": "context_pad",
    "det_crop_mode": "crop_mode",
}
V0_TYPES = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}


@pytest.mark.parametrize("type_name", V0_TYPES)
@pytest.mark.parametrize("setting", V0_FIELDS)
def test_every_v0_field_goes_where_its_type_wants_it_or_is_a_problem(setting, type_name):
    old = text.parse_net(f'layers {{ layer {{ name: "l" type: "{type_name}" {setting} }} top: "t" }}')
    result = upgrade.upgrade_net_report(old)
    name = setting.split(":")[0].split()[0]
    owner = V0_FIELDS[setting].get(type_name)
    if owner is None:
        assert result.problems == (f"layer 'l': Unknown parameter {name} for layer type {type_name}",)
        body = ""
        with pytest.raises(UpgradeError, match=f"net.prototxt: .*Unknown parameter {name}"):
            upgrade.upgrade_net_param(old, "net.prototxt")
    else:
        assert result.problems == ()
        inner = setting if owner == "hdf5_output_param" else setting.replace(name, RENAMED.get(name, name), 1)
        body = inner if owner == "hdf5_output_param" else f"{owner} {{ {inner} }}"
    assert result.message == text.parse_net(
        f'layer {{ name: "l" type: "{V0_TYPES[type_name]}" top: "t" {body} }}'
    )


def test_problems_are_warned_of_and_the_rest_is_upgraded():
    old = 'layers { layer { name: "l" type: "relu" stride: 2 } top: "t" }'
    with pytest.warns(UserWarning, match="Unknown parameter stride for layer type relu"):
        new = upgrade.upgrade_net(old)
    assert text.parse_net(new) == text.parse_net('layer { name: "l" type: "ReLU" top: "t" }')


def test_the_v0_tables_cover_every_field_of_the_schema():
    seen = {setting.split(":")[0].split()[0] for setting in V0_FIELDS}
    common = {"name", "type", "blobs", "blobs_lr", "weight_decay", "scale", "meanfile", "cropsize", "mirror"}
    ignored_by_caffe = {"new_num", "new_channels"}
    assert seen | common | ignored_by_caffe == {f.name for f in messages.V0LayerParameter.DESCRIPTOR.fields}


@pytest.mark.parametrize("type_name", ["data", "relu"])
def test_v0_transforms_move_whatever_the_type_is(type_name):
    old = f'layers {{ layer {{ type: "{type_name}" scale: 2 meanfile: "m" cropsize: 3 mirror: true }} }}'
    new = (
        f'layer {{ type: "{V0_TYPES[type_name]}" '
        'transform_param { scale: 2 mean_file: "m" crop_size: 3 mirror: true } }'
    )
    assert upgrade.upgrade_net_param(text.parse_net(old)) == text.parse_net(new)


def test_v0_blobs_and_rates_come_along():
    old = """
      layers { layer { name: "c" type: "conv" blobs { num: 1 channels: 1 height: 1 width: 2 data: 1 data: 2 }
                       blobs_lr: 1 blobs_lr: 2 weight_decay: 3 } }"""
    new = """
      layer { name: "c" type: "Convolution" blobs { num: 1 channels: 1 height: 1 width: 2 data: 1 data: 2 }
              param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 } }"""
    assert upgrade.upgrade_net_param(text.parse_net(old)) == text.parse_net(new)


def test_v0_drops_what_v0_nets_did_not_have():
    old = 'debug_info: true state { level: 1 } force_backward: true layers { layer { type: "relu" } }'
    assert upgrade.upgrade_net_param(text.parse_net(old)) == text.parse_net(
        'force_backward: true layer { type: "ReLU" }'
    )


def test_a_pooling_layer_takes_a_padding_layers_pad_too():
    old = """
      input: "x" input_dim: 1 input_dim: 1 input_dim: 5 input_dim: 5
      layers { layer { name: "p" type: "padding" pad: 1 } bottom: "x" top: "xp" }
      layers { layer { name: "l" type: "pool" kernelsize: 3 } bottom: "xp" top: "y" }"""
    layer = upgrade.upgrade_net_param(text.parse_net(old)).layer[1]
    assert (layer.pooling_param.pad, list(layer.bottom)) == (1, ["x"])


PADDED = (
    'layers {{ layer {{ name: "p" type: "padding" pad: 1 }} {} }} layers {{ layer {{ name: "l" {} }} {} }}'
)


@pytest.mark.parametrize(
    ("padding", "layer", "wiring", "problem"),
    [
        ('bottom: "x" top: "p"', 'type: "relu"', 'bottom: "p"', "Padding layer input to non-convolutional"),
        ('bottom: "x" top: "p"', 'type: "conv"', 'bottom: "p" bottom: "x"', "Conv Layer takes a single blob"),
        (
            'bottom: "x" bottom: "x" top: "p"',
            'type: "conv"',
            'bottom: "p"',
            "Padding Layer takes a single blob",
        ),
        ('bottom: "x" top: "p" top: "q"', 'type: "conv"', 'bottom: "p"', "Padding Layer produces a single"),
        ('bottom: "x" top: "p"', 'type: "conv"', 'bottom: "q"', "Unknown blob input q to layer"),
        ('bottom: "x" top: "p"', 'type: "convolution"', 'bottom: "x"', "Unknown layer name: convolution"),
    ],
)
def test_v0_nets_that_caffe_stops_at(padding, layer, wiring, problem):
    old = text.parse_net('input: "x" ' + PADDED.format(padding, layer, wiring))
    with pytest.raises(UpgradeError, match=problem) as caught:
        upgrade.upgrade_net_report(old, "v0.prototxt")
    assert str(caught.value).startswith("v0.prototxt: ")


def test_v0_detection_needs_the_nested_layer():
    assert upgrade_v0.needs_v0_upgrade(text.parse_net("layers { type: RELU } layers { layer {} }"))
    assert not upgrade_v0.needs_v0_upgrade(text.parse_net("layers { type: RELU }"))
