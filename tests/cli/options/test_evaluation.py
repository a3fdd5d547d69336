"""How images are looked at, by which networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.cli.options.evaluation import NetworkOptions, ProtocolOptions, ReadingOptions, RunningOptions
from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.errors import OptionError, ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.system.ranks import Alone


@pytest.mark.parametrize(
    ("protocol", "flip", "mirrors", "expected"),
    [
        (None, None, True, True),
        (None, None, False, False),
        ("centre", None, True, False),
        ("tencrop", None, False, True),
        ("multicrop", None, False, False),
        ("centre", True, False, True),
        ("dense", False, True, False),
    ],
)
def test_mirror_images(protocol: str | None, flip: bool | None, mirrors: bool, expected: bool) -> None:
    member = ProtocolOptions(protocol, flip=flip).member("net", (9, 12), mirrors=mirrors)
    assert (member.protocol, member.scales, member.flip) == (protocol or "dense", (9, 12), expected)


def test_networks_and_their_mean(nets: list[NetFiles]) -> None:
    options = NetworkOptions((f"one={nets[0].weights}",), (f"one={nets[0].deploy}",))
    assert options.files(embedded=False) == ([nets[0]], ILSVRC_MEAN_BGR)
    of_row = NetworkOptions((f"D:256={nets[0].weights}",), mean=(1.0, 2.0, 3.0))
    (files,), mean = of_row.files_of(["D:256"])
    assert (files.name, files.weights, mean) == ("D:256", nets[0].weights, (1.0, 2.0, 3.0))
    assert files.deploy.parts[-2:] == ("D", "deploy.prototxt")
    with pytest.raises(ProtocolError, match="no weights for D:384"):
        of_row.files_of(["D:256", "D:384"])


@pytest.mark.parametrize(
    "options",
    [
        NetworkOptions(weights=("x",)),
        NetworkOptions(deploy=("x",)),
        NetworkOptions(prototxt_dir=Path("x")),
        NetworkOptions(mean=(1.0, 2.0, 3.0)),
    ],
)
def test_the_demo_brings_its_own(options: NetworkOptions) -> None:
    with pytest.raises(OptionError, match=r"--demo brings its own"):
        options.files(embedded=True)
    assert NetworkOptions().files(embedded=True) == ([demo.FILES], demo.mean_bgr())


def test_reading(images: Path) -> None:
    options = ReadingOptions("apply", "skip", "matlab", "matcaffe")
    assert options.reading.facts() == {
        "exif": "apply",
        "kernel": "matlab",
        "centre": "matcaffe",
        "rescaled": "float32",
    }
    task = options.whole(demo.truth().source)
    assert (len(task.indexes), task.on_bad, task.reading) == (500, "skip", options.reading)


def test_running() -> None:
    assert RunningOptions().running().batch == 8
    assert RunningOptions("cuda:1").running().batch == 64
    assert RunningOptions("cuda", batch=3).running().batch == 3
    assert RunningOptions("cuda").running(Alone(2, 4, 2)).device == "cuda:2"
    assert RunningOptions("cuda:0").running(Alone(2, 4, 2)).device == "cuda:0"
    assert RunningOptions().running().facts() == {}
    assert RunningOptions("cuda", precision="fp16").running().facts() == {"precision": "fp16"}
