"""The page's section on how a run was made."""

from vggrepro.evaluation.reporting.settings_section import settings_section


def test_files_are_told_with_their_hashes_and_everything_else_as_it_is():
    files = {"labels": {"file": "val<1>.txt", "sha256": "ab" * 32}}
    text = settings_section({"files": files, "command": ["--demo", "</pre>"]})
    assert f"<td>labels</td><td><code>val&lt;1&gt;.txt</code></td><td><code>{'ab' * 32}</code></td>" in text
    assert "&lt;/pre&gt;" in text
    assert text.count("</pre>") == 1


def test_without_files_there_is_no_table():
    assert "<table>" not in settings_section({"command": []})
