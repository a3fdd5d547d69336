"""Nets as the protocols see them."""

from dataclasses import replace

import numpy as np
import pytest

from vggrepro.data.preprocess import to_blob
from vggrepro.errors import NetError, OptionError, ProtocolError, ShapeError, WeightsError
from vggrepro.evaluation.measuring.evaluated_net import (
    Scorer,
    check_scales,
    load_classifier,
    load_network,
    posterior_score,
    score_blob,
)
from vggrepro.evaluation.measuring.pipeline import Execution
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import AFTER, BEFORE, Stream, log_posteriors
from vggrepro.net import ForkRules, load_net, save_weights

MEAN = (104.5, 116.0, 123.25)

WIDE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 16 dim: 16 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 96 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 96 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_class_scores_are_under_the_final_softmax(nets):
    network = load_classifier(nets[0], MEAN)
    assert (network.name, network.input, network.crop) == ("one", "data", 8)
    assert (network.blob, network.channels) == ("fc8", 7)
    assert network.facts()["mean_bgr"] == list(MEAN)


def test_any_blob_may_be_asked_for(nets):
    assert (load_network(nets[0], MEAN, "conv1").blob, load_network(nets[0], MEAN, "conv1").channels) == (
        "conv1",
        4,
    )
    with pytest.raises(NetError, match="no blob 'fc7'; it has data, conv1"):
        load_network(nets[0], MEAN, "fc7")


def changed(files, folder, *replacements):
    """The same net with another prototxt."""
    text = files.deploy.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path = folder / "changed.prototxt"
    path.write_text(text)
    return NetFiles("changed", path, files.weights)


def test_a_net_without_a_softmax_gives_its_output(nets, tmp_path):
    end = 'layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }'
    assert load_classifier(changed(nets[0], tmp_path, (end, "")), MEAN).blob == "fc8"
    with pytest.raises(NetError, match="layer 'prob': works in place"):
        load_classifier(changed(nets[0], tmp_path, ('top: "prob"', 'top: "fc8"')), MEAN)


def test_posteriors_are_no_scores(nets):
    with pytest.raises(NetError, match="blob 'prob' holds posteriors, expected class scores"):
        score_blob(load_net(nets[0].deploy), "prob")


def test_several_outputs_need_to_be_told_which(nets, tmp_path):
    more = 'bottom: "fc6" top: "fc8"'
    layer = 'layer { name: "more" type: "ReLU" bottom: "fc8" top: "more" }'
    files = changed(nets[0], tmp_path, ('layer { name: "prob"', f'{layer} layer {{ name: "prob"'))
    assert more in files.deploy.read_text()
    with pytest.raises(NetError, match="outputs more, prob; expected one"):
        load_classifier(files, MEAN)
    assert load_classifier(files, MEAN, "fc8").blob == "fc8"


def test_weights_must_be_there_for_every_layer(nets, tmp_path):
    files = changed(nets[0], tmp_path, ('name: "fc6"', 'name: "fc6b"'))
    with pytest.raises(WeightsError, match=r"one\.caffemodel: no weights for layer fc6b of net 'tiny'"):
        load_classifier(files, MEAN)


def test_the_input_must_be_a_square_picture(nets, tmp_path):
    files = changed(nets[0], tmp_path, ("input_dim: 8 input_dim: 8", "input_dim: 8 input_dim: 7"))
    with pytest.raises(NetError, match=r"expected one \(N, 3, side, side\)"):
        load_classifier(files, MEAN)


def test_scales_must_hold_a_crop_or_the_whole_net(nets):
    network = load_classifier(nets[0], MEAN)
    check_scales(network, [Stream("one", "grid", 8, flip=False), Stream("one", "dense", 7, flip=False)])
    with pytest.raises(ProtocolError, match="scale 7: smaller than one's crops of 8 pixels"):
        check_scales(network, [Stream("one", "grid", 7, flip=False)])
    with pytest.raises(ShapeError):
        check_scales(network, [Stream("one", "dense", 5, flip=False)])


def test_a_scorer_gives_rows_or_maps(nets):
    network = load_classifier(nets[0], MEAN)
    blob = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32) * 50
    rows = Scorer(network, "cpu", convolutional=False, threads=1)(blob)
    maps = Scorer(network, "cpu", convolutional=True, threads=1)
    assert rows.shape == (2, 7)
    assert np.abs(maps(blob)[:, :, 0, 0] - rows).max() < 1e-4
    assert maps(np.zeros((1, 3, 12, 14), np.float32)).shape == (1, 7, 3, 4)


def test_log_posteriors_are_averaged_as_the_stream_says(nets):
    network = load_classifier(nets[0], MEAN)
    before = Stream("one", "dense", 12, flip=False)
    after = Stream("one", "dense", 12, flip=False, average=AFTER)
    crop = Stream("one", "centre", 12, flip=False)
    score = posterior_score(network, [before, after, crop], Execution(threads=1))
    blob = np.random.default_rng(0).standard_normal((2, 3, 12, 12), np.float32) * 50
    maps = Scorer(network, "cpu", convolutional=True, threads=1)(blob)
    assert np.array_equal(score(before, blob), log_posteriors(maps, BEFORE))
    assert np.array_equal(score(after, blob), log_posteriors(maps, AFTER))
    assert np.abs(score(after, blob) - score(before, blob)).max() > 1e-3
    only_crops = posterior_score(network, [crop], Execution(threads=1))
    assert np.exp(only_crops(crop, blob[:, :, :8, :8])).sum(axis=1) == pytest.approx([1, 1])


def test_a_cpu_has_one_precision(nets):
    network = load_classifier(nets[0], MEAN)
    with pytest.raises(OptionError, match="precision tf32: expected fp32 or fp32-direct on cpu"):
        Scorer(network, "cpu", convolutional=False, precision="tf32")


def test_bytes_are_scored_as_the_blob_they_make(nets):
    network = load_classifier(nets[0], MEAN)
    scorer = Scorer(network, "cpu", convolutional=True, threads=1)
    for size in ((2, 8, 9, 3), (3, 12, 12, 3), (1, 8, 8, 3)):
        pictures = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        np.testing.assert_array_equal(scorer(pictures), scorer(to_blob(pictures, MEAN)))


def test_direct_sums_differ_by_rounding_alone(tmp_path):
    """Where a convolution is wide enough to be filtered minimally."""
    deploy, weights = tmp_path / "wide.prototxt", tmp_path / "wide.caffemodel"
    deploy.write_text(WIDE)
    save_weights(load_net(deploy), weights)
    network = load_classifier(NetFiles("wide", deploy, weights), MEAN)
    blob = np.random.default_rng(0).standard_normal((2, 3, 16, 16), np.float32) * 50
    fast, direct = (
        Scorer(network, "cpu", convolutional=False, threads=1, precision=precision)(blob)
        for precision in ("fp32", "fp32-direct")
    )
    assert not np.array_equal(fast, direct)
    assert np.abs(fast - direct).max() < 1e-5 * np.abs(direct).max()


def test_a_cache_knows_by_which_rules_a_net_was_read(nets: list[NetFiles]) -> None:
    plain = load_classifier(nets[0], MEAN).facts()
    other = load_classifier(replace(nets[0], rules=ForkRules(fork="segnet")), MEAN).facts()
    assert other == {**plain, "fork_rules": {"fork": "segnet"}}
