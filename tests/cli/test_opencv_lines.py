"""The lines that stand in place of readNetFromCaffe."""

import pytest
from cpp_syntax import complaint, has_opencv_for_cpp

from vggrepro.cli.opencv_lines import ImageArguments, cpp_lines, python_lines
from vggrepro.net import load_net

NET = """name: "two" input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 6 }
input: "im_info" input_shape { dim: 1 dim: 3 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "scores/all"
  convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "relu" type: "Power" bottom: "im_info" top: "2nd" }"""


def net(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    return load_net(tmp_path / "net.prototxt")


def test_several_inputs_and_outputs(tmp_path):
    image = ImageArguments((1.0, 2.0, 3.5))
    assert python_lines(net(tmp_path), ["2nd", "scores/all"], "m.onnx", image) == [
        "net = cv2.dnn.readNetFromONNX('m.onnx')",
        "blob = cv2.dnn.blobFromImage(image, 1.0, (6, 8), (1, 2, 3.5), swapRB=False)",
        "net.setInput(blob, 'data')",
        "net.setInput(im_info, 'im_info')  # 1 x 3, as before",
        "# 2nd: 1 x 3",
        "# scores/all: 1 x 4 x 8 x 6",
        "_2nd, scores_all = net.forward(['2nd', 'scores/all'])",
    ]
    assert cpp_lines(net(tmp_path), ["2nd"], 'a "b".onnx', None)[0] == (
        'cv::dnn::Net net = cv::dnn::readNetFromONNX("a \\"b\\".onnx");'
    )
    assert cpp_lines(net(tmp_path), ["2nd", "scores/all"], "m.onnx", None)[-1] == (
        'net.forward(outputs, std::vector<cv::String>{"2nd", "scores/all"});'
    )


@pytest.mark.skipif(not has_opencv_for_cpp(), reason="no g++ with OpenCV's headers")
def test_the_compiler_takes_the_lines_of_cpp(tmp_path):
    for image in (None, ImageArguments((1.0, 2.0, 3.5), 0.5, "rgb")):
        lines = "\n".join(cpp_lines(net(tmp_path), ["2nd"], 'a "b".onnx', image))
        assert complaint(lines, "cv::Mat image, cv::Mat im_info") == ""
    assert complaint("net.forward(1, 2, 3);", "cv::dnn::Net net") != ""
