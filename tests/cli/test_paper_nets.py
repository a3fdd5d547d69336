"""The paper's Tables 1 and 2 and the arithmetic of section 2.3, as the nets say them."""

import json

import pytest

from vggrepro.cli.inspect_net import main
from vggrepro.cli.paper_nets import configuration, paper_nets, stack

BLOCKS = {
    "A": ["conv3-64", "conv3-128"] + ["conv3-256"] * 2 + ["conv3-512"] * 4,
    "B": ["conv3-64"] * 2 + ["conv3-128"] * 2 + ["conv3-256"] * 2 + ["conv3-512"] * 4,
    "B-5x5": ["conv5-64", "conv5-128", "conv5-256", "conv5-512", "conv5-512"],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_column_of_table_1(name):
    found = configuration(name)
    convolutions = [layer for block in found.blocks[:-1] for layer in block]
    assert convolutions == BLOCKS[name]
    assert len(found.blocks) == 6  # five poolings
    assert found.blocks[-1] == ["FC-4096", "FC-4096", "FC-1000", "soft-max"]


def test_the_tables_are_the_papers():
    nets = paper_nets()
    assert {one.name: (one.weight_layers, round(one.parameters / 1e6)) for one in nets.configurations} == {
        "A": (11, 133),
        "A-LRN": (11, 133),
        "B": (13, 133),
        "C": (16, 134),
        "D": (16, 138),
        "E": (19, 144),
    }
    by_name = {one.name: one.blocks for one in nets.configurations}
    assert by_name["A-LRN"][0] == ["conv3-64", "LRN"]
    assert by_name["C"][2:5] == [["conv3-256", "conv3-256", "conv1-256"]] + 2 * [
        ["conv3-512", "conv3-512", "conv1-512"]
    ]
    assert [len(block) for block in by_name["E"]] == [2, 2, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("kernels", "coefficient", "field"), [([3] * 3, 27, 7), ([7], 49, 7), ([3] * 2, 18, 5), ([5], 25, 5)]
)
def test_weights_of_stacks_are_a_multiple_of_the_square_of_the_channels(kernels, coefficient, field):
    for channels in (8, 64):
        found = stack(kernels, channels)
        assert (found.coefficient, found.field) == (coefficient, field)


def test_the_command_prints_and_writes_them(tmp_path, capsys):
    assert main(["--tables", "--json", str(tmp_path / "t.json")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["A", "A-LRN", "B", "C", "D", "E"] in lines
    assert ["D", "138", "138,357,544"] in lines
    assert ["1", "of", "7x7", "7x7", "49C^2", "12,845,056", "81%"] in lines
    written = json.loads((tmp_path / "t.json").read_text())
    assert [one["name"] for one in written["configurations"]] == ["A", "A-LRN", "B", "C", "D", "E", "B-5x5"]
    assert [[one["coefficient"] for one in pair] for pair in written["stacks"]] == [[18, 25], [27, 49]]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no net: expected a prototxt (or --tables)"),
        (["--tables", "net.prototxt"], "net.prototxt: leave out this or --tables"),
        (["--tables", "--phase", "TRAIN"], "--phase: leave out this or --tables"),
    ],
)
def test_what_does_not_go_together(argv, words, capsys):
    assert main(argv) == 2
    assert words in capsys.readouterr().err
