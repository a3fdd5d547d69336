"""``caffe.proto.caffe_pb2``: the messages and enums of ``caffe.proto``, as protoc would generate them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

from vggrepro.caffe.schema import FILE, script_pool

DESCRIPTOR = script_pool().FindFileByName(FILE.name)
TRAIN: int
TEST: int


def _enum(enum: Any) -> Iterator[tuple[str, Any]]:
    """The names that protoc gives an enum where it stands."""
    yield enum.name, EnumTypeWrapper(enum)
    yield from ((value.name, value.number) for value in enum.values)


def _descriptors(message: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``_POOLINGPARAMETER``, ``_POOLINGPARAMETER_POOLMETHOD``, ... of a message and what it contains."""
    name = f"{prefix}_{message.name.upper()}"
    yield name, message
    yield from ((f"{name}_{enum.name.upper()}", enum) for enum in message.enum_types)
    for nested in message.nested_types:
        yield from _descriptors(nested, name)


def _names() -> Iterator[tuple[str, Any]]:
    for enum in DESCRIPTOR.enum_types_by_name.values():
        yield from _enum(enum)
        yield f"_{enum.name.upper()}", enum
    for name, message in DESCRIPTOR.message_types_by_name.items():
        yield name, GetMessageClass(message)
        yield from _descriptors(message)


globals().update(_names())


def _name_types_of_2014() -> None:
    """Before the format of today the types of layers were ``LayerParameter.LayerType``, which
    ``V1LayerParameter`` has now."""
    for name, value in _enum(
        DESCRIPTOR.message_types_by_name["V1LayerParameter"].enum_types_by_name["LayerType"]
    ):
        setattr(globals()["LayerParameter"], name, value)


_name_types_of_2014()


def __getattr__(name: str) -> Any:
    """Raises AttributeError: the class of every message is a name of the module already."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
