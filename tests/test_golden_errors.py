"""Nets that Caffe refuses are refused, with a message that says the same."""

from __future__ import annotations

import json
import re

import pytest
from golden_suite import ROOT

from vggrepro.errors import VggReproError
from vggrepro.net import load_net

CASES = json.loads((ROOT / "errors" / "errors.json").read_text())["cases"]

WITHOUT_TEXT = {
    "pool_pad_ge_kernel": r"pad_h_ < kernel_h_ \(2 vs\. 2\)",
    "conv_group": r"channels_ % group_ == 0 \(1 vs\. 0\)",
}
"""Checks of Caffe that have no words of their own: the condition is the message."""


def said(case: dict[str, object]) -> str:
    """What Caffe's first line says, without the place and the condition."""
    line = str(case["message"][0])  # type: ignore[index]
    line = re.sub(r"^.*?\] (Error parsing text-format caffe.NetParameter: \d+:\d+: )?", "", line)
    line = re.sub(r"^Check failed: .*? \(.*? vs\. .*?\) ", "", line)
    line = re.sub(r"^Check failed: (\S+ [!=]= \S+|\S+) +", "", line)
    return re.sub(r" \(known types: .*", "", line).strip()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_refused(case: dict[str, object]) -> None:
    name = str(case["name"])
    with pytest.raises(VggReproError) as caught:
        load_net(ROOT / "errors" / f"{name}.prototxt")
    message = str(caught.value)
    assert "\n" not in message
    if name in WITHOUT_TEXT:
        assert re.search(WITHOUT_TEXT[name], message)
    else:
        assert " ".join(said(case).split()) in " ".join(message.split())
