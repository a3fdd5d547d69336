"""ContinuationIndicator: what it says, and what it refuses."""

from __future__ import annotations

import pytest
from harness import check_forward, parse

from vggrepro.errors import NetError


def test_sequences_begin_in_the_first_step() -> None:
    layer = parse('type: "ContinuationIndicator" continuation_indicator_param { time_step: 3 batch_size: 2 }')
    (top,) = check_forward(layer, [])
    assert top.tolist() == [[0, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("text", "message"), [("time_step: 3", "batch size"), ("batch_size: 3", "time step")]
)
def test_sizes_must_be_given(text: str, message: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': The {message} should be greater than 0"):
        parse(f'type: "ContinuationIndicator" continuation_indicator_param {{ {text} }}')
