"""The HTML report: its parts, and how a real browser shows it at the width of a phone and of a desktop."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from paired_case import make_comparison, make_sweep
from report_case import NAMES, errors, make_page, make_report

from vggrepro.evaluation.goals import row_goals
from vggrepro.evaluation.protocols import BEFORE
from vggrepro.evaluation.reporting.page import page
from vggrepro.evaluation.results import Outcome
from vggrepro.paper.rows import runnable_rows
from vggrepro.paper.tables import table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--allow-file-access-from-files",
    "--disable-web-security",
    "--virtual-time-budget=5000",
    "--window-size=1400,3000",
    "--dump-dom",
]

# Runs in the page: what sticks out to the right, tables that do not fit, missing pictures, smallest type.
PROBE = """<script>onload = () => {
  const seen = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre'));
  const wide = seen.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML);
  const missing = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
  const texts = [...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height);
  const cut = [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length;
  const found = {inner: innerWidth, scroll: document.documentElement.scrollWidth, wide, cut, missing};
  document.body.innerText = JSON.stringify({...found, type: Math.min(...texts), plots: texts.length});
}</script>"""

# A window cannot be as narrow as a phone everywhere; a frame can.
FRAME = """<!doctype html><body style="margin:0">
<iframe src="page.html" style="border:0;width:{width}px;height:3000px"></iframe>
<script>onload = () => setTimeout(() => {{
  const probed = document.querySelector('iframe').contentDocument.body.innerText;
  document.body.innerHTML = '<pre></pre>';
  document.querySelector('pre').innerText = probed;
}}, 500)</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the page with: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_on_a_phone_and_on_a_desk(tmp_path, width):
    probed = make_page().replace(' loading="lazy"', "").replace("</head>", f"{PROBE}</head>")
    (tmp_path / "page.html").write_text(probed)
    (tmp_path / "frame.html").write_text(FRAME.format(width=width))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, str(tmp_path / "frame.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(re.search(r"<pre>(\{.*\})</pre>", done.stdout).group(1))
    assert found["inner"] == width
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["cut"] == 0  # no table must be scrolled to be read
    assert found["missing"] == 0
    assert found["plots"] > 20
    assert found["type"] >= 9


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


def test_every_table_that_rows_were_measured_of_is_on_the_page():
    goals = row_goals([*table(3)[:2], *table(5), *runnable_rows(6)], BEFORE)
    report = replace(make_report(), found=[(goal, Outcome(goal.members, errors(25, 8))) for goal in goals])
    text = page(report, {})
    assert re.findall(r"<h2>Table (\d)\.", text) == ["3", "5", "6"]
    assert text.count('<tr class="ours">') == len(goals)
    assert text.count("paper, test top-5") == 1  # Table 6 alone has the column
    assert "fine-tuned in its fully connected layers only" in text


def test_another_run_and_other_readings_are_on_the_page():
    checker = Checker()
    checker.feed(page(replace(make_report(), comparison=make_comparison(), sweep=make_sweep()), {}))
    assert checker.open == []
    assert {"Compared with another run", "What the paper leaves open"} <= set(checker.text)
