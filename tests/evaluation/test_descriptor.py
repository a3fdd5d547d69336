"""What a descriptor's settings mean together."""

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.descriptor import Descriptor
from vggrepro.evaluation.protocols import Stream


def test_a_network_is_measured_for_each_scale_and_mirror_image():
    streams = Descriptor("dense", (256, 384)).streams("D")
    assert {(s.net, s.scale, s.flip) for s in streams} == {
        ("D", q, f) for q in (256, 384) for f in (False, True)
    }
    assert all(isinstance(stream, Stream) for stream in streams)


def test_facts_are_all_settings():
    assert Descriptor("centre", (256,), False, "stack", "none", "none").facts() == {
        "protocol": "centre",
        "scales": (256,),
        "flip": False,
        "combine": "stack",
        "normalise": "none",
        "pool": "none",
    }


def test_maps_of_several_scales_cannot_be_kept():
    with pytest.raises(ProtocolError, match="expected crops at one scale"):
        Descriptor("dense", (8,), pool="none")


def test_posteriors_of_both_kinds_of_views_are_no_blob():
    with pytest.raises(ProtocolError, match="expected one kind of views"):
        Descriptor("both")
