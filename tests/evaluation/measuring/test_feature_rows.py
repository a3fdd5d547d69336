"""Blobs as the rows of a cache."""

import numpy as np
import pytest

from vggrepro.evaluation.measuring.evaluated_net import load_network
from vggrepro.evaluation.measuring.feature_rows import FeatureRows
from vggrepro.evaluation.measuring.pipeline import Answer, Execution
from vggrepro.evaluation.protocols import Stream

MEAN = (104.5, 116.0, 123.25)
STREAM = Stream("net", "centre", 8, False)


@pytest.fixture
def network(nets):
    return load_network(nets[0], MEAN, "fc6")


@pytest.mark.parametrize(("pool", "width"), [("average", 4 + 9 + 1), ("none", 4 * 8 * 8 + 9 + 1)])
def test_blobs_go_into_a_row_and_come_out_again(network, pool, width):
    kind = FeatureRows(("conv1", "fc6"), pool)
    assert kind.width(network) == width
    score = kind.score(network, [STREAM], Execution(threads=1))
    views = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    row = kind.kept(Answer(STREAM, 0, score(STREAM, views)), views=True)
    assert (row.shape, row.dtype) == ((1, width), np.float32)
    parts = kind.parts(network, row[None])
    for blob in kind.blobs:
        alone = FeatureRows((blob,), pool)
        maps = alone.score(network, [STREAM], Execution(threads=1))(STREAM, views)
        expected = maps.mean(axis=0, dtype=np.float64).reshape(1, *alone.shape(network, blob))
        assert np.allclose(parts[blob], expected, atol=1e-6)


def test_a_row_is_intact_only_as_it_was_written(network):
    kind = FeatureRows(("fc6",), "average")
    row = kind.kept(Answer(STREAM, 0, np.zeros((2, 9), np.float32)), views=False)
    rows = np.repeat(row[None], 4, axis=0)
    rows[1, 0, 3] = 1e-30
    rows[2] = 0
    rows[3, 0, -1] = 0
    assert kind.intact(rows).tolist() == [True, False, False, False]


def test_what_rows_depend_on_names_blobs_and_pooling(network):
    facts = FeatureRows(("conv1", "fc6"), "none").facts(network)
    assert (facts["blob"], facts["pool"]) == (["conv1", "fc6"], "none")
    assert facts["weights_sha256"] == network.weights_sha256
