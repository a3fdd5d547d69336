"""Where a rank computes."""

from __future__ import annotations

import argparse
from typing import get_args

import pytest

from vggrepro.cli.options.device import add_precision_option, placed
from vggrepro.emit import Precision
from vggrepro.system.ranks import Alone


@pytest.mark.parametrize(
    ("device", "rank", "ranks", "place"),
    [
        ("cpu", 0, 1, "cpu"),
        ("cpu", 3, 4, "cpu"),
        ("cuda", 0, 1, "cuda"),
        ("cuda", 0, 4, "cuda:0"),
        ("cuda", 3, 4, "cuda:3"),
        ("cuda:0", 3, 4, "cuda:0"),
        ("cuda:2", 0, 1, "cuda:2"),
        ("cuda:2", 3, 4, "cuda:2"),
    ],
)
def test_cuda_is_one_gpu_a_rank_and_a_number_is_that_gpu(
    device: str, rank: int, ranks: int, place: str
) -> None:
    assert placed(device, Alone(rank, ranks, rank)) == place


def test_every_precision_is_offered() -> None:
    parser = argparse.ArgumentParser()
    add_precision_option(parser)
    (precision,) = (action for action in parser._actions if action.dest == "precision")
    assert tuple(precision.choices or ()) == get_args(Precision)
