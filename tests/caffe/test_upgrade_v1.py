"""V1 layers: every type, every field, every parameter message."""

import pytest

from vggrepro.caffe import messages, text, upgrade, upgrade_v1


def test_every_v1_type_has_its_name_and_every_v1_field_its_place():
    types = messages.V1LayerParameter.LayerType
    for name, number in types.items():
        layer = messages.V1LayerParameter(type=number)
        (new,) = upgrade.upgrade_net_param(messages.NetParameter(layers=[layer])).layer
        assert new.HasField("type")
        assert new.type.replace("WithLoss", "Loss").lower() == (
            "" if name == "NONE" else name.replace("_", "").lower()
        )
    handled = {"bottom", "top", "name", "include", "exclude", "type", "blobs", "loss_weight", "layer"}
    handled |= {"param", "blob_share_mode", "blobs_lr", "weight_decay", *upgrade_v1._PARAMS}
    assert handled == {field.name for field in messages.V1LayerParameter.DESCRIPTOR.fields}


def test_every_v1_parameter_message_comes_along():
    layer = messages.V1LayerParameter()
    for name in upgrade_v1._PARAMS:
        getattr(layer, name).SetInParent()
    layer.relu_param.negative_slope = 0.5
    (new,) = upgrade.upgrade_net_param(messages.NetParameter(layers=[layer])).layer
    assert {field.name for field, _ in new.ListFields()} == set(upgrade_v1._PARAMS)
    assert new.relu_param.negative_slope == 0.5
    assert len(upgrade_v1._PARAMS) == 38, "30 of BVLC Caffe, 8 of forks"


def test_v1_multipliers_without_names():
    old = """layers { blob_share_mode: STRICT blob_share_mode: PERMISSIVE
                      weight_decay: 1 loss_weight: 2 param: "w" }"""
    new = """layer { param { name: "w" share_mode: STRICT decay_mult: 1 }
                     param { share_mode: PERMISSIVE } loss_weight: 2 }"""
    assert upgrade.upgrade_net_param(text.parse_net(old)) == text.parse_net(new)


@pytest.mark.parametrize("field", ["scale: 2", 'mean_file: "m"', "crop_size: 3", "mirror: true"])
@pytest.mark.parametrize(
    ("old_type", "new_type", "param"),
    [
        ("DATA", "Data", "data_param"),
        ("IMAGE_DATA", "ImageData", "image_data_param"),
        ("WINDOW_DATA", "WindowData", "window_data_param"),
        ("VIDEO_DATA", "VideoData", "image_data_param"),
    ],
)
def test_one_old_transform_field_is_enough_and_touches_every_data_layer(field, old_type, new_type, param):
    old = (
        f"layers {{ type: {old_type} {param} {{ {field} batch_size: 1 }} }}"
        " layers { type: DATA } layers { type: RELU }"
    )
    new = (
        f'layer {{ type: "{new_type}" {param} {{ batch_size: 1 }} transform_param {{ {field} }} }}'
        ' layer { type: "Data" data_param {} transform_param {} } layer { type: "ReLU" }'
    )
    result = upgrade.upgrade_net_report(text.parse_net(old))
    assert result.message == text.parse_net(new)
    assert result.steps == ("transformation parameters", "V1LayerParameter")
