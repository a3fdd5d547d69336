"""The format of 2014: ``layers { type: CONVOLUTION blobs_lr: 1 ... }``, brought to today's ``layer``.

Facts of Caffe's ``UpgradeV1Net`` and ``UpgradeNetDataTransformation``. The published VGG models are
in this format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from vggrepro.caffe.crop_offsets import set_crop_offsets
from vggrepro.caffe.messages import LayerParameter, NetParameter, V1LayerParameter
from vggrepro.errors import UpgradeError

_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "SLICE": "Slice",
    "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
    "THRESHOLD": "Threshold",
}

_FORK_TYPES = {
    "CONVOLUTION3D": "Convolution3D",
    "POOLING3D": "Pooling3D",
    "DECONVOLUTION3D": "Deconvolution3D",
    "VIDEO_DATA": "VideoData",
    "VOLUME_DATA": "VolumeData",
    "VIDEO_SEGMENTATION_DATA": "VideoSegmentationData",
    "VIDEO_WITH_VOXEL_TRUTH_DATA": "VideoWithVoxelTruthData",
    "VOXEL_SOFTMAX": "VoxelSoftmax",
    "VOXEL_SOFTMAX_LOSS": "VoxelSoftmaxWithLoss",
    "BN": "BN",
    "UNPOOLING": "Unpooling",
    "INTERP": "Interp",
    "IMAGE_SEG_DATA": "ImageSegData",
    "SEG_ACCURACY": "SegAccuracy",
    "UPSAMPLE": "Upsample",
    "DENSE_IMAGE_DATA": "DenseImageData",
    "EUCLIDEAN_DISTANCE": "EuclideanDistance",
    "CROP": "Crop",
    "MAT_WRITE": "MatWrite",
    "RESIZE": "Resize",
    "NORM": "Norm",
    "MULTI_LABEL_LOSS": "MultiLabelLoss",
    "MULTI_LABEL_ACCURACY": "MultiLabelAccuracy",
    "ELTWISE_ACCURACY": "EltwiseAccuracy",
}
"""Those that forks added, with the names that the layers have in today's format."""

_PARAMS = frozenset(
    field.name
    for field in V1LayerParameter.DESCRIPTOR.fields
    if field.message_type is not None
    and field.name in LayerParameter.DESCRIPTOR.fields_by_name
    and field.name.endswith("_param")
)
"""The parameter messages, which both formats share."""

_TRANSFORMED = {
    "DATA": "data_param",
    "IMAGE_DATA": "image_data_param",
    "WINDOW_DATA": "window_data_param",
    "VIDEO_DATA": "image_data_param",
}
_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")

BOTH_FORMATS = (
    "Refusing to upgrade inconsistent NetParameter input; the definition includes both 'layer' and "
    "'layers' fields. The current format defines 'layer' fields with string type like "
    "layer { type: 'Layer' ... } and not layers { type: LAYER ... }. "
    "Manually switch the definition to 'layer' format to continue."
)


def needs_data_upgrade(net: NetParameter) -> bool:
    """Whether a V1 data layer has its scale, mean, crop or mirror outside ``transform_param``."""
    return any(
        param.HasField(field)
        for layer in net.layers
        for param in _data_params(layer)
        for field in _TRANSFORM_FIELDS
    )


def upgrade_data_transforms(old: NetParameter) -> NetParameter:
    """The net with those fields moved to ``transform_param``."""
    net = NetParameter()
    net.CopyFrom(old)
    for layer in net.layers:
        for param in _data_params(layer):
            param.SetInParent()  # Caffe leaves both messages present, if empty
            layer.transform_param.SetInParent()
            for field in _TRANSFORM_FIELDS:
                if param.HasField(field):
                    setattr(layer.transform_param, field, getattr(param, field))
                    param.ClearField(field)
    return net


def _data_params(layer: V1LayerParameter) -> tuple[Message, ...]:
    name = _TRANSFORMED.get(V1LayerParameter.LayerType.Name(layer.type))
    return () if name is None else (getattr(layer, name),)


def needs_v1_upgrade(net: NetParameter) -> bool:
    """Whether the net has ``layers`` fields."""
    return len(net.layers) > 0


def upgrade_v1_net(old: NetParameter, fork_types: Mapping[int, str] | None = None) -> NetParameter:
    """The net with its ``layers`` as ``layer``. ``fork_types`` names the types of those, by index, whose type
    is none of BVLC's. Raises UpgradeError if it has both, or a CROP whose bottoms cannot be aligned."""
    if old.layer:
        raise UpgradeError(BOTH_FORMATS)
    net = NetParameter()
    net.CopyFrom(old)
    net.ClearField("layers")
    for index, layer in enumerate(old.layers):
        net.layer.append(upgrade_layer(layer, (fork_types or {}).get(index)))
    crop = V1LayerParameter.LayerType.Value("CROP")
    set_crop_offsets(net, [index for index, layer in enumerate(old.layers) if layer.type == crop])
    return net


def upgrade_layer(old: V1LayerParameter, fork_type: str | None = None) -> LayerParameter:
    """A V1 layer as a ``layer``; ``fork_type`` names its type where it is none of BVLC's."""
    new = LayerParameter()
    for field in ("bottom", "top", "include", "exclude", "blobs", "loss_weight"):
        getattr(new, field).extend(getattr(old, field))
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        new.type = (_TYPES | _FORK_TYPES)[V1LayerParameter.LayerType.Name(old.type)]
    if fork_type is not None:
        new.type = fork_type
    specs: dict[str, Sequence[float | str]] = {
        "name": old.param,
        "share_mode": old.blob_share_mode,
        "lr_mult": old.blobs_lr,
        "decay_mult": old.weight_decay,
    }
    for _ in range(max(map(len, specs.values()))):
        new.param.add()
    for field, values in specs.items():
        for spec, value in zip(new.param, values, strict=False):
            setattr(spec, field, value)
    for descriptor, value in old.ListFields():
        if descriptor.name in _PARAMS:
            getattr(new, descriptor.name).CopyFrom(value)
    return new
