"""Names on a page."""

from vggrepro.evaluation.reporting.html_text import html_text


def test_neither_markup_nor_control_characters_come_through():
    assert html_text("<b>&\x1b[2J\u202ex\n") == "&lt;b&gt;&amp;\\x1b[2J\\u202ex\\n"
