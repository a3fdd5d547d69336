"""What is asked of OpenCV 4's importer: layers by name, one for each output."""

from vggrepro.net import load_net
from vggrepro.verify.runtimes.caffe_importer import importer, layer_of_output

NET = """input: "data" input_dim: 1 input_dim: 4 input_dim: 8 input_dim: 6
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "score" inner_product_param { num_output: 4 } }
layer { name: "relu" type: "ReLU" bottom: "score" top: "score" }
layer { name: "halves" type: "Slice" bottom: "data" top: "a" top: "b" }"""


def test_the_last_layer_that_writes_an_output_names_it(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    net = load_net(tmp_path / "net.prototxt")
    assert set(net.outputs) == {"score", "a", "b"}
    assert layer_of_output(net) == {"score": "relu", "a": "halves"}


def test_it_runs_under_another_interpreter():
    assert importer("/usr/bin/python4").python == "/usr/bin/python4"
