"""The eval_ilsvrc command: all rows of the published nets in miniature, in one pass and on one page."""

import json
import re

import pytest

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.evaluation import demo
from vggrepro.paper.rows import published_rows


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """All rows of the published nets, for which the net of the digits stands in, on three images."""
    folder = tmp_path_factory.mktemp("published")
    nets = ["--published", *(f"{net}={demo.FILES.weights}" for net in "DE")]
    deploys = [word for net in "DE" for word in ("--deploy", f"{net}={demo.FILES.deploy}")]
    images = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS), "--synsets", str(demo.SYNSETS)]
    out = [word for kind in ("json", "html", "markdown") for word in (f"--{kind}", str(folder / f"r.{kind}"))]
    assert main([*nets, *deploys, *images, "--limit", "3", *out]) == 0
    return folder


def test_all_rows_of_the_published_nets_in_one_pass(published, capsys):
    report = json.loads((published / "r.json").read_text())
    rows = published_rows(["D", "E"])
    assert list(report["results"]) == [f"table {row.table}, {row.key}" for row in rows]
    assert len(rows) == 15
    expected = {name: found["expected"] for name, found in report["results"].items()}
    tested = {
        name: e["test_top5_error_percent"] for name, e in expected.items() if e["test_top5_error_percent"]
    }
    assert tested == {
        "table 6, ensemble-2-dense": 7.0,
        "table 6, ensemble-2": 6.8,
        "table 7, vgg-2": 6.8,
        "table 7, vgg-1": 7.0,
    }
    page = (published / "r.html").read_text()
    assert re.findall(r"<h2>Table (\d)\.", page) == ["3", "4", "5", "6", "7"]
    assert page.count('<tr class="ours">') == 15
    assert page.count("paper, test top-5") == 2  # Tables 6 and 7
    assert "(test: 6.8)" in (published / "r.markdown").read_text()


def test_only_the_same_nets_and_views_are_replications(published):
    found = json.loads((published / "r.json").read_text())["replications"]
    told = [(r["result"], r["source"], r["protocol"], tuple(r["scales"])) for r in found]
    page = "authors' model page"
    assert told == [
        ("table 3, D:256;512", page, "dense", (384,)),
        ("table 3, E:256;512", page, "dense", (384,)),
        ("table 4, D:256;512", page, "dense", (256, 384, 512)),
        ("table 4, E:256;512", page, "dense", (256, 384, 512)),
        ("table 5, D:dense", page, "dense", (256, 384, 512)),
        ("table 5, E:dense", page, "dense", (256, 384, 512)),
    ]


def test_all_rows_are_repeated_from_the_report_alone(published, capsys):
    assert main(["--repeat", str(published / "r.json")]) == 0
    assert "every number is as in" in capsys.readouterr().err


def test_a_net_of_another_training_scale_is_no_replication(tmp_path):
    """The published nets were trained with scale jittering: nothing is beside the same views of D:384."""
    net = ["--weights", f"D:384={demo.FILES.weights}", "--deploy", str(demo.FILES.deploy)]
    images = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS), "--limit", "2"]
    out = ["--json", str(tmp_path / "r.json")]
    assert main(["--table", "3", "--row", "D:384", *net, *images, *out]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["replications"] == []
