"""Published models: the tables hold together, files are recognised, measurements become options."""

from __future__ import annotations

import re

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.paper.known_models import (
    known_models,
    list_zoo,
    model_with_weights,
    models_with_prototxt,
    published_size,
    zoo_model,
    zoo_protocol,
)

VGG16 = "a6196bc498e45ea4cb2637114ae8db9410cf1556fd60a55ae93272371beba197"


def test_the_tables_hold_together() -> None:
    models = known_models()
    assert len({model.zoo for model in models}) == len(models) > 150
    lengths = {"sha1": 40, "sha256": 64, "md5": 32}
    for model in models:
        for algorithm, digest in model.digests.items():
            assert re.fullmatch(f"[0-9a-f]{{{lengths[algorithm]}}}", digest), model.zoo
        assert all(re.fullmatch("[0-9a-f]{40}", d) for d in model.prototxt_sha1.split(";") if d)
        assert not model.bytes or int(model.bytes) > 1000
        assert model.source
        assert all(entry.source for entry in model.errors)
    digests = [digest for model in models for digest in model.digests.values()]
    assert len(set(digests)) == len(digests)
    assert sum(len(model.errors) for model in models) > 150


def test_weights_are_known_by_their_digest_alone() -> None:
    found = model_with_weights("renamed.caffemodel", 553432081, {"sha256": VGG16}.__getitem__)
    assert found is not None and found.zoo == "VGG_ILSVRC_16_layers"
    assert model_with_weights("renamed.caffemodel", 553432081, lambda _: "0" * 64) is None


def test_nothing_is_digested_without_need() -> None:
    def digest(_: str) -> str:
        raise AssertionError

    assert model_with_weights("own.caffemodel", 12345, digest) is None


def test_weights_of_unknown_size_are_looked_at_by_name() -> None:
    model = zoo_model("finetune_flickr_style")
    assert not model.bytes
    asked = {"sha1": model.sha1}.__getitem__
    assert model_with_weights("finetune_flickr_style.caffemodel", 7, asked) is model


def test_a_definition_may_belong_to_several_models() -> None:
    sha1 = zoo_model("res10_300x300_ssd_iter_140000").prototxt_sha1
    zoo = [model.zoo for model in models_with_prototxt(lambda _: sha1)]
    assert zoo == ["res10_300x300_ssd_iter_140000", "res10_300x300_ssd_iter_140000_fp16"]


def test_sizes() -> None:
    assert published_size("bvlc_googlenet.caffemodel") == 53533754
    assert published_size("own.caffemodel") is None


@pytest.mark.parametrize(
    ("name", "protocol", "scales", "resize", "mean", "scale", "errors"),
    [
        ("bvlc_googlenet", "centre", (256,), "warp", (104, 117, 123), 1, (31.3, 11.1)),
        ("mobilenet", "centre", (256,), "keep-aspect", (103.94, 116.78, 123.68), 0.017, (29.19, 10.15)),
        ("inception-v3", "centre", (320,), "keep-aspect", (128, 128, 128), 0.0078125, (21.67, 5.75)),
        ("dpn-92", "centre", (256,), "keep-aspect", (104, 117, 124), 1 / 59.88, (20.81, 5.47)),
        ("nin_imagenet", "centre", (256,), "keep-aspect", (104, 117, 124), 1, (None, 18.79)),
        ("shufflenet_v2_x0.5", "centre", (256,), "keep-aspect", (0, 0, 0), 1 / 255, (41.2, 18.87)),
    ],
)
def test_measurements(name, protocol, scales, resize, mean, scale, errors) -> None:
    found = zoo_protocol(zoo_model(name))
    assert (found.protocol, found.scales, found.resize, found.mean) == (protocol, scales, resize, mean)
    assert (found.scale, found.errors) == (pytest.approx(scale), errors)


def test_what_cannot_be_repeated_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"bvlc_gogglenet.*bvlc_googlenet"):
        zoo_model("bvlc_gogglenet")
    with pytest.raises(ProtocolError, match="no measurement of it is known"):
        zoo_protocol(zoo_model("resnext50-32x4d"))  # a scale for each channel


def test_the_list_has_a_line_for_each_model_with_a_measurement() -> None:
    lines = list_zoo().splitlines()
    assert len(lines) > 30
    assert any(line.startswith("bvlc_googlenet ") and "31.3 / 11.1" in line for line in lines)
