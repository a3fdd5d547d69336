"""The message classes of Caffe's model files: ``messages.NetParameter``, ``messages.LRNParameter`` ...

They are made from the schema when they are first asked for. The types of their fields are in
``messages.pyi``, which ``.ci/message_stubs.py`` generates from the same schema.
"""

from vggrepro.caffe.schema import PHASES as PHASES
from vggrepro.caffe.schema import message_class

TRAIN = PHASES["TRAIN"]
TEST = PHASES["TEST"]


def __getattr__(name: str) -> object:
    try:
        return message_class(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
