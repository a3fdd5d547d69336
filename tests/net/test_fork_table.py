"""What the table of forks says exists."""

from __future__ import annotations

import pytest

from vggrepro.caffe.messages import NetParameter
from vggrepro.layers.registry import layer_class
from vggrepro.net.fork_table import ALIGNED_CROPS, FORKS, FROM, ONLY_IN
from vggrepro.net.forks import with_defaults


@pytest.mark.parametrize("fork", sorted(FORKS))
def test_each_fork_speaks_of_layers_and_fields_that_exist(fork: str) -> None:
    for kind in FORKS[fork]:
        assert kind == "Python" or layer_class(kind).type
        message = NetParameter()
        message.layer.add(name="data", type="Input")
        message.layer.add(name="l", type=kind, bottom=["data"], top=["y"])
        told = with_defaults(message, fork)
        assert (told.layer[-1].name, told.layer[0]) == ("l", message.layer[0])
        assert told != message


def test_every_fork_that_is_hinted_at_can_be_named() -> None:
    assert {*ONLY_IN.values(), *ALIGNED_CROPS, *FROM.values()} <= FORKS.keys()
