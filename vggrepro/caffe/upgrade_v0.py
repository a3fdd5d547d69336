"""The oldest format: ``layers { layer { type: "conv" ... } bottom: ... top: ... }``, brought to V1.

Facts of Caffe's ``UpgradeV0Net``: which parameter message each V0 field went to, by layer type.
"""

from __future__ import annotations

from google.protobuf.message import Message

from vggrepro.caffe.messages import NetParameter, V1LayerParameter
from vggrepro.caffe.upgrade_v1 import BOTH_FORMATS
from vggrepro.errors import UpgradeError

_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

_WEIGHTED = {"conv": "convolution_param", "innerproduct": "inner_product_param"}
_WINDOWED = {"conv": "convolution_param", "pool": "pooling_param"}
_IMAGES = {"images": "image_data_param"}
_DETECTION = {"window_data": "window_data_param"}
_BATCHED = {"data": "data_param", "hdf5_data": "hdf5_data_param", **_IMAGES, **_DETECTION}

_BY_TYPE: dict[str, tuple[str, dict[str, str]]] = {
    "num_output": ("num_output", _WEIGHTED),
    "biasterm": ("bias_term", _WEIGHTED),
    "weight_filler": ("weight_filler", _WEIGHTED),
    "bias_filler": ("bias_filler", _WEIGHTED),
    "pad": ("pad", _WINDOWED),
    "kernelsize": ("kernel_size", _WINDOWED),
    "group": ("group", {"conv": "convolution_param"}),
    "stride": ("stride", _WINDOWED),
    "pool": ("pool", {"pool": "pooling_param"}),
    "dropout_ratio": ("dropout_ratio", {"dropout": "dropout_param"}),
    "local_size": ("local_size", {"lrn": "lrn_param"}),
    "alpha": ("alpha", {"lrn": "lrn_param"}),
    "beta": ("beta", {"lrn": "lrn_param"}),
    "k": ("k", {"lrn": "lrn_param"}),
    "source": ("source", {**_BATCHED, "infogain_loss": "infogain_loss_param"}),
    "batchsize": ("batch_size", _BATCHED),
    "rand_skip": ("rand_skip", {"data": "data_param", **_IMAGES}),
    "shuffle_images": ("shuffle", _IMAGES),
    "new_height": ("new_height", _IMAGES),
    "new_width": ("new_width", _IMAGES),
    "concat_dim": ("concat_dim", {"concat": "concat_param"}),
    "det_fg_threshold": ("fg_threshold", _DETECTION),
    "det_bg_threshold": ("bg_threshold", _DETECTION),
    "det_fg_fraction": ("fg_fraction", _DETECTION),
    "det_context_pad": ("context_pad", _DETECTION),
    "det_crop_mode": ("crop_mode", _DETECTION),
}
"""V0 field -> name of the field today, and the parameter message it belongs to for each layer type."""

_TRANSFORM = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
"""V0 field -> field of ``transform_param``; Caffe moves these whatever the layer's type is."""


def needs_v0_upgrade(net: NetParameter) -> bool:
    """Whether a layer of the net is in the V0 format."""
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade_v0_net(old: NetParameter) -> tuple[NetParameter, tuple[str, ...]]:
    """The net in V1 format, and the problems: parameters that a layer's type does not have.

    As in Caffe, ``state``, ``debug_info`` and ``input_shape``, which V0 nets did not have, are not
    carried over. Raises UpgradeError for an unknown layer type and for padding layers that cannot
    be merged.
    """
    if old.layer:
        # DEVIATION: Caffe drops the `layer` fields here without a word.
        raise UpgradeError(BOTH_FORMATS)
    net = NetParameter(input=old.input, input_dim=old.input_dim)
    if old.HasField("name"):
        net.name = old.name
    if old.HasField("force_backward"):
        net.force_backward = old.force_backward
    problems: list[str] = []
    for layer in _without_padding_layers(old):
        problems += _upgrade_layer(layer, net.layers.add())
    return net, tuple(problems)


def _without_padding_layers(net: NetParameter) -> list[V1LayerParameter]:
    """The layers, with each padding layer merged into the convolution or pooling that reads it."""
    kept: list[V1LayerParameter] = []
    source: dict[str, V1LayerParameter | None] = dict.fromkeys(net.input)
    for old in net.layers:
        layer = V1LayerParameter()
        layer.CopyFrom(old)
        for index, blob in enumerate(old.bottom):
            if blob not in source:
                raise UpgradeError(f"Unknown blob input {blob} to layer {old.layer.name!r}")
            padding = source[blob]
            if padding is not None and padding.layer.type == "padding":
                _check_padding(padding, old)
                layer.layer.pad = padding.layer.pad
                layer.bottom[index] = padding.bottom[0]
        if old.layer.type != "padding":
            kept.append(layer)
        source.update(dict.fromkeys(old.top, old))
    return kept


def _check_padding(padding: V1LayerParameter, consumer: V1LayerParameter) -> None:
    where = f"layer {consumer.layer.name!r}: "
    if consumer.layer.type not in _WINDOWED:
        raise UpgradeError(
            f"{where}Padding layer input to non-convolutional / non-pooling layer type {consumer.layer.type}"
        )
    if len(consumer.bottom) != 1:
        raise UpgradeError(f"{where}Conv Layer takes a single blob as input.")
    where = f"layer {padding.layer.name!r}: "
    if len(padding.bottom) != 1:
        raise UpgradeError(f"{where}Padding Layer takes a single blob as input.")
    if len(padding.top) != 1:
        raise UpgradeError(f"{where}Padding Layer produces a single blob as output.")


def _upgrade_layer(connection: V1LayerParameter, new: V1LayerParameter) -> list[str]:
    """Fill the V1 layer ``new`` from a V0 connection; the problems."""
    new.bottom.extend(connection.bottom)
    new.top.extend(connection.top)
    if not connection.HasField("layer"):
        return []
    old = connection.layer
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        if old.type not in _TYPES:
            raise UpgradeError(f"layer {old.name!r}: Unknown layer name: {old.type}")
        new.type = V1LayerParameter.LayerType.Value(_TYPES[old.type])
    new.blobs.extend(old.blobs)
    new.blobs_lr.extend(old.blobs_lr)
    new.weight_decay.extend(old.weight_decay)
    problems = []
    present = {descriptor.name for descriptor, _ in old.ListFields()}
    for name, (field, owners) in _BY_TYPE.items():
        if name not in present:
            continue
        if old.type in owners:
            _set(getattr(new, owners[old.type]), field, getattr(old, name))
        else:
            problems.append(f"layer {old.name!r}: Unknown parameter {name} for layer type {old.type}")
    for name, field in _TRANSFORM.items():
        if name in present:
            setattr(new.transform_param, field, getattr(old, name))
    if old.HasField("hdf5_output_param"):
        if old.type == "hdf5_output":
            new.hdf5_output_param.CopyFrom(old.hdf5_output_param)
        else:
            problems.append(
                f"layer {old.name!r}: Unknown parameter hdf5_output_param for layer type {old.type}"
            )
    return problems


def _set(param: Message, field: str, value: Message | int | float | str) -> None:
    """Append to, copy into or set a field, whichever its kind asks for."""
    target = getattr(param, field)
    if hasattr(target, "append"):
        target.append(value)
    elif isinstance(value, Message):
        target.CopyFrom(value)
    elif isinstance(value, int) and field in ("new_height", "new_width"):
        setattr(param, field, value % 2**32)  # signed in V0, unsigned today
    else:
        setattr(param, field, value)
