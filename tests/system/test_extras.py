"""Optional packages: what is said where one is missing."""

import sys

import pytest

from vggrepro.errors import DataError, UnsupportedError
from vggrepro.system.extras import extra


def test_an_installed_package_is_imported():
    assert extra("xml.dom", "x", "reading") is sys.modules["xml.dom"]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(
        DataError, match=r'reading x needs the package \'nowhere\'.*pip install "vggrepro\[y\]"'
    ):
        extra("nowhere", "y", "reading x")


def test_the_error_is_of_the_class_that_the_caller_wants():
    with pytest.raises(UnsupportedError, match="a file needs the package 'nowhere'"):
        extra("nowhere", "y", "a file", UnsupportedError)


def test_a_package_that_does_not_load_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text('raise ImportError("libfoo.so: cannot open")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"'broken_package' \(libfoo.so: cannot open\)"):
        extra("broken_package", "y", "reading")
