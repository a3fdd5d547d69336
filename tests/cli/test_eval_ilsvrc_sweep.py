"""The eval_ilsvrc command: a sweep of what the paper leaves open."""

import json
import struct
from collections import Counter

import cv2
import pytest

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.data.sources.folder import FolderSource
from vggrepro.evaluation.measuring.evaluated_net import Scorer


def run(nets, images, tmp_path, *options):
    """The JSON report of a run."""
    network = ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy), "--threads", "1"]
    truth = ["--images", str(images / "images"), "--labels", str(images / "val.txt")]
    assert main([*network, *truth, "--json", str(tmp_path / "r.json"), *options]) == 0
    return json.loads((tmp_path / "r.json").read_text())


VIEWS = ["--protocol", "dense", "--scales", "9,12"]


def turn_by_exif(path):
    """Make a picture a JPEG that lies on its side: EXIF orientation 6, in a TIFF of one entry."""
    jpeg = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:])


def test_each_reading_gives_what_a_run_of_its_own_gives(nets, images, tmp_path, capsys):
    for path in sorted((images / "images").iterdir())[:16]:
        turn_by_exif(path)
    asked = ["--sweep", "kernel,average,centre,exif", "--html", str(tmp_path / "r.html")]
    swept = run(nets, images, tmp_path, *VIEWS, *asked)
    name = swept["name"]
    assert "same images" not in swept["sweep"]["exif"]["conclusion"]  # turned pictures are judged otherwise
    others = [("kernel", "matlab"), ("kernel", "area"), ("average", "after-softmax"), ("exif", "apply")]
    for axis, value in others:
        alone = run(nets, images, tmp_path, *VIEWS, f"--{axis}", value)
        row = swept["sweep"][axis]["readings"][value]["rows"][name]
        for kind in ("top1", "top5"):
            assert row[f"{kind}_error_percent"] == alone[f"{kind}_error_percent"]
            more = alone[f"{kind}_wrong"] - swept[f"{kind}_wrong"]
            pair = row["against_usual"][kind]
            assert pair["only_theirs"] - pair["only_ours"] == more
    assert list(swept["sweep"]) == ["kernel", "average", "centre", "exif"]
    assert list(swept["sweep"]["kernel"]["readings"]) == ["linear", "cubic", "area", "lanczos", "matlab"]
    assert "What the paper leaves open" in (tmp_path / "r.html").read_text()
    assert "| kernel matlab (" in capsys.readouterr().out


def test_the_odd_margin_of_a_centre_crop(nets, images, tmp_path):
    views = ["--protocol", "centre", "--scales", "9"]
    swept = run(nets, images, tmp_path, *views, "--sweep", "centre,average")
    alone = run(nets, images, tmp_path, *views, "--centre", "matcaffe")
    row = swept["sweep"]["centre"]["readings"]["matcaffe"]["rows"][swept["name"]]
    assert row["top1_error_percent"] == alone["top1_error_percent"]
    assert swept["sweep"]["average"]["conclusion"] == "average: every reading is right about the same images"


def test_an_image_is_read_once_and_a_score_map_averaged_twice(nets, images, tmp_path, monkeypatch):
    reads, batches = Counter(), []
    read, score = FolderSource.read, Scorer.__call__

    def counted_read(source, index):
        reads[index] += 1
        return read(source, index)

    def counted_score(scorer, batch):
        batches.append(len(batch))
        return score(scorer, batch)

    monkeypatch.setattr(FolderSource, "read", counted_read)
    monkeypatch.setattr(Scorer, "__call__", counted_score)

    def counts(*options):
        reads.clear()
        batches.clear()
        run(nets, images, tmp_path, *VIEWS, *options)
        return sum(reads.values()), sum(batches)

    plain = counts()
    assert counts("--sweep", "kernel")[0] == plain[0]
    assert counts("--sweep", "average") == plain
    assert counts("--sweep", "kernel")[1] == 5 * plain[1]


def test_a_killed_sweep_goes_on_from_its_cache(nets, images, tmp_path, monkeypatch):
    options = [*VIEWS, "--sweep", "kernel,exif", "--cache", str(tmp_path / "cache")]
    first = run(nets, images, tmp_path, *options)
    monkeypatch.setattr("vggrepro.evaluation.measuring.row_kind.posterior_score", None)
    assert run(nets, images, tmp_path, *options)["sweep"] == first["sweep"]
    assert run(nets, images, tmp_path, *VIEWS, "--cache", str(tmp_path / "cache"))["sweep"] == {}


@pytest.mark.parametrize("axes", ["kernels", "kernel,kernel", "", "scales"])
def test_an_unknown_axis_is_an_error_that_lists_the_axes(axes, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--demo", "--sweep", axes])
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected some of kernel,average,centre,exif" in line
