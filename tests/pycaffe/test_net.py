"""``caffe.Net``: construction, names, partial passes, live arrays, files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nets import CLASSIFYING, DEPLOY, make, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe import passes
from vggrepro.pycaffe.engine import Program
from vggrepro.pycaffe.segments import Segment


@pytest.fixture
def net(tmp_path: Path) -> caffe.Net:
    return make(tmp_path, CLASSIFYING, caffe.TRAIN)


def test_names(net: caffe.Net) -> None:
    assert list(net.blobs) == ["data", "label", "conv", "scores", "loss"]
    assert net._layer_names == ["data", "conv", "relu", "ip", "loss"] == list(net.layer_dict)
    assert [layer.type for layer in net.layers][1:3] == ["Convolution", "ReLU"]
    assert net.inputs == [] and net.outputs == ["loss"]
    assert net.top_names == OrderedDict(
        data=["data", "label"], conv=["conv"], relu=["conv"], ip=["scores"], loss=["loss"]
    )
    assert net.bottom_names["loss"] == ["scores", "label"]
    assert list(net.params) == ["conv", "ip"] and len(net.params["conv"]) == 2
    assert net.blob_loss_weights == OrderedDict(data=0, label=0, conv=0, scores=0, loss=1)
    assert net._blob_loss_weights == [0, 0, 0, 0, 1]
    assert net._top_ids(0) == [0, 1] and net._bottom_ids(4) == [3, 1] and net._outputs == [4]


def test_splits_are_layers(tmp_path: Path) -> None:
    text = (
        DEPLOY
        + 'layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 } }'
    )
    net = make(tmp_path, text)
    assert net._layer_names == ["data", "conv", "relu", "conv_relu_0_split", "ip", "prob", "pool"]
    assert "conv_relu_0_split_1" in net.blobs and net.outputs == ["pool", "prob"]
    net.forward(data=np.ones((2, 3, 8, 9)))
    assert_array_equal(net.blobs["conv_relu_0_split_0"].data, net.blobs["conv"].data)


def test_arrays_outlive_the_net(net: caffe.Net) -> None:
    blobs = [*net.blobs.values(), *(blob for blobs in net.params.values() for blob in blobs)]
    net.forward()
    data = net.blobs["conv"].data
    before = data.copy()
    del net
    assert_array_equal(data, before)
    assert all(
        np.isfinite(blob.data).all() and not blob.diff[()].any() for blob in blobs if blob.name != "loss"
    )


def test_blob(net: caffe.Net) -> None:
    blob = net.blobs["data"]
    assert blob.data.dtype == np.float32 and blob.data.shape == (4, 3, 5, 6) == tuple(blob.shape)
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (4, 3, 5, 6, 360)
    assert (net.blobs["label"].num, net.blobs["label"].width) == (4, 1)
    with pytest.raises(AttributeError):
        blob.data = 0
    with pytest.raises(RuntimeError, match=r"Blob\.reshape takes no kwargs"):
        blob.reshape(shape=(1, 2))
    with pytest.raises(TypeError, match="blob 'data'"):
        blob.reshape((1, 2))


def test_same_memory_in_every_pass(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    held = {name: blob.data for name, blob in net.blobs.items()}
    for value in (1.0, -2.0):
        out = net.forward(data=np.full((2, 3, 8, 9), value))
        assert out["prob"].ctypes.data == held["prob"].ctypes.data
        assert_array_equal(held["conv"], net.blobs["conv"].data)
        assert held["data"].flat[0] == value


def test_forward_from_and_to_a_layer(net: caffe.Net) -> None:
    conv = np.random.default_rng(0).random((4, 7, 3, 4), np.float32)
    net.blobs["conv"].data[...] = conv
    found = net.forward(start="ip", end="ip")
    weights, bias = (blob.data for blob in net.params["ip"])
    assert list(found) == ["scores"]
    assert_allclose(found["scores"], conv.reshape(4, -1) @ weights.T + bias, rtol=1e-4, atol=1e-5)
    assert_array_equal(net.blobs["conv"].data, conv)


def test_in_place_layer_alone_reads_what_it_overwrites(net: caffe.Net) -> None:
    net.blobs["conv"].data[...] = -1
    net.blobs["conv"].data[0] = 2
    net.forward(blobs=["data"], start="relu", end="relu")
    assert set(np.unique(net.blobs["conv"].data)) == {0, 2}


def test_backward_from_and_to_a_layer(net: caffe.Net) -> None:
    d = np.random.default_rng(0).random((4, 8), np.float32)
    net.blobs["scores"].diff[...] = d
    found = net.backward(diffs=["scores"], start="ip", end="ip")
    assert set(found) == {"conv", "scores"}
    expected = (d @ net.params["ip"][0].data).reshape(4, 7, 3, 4)
    assert_allclose(found["conv"], expected, rtol=1e-4, atol=1e-5)


def test_backward_reads_what_a_script_wrote(net: caffe.Net) -> None:
    net.forward()
    net.blobs["loss"].diff[...] = 3
    net.backward()
    tripled = net.params["ip"][0].diff.copy()
    net.clear_param_diffs()
    net.blobs["loss"].diff[...] = 1
    net.backward()
    assert_allclose(tripled, 3 * net.params["ip"][0].diff, rtol=1e-5)
    net.blobs["conv"].data[...] = 0
    net.clear_param_diffs()
    net.backward(start="ip", end="ip")
    assert not net.params["ip"][0].diff.any()


def test_parameter_diffs_add_up(net: caffe.Net) -> None:
    net.forward()
    net.backward()
    held = net.params["conv"][0].diff
    once = held.copy()
    net.backward()
    assert once.any()
    assert_allclose(held, 2 * once, rtol=1e-5)
    net.clear_param_diffs()
    assert not held.any()


def test_without_force_backward_or_loss_nothing_flows(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    net.forward(data=np.ones((2, 3, 8, 9)))
    net.blobs["prob"].diff[...] = 1
    net.backward()
    assert not net.blobs["data"].diff.any() and not net.params["ip"][0].diff.any()


def test_edited_parameters_count_at_once(tmp_path: Path) -> None:
    """Also after passes for which they were constants of the graph."""
    net = make(tmp_path, DEPLOY)
    x = np.random.default_rng(0).random((2, 3, 8, 9), np.float32)
    for _ in range(3):
        net.forward(data=x)
        weights, bias = net.params["ip"]
        bias.data[...] += [0, 1, 2, 3, 4]
        expected = net.blobs["conv"].data.reshape(2, -1) @ weights.data.T + bias.data
        for _ in range(5):
            net.forward(data=x)
            assert_allclose(net.blobs["scores"].data, expected, rtol=1e-4, atol=1e-5)
    held = net.params["ip"][1].data
    for value in range(6):
        held[...] = value
        net.forward(data=x)
        expected = net.blobs["conv"].data.reshape(2, -1) @ net.params["ip"][0].data.T + value
        assert_allclose(net.blobs["scores"].data, expected, rtol=1e-4, atol=1e-5)


def test_reshape(tmp_path: Path) -> None:
    net = make(
        tmp_path,
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 9 } } }'
        'layer { name: "conv" type: "Convolution" bottom: "x" top: "y" convolution_param {'
        ' num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" } } }'
        'layer { name: "pool" type: "Pooling" bottom: "y" top: "z"'
        " pooling_param { kernel_size: 2 stride: 2 } }",
    )
    net.blobs["x"].reshape(1, 3, 20, 10)
    net.reshape()
    assert tuple(net.blobs["y"].shape) == (1, 4, 18, 8)
    assert net.forward()["z"].shape == (1, 4, 9, 4)
    net.blobs["x"].reshape(5, 3, 4, 4)
    assert net.forward()["z"].shape == (5, 4, 1, 1)


@pytest.mark.parametrize(("limit", "compiled"), [(9 * 4 * 2 * 60, 9), (9 * 4 * 2 * 60 - 1, 18)])
def test_a_pyramid_is_compiled_once_where_its_blobs_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, compiled: int
) -> None:
    """Nine sizes, each in two passes; the two blobs that the net makes have 60 floats at each size."""
    made: list[int] = []

    class Counted(Program):
        def __init__(self, segment: Segment, device: str, threads: int) -> None:
            made.append(segment.written_bytes)
            super().__init__(segment, device, threads)

    monkeypatch.setattr(passes, "Program", Counted)
    monkeypatch.setattr(passes, "SMALL_BYTES", limit)
    net = make(
        tmp_path,
        'force_backward: true layer { name: "x" type: "Input" top: "x" }'
        'layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }'
        'layer { name: "b" type: "Power" bottom: "a" top: "b" power_param { scale: 2 } }',
    )
    sizes = [(1, 60), (2, 30), (3, 20), (4, 15), (5, 12), (6, 10), (10, 6), (12, 5), (15, 4)]
    for value, size in enumerate([*sizes, *sizes]):
        net.blobs["x"].reshape(*size)
        net.blobs["x"].data[...] = -value
        assert (net.forward()["b"] == np.full(size, 2 * value)).all()
    assert made == [4 * 2 * 60] * compiled


def test_an_input_without_a_shape_has_no_axes_until_a_script_gives_some(tmp_path: Path) -> None:
    text = 'layer { name: "x" type: "Input" top: "x" top: "y" } layer { name: "r" type: "ReLU" bottom: "x" '
    net = make(tmp_path, text + 'top: "r" }')
    assert net.inputs == ["x", "y"] and net.blobs["x"].shape == [] and net.blobs["r"].shape == []
    with pytest.raises(RuntimeError, match="input 'x' has no shape"):
        net.forward()
    net.blobs["x"].reshape(2, 3)
    net.reshape()
    assert net.blobs["r"].shape == [2, 3]
    net.blobs["y"].reshape(4)
    found = net.forward(x=-np.ones((2, 3)), y=np.ones(4))
    assert_array_equal(found["r"], np.zeros((2, 3)))
    assert_array_equal(found["y"], np.ones(4))
    with pytest.raises(
        RuntimeError,
        match=r"layer 'c'.*axis 1 out of range.*inputs without a shape: --input-shape x=N,C,H,W",
    ):
        make(
            tmp_path, text + 'top: "r" } layer { name: "c" type: "Concat" bottom: "r" bottom: "y" top: "c" }'
        )


def test_reshape_that_parameters_do_not_fit(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    net.blobs["data"].reshape(2, 3, 9, 9)
    with pytest.raises(RuntimeError, match=r"layer 'ip'.*'conv'"):
        net.forward()


def test_forward_all(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    x = np.random.default_rng(0).random((5, 3, 8, 9), np.float32)
    found = net.forward_all(blobs=["scores"], data=x)
    assert found["prob"].shape == (5, 5) == found["scores"].shape
    assert_allclose(net.forward(data=x[2:4])["prob"], found["prob"][2:4], rtol=1e-5)


def test_forward_backward_all(tmp_path: Path) -> None:
    net = make(tmp_path, "force_backward: true" + DEPLOY)
    x, d = np.random.default_rng(0).random((3, 3, 8, 9)), np.random.default_rng(1).random((3, 5))
    blobs, diffs = net.forward_backward_all(diffs=["conv"], data=x, prob=d)
    assert blobs["prob"].shape == (3, 5) and diffs["data"].shape == (3, 3, 8, 9)
    net.forward(data=x[:2])
    assert_allclose(net.backward(prob=d[:2])["data"], diffs["data"][:2], rtol=1e-4, atol=1e-6)


def test_samples_without_a_partner(tmp_path: Path) -> None:
    """Real pycaffe takes the last gradient for the last image, and leaves out what the second has more."""
    net = make(tmp_path, "force_backward: true" + DEPLOY)
    x, d = np.zeros((3, 3, 8, 9)), np.zeros((5, 5))
    with pytest.raises(RuntimeError, match="arrays of different lengths: 'data' 3, 'prob' 5"):
        net.forward_backward_all(data=x, prob=d)
    two = make(tmp_path, 'input: "other" input_shape { dim: 2 }' + DEPLOY)
    with pytest.raises(RuntimeError, match="arrays of different lengths: 'data' 2, 'other' 4"):
        two.forward_all(data=x[:2], other=np.zeros(4))


def test_wrong_arguments(tmp_path: Path) -> None:
    net = make(tmp_path, DEPLOY)
    with pytest.raises(RuntimeError, match="Input blob arguments do not match net inputs"):
        net.forward(image=np.zeros((2, 3, 8, 9)))
    with pytest.raises(RuntimeError, match="Input is not batch sized"):
        net.forward(data=np.zeros((3, 3, 8, 9)))
    with pytest.raises(RuntimeError, match="Top diff arguments do not match net outputs"):
        net.backward(data=np.zeros((2, 5)))
    with pytest.raises(ValueError, match="'pool5' is not in list"):
        net.forward(end="pool5")
    with pytest.raises(ValueError, match="'convx' is not in list; did you mean 'conv'"):
        net.backward(start="convx")
    with pytest.raises(KeyError, match="pool5"):
        net.forward(blobs=["pool5"])


@pytest.mark.parametrize("text", ["layer {", 'layer { name: "x" type: "Nonsense" top: "x" }', "oops: 1"])
def test_a_net_that_caffe_refuses(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuntimeError, match=r"net\.prototxt|Nonsense"):
        make(tmp_path, text)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"Could not open file .*none\.prototxt"):
        caffe.Net(str(tmp_path / "none.prototxt"), caffe.TEST)
    with pytest.raises(RuntimeError, match=r"Could not open file .*none\.caffemodel"):
        make(tmp_path, DEPLOY, weights=str(tmp_path / "none.caffemodel"))


@pytest.mark.parametrize("named", [str, os.fsencode])
@pytest.mark.parametrize("suffix", ["caffemodel", "h5"])
def test_saved_and_read(tmp_path: Path, suffix: str, named: Callable[[str | Path], str | bytes]) -> None:
    """Names of files may be bytes, as scripts of Python 2 encode them."""
    net, path = make(tmp_path, DEPLOY), named(tmp_path / f"weights.{suffix}")
    if suffix == "h5":
        pytest.importorskip("h5py")
        net.save_hdf5(path)
    else:
        net.save(path)
    definition = named(write(tmp_path, DEPLOY))
    others = [caffe.Net(definition, caffe.TEST, weights=path), caffe.Net(definition, path, caffe.TEST)]
    others.append(caffe.Net(definition, caffe.TEST))
    others[-1].load_hdf5(path) if suffix == "h5" else others[-1].copy_from(path)
    for other in others:
        for name, blobs in net.params.items():
            for mine, theirs in zip(blobs, other.params[name], strict=True):
                assert_array_equal(mine.data, theirs.data)


def test_an_empty_file_of_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Caffe reads a net without layers from it."""
    path, empty = write(tmp_path, DEPLOY), str(tmp_path / "empty.caffemodel")
    Path(empty).touch()
    net = caffe.Net(path, caffe.TEST, weights=empty)
    before = net.params["conv"][0].data.copy()
    net.copy_from(empty)
    assert_array_equal(net.params["conv"][0].data, before)
    assert capfd.readouterr().err.count("empty.caffemodel: the file is empty") == 2


def test_a_pipe_is_no_empty_file(tmp_path: Path) -> None:
    path, pipe = write(tmp_path, DEPLOY), str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, bytes(100))
    with pytest.raises(RuntimeError, match="pipe: a device or a pipe, expected a file"):
        caffe.Net(path, caffe.TEST, weights=pipe)
    os.close(writer)


def test_share_with(tmp_path: Path) -> None:
    first, second = make(tmp_path, DEPLOY), make(tmp_path, DEPLOY)
    x = np.random.default_rng(0).random((2, 3, 8, 9), np.float32)
    first.forward(data=x), second.forward(data=x)
    second.share_with(first)
    first.params["ip"][1].data[...] = 7
    assert_array_equal(first.forward(data=x)["prob"], second.forward(data=x)["prob"])
    assert (second.params["ip"][1].data == 7).all()


def test_callbacks(net: caffe.Net) -> None:
    calls: list[tuple[str, int]] = []
    net.before_forward(lambda layer: calls.append(("before", layer)))
    net.after_forward(lambda layer: calls.append(("after", layer)))
    net.before_backward(lambda layer: calls.append(("before back", layer)))
    net.after_backward(lambda layer: calls.append(("after back", layer)))
    net.forward()
    assert calls == [(what, layer) for layer in range(5) for what in ("before", "after")]
    calls.clear()
    net.backward()
    assert calls == [(what, layer) for layer in range(4, -1, -1) for what in ("before back", "after back")]


def test_layer_by_layer_is_the_same(tmp_path: Path) -> None:
    caffe.set_random_seed(3)
    whole = make(tmp_path, CLASSIFYING, caffe.TRAIN)
    caffe.set_random_seed(3)
    single = make(tmp_path, CLASSIFYING, caffe.TRAIN)
    single.before_forward(lambda _: None)
    single.before_backward(lambda _: None)
    for net in (whole, single):
        net.forward()
        net.backward()
    for name in whole.blobs:
        assert_allclose(whole.blobs[name].data, single.blobs[name].data, rtol=1e-5, atol=1e-6)
        assert_allclose(whole.blobs[name].diff, single.blobs[name].diff, rtol=1e-4, atol=1e-6)


def test_dummy_data_draws_anew_but_keeps_constants(net: caffe.Net) -> None:
    assert not net.blobs["data"].data.any() and (net.blobs["label"].data == 2).all()
    net.blobs["label"].data[...] = 5
    net.forward()
    first = net.blobs["data"].data.copy()
    assert first.std() > 0.5
    net.forward()
    assert (net.blobs["data"].data != first).any() and (net.blobs["label"].data == 5).all()


def test_layers_of_one_name_keep_their_own_tops_and_hosts(tmp_path: Path) -> None:
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }'
    text = (
        data
        + 'layer { name: "x" type: "ReLU" bottom: "data" top: "a" } '
        + 'layer { name: "x" type: "Slice" bottom: "data" top: "b" top: "c" slice_param { axis: 0 } }'
        + 'layer { name: "x" type: "Filter" bottom: "data" bottom: "selector" top: "d" }'
    )
    selector = 'layer { name: "x" type: "Input" top: "selector" input_param { shape { dim: 2 } } }'
    net = make(tmp_path, selector + text)
    assert net._layer_names == ["x", "data", "data_data_0_split", "x", "x", "x"]
    values = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
    found = net.forward(data=values, selector=np.array([0, 1]))
    assert_array_equal(found["a"], np.maximum(values, 0))
    for top, expected in (("b", values[:1]), ("c", values[1:]), ("d", values[1:])):
        assert_array_equal(found[top], expected)


def test_losses_of_one_name_without_tops_have_blobs_of_their_own(tmp_path: Path) -> None:
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }'
    scaled = "".join(
        f'layer {{ name: "p{n}" type: "Power" bottom: "data" top: "p{n}" power_param {{ scale: {n} }} }}'
        f'layer {{ name: "loss" type: "EuclideanLoss" bottom: "data" bottom: "p{n}" }}'
        for n in (2, 3, 4)
    )
    net = make(tmp_path, data + scaled)
    net.forward(data=np.ones((1, 2)))
    losses = [float(blob.data) for name, blob in net.blobs.items() if "automatic" in name]
    assert losses == [1, 4, 9]


def test_another_layer_with_the_name_of_a_drawn_one_is_refused(tmp_path: Path) -> None:
    text = CLASSIFYING.replace('name: "relu"', 'name: "data"')
    with pytest.raises(RuntimeError, match=r"layers 1 \(DummyData\) and 3 \(ReLU\) are both called 'data'"):
        make(tmp_path, text)


def test_levels_and_stages(tmp_path: Path) -> None:
    text = DEPLOY + "".join(
        f'layer {{ name: "{name}" type: "ReLU" bottom: "prob" top: "{name}" include {{ {rule} }} }}'
        for name, rule in (("one", "min_level: 1"), ("a", 'stage: "a"'))
    )
    definition = write(tmp_path, text)
    assert "one" not in caffe.Net(definition, caffe.TEST).blobs
    assert "one" in caffe.Net(definition, caffe.TEST, level=1).blobs
    assert "a" in caffe.Net(definition, caffe.TEST, stages=["a"]).blobs


def test_memory_data(tmp_path: Path) -> None:
    net = make(
        tmp_path,
        'layer { name: "d" type: "MemoryData" top: "d" top: "l" memory_data_param {'
        " batch_size: 2 channels: 1 height: 2 width: 3 } }",
    )
    data, labels = np.arange(24, dtype=np.float32).reshape(4, 1, 2, 3), np.arange(4, dtype=np.float32)
    with pytest.raises(RuntimeError, match=r"layer 'd'.*set_input_arrays"):
        net.forward()
    net.set_input_arrays(data, labels)
    for batch in (slice(0, 2), slice(2, 4), slice(0, 2)):
        out = net.forward()
        assert_array_equal(out["d"], data[batch])
        assert_array_equal(out["l"], labels[batch].reshape(2, 1, 1, 1))
    for wrong, message in (
        (data[:3], "multiple of batch size"),
        (data.astype(float), "float32"),
        (data[..., ::-1], "contiguous"),
        (data[:, :, :1], "contiguous|height"),
    ):
        with pytest.raises(RuntimeError, match=message):
            net.set_input_arrays(wrong, labels[: len(wrong)])


def test_input_arrays_of_another_net(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"first layer is a MemoryDataLayer.*'data' is Input"):
        make(tmp_path, DEPLOY).set_input_arrays(np.zeros((2, 1, 1, 1), np.float32), np.zeros(2, np.float32))


@pytest.mark.parametrize("kind", ["Flatten", "Concat", "Slice"])
def test_memory_is_shared_as_in_caffe(tmp_path: Path, kind: str) -> None:
    """What works in place on the top of a Flatten, or of a Concat or Slice of one blob, changes its bottom
    too, whose diff is the top's."""
    net = make(
        tmp_path,
        "force_backward: true "
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 12 } } }'
        'layer { name: "y" type: "Power" bottom: "x" top: "y" power_param { scale: 3 shift: -1 } }'
        f'layer {{ name: "f" type: "{kind}" bottom: "y" top: "f" }}'
        'layer { name: "r" type: "ReLU" bottom: "f" top: "f" }',
    )
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 12)
    net.forward(x=x)
    assert_allclose(net.blobs["y"].data, np.maximum(3 * x - 1, 0), atol=1e-6)
    diff = np.arange(24, dtype=np.float32).reshape(2, 12)
    assert_allclose(net.backward(f=diff)["x"], np.where(3 * x > 1, 3 * diff, 0))
    assert_array_equal(net.blobs["y"].diff, net.blobs["f"].diff)


def test_a_concat_of_two_copies(tmp_path: Path) -> None:
    net = make(
        tmp_path,
        'layer { name: "x" type: "Input" top: "x" top: "y" input_param { shape { dim: 1 dim: 2 } } }'
        'layer { name: "c" type: "Concat" bottom: "x" bottom: "y" top: "c" }'
        'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }',
    )
    net.forward(x=-np.ones((1, 2)), y=np.ones((1, 2)))
    assert_array_equal(net.blobs["x"].data, -np.ones((1, 2)))


def test_no_forward_without_outputs(tmp_path: Path) -> None:
    net = make(
        tmp_path,
        'layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 3 } } }'
        'layer { name: "s" type: "Silence" bottom: "d" }',
    )
    assert net.forward() == {}


def test_hdf5_output(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    text = DEPLOY.replace("dim: 2", "dim: 4") + (
        'layer { name: "out" type: "HDF5Output" bottom: "scores" bottom: "prob" hdf5_output_param {'
        f' file_name: "{tmp_path}/out.h5" }} }}'
    )
    net = make(tmp_path, text)
    net.forward(data=np.ones((4, 3, 8, 9)))
    with h5py.File(tmp_path / "out.h5") as file:
        assert_array_equal(file["data"], net.blobs["scores"].data)
        assert_array_equal(file["label"], net.blobs["prob"].data)
    with pytest.raises(RuntimeError, match="layer 'out'"):
        net.forward()


def test_dropout_draws_another_mask_in_every_pass(tmp_path: Path) -> None:
    net = make(
        tmp_path,
        'force_backward: true layer { name: "x" type: "Input" top: "x"'
        " input_param { shape { dim: 9 dim: 50 } } }"
        'layer { name: "drop" type: "Dropout" bottom: "x" top: "x" }',
        caffe.TRAIN,
    )
    masks = []
    for _ in range(2):
        net.blobs["x"].data[...] = 1
        y = net.forward()["x"].copy()
        net.blobs["x"].diff[...] = 1
        net.backward()
        assert_array_equal(net.blobs["x"].diff, y)
        masks.append(y)
    assert set(np.unique(masks)) == {0, 2} and (masks[0] != masks[1]).any()


def test_losses_without_tops(tmp_path: Path) -> None:
    loss = 'layer {{ name: "{0}" type: "EuclideanLoss" bottom: "{1}" bottom: "zero" }}'
    net = make(
        tmp_path,
        'layer { name: "x" type: "Input" top: "x" top: "zero" input_param { shape { dim: 2 dim: 3 } } }'
        + loss.format("one", "x")
        + 'layer { name: "p" type: "Power" bottom: "x" top: "p" power_param { scale: 2 } }'
        + loss.format("two", "p"),
    )
    net.forward(x=np.ones((2, 3)), zero=np.zeros((2, 3)))
    losses = [float(blob.data) for name, blob in net.blobs.items() if "automatic" in name]
    assert losses == [1.5, 6.0] and net.outputs == []
    assert net._forward(0, len(net.layers) - 1) == 7.5


IN_PLACE = """force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 7 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
  num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "scale" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" relu_param { negative_slope: 0.3 } }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
"""


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_gradient_through_layers_in_place_at_every_shape(tmp_path: Path, phase: int) -> None:
    """What in-place layers overwrite is kept for the backward pass, also after a reshape: against central
    differences of half the sum of squares."""
    net = make(tmp_path, IN_PLACE, phase)
    rng = np.random.default_rng(0)
    net.params["bn"][1].data[...], net.params["bn"][2].data[...] = 2, 1
    for shape in ((2, 3, 6, 7), (3, 3, 9, 5)):
        net.blobs["x"].reshape(*shape)
        x, direction = rng.standard_normal((2, *shape))

        def half_squares(at: np.ndarray) -> float:
            net.blobs["x"].data[...] = at
            return float((net.forward()["p"].astype(float) ** 2).sum()) / 2

        half_squares(x)
        net.blobs["p"].diff[...] = net.blobs["p"].data
        found = float((net.backward()["x"] * direction).sum())
        step = 1e-3
        expected = (half_squares(x + step * direction) - half_squares(x - step * direction)) / (2 * step)
        assert found == pytest.approx(expected, rel=2e-2)


def test_outputs_come_in_the_net_s_order_and_then_what_was_asked_for(tmp_path: Path) -> None:
    """Scripts number them."""
    heads = "".join(
        f'layer {{ name: "{name}" type: "Power" bottom: "prob" top: "{name}" }}'
        for name in ("b2", "a1", "c3")
    )
    net = make(tmp_path, DEPLOY + heads)
    assert list(net.forward(["scores", "conv"])) == [*net.outputs, "scores", "conv"]
    assert net.outputs == ["a1", "b2", "c3"]
    assert list(net.forward_all(["conv"], data=np.zeros((3, 3, 8, 9)))) == [*net.outputs, "conv"]


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_a_blob_put_among_the_parameters_counts(tmp_path: Path, phase: int) -> None:
    """As the list of blobs in Caffe it then holds the other net's blob, with its memory."""
    mine, other = make(tmp_path, DEPLOY, phase), make(tmp_path, DEPLOY, phase)
    x = np.random.default_rng(2).normal(size=(2, 3, 8, 9))
    for net in (mine, other):
        for _ in range(2):
            before = net.forward(data=x)["prob"].copy()
    for name in mine.params:
        mine.params[name][:] = other.params[name][:]
    assert_allclose(mine.forward(data=x)["prob"], before, rtol=1e-5)
    other.params["ip"][0].data[...] = 0
    assert_allclose(mine.forward(data=x)["prob"], 0.2, rtol=1e-6)


def test_passes_and_lists_that_few_scripts_know(net: caffe.Net) -> None:
    net.forward()
    wanted = net.blobs["loss"].data.copy()
    net.backward()
    gradient = net.blobs["data"].diff.copy()
    net.blobs["scores"].data[...] = net.blobs["data"].diff[...] = 0
    net.blobs["loss"].diff[...] = 2
    net.layers[0].blobs  # noqa: B018
    net._forward(1, 4)
    assert_allclose(net.blobs["loss"].data, wanted, rtol=1e-6)
    net.clear_param_diffs()
    net.backward_simple()
    assert_allclose(net.blobs["data"].diff, 2 * gradient, rtol=1e-4, atol=1e-7)
    net.forward_simple()
    assert net.blobs["loss"].data > 0
    assert net._blob_loss_weights[net._blob_names_index["loss"]] == 1
    assert net._input_list == net.inputs and net._output_list == net.outputs


def test_a_class_of_a_script_with_layers_of_its_own(tmp_path: Path) -> None:
    class Named(caffe.Net):
        @property
        def layers(self) -> list[str]:
            return list(self.blobs)

    net = Named(write(tmp_path, DEPLOY), caffe.TEST)
    assert net.layers[:2] == ["data", "conv"]
    assert net.forward(end="prob")["prob"].shape == (2, 5)


def test_parameters_of_other_shapes_stay(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.caffemodel")
    make(tmp_path, DEPLOY).save(weights)
    net = make(tmp_path, DEPLOY.replace("num_output: 5", "num_output: 6"))
    before = net.params["ip"][0].data.copy()
    with pytest.raises(RuntimeError, match="Cannot copy param 0 weights from layer 'ip'"):
        net.copy_from(weights)
    net.copy_from(weights, ignore_shape_mismatch=True)
    assert_array_equal(net.params["ip"][0].data, before)
    saved = caffe.Net(write(tmp_path, DEPLOY), caffe.TEST, weights=weights)
    assert_array_equal(net.params["conv"][0].data, saved.params["conv"][0].data)


def test_layers_that_share_a_name(tmp_path: Path) -> None:
    """As the crops in HED's published net; those with weights may not."""
    net = make(
        tmp_path,
        """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
        layer { name: "p" type: "Power" bottom: "x" top: "double" power_param { scale: 2 } }
        layer { name: "p" type: "Power" bottom: "x" top: "triple" power_param { scale: 3 } }""",
    )
    net.forward(x=np.float32([[1, 2]]))
    np.testing.assert_array_equal(net.blobs["double"].data, [[2, 4]])
    np.testing.assert_array_equal(net.blobs["triple"].data, [[3, 6]])
