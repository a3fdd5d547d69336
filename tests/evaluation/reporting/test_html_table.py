"""Tables of the page."""

from vggrepro.evaluation.reporting.html_table import html_row, html_table


def test_heads_are_escaped_and_those_of_numbers_marked():
    text = html_table(["<who>", "#top-1"], [html_row(["a", "1.0"], 1), html_row(["b", "2.0"], 1, ours=True)])
    assert '<th>&lt;who&gt;</th><th class="number">top-1</th>' in text
    assert '<tr><td>a</td><td class="number">1.0</td></tr>' in text
    assert '<tr class="ours"><td>b</td>' in text
