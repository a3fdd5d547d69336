"""Pools of descriptors in processes whose numbers have a comma."""

import locale
import os
import shutil
import subprocess
import sys

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from vggrepro.caffe.descriptor_pool import pool_of
from vggrepro.caffe.schema import FILE


def test_numbers_are_those_of_c_meanwhile_and_the_programs_own_afterwards(monkeypatch):
    calls = []

    def setlocale(category, name=None):
        assert category == locale.LC_NUMERIC
        calls.append(name)
        return "de_DE.UTF-8"

    monkeypatch.setattr(locale, "setlocale", setlocale)
    assert (
        pool_of(FILE).FindMessageTypeByName("caffe.LRNParameter").fields_by_name["beta"].default_value == 0.75
    )
    assert calls == [None, "C", "de_DE.UTF-8"]
    with pytest.raises(TypeError):
        pool_of(FileDescriptorProto(name="x.proto", dependency=["y.proto"]))
    assert calls[3:] == [None, "C", "de_DE.UTF-8"]


def test_a_decimal_comma(tmp_path):
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True
    )
    if made.returncode:
        pytest.skip("no source of de_DE here")
    program = (
        "import locale; locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8');"
        "from vggrepro.caffe.messages import LRNParameter;"
        "print(LRNParameter().beta, locale.localeconv()['decimal_point'])"
    )
    environment = {**os.environ, "LOCPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0.75 ,\n", "")
