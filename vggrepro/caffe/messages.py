"""The message classes of Caffe's model files, built from ``caffe.proto``.

The classes come from a compiled descriptor in a pool of their own, so no generated module can
become stale, and no other package that registers ``caffe.proto`` can clash with this one.
"""

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _load_pool() -> descriptor_pool.DescriptorPool:
    files = descriptor_pb2.FileDescriptorSet.FromString(
        resources.files(__package__).joinpath("caffe.binpb").read_bytes()
    )
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


POOL = _load_pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"caffe.{name}"))


def __getattr__(name: str) -> Any:
    """The class of any message of the schema: ``messages.NetParameter``, ``messages.LRNParameter`` ..."""
    try:
        return _message(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


PHASES: dict[str, int] = {v.name: v.number for v in POOL.FindEnumTypeByName("caffe.Phase").values}
TRAIN = PHASES["TRAIN"]
TEST = PHASES["TEST"]
