"""``caffe.proto.caffe_pb2``: the messages and enums of ``caffe.proto``, as protoc would generate them."""

from __future__ import annotations

from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

from vggrepro.caffe.schema import FILE, script_pool

DESCRIPTOR = script_pool().FindFileByName(FILE.name)
Phase = EnumTypeWrapper(DESCRIPTOR.enum_types_by_name["Phase"])
TRAIN: int = Phase.Value("TRAIN")
TEST: int = Phase.Value("TEST")


globals().update({name: GetMessageClass(each) for name, each in DESCRIPTOR.message_types_by_name.items()})


def __getattr__(name: str) -> Any:
    """Raises AttributeError: the class of every message is a name of the module already."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
