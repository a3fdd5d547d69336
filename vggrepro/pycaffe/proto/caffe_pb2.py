"""``caffe.proto.caffe_pb2``: the messages and enums of ``caffe.proto``, as protoc would generate them."""

from __future__ import annotations

from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from vggrepro.caffe import messages

DESCRIPTOR = messages.NetParameter.DESCRIPTOR.file
Phase = EnumTypeWrapper(DESCRIPTOR.enum_types_by_name["Phase"])
TRAIN: int = messages.TRAIN
TEST: int = messages.TEST


def __getattr__(name: str) -> Any:
    """The class of any message: ``caffe_pb2.NetParameter``."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(messages, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *DESCRIPTOR.message_types_by_name])
