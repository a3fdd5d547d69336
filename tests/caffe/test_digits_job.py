"""Archives of DIGITS: what they name is unpacked, whatever else is in them."""

import io
import json
import random
import tarfile
import tempfile
import zipfile

import pytest

from vggrepro.caffe import digits_job
from vggrepro.caffe.digits_job import is_job_archive, open_job
from vggrepro.errors import ParseError

INFO = {
    "framework": "caffe",
    "deploy file": "deploy.prototxt",
    "snapshot file": "snapshot_iter_30.caffemodel",
    "mean file": "mean.binaryproto",
    "labels file": "labels.txt",
    "image dimensions": [28, 28, 1],
    "image resize mode": "squash",
}
FILES = {
    "deploy.prototxt": b"name: 'n'",
    "snapshot_iter_30.caffemodel": b"weights",
    "mean.binaryproto": b"mean",
    "labels.txt": b"cat\ndog\n",
    "solver.prototxt": b"base_lr: 1",
}


def tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as out:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path


def job(path, info=INFO, files=FILES):
    return tar(
        path, {"job/info.json": json.dumps(info).encode(), **{f"job/{n}": d for n, d in files.items()}}
    )


def test_the_files_that_info_names(tmp_path):
    path = job(tmp_path / "job.tar.gz")
    assert is_job_archive(path)
    found = open_job(path)
    assert found.deploy.read_bytes() == b"name: 'n'"
    assert found.snapshot.read_bytes() == b"weights"
    assert (found.mean.read_bytes(), found.labels.read_bytes()) == (b"mean", b"cat\ndog\n")
    assert (found.size, found.warped) == (28, True)
    assert not (found.deploy.parent / "solver.prototxt").exists()
    assert open_job(path) is found


def test_a_zip_and_one_without_info(tmp_path):
    path = tmp_path / "job.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("deploy.prototxt", "name: 'n'")
        for iteration in (9, 100, 20):
            out.writestr(f"snapshot_iter_{iteration}.caffemodel", f"{iteration}")
    found = open_job(path)
    assert found.snapshot.read_text() == "100"
    assert (found.mean, found.labels, found.size, found.warped) == (None, None, None, False)


def test_names_do_not_lead_out_of_the_folder(tmp_path):
    files = {"../../deploy.prototxt": b"x", "/abs/s_1.caffemodel": b"y"}
    found = open_job(tar(tmp_path / "a.tar", files, "w"))
    assert found.deploy.parent == found.snapshot.parent
    assert not (tmp_path.parent / "deploy.prototxt").exists()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda p: job(p, {**INFO, "framework": "torch"}), "framework 'torch', expected a Caffe job"),
        (lambda p: job(p, files={"deploy.prototxt": b""}), "no .caffemodel in this archive"),
        (lambda p: job(p, files={"s_1.caffemodel": b""}), "no deploy.prototxt in this archive"),
        (lambda p: tar(p, {"info.json": b"{"}), "info.json: Expecting"),
        (lambda p: tar(p, {"info.json": b"[]"}), "framework None"),
    ],
)
def test_what_is_no_job(tmp_path, make, problem):
    with pytest.raises(ParseError, match=problem):
        open_job(make(tmp_path / "x.tar.gz"))


def test_a_truncated_archive(tmp_path):
    path = job(
        tmp_path / "job.tar.gz", files={**FILES, "snapshot_iter_30.caffemodel": bytes(range(256)) * 4000}
    )
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ParseError, match="a damaged archive"):
        open_job(path)


def test_a_damaged_archive_of_xz(tmp_path):
    path = tmp_path / "job.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for name, data in (
            ("deploy.prototxt", b"x"),
            ("a_iter_5.caffemodel", random.Random(0).randbytes(200_000)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)
    assert is_job_archive(path)
    with pytest.raises(ParseError, match="a damaged archive: Corrupt input data"):
        open_job(path)


def test_a_full_disk_is_no_damage(tmp_path, monkeypatch):
    def copyfileobj(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(digits_job, "copyfileobj", copyfileobj)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="No space left") as caught:
        open_job(job(tmp_path / "job.tar.gz"))
    assert caught.value.filename == str(tmp_path)


def test_files_that_are_larger_than_the_archive_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("vggrepro.caffe.digits_job.MOST_SMALL", 1000)
    files = {**FILES, "snapshot_iter_30.caffemodel": bytes(10_000_000)}
    with pytest.raises(ParseError, match=r"caffemodel: 10,000,000 bytes, which an archive"):
        open_job(job(tmp_path / "job.tar.gz", files=files))


def test_other_files_are_no_archives(tmp_path):
    (tmp_path / "net.prototxt").write_text("name: 'n'")
    assert not is_job_archive(tmp_path / "net.prototxt")
    assert not is_job_archive(tmp_path)
    (tmp_path / "zeros.caffemodel").write_bytes(bytes(5000))
    assert not is_job_archive(tmp_path / "zeros.caffemodel")
