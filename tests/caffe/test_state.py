"""Phase, level and stages: Caffe's StateMeetsRule in every combination, and what a filtered net holds."""

import itertools
from pathlib import Path

import pytest

from vggrepro.caffe import messages, state
from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError

GOLDEN = Path(__file__).parents[1] / "golden"

RULES = """
layer { name: "always" }
layer { name: "train" include { phase: TRAIN } }
layer { name: "not_train" exclude { phase: TRAIN } }
layer { name: "deploy" include { stage: "deploy" } }
layer { name: "deploy_big" include { stage: "deploy" stage: "big" } }
layer { name: "not_big" include { not_stage: "big" } }
layer { name: "level_1_2" include { min_level: 1 max_level: 2 } }
layer { name: "either" include { phase: TRAIN } include { stage: "big" not_stage: "deploy" } }
layer { name: "unless" exclude { phase: TRAIN level_placeholder } exclude { stage: "big" } }
""".replace("level_placeholder", "min_level: 2")


def names(net):
    return {layer.name for layer in net.layer}


def expected(phase, level, stages):
    train, big, deploy = phase == "TRAIN", "big" in stages, "deploy" in stages
    conditions = {
        "always": True,
        "train": train,
        "not_train": not train,
        "deploy": deploy,
        "deploy_big": deploy and big,
        "not_big": not big,
        "level_1_2": 1 <= level <= 2,
        "either": train or (big and not deploy),
        "unless": not ((train and level >= 2) or big),
    }
    return {name for name, holds in conditions.items() if holds}


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("level", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("stages", [(), ("big",), ("deploy",), ("deploy", "big"), ("other",)])
def test_every_state_keeps_the_layers_whose_rules_it_meets(phase, level, stages):
    net = state.filter_net(parse_net(RULES), phase=phase, level=level, stages=stages)
    assert names(net) == expected(phase, level, stages)
    assert net.state == messages.NetState(phase=messages.PHASES[phase], level=level, stage=stages)


def test_an_empty_rule_is_met_by_every_state():
    net = parse_net('layer { name: "in" include {} } layer { name: "out" exclude {} }')
    assert names(state.filter_net(net, phase="TEST")) == {"in"}


def test_layers_get_the_phase_of_the_net_unless_they_have_their_own():
    net = parse_net('layer { name: "a" } layer { name: "b" phase: TRAIN }')
    filtered = state.filter_net(net, phase=messages.TEST)
    assert [(layer.HasField("phase"), layer.phase) for layer in filtered.layer] == [
        (True, messages.TEST),
        (True, messages.TRAIN),
    ]
    assert not net.layer[0].HasField("phase"), "the given net must not change"


def test_stages_of_the_file_stay_but_its_phase_and_level_do_not():
    net = parse_net(
        'state { phase: TRAIN level: 7 stage: "file" }'
        ' layer { name: "a" include { stage: "file" stage: "given" } }'
    )
    filtered = state.filter_net(net, phase="TEST", level=1, stages=["given"])
    assert names(filtered) == {"a"}
    assert filtered.state == messages.NetState(phase=messages.TEST, level=1, stage=["file", "given"])


def test_a_solver_is_overridden_by_the_net_and_that_by_the_solvers_state():
    net = parse_net('state { level: 1 stage: "net" }')
    merged = state.solver_net_state("TRAIN", net, messages.NetState(level=2, stage=["solver"]))
    assert merged == messages.NetState(phase=messages.TRAIN, level=2, stage=["net", "solver"])
    assert state.solver_net_state("TRAIN", net) == messages.NetState(
        phase=messages.TRAIN, level=1, stage=["net"]
    )


def test_include_and_exclude_together_are_refused():
    net = parse_net('layer { name: "x" include { phase: TRAIN } exclude { phase: TEST } }')
    with pytest.raises(NetError) as caught:
        state.filter_net(net, phase="TEST")
    assert str(caught.value) == "layer 'x': Specify either include rules or exclude rules; not both."


@pytest.mark.parametrize("phase", ["test", "", 2, -1])
def test_a_phase_that_does_not_exist_is_refused(phase):
    with pytest.raises(NetError, match="phase"):
        state.filter_net(parse_net(RULES), phase=phase)


def test_rules_are_judged_each_condition_on_its_own():
    conditions = ["phase: TEST", "min_level: 1", "max_level: 1", 'stage: "s"', 'not_stage: "n"']
    good = messages.NetState(phase=messages.TEST, level=1, stage=["s"])
    breaking = {
        0: messages.NetState(phase=messages.TRAIN, level=1, stage=["s"]),
        1: messages.NetState(phase=messages.TEST, level=0, stage=["s"]),
        2: messages.NetState(phase=messages.TEST, level=2, stage=["s"]),
        3: messages.NetState(phase=messages.TEST, level=1),
        4: messages.NetState(phase=messages.TEST, level=1, stage=["s", "n"]),
    }
    for count in range(len(conditions) + 1):
        for chosen in itertools.combinations(range(len(conditions)), count):
            rule_text = " ".join(conditions[index] for index in chosen)
            net = parse_net(f"layer {{ include {{ {rule_text} }} }}")
            assert state.filter_by_state(net, good).layer
            for index, bad in breaking.items():
                assert bool(state.filter_by_state(net, bad).layer) == (index not in chosen)


def test_a_level_of_more_than_32_bits_is_refused():
    with pytest.raises(NetError, match="level 4294967296: expected a number of 32 bits"):
        state.filter_net(parse_net(""), phase="TEST", level=1 << 32)


def test_a_stage_that_is_no_utf8_is_refused():
    with pytest.raises(NetError, match=r"stages 'a', '\\udcff': expected names in UTF-8"):
        state.filter_net(parse_net(""), phase="TEST", stages=["a", "\udcff"])
