"""Digests of files, computed when they are asked for or before."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from vggrepro.errors import WeightsError
from vggrepro.system import file_digest as module
from vggrepro.system.file_digest import digesting, file_digest, file_sha256


def test_the_digest_of_a_file_of_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    content = bytes(range(256)) * 50
    (tmp_path / "w").write_bytes(content)
    assert file_sha256(tmp_path / "w") == hashlib.sha256(content).hexdigest()
    assert file_digest(tmp_path / "w", "md5") == hashlib.md5(content).hexdigest()
    with digesting(tmp_path / "w"):
        assert file_sha256(tmp_path / "w") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)
    assert file_sha256(tmp_path / "w") == hashlib.sha256(content).hexdigest()


def test_a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w").write_bytes(b"x")
    stamps = iter([(1, 1), (2, 1)])
    monkeypatch.setattr(module, "_stamp", lambda _: next(stamps))
    with pytest.raises(WeightsError, match="w: changed while it was read"):
        file_sha256(tmp_path / "w")


def test_within_the_block_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"x")
    with digesting(path):
        file_sha256(path)
        monkeypatch.setattr(Path, "open", None)
        assert file_sha256(path) == hashlib.sha256(b"x").hexdigest()
        monkeypatch.chdir(tmp_path)
        assert file_sha256(Path("w")) == hashlib.sha256(b"x").hexdigest()


def test_within_the_block_threads_take_turns_more_often(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"x")
    before = sys.getswitchinterval()
    with digesting(path):
        assert sys.getswitchinterval() == pytest.approx(module.SWITCH) != pytest.approx(before)
    assert sys.getswitchinterval() == before


def test_a_file_that_changes_within_the_block(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"x")
    with digesting(path):
        file_sha256(path)
        os.utime(path, ns=(1, 1))
        with pytest.raises(WeightsError, match="w: changed while it was read"):
            file_sha256(path)
    assert file_sha256(path) == hashlib.sha256(b"x").hexdigest()


def test_no_file_is_an_error_only_for_who_asks(tmp_path: Path) -> None:
    with digesting(tmp_path / "none"), pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "none")


def test_the_block_does_not_wait_for_a_digest_that_nobody_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 1)
    path = tmp_path / "w"
    path.write_bytes(bytes(30_000_000))
    with digesting(path):
        begun = module._begun[path]
    assert begun.result()[0] != hashlib.sha256(bytes(30_000_000)).hexdigest()


def test_a_block_within_another_of_the_same_file_does_not_read_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"x")
    with digesting(path):
        file_sha256(path)
        monkeypatch.setattr(module, "_read", None)
        monkeypatch.chdir(tmp_path)
        with digesting(Path("w")):
            assert file_sha256(path) == hashlib.sha256(b"x").hexdigest()
        assert file_sha256(path) == hashlib.sha256(b"x").hexdigest()


def test_without_a_file_there_is_nothing_to_digest() -> None:
    with digesting(None):
        assert not module._begun


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no working directory")
def test_without_a_working_directory_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with digesting(Path("w.caffemodel")):
        assert not module._begun
