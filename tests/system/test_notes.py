"""Notes on standard error."""

import pytest

from vggrepro.system.notes import is_quiet, next_step, note, quieted


def test_a_note_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    note("a  b\n\x1bc")
    next_step("run it")
    assert capsys.readouterr().err == "a  b\\n\\x1bc\nnext: run it\n"


def test_there_are_none_where_quiet_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with quieted():
        note("a")
        with quieted(asked=False):
            assert is_quiet()
            next_step("b")
    with quieted(asked=False):
        note("c")
    assert capsys.readouterr().err == "c\n"
