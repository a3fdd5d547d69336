"""What training has of the options of devices."""

from __future__ import annotations

import argparse
from typing import get_args

import pytest

from vggrepro.cli.options.training_device import add_exchange_option, training_precision
from vggrepro.errors import OptionError
from vggrepro.training.gradient_exchange import ExchangeKind


def test_training_has_no_half_precision() -> None:
    assert training_precision("tf32") == "tf32"
    with pytest.raises(
        OptionError, match="--precision fp16: of evaluation alone, expected fp32, fp32-direct or tf32"
    ):
        training_precision("fp16")


def test_gradients_pass_through_the_host_unless_nccl_is_asked_for() -> None:
    parser = argparse.ArgumentParser()
    add_exchange_option(parser)
    assert parser.parse_args([]).exchange == "mpi"
    assert parser.parse_args(["--exchange", "nccl"]).exchange == "nccl"


def test_every_exchange_is_offered() -> None:
    parser = argparse.ArgumentParser()
    add_exchange_option(parser)
    (exchange,) = (action for action in parser._actions if action.dest == "exchange")
    assert tuple(exchange.choices or ()) == get_args(ExchangeKind)
