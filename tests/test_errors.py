"""What handlers can tell apart without reading a message."""

import pickle

import pytest

from vggrepro import errors
from vggrepro.caffe.text import parse_net
from vggrepro.errors import ParseError, UnknownFieldError, VggReproError, did_you_mean

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, VggReproError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_takes_a_place_in_front(kind):
    error = kind("what")
    error.detail = 3
    placed = error.within("file").within("folder")
    assert type(placed) is kind
    assert str(placed) == "folder: file: what"
    assert placed.detail == 3
    assert str(error) == "what"


def test_an_unknown_field_is_an_attribute():
    with pytest.raises(UnknownFieldError) as caught:
        parse_net('layer {\n  name: "r" relu_param { slope: 1 } }', "x.prototxt")
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value.within("here")))):
        assert (error.field, error.message_type) == ("slope", "caffe.ReLUParameter")
        assert (error.source, error.line, error.column) == ("x.prototxt", 2, 26)
    assert str(caught.value).startswith("x.prototxt:2:26: ")


@pytest.mark.parametrize("text", ["layer { name: r foo: 1 }", 'name: "a" }', "layer { type: }"])
def test_other_faults_are_no_unknown_fields(text):
    with pytest.raises(ParseError) as caught:
        parse_net(text)
    assert type(caught.value) is ParseError


def test_close_names_are_told() -> None:
    assert did_you_mean("fc_8", ["fc6", "fc8", "conv1"]) == "; did you mean 'fc8'?"
    assert did_you_mean("DATA", ["data", "label"]) == "; did you mean 'data'?"
    assert did_you_mean("prob", ["data", "label"]) == ""


def test_names_that_begin_so():
    there = ["convert-caffemodel", "compute-statistics", "classify"]
    assert did_you_mean("convert", there) == ""
    assert did_you_mean("convert", there, beginnings=True) == "; did you mean 'convert-caffemodel'?"
    both = "; did you mean 'convert-caffemodel' or 'compute-statistics'?"
    assert did_you_mean("co", there, beginnings=True) == both
    assert did_you_mean("clasify", there, beginnings=True) == "; did you mean 'classify'?"
    assert did_you_mean("", there, beginnings=True) == ""
