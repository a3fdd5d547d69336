"""The JSON, Markdown and HTML reports of a made-up evaluation of Table 5."""

import json
import re
from html.parser import HTMLParser

import pytest
from report_case import NAMES, make_page, make_report

from vggrepro.evaluation.metrics import ErrorRate
from vggrepro.evaluation.reporting.plots import Point, error_plot
from vggrepro.evaluation.reporting.report import to_json, to_markdown
from vggrepro.paper.tables import table


class Checker(HTMLParser):
    """Collects the tags, and checks that they are closed in order."""

    EMPTY = frozenset({"meta", "img", "br", "line", "circle", "wbr"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_json_has_every_number_and_setting():
    found = json.loads(json.dumps(to_json(make_report())))
    assert found["top1_error_percent"] == pytest.approx(24.5)
    low, high = found["top1_interval_95_percent"]
    assert low < 24.5 < high
    assert found["paper"]["table"] == 5
    expected = found["results"]["table 5, E:both"]["expected"]
    assert expected["top1_difference"] == pytest.approx(0.1)
    assert expected["top5_difference"] == pytest.approx(-0.04)
    assert list(found["results"]) == [f"table 5, {row.key}" for row in table(5)]
    assert found["images"]["bad"] == {"a.JPEG": "no image"}
    assert found["settings"]["networks"] == [{"name": "</pre><script>"}]
    assert {r["source"] for r in found["replications"]} >= {"MatConvNet", "keras-applications"}


def test_the_markdown_puts_our_number_beside_the_papers():
    text = to_markdown(make_report())
    row = next(line for line in text.splitlines() if "table 5, E:both" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "table 5, E:both",
        "24.50 (24.12-24.88)",
        "7.06 (6.84-7.29)",
        "paper: 24.4 / 7.1",
        "+0.10 / -0.04",
    ]
    assert "| MatConvNet, original weights, centre" in text
    assert "images that cannot be decoded, and count in no error (1): a.JPEG" in text


def test_tables_of_the_markdown_are_rectangular():
    lines = [line for line in to_markdown(make_report()).splitlines() if line.startswith("|")]
    blocks = re.split(r"\n\n+", to_markdown(make_report()))
    for block in blocks:
        counts = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1
    assert lines


def test_the_page_is_whole_and_needs_nothing_else():
    checker = Checker()
    text = make_page()
    checker.feed(text)
    assert checker.open == []
    tags = [tag for tag, _ in checker.seen]
    assert tags.count("svg") == 2
    assert tags.count("img") == 8
    assert "script" not in tags
    assert not [a for _, a in checker.seen if a.get("src", "data:")[:5] != "data:" or "href" in a]
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_shows_the_papers_table_with_our_column():
    checker = Checker()
    checker.feed(make_page())
    text = " ".join(checker.text)
    for row in table(5):
        assert row.label in text
    assert "24.50 / 7.06" in text
    assert "24.12-24.88" in text
    assert "+0.10 / -0.04" in text
    wnid, _, words = NAMES[39].partition(" ")
    assert f"{words}  {wnid}" in text  # escaped in the page, plain here
    assert [a for tag, a in checker.seen if tag == "meta" and a.get("name") == "viewport"]


def test_a_plot_marks_what_was_measured_and_what_was_expected():
    points = [Point("one", ErrorRate(10, 100), 12.0), Point("two", ErrorRate(20, 100))]
    text = error_plot("title", "top1", points)
    assert text.count("<circle") == 2
    assert text.count('class="expected"') == 1
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', text)]
    (expected,) = (float(x) for x in re.findall(r'class="expected" x1="([\d.]+)"', text))
    assert places[0] < expected < places[1]
    # 10, 12 and 20 percent: places in proportion.
    assert (expected - places[0]) / (places[1] - places[0]) == pytest.approx(0.2, abs=0.005)


def test_a_plot_of_no_error_at_all():
    assert error_plot("title", "top5", [Point("one", ErrorRate(0, 10_000))]).count("<circle") == 1
