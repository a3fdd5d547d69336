"""JSON texts, whole and hostile."""

from __future__ import annotations

import pytest

from vggrepro.system.json_text import parsed_json


def test_what_a_text_says() -> None:
    assert parsed_json(b'{"a": [1, 2.5, null]}') == parsed_json('{"a": [1, 2.5, null]}')
    assert parsed_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_json_raises_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parsed_json(text)
