"""The message classes of Caffe's model files, built from ``caffe.proto`` and ``forks.proto``.

The classes come from compiled descriptors in a pool of their own, so no generated module can
become stale, and no other package that registers ``caffe.proto`` can clash with this one.
``LayerParameter`` has the fields of BVLC Caffe, and those that ``forks.proto`` lends it.
"""

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _compiled(name: str) -> Any:
    """The one file of a compiled descriptor set."""
    data = resources.files(__package__).joinpath(name).read_bytes()
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(data).file
    return file


def _load_pool() -> tuple[descriptor_pool.DescriptorPool, frozenset[int]]:
    """The schema, and the numbers of LayerParameter's fields that are from forks."""
    caffe, forks = _compiled("caffe.binpb"), _compiled("forks.binpb")
    (layer,) = (message for message in caffe.message_type if message.name == "LayerParameter")
    (lent,) = (message for message in forks.message_type if message.name == "ForkFields")
    layer.field.extend(lent.field)
    caffe.message_type.extend(message for message in forks.message_type if message.name != lent.name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(caffe)
    return pool, frozenset(field.number for field in lent.field)


POOL, FORK_FIELDS = _load_pool()
PRIVATE_FIELDS = frozenset(number for number in FORK_FIELDS if number > 100_000)
"""Those of ``FORK_FIELDS`` whose numbers only this package uses: no binary file may contain them."""


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
