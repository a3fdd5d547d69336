"""The open questions and their readings."""

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.open_readings import AXES, open_readings, parse_axes
from vggrepro.evaluation.protocols import AFTER, BEFORE, Member, stream_shares


def test_axes_are_named_as_their_options():
    assert parse_axes("kernel,average,centre,exif") == tuple(AXES)
    assert parse_axes("exif") == ("exif",)


@pytest.mark.parametrize("text", ["", "kernels", "kernel,", "kernel,kernel", "resize"])
def test_other_axes_are_refused_with_the_list(text):
    with pytest.raises(ProtocolError, match="expected some of kernel,average,centre,exif"):
        parse_axes(text)


def test_every_value_is_read_and_the_runs_own_is_first():
    found = open_readings(["kernel", "average"], ImageReading(kernel="area"), AFTER)
    told = [(reading.axis, reading.value, reading.usual) for reading in found]
    assert told == [
        ("kernel", "area", True),
        *(("kernel", kernel, False) for kernel in ("linear", "cubic", "lanczos", "matlab")),
        ("average", AFTER, True),
        ("average", BEFORE, False),
    ]


def test_a_reading_changes_only_the_streams_that_it_concerns():
    members = (Member("D", "both", (8,), flip=False), Member("D", "tencrop", (8,), flip=True))
    usual = stream_shares(members).keys()
    by_axis = {
        r.value: stream_shares(r.members(members)).keys() for r in open_readings(AXES, ImageReading(), BEFORE)
    }
    assert by_axis["linear"] == by_axis["floor"] == usual
    assert not by_axis["cubic"] & usual
    assert {s.view_kind for s in by_axis["after-softmax"] - usual} == {"dense"}
    assert {s.view_kind for s in by_axis["matcaffe"] - usual} == {"five"}
    assert {str(s) for s in by_axis["apply"] - usual} >= {"D grid Q8 noflip exif=apply"}
