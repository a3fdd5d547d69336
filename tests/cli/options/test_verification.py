"""The options of verification."""

from __future__ import annotations

import argparse

import pytest

from vggrepro.cli.options.verification import VerifyOptions, add_verification_options


@pytest.mark.parametrize(
    ("words", "compares"), [([], False), (["--verify"], True), (["--verify-with", "opencv,openvino"], True)]
)
def test_what_is_compared(words: list[str], compares: bool) -> None:
    parser = argparse.ArgumentParser()
    add_verification_options(parser)
    options = VerifyOptions(**vars(parser.parse_args(words)))
    assert options.compares is compares
    assert options.verify_with == (("opencv", "openvino") if "--verify-with" in words else ())
    assert options.tolerance == 1e-4
