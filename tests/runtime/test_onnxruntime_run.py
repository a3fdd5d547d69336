"""A written file in ONNX Runtime, as any program would run it."""

import numpy as np
import onnxruntime
import pytest
from drafts import draft

from vggrepro.runtime import onnxruntime_run


def test_the_file_is_run_as_it_is(tmp_path):
    path = tmp_path / "twice.onnx"
    draft(lambda g: g.op("Add", "x", "x")).finished().save(path)
    x = np.arange(210, dtype=np.float32).reshape(2, 3, 5, 7)
    assert (onnxruntime_run.answers(str(path), {"x": x}, ["y"])["y"] == 2 * x).all()
    assert onnxruntime_run.version() == onnxruntime.__version__


def test_what_cannot_be_run_raises(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        onnxruntime_run.answers(str(path), {}, [])
