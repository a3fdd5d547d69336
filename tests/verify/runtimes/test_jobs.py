"""Models in runtimes that run in processes of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vggrepro.errors import UnsupportedError
from vggrepro.verify.runtimes.jobs import RUNTIMES, Job, Runtime, run_jobs

X = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)


def job(folder: Path, op_type: str, name: str = "y", **attributes: object) -> Job:
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], [name], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, X.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / f"{op_type}.onnx"
    onnx.save(model, path)
    return Job(path, {"x": -X}, [name])


@pytest.mark.parametrize("name", ["onnxruntime", "opencv"])
def test_answers(name: str, tmp_path: Path) -> None:
    jobs = [job(tmp_path, "Relu"), job(tmp_path, "Nonsense"), job(tmp_path, "Abs")]
    replies = run_jobs(Runtime(name, RUNTIMES[name]), jobs)
    assert replies.version[0].isdigit()
    relu, nonsense, absolute = replies.replies
    np.testing.assert_array_equal(relu.arrays["y"], 0 * X)
    np.testing.assert_array_equal(absolute.arrays["y"], X)
    assert nonsense.error


def module(folder: Path, body: str) -> Runtime:
    (folder / "odd_run.py").write_text(
        f"import os\ndef version(): return '7'\ndef answers(model, inputs, outputs): {body}\n"
    )
    return Runtime("odd", "odd_run", path=(str(folder),))


def test_a_runtime_that_takes_its_process_down(tmp_path: Path) -> None:
    body = "return os.abort() if 'Abs' in model else {o: inputs['x'] for o in outputs}"
    jobs = [job(tmp_path, "Relu"), job(tmp_path, "Abs"), job(tmp_path, "Neg")]
    first, dead, last = run_jobs(module(tmp_path, body), jobs).replies
    assert dead.error == "the process ended: signal 6"
    np.testing.assert_array_equal(first.arrays["y"], -X)
    np.testing.assert_array_equal(last.arrays["y"], -X)


def test_what_a_runtime_says_may_be_no_utf8(tmp_path: Path) -> None:
    body = "return (os.write(2, bytes([104, 105, 255])), os._exit(3))"
    (reply,) = run_jobs(module(tmp_path, body), [job(tmp_path, "Relu")]).replies
    assert reply.error == "the process ended: hi\ufffd"


def test_an_error_about_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    body = "raise OSError('no \\udcff.onnx')"
    (reply,) = run_jobs(module(tmp_path, body), [job(tmp_path, "Relu")]).replies
    assert reply.error == "OSError: no \\udcff.onnx"


def test_a_full_disk_is_told_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def savez(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", savez)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="No space left") as caught:
        run_jobs(module(tmp_path, "return {}"), [job(tmp_path, "Relu")])
    assert str(caught.value.filename).startswith(str(tmp_path / "vggrepro-"))


def test_a_runtime_that_never_ends(tmp_path: Path) -> None:
    runtime = module(tmp_path, "import time; time.sleep(60)")
    (reply,) = run_jobs(runtime, [job(tmp_path, "Relu")], patience=10).replies
    assert reply.error == "the process ended: not done after 10 s"


def test_a_runtime_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"runtime odd does not start: .*No module named 'absent_run'"):
        run_jobs(Runtime("odd", "absent_run"), [job(tmp_path, "Relu")])
    with pytest.raises(UnsupportedError, match=r"runtime odd does not start: .*No such file"):
        run_jobs(Runtime("odd", "absent_run", python="/absent/python"), [job(tmp_path, "Relu")])
