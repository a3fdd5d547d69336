"""``param_str`` of Python layers: what py-faster-rcnn's nets write, and what is refused."""

from __future__ import annotations

import pytest

from vggrepro.errors import NetError
from vggrepro.layers.rules.param_str import parse_param_str


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", {}),
        ("'feat_stride': 16", {"feat_stride": 16}),
        ("feat_stride: 8\nscales: [4, 8]\n", {"feat_stride": 8, "scales": [4, 8]}),
        ("'scales': !!python/tuple [8, 16]", {"scales": [8, 16]}),
        ("{'num_classes': 21, 'mode': 'x'}", {"num_classes": 21, "mode": "x"}),
    ],
)
def test_reads(text: str, entries: dict[str, object]) -> None:
    assert parse_param_str(text) == entries


@pytest.mark.parametrize("text", ["16", "'a': b", "'a': __import__('os')", "{1, 2}", "'a': [1"])
def test_refuses(text: str) -> None:
    with pytest.raises(NetError, match="is not a list of entries"):
        parse_param_str(text)
