"""The page's sections on another run and on a sweep."""

from paired_case import make_comparison, make_sweep

from vggrepro.evaluation.reporting.paired_sections import compared_section, sweep_section


def test_nothing_is_told_of_what_was_not_asked_for():
    assert (compared_section(None), sweep_section(())) == ("", "")


def test_a_comparison_names_the_other_run_and_its_images():
    text = compared_section(make_comparison())
    assert "The same 8 images in other|&lt;b&gt;.json." in text
    assert '+12.50<br><span class="faint">1, 2</span><br><span class="faint">p = 1</span>' in text
    assert "table 5, &lt;D&gt;:both" in text


def test_a_sweep_says_which_reading_is_nearest():
    axes = make_sweep()
    text = sweep_section(axes)
    assert "average: nearest to the expected errors (paper) is" in text
    assert text.count("<tr><td>") == 4
    assert '<th class="number">top-1 / top-5</th>' in text
