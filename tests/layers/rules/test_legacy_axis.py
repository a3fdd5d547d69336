"""The older fields for the axis of Concat and Slice."""

from __future__ import annotations

import pytest

from vggrepro.caffe.messages import ConcatParameter
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.rules.legacy_axis import LegacyAxis


def test_the_newer_field_may_be_negative_and_the_older_may_not_be_too_large() -> None:
    assert LegacyAxis.parse(ConcatParameter(axis=-1), "concat_dim").of((2, 3, 4), "Concat") == 2
    legacy = LegacyAxis.parse(ConcatParameter(concat_dim=2), "concat_dim")
    assert legacy.of((2, 3, 4), "Concat") == 2
    with pytest.raises(ShapeError, match=r"concat_dim out of range. \(2 vs. 2 axes\)"):
        legacy.of((2, 3), "Concat")


def test_both_are_refused() -> None:
    with pytest.raises(NetError, match="Either axis or concat_dim should be specified; not both"):
        LegacyAxis.parse(ConcatParameter(axis=1, concat_dim=1), "concat_dim")
