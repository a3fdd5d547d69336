"""Notes on images: appended whole, read by kind, mended line by line."""

import warnings

import pytest

from vggrepro.evaluation.measuring.image_notes import ImageNotes


@pytest.fixture
def notes(tmp_path):
    found = ImageNotes(tmp_path / "notes.jsonl")
    found.add(7, "g.png", "bad", "no image")
    found.add(2, "b.png", "truncated", "ends early")
    found.add(1, "a.png", "bad", "empty")
    return found


def test_reasons_come_by_kind_in_the_order_of_the_images(notes, tmp_path):
    assert list(notes.reasons("bad").items()) == [(1, "empty"), (7, "no image")]
    assert notes.reasons("truncated") == {2: "ends early"}
    assert ImageNotes(tmp_path / "none").reasons("bad") == {}


def test_a_torn_last_line_goes_without_a_word(notes):
    with notes.path.open("ab") as file:
        file.write(b'{"index": 9, "na')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert notes.mend() == frozenset()
    assert list(notes.reasons("bad")) == [1, 7]


def test_a_damaged_line_is_dropped_and_its_image_told(notes):
    first, *rest = notes.path.read_bytes().splitlines()
    notes.path.write_bytes(b"\n".join([first.replace(b'"kind"', b'"kinx"'), *rest]) + b"\n")
    with pytest.warns(UserWarning, match="line 1 is damaged and dropped"):
        assert notes.mend() == frozenset({7})
    assert notes.reasons("bad") == {1: "empty"}
