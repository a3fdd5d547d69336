"""The arguments of a repetition: the report's, with what may be given anew."""

import json

import pytest

from vggrepro.cli.eval_ilsvrc import parser
from vggrepro.cli.options.repeat import command_line, repeated
from vggrepro.errors import DataError, OptionError
from vggrepro.evaluation.reporting.stored_report import FORMAT, read_report

RUN = [
    *["--weights", "D:256;512=d.caffemodel", "--weights", "E=e.caffemodel", "--deploy", "E=e.prototxt"],
    *["--images", "val.tar", "--labels", "/data/val.txt", "--scales", "256,384", "--no-flip", "--limit", "9"],
    *["--mean=-1,2,3", "--device", "cuda", "--cache", "views", "--json", "r.json", "--sweep", "exif"],
]


@pytest.fixture
def report(tmp_path):
    settings = {"command": RUN, "directory": "/there"}
    (tmp_path / "r.json").write_text(json.dumps({"format": FORMAT, "name": "row", "settings": settings}))
    return read_report(tmp_path / "r.json")


def test_files_lie_where_the_run_was_started(report):
    found = repeated(parser, report, ["--repeat", "r.json"])
    assert found.weights == ["D:256;512=/there/d.caffemodel", "E=/there/e.caffemodel"]
    assert (str(found.images), str(found.labels)) == ("/there/val.tar", "/data/val.txt")
    assert (found.scales, found.flip, found.limit, found.device) == ((256, 384), False, 9, "cuda")
    assert (found.cache, found.json, str(found.repeat)) == (None, None, "r.json")


def test_files_that_moved_and_how_it_is_run_can_be_given(report):
    moved = ["--weights", "D=new.caffemodel", "--deploy", "new.prototxt", "--images", "here.tar"]
    found = repeated(parser, report, ["--repeat", "r.json", *moved, "--device", "cpu", "--json", "s.json"])
    assert found.weights == ["D:256;512=new.caffemodel", "E=/there/e.caffemodel"]
    assert found.deploy == ["E=new.prototxt"]
    assert (str(found.images), found.device, str(found.json)) == ("here.tar", "cpu", "s.json")


def test_the_arguments_are_told_as_a_command(report):
    found = repeated(parser, report, ["--repeat", "r.json", "--json", "s.json", "--device", "cpu"])
    command = command_line(parser(), found)
    again = vars(parser().parse_args(command))
    assert again == {**vars(found), "json": None, "repeat": None}
    assert "--device" not in command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scales", "256"], "--scales: --repeat takes it from the report"),
        (["--limit", "9"], "--limit: --repeat takes it from the report"),
        (["--mean", "1,2,3"], "--mean: --repeat takes it from the report"),
        (["--demo"], "--demo: --repeat takes it from the report"),
        (["--blacklist", "b.txt"], "--blacklist: the run of .* had none"),
        (
            ["--weights", "C=c.caffemodel"],
            "--weights C=c.caffemodel: expected a file for one of the report's",
        ),
        (["--weights", "c.caffemodel"], "--weights c.caffemodel: expected a file for one of the report's"),
    ],
)
def test_what_makes_another_run_is_refused(report, options, message):
    with pytest.raises(OptionError, match=message):
        repeated(parser, report, ["--repeat", "r.json", *options])


def test_a_net_without_a_name_keeps_that_of_its_file(tmp_path):
    settings = {
        "command": ["--weights", "old.caffemodel", "--deploy", "old.prototxt"],
        "directory": str(tmp_path),
    }
    (tmp_path / "r.json").write_text(json.dumps({"format": FORMAT, "name": "row", "settings": settings}))
    moved = ["--weights", "/new/other.caffemodel", "--deploy", "/new/other.prototxt"]
    found = repeated(parser, read_report(tmp_path / "r.json"), ["--repeat", "r.json", *moved])
    assert (found.weights, found.deploy) == (["old=/new/other.caffemodel"], ["/new/other.prototxt"])


@pytest.mark.parametrize("command", [["--unknown"], ["--scales", "x"], ["--sweep", "colour"], ["--help"]])
def test_a_command_of_another_version_is_the_reports_fault(tmp_path, command):
    settings = {"command": command, "directory": "/there"}
    (tmp_path / "r.json").write_text(json.dumps({"format": FORMAT, "name": "row", "settings": settings}))
    with pytest.raises(DataError, match=r"r\.json: its command is none of this version: "):
        repeated(parser, read_report(tmp_path / "r.json"), ["--repeat", "r.json"])
