"""A published model is evaluated as it was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import write_images, write_net

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.cli.options.evaluation import NetworkOptions, ProtocolOptions, ReadingOptions
from vggrepro.cli.options.goals import GoalOptions
from vggrepro.cli.options.images import Sample
from vggrepro.cli.options.zoo import measured_as_published
from vggrepro.errors import OptionError


def goals(zoo: str, **network: object) -> GoalOptions:
    network = {"weights": ("w.caffemodel",), **network}
    return GoalOptions(ProtocolOptions(), NetworkOptions(**network), ReadingOptions(), Sample(), zoo=zoo)


def test_everything_is_fixed() -> None:
    settled, expectation = measured_as_published(goals("mobilenet"))
    assert (settled.protocol.protocol, settled.protocol.scales) == ("centre", (256,))
    assert settled.network.weights == ("mobilenet=w.caffemodel",)
    assert settled.network.mean == (103.94, 116.78, 123.68)
    assert (settled.reading.resize, settled.reading.scale) == ("keep-aspect", 0.017)
    assert (expectation.top1, expectation.top5) == (29.19, 10.15)
    assert expectation.whose.startswith("MobileNet v1 1.0-224 (shicai) (ILSVRC2012 val; single centre crop")


def test_the_papers_nets_bring_their_own_definition() -> None:
    settled, _ = measured_as_published(goals("VGG_ILSVRC_19_layers"))
    assert settled.network.weights == ("E:256;512=w.caffemodel",)


def test_another_order_of_classes_is_told() -> None:
    with pytest.warns(UserWarning, match="SE-ResNet-50: its classes are in another order: ILSVRC2015 order"):
        measured_as_published(goals("SE-ResNet-50"))


def test_other_weights_are_told(tmp_path: Path) -> None:
    (tmp_path / "w.caffemodel").write_bytes(b"x")
    with pytest.warns(UserWarning, match="the weights of no published model, not of BVLC GoogLeNet"):
        measured_as_published(goals("bvlc_googlenet", weights=(str(tmp_path / "w.caffemodel"),)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (1.0, 2.0, 3.0)}, "--mean: leave out this or --zoo"),
        ({"channel_order": "rgb"}, "--channel-order: leave out this or --zoo"),
        ({"weights": ()}, "--zoo bvlc_googlenet: expected --weights FILE with it, once"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        measured_as_published(goals("bvlc_googlenet", **options))


@pytest.mark.filterwarnings("ignore:.*the weights of no published model")
def test_an_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path, 9)
    net = write_net(tmp_path, "own", 1)
    images = ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "val.txt"), "--threads", "1"]
    files = ["--deploy", str(net.deploy), "--weights"]
    explicit = ["--protocol", "centre", "--scales", "256", "--resize", "warp", "--mean", "104,117,123"]
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert main([*images, *files, str(net.weights), "--zoo", "bvlc_googlenet", "--json", str(one)]) == 1
    assert "BVLC GoogLeNet (bvlc_googlenet) (ILSVRC2012 val" in capsys.readouterr().err
    given = f"bvlc_googlenet={net.weights}"
    assert main([*images, *files, given, *explicit, "--json", str(two)]) == 0
    results = [json.loads(path.read_text())["results"] for path in (one, two)]
    errors = [
        [entry["top1_error_percent"], entry["top5_error_percent"]]
        for found in results
        for entry in found.values()
    ]
    assert errors[0] == errors[1]
    assert main(["--list-zoo"]) == 0
    assert "mobilenet_v2" in capsys.readouterr().out
