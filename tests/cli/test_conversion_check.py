"""What a converted model is fed, and which net judges it."""

import numpy as np
import pytest

from vggrepro.cli.conversion_check import ConversionCheck, compare_blobs
from vggrepro.cli.net_to_convert import Conversion
from vggrepro.errors import DataError
from vggrepro.graph.forward import build_forward
from vggrepro.net import load_net

NET = """input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    return load_net(tmp_path / "net.prototxt", seed=1)


def test_noise_is_loud_and_quiet(net):
    loud, quiet = ConversionCheck(Conversion(net, net, False, False)).noises(build_forward(net))
    assert 40 < loud.arrays["data"].std() < 60
    np.testing.assert_allclose(quiet.arrays["data"] * 50, loud.arrays["data"], rtol=1e-6)


def test_a_convolutional_model_sees_a_larger_image_too(net):
    graph = build_forward(net, fully_convolutional=True)
    check = ConversionCheck(Conversion(net, net, True, False))
    sizes = [e.arrays["data"].shape for e in check.examples(graph, None, 1.0)]
    assert sizes == [(1, 3, 8, 8), (1, 3, 41, 59)]
    assert len(ConversionCheck(Conversion(net, net, True, True)).examples(graph, None, 1.0)) == 1


def test_a_file_that_holds_no_array_is_refused(net, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"x\.npy: not a \.npy file"):
        ConversionCheck(Conversion(net, net, False, False)).given_example(path)


def test_every_blob_is_compared(net, capsys):
    (run,) = compare_blobs(Conversion(net, net, False, False), None, 1e-4, "cpu")
    assert [blob["blob"] for blob in run["blobs"]] == ["fc"] and run["blobs"][0]["passed"]
    assert "verified: worst" in capsys.readouterr().out
