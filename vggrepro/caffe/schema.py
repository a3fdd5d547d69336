"""The schema of Caffe's model files, from the compiled forms of ``caffe.proto`` and ``forks.proto``.

The descriptors are in a pool of their own, so no generated module can become stale, and no other package
that registers ``caffe.proto`` can clash with this one. ``LayerParameter`` and others have the fields and enum
values of BVLC Caffe, and those that ``forks.proto`` lends them.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from vggrepro.caffe.descriptor_pool import pool_of


def _compiled(name: str) -> descriptor_pb2.FileDescriptorProto:
    """The one file of a compiled descriptor set."""
    data = Path(__file__).with_name(name).read_bytes()
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(data).file
    return file


_LENDS = "ForkFields"
"""What the name of a message of ``forks.proto`` that lends to one of BVLC's ends with, behind the other's
name; alone LayerParameter's."""

_LENDS_TO_SCRIPTS = "ScriptFields"
"""The same for messages that lend to scripts alone."""


def _merge(*endings: str) -> tuple[descriptor_pb2.FileDescriptorProto, dict[str, frozenset[int]]]:
    """The schema as one file, with what the messages of these ``endings`` lend, and, by message, the numbers
    of the fields that are from forks."""
    caffe, forks = _compiled("caffe.binpb"), _compiled("forks.binpb")
    own = {message.name: message for message in caffe.message_type}
    numbers: dict[str, frozenset[int]] = {}
    for message in forks.message_type:
        ending = next((e for e in (_LENDS, _LENDS_TO_SCRIPTS) if message.name.endswith(e)), None)
        if ending is None:
            caffe.message_type.append(message)
        elif ending in endings:
            name = message.name.removesuffix(ending) or "LayerParameter"
            _lend(own[name], message)
            lent = {field.number for field in message.field}
            numbers[name] = numbers.get(name, frozenset()) | lent
    caffe.enum_type.extend(forks.enum_type)
    return caffe, numbers


def _lend(to: descriptor_pb2.DescriptorProto, lender: descriptor_pb2.DescriptorProto) -> None:
    """Add a message's fields, enums and enum values to another message."""
    enums = {enum.name: enum for enum in to.enum_type}
    for enum in lender.enum_type:
        if enum.name in enums:
            enums[enum.name].value.extend(enum.value)
        else:
            to.enum_type.append(enum)
    for field in lender.field:
        to.field.append(field)
        inside = f".caffe.{lender.name}."
        if field.type_name.startswith(inside):
            to.field[-1].type_name = f".caffe.{to.name}.{field.type_name.removeprefix(inside)}"


FILE, LENT_NUMBERS = _merge(_LENDS)
FORK_FIELDS = LENT_NUMBERS["LayerParameter"]
FORK_BLOB_FIELDS = LENT_NUMBERS["BlobProto"]
PRIVATE = 100_000
"""Numbers above belong to this package alone: no binary file may contain them."""
PRIVATE_FIELDS = frozenset(number for number in FORK_FIELDS if number > PRIVATE)
"""Those of ``FORK_FIELDS`` whose numbers only this package uses."""

_POOL = pool_of(FILE)

PHASES: dict[str, int] = {v.name: v.number for v in _POOL.FindEnumTypeByName("caffe.Phase").values}


def script_pool() -> DescriptorPool:
    """A pool of the schema with the fields that scripts alone have."""
    return pool_of(_merge(_LENDS, _LENDS_TO_SCRIPTS)[0])


def message_class(name: str) -> type[Message]:
    """The class of a message of the schema. Raises KeyError for a name that it does not have."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"caffe.{name}"))
