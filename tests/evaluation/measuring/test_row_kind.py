"""Log posteriors as the rows of a cache."""

import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.pipeline import Answer
from vggrepro.evaluation.measuring.row_kind import POSTERIORS
from vggrepro.evaluation.protocols import Stream

ROWS = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32))


def answer(rows):
    return Answer(Stream("net", "centre", 8, True), 4, rows)


def test_all_views_are_kept_or_the_logarithm_of_their_mean():
    assert np.array_equal(POSTERIORS.kept(answer(ROWS), views=True), ROWS)
    mean = POSTERIORS.kept(answer(ROWS), views=False)
    assert (mean.shape, mean.dtype) == ((1, 3), np.float32)
    assert np.allclose(np.exp(mean), [[0.3, 0.175, 0.525]])


@pytest.mark.parametrize("wrong", [np.nan, 0.5])
def test_what_is_no_posterior_is_refused(wrong):
    with pytest.raises(ProtocolError, match="net: the scores of image number 4 are no numbers"):
        POSTERIORS.kept(answer(np.where(ROWS < -2, np.float32(wrong), ROWS)), views=True)


def test_rows_are_intact_if_every_view_sums_to_one():
    damaged = ROWS.copy()
    damaged[1] = 0
    assert POSTERIORS.intact(np.stack([ROWS, damaged])).tolist() == [True, False]
