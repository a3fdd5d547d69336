"""Which files a network is read from, by the options of the commands."""

from pathlib import Path

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.net_files import files_for_names, files_for_options
from vggrepro.paper.nets import PROTOTXT

D, E = "D:256;512", "E:256;512"


def test_weights_by_full_name_and_by_configuration():
    files = files_for_names([D, E], [f"{D}=d.caffemodel", "E=e.caffemodel"], [], PROTOTXT)
    assert [(f.name, f.weights) for f in files] == [(D, Path("d.caffemodel")), (E, Path("e.caffemodel"))]
    assert files[0].deploy == PROTOTXT / "D" / "deploy.prototxt"


def test_one_net_needs_no_key():
    (found,) = files_for_names([D], ["some.caffemodel"], [], PROTOTXT)
    assert found.weights == Path("some.caffemodel")


def test_a_configuration_alone_is_ambiguous_where_a_row_has_it_twice():
    with pytest.raises(ProtocolError, match=r"D=x: could mean any of D:256, D:384"):
        files_for_names(["D:256", "D:384"], ["D=x"], [], PROTOTXT)


def test_missing_weights_are_named():
    with pytest.raises(ProtocolError, match=r'no weights for E:256;512: expected --weights "E:256;512=FILE"'):
        files_for_names([D, E], ["D=x"], [], PROTOTXT)


def test_weights_that_no_net_wants():
    with pytest.raises(ProtocolError, match="B=x: fits none of D:256;512"):
        files_for_names([D], ["B=x"], [], PROTOTXT)


def test_the_same_net_twice():
    with pytest.raises(ProtocolError, match="was given before"):
        files_for_names([D], ["D=x", f"{D}=y"], [], PROTOTXT)


def test_an_own_net_needs_its_prototxt():
    with pytest.raises(ProtocolError, match="network mine: expected --deploy FILE"):
        files_for_options(["mine=x.caffemodel"], [], PROTOTXT)
    (found,) = files_for_options(["mine=x.caffemodel"], ["mine.prototxt"], PROTOTXT)
    assert (found.name, found.deploy) == ("mine", Path("mine.prototxt"))


def test_a_file_with_an_equals_sign_in_its_name(tmp_path):
    path = tmp_path / "a=b.caffemodel"
    path.write_bytes(b"")
    (found,) = files_for_options([str(path)], ["x.prototxt"], PROTOTXT)
    assert (found.name, found.weights) == ("a=b", path)


def test_no_network_at_all():
    with pytest.raises(ProtocolError, match="no network"):
        files_for_options([], [], PROTOTXT)
