"""A written file in OpenCV's dnn module."""

import cv2
import numpy as np
import pytest
from drafts import draft

from vggrepro.graph.targets.convert import Deployment, deployed
from vggrepro.verify.runtimes import opencv_run


def test_the_file_is_run_as_it_is(tmp_path):
    path = tmp_path / "relu.onnx"
    draft(lambda g: g.op("Relu", "x")).finished().save(path)
    x = np.linspace(-1, 1, 210, dtype=np.float32).reshape(2, 3, 5, 7)
    assert (opencv_run.answers(str(path), {"x": x}, ["y"])["y"] == np.maximum(x, 0)).all()
    assert opencv_run.version() == cv2.__version__


def test_what_cannot_be_read_raises(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(cv2.error):
        opencv_run.answers(str(path), {}, [])


@pytest.mark.skipif(not cv2.__version__.startswith("5"), reason="OpenCV 5 is not installed")
@pytest.mark.parametrize("operator", ["Tanh", "Softplus"])
def test_large_values_saturate(operator, tmp_path):
    path = tmp_path / "saturated.onnx"
    graph = deployed(draft(lambda g: g.op(operator, "x")).finished(), Deployment("opencv5"))
    graph.save(path)
    x = np.linspace(-200, 200, 210, dtype=np.float32).reshape(2, 3, 5, 7)
    want = {"Tanh": np.tanh(x), "Softplus": np.logaddexp(0, x)}[operator]
    np.testing.assert_allclose(opencv_run.answers(str(path), {"x": x}, ["y"])["y"], want, atol=1e-4)
