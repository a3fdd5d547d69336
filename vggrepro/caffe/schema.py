"""The schema of Caffe's model files, from the compiled forms of ``caffe.proto`` and ``forks.proto``.

The descriptors are in a pool of their own, so no generated module can become stale, and no other package
that registers ``caffe.proto`` can clash with this one. ``LayerParameter`` and ``BlobProto`` have the fields
of BVLC Caffe, and those that ``forks.proto`` lends them.
"""

from __future__ import annotations

from importlib import resources

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message


def _compiled(name: str) -> descriptor_pb2.FileDescriptorProto:
    """The one file of a compiled descriptor set."""
    data = resources.files(__package__).joinpath(name).read_bytes()
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(data).file
    return file


_LENT = {"ForkFields": "LayerParameter", "ForkBlobFields": "BlobProto"}
"""Messages of ``forks.proto`` that only lend their fields, and to which of BVLC's."""


def _merge() -> tuple[descriptor_pb2.FileDescriptorProto, dict[str, frozenset[int]]]:
    """The schema as one file and, by message, the numbers of the fields that are from forks."""
    caffe, forks = _compiled("caffe.binpb"), _compiled("forks.binpb")
    own = {message.name: message for message in caffe.message_type}
    numbers = {}
    for message in forks.message_type:
        if message.name in _LENT:
            own[_LENT[message.name]].field.extend(message.field)
            numbers[_LENT[message.name]] = frozenset(field.number for field in message.field)
        else:
            caffe.message_type.append(message)
    caffe.enum_type.extend(forks.enum_type)
    return caffe, numbers


FILE, _LENT_NUMBERS = _merge()
FORK_FIELDS = _LENT_NUMBERS["LayerParameter"]
FORK_BLOB_FIELDS = _LENT_NUMBERS["BlobProto"]
PRIVATE_FIELDS = frozenset(number for number in FORK_FIELDS if number > 100_000)
"""Those of ``FORK_FIELDS`` whose numbers only this package uses: no binary file may contain them."""

_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(FILE.SerializeToString())

PHASES: dict[str, int] = {v.name: v.number for v in _POOL.FindEnumTypeByName("caffe.Phase").values}


def message_class(name: str) -> type[Message]:
    """The class of a message of the schema. Raises KeyError for a name that it does not have."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"caffe.{name}"))
