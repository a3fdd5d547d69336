"""Every layer and net of the golden suite: forward, second call, reference and backward."""

from __future__ import annotations

import numpy as np
import pytest
from golden_suite import cases, convolves, use_every_rule

from vggrepro.emit import RuleSet
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.naming import next_name
from vggrepro.graph.reference import reference_walk
from vggrepro.runtime.session import Session
from vggrepro.verify.comparison import Difference
from vggrepro.verify.reference_case import ReferenceCase, check_backward, check_forward, check_second

CASES = cases("layer", "net")
EXACT = [c for c in CASES if not c.about.get("random")]
RANDOM = [c for c in CASES if c.about.get("random")]
named = {"ids": lambda c: c.folder.name}


def assert_passed(differences: list[Difference]) -> None:
    assert differences
    assert not [d for d in differences if not d.passed]


@pytest.mark.parametrize("fixed", [False, True], ids=["symbolic", "fixed"])
@pytest.mark.parametrize("case", EXACT, **named)
def test_forward(case: ReferenceCase, fixed: bool) -> None:
    assert_passed(check_forward(case, case.load(), fixed=fixed, threads=1))


@pytest.mark.parametrize("case", [c for c in EXACT if c.about.get("second_call")], **named)
def test_second_call(case: ReferenceCase) -> None:
    """State and moved statistics go on from the first call, at the second call's shapes."""
    assert_passed(check_second(case, case.load(), threads=1))


@pytest.mark.parametrize("case", EXACT, **named)
def test_reference(case: ReferenceCase) -> None:
    net = case.load()
    values, moved = reference_walk(net, case.arrays("in"), {})
    found = {f"{kind}:{b}": values[v] for b, v in net.blobs.items() for kind in ("out", "blob")}
    for key in case.keys("param_after"):
        layer, index = key.split(":", 1)[1].rsplit(":", 1)
        found[key] = moved.get(next_name(layer, index), net.params[f"{layer}:{index}"])
    assert_passed([case.compare(key, found[key]) for key in case.keys("out", "blob", "param_after")])


@pytest.mark.parametrize("case", [c for c in EXACT if c.entry["backward"]], **named)
def test_backward(case: ReferenceCase) -> None:
    assert_passed(check_backward(case, case.load(), threads=1))


@pytest.mark.parametrize("case", [c for c in EXACT if "ooling" in c.files.net.read_text()], **named)
def test_pooling_by_the_rules_for_cuda(case: ReferenceCase) -> None:
    """On the CPU, where the same graph gives the same numbers."""
    assert_passed(check_forward(case, case.load(), threads=1, rules="cuda"))


@pytest.mark.parametrize("case", [c for c in EXACT if c.entry["backward"] and convolves(c)], **named)
def test_convolution_by_the_rules_for_cuda(case: ReferenceCase) -> None:
    assert_passed(check_backward(case, case.load(), threads=1, rules="cuda"))


@pytest.mark.parametrize("rules", ["cuda", "cuda-tf32"])
@pytest.mark.parametrize("case", [c for c in EXACT if convolves(c)], **named)
def test_every_rule_for_cuda_wherever_it_holds(
    case: ReferenceCase, rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for blobs that are too small to be worth it."""
    use_every_rule(monkeypatch)
    assert_passed(check_forward(case, case.load(), threads=1, rules=rules))
    if case.entry["backward"]:
        assert_passed(check_backward(case, case.load(), threads=1, rules=rules))


@pytest.mark.parametrize("case", RANDOM, **named)
def test_dropout_in_train(case: ReferenceCase) -> None:
    """The mask is ours, not Caffe's: outputs and gradients are checked through it."""
    net = case.load()
    ((name, x),) = case.arrays("in").items()
    ((top, dy),) = case.arrays("dout").items()
    theirs = case.arrays("out")[top]
    scale = np.float32(np.median(theirs[theirs != 0] / x[theirs != 0]))
    y = Session(build_forward(net), threads=1).run({name: x})[top]
    mask = y != 0
    assert 0 < mask.mean() < 1
    np.testing.assert_allclose(y, np.where(mask, x * scale, 0), rtol=1e-6)
    feeds = {name: x, f"d:{top}": dy}
    dx = Session(build_gradient(net, inputs=[name]), threads=1).run(feeds)[f"d:{name}"]
    np.testing.assert_allclose(dx, np.where(mask, dy * scale, 0), rtol=1e-6)
