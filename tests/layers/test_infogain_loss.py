from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few

from vggrepro.caffe.messages import BlobProto
from vggrepro.errors import GradientError, NetError, ShapeError, VggReproError
from vggrepro.layers.base import Layer, Needed

ONE = np.array(1, np.float32)
modes = st.sampled_from(["", *(f"normalization: {mode}" for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE"))])


def layer_of(
    loss_param: str = "", axis: int = 1, matrix: np.ndarray | None = None, prob: bool = False
) -> Layer:
    """With ``matrix`` H comes from a file, else from a third bottom."""
    tops = 'top: "loss" top: "prob" loss_weight: 1 loss_weight: 0' if prob else 'top: "loss"'
    bottoms = 'bottom: "x" bottom: "label"' + ("" if matrix is not None else ' bottom: "H"')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "H.binaryproto"
        source = f'source: "{path}"' if matrix is not None else ""
        if matrix is not None:
            blob = BlobProto(data=matrix.reshape(-1))
            blob.shape.dim.extend(matrix.shape)
            path.write_bytes(blob.SerializeToString())
        return parse(
            f'type: "InfogainLoss" {bottoms} {tops} loss_param {{ {loss_param} }}'
            f" infogain_loss_param {{ axis: {axis} {source} }}"
        )


@few
@given(class_cases(ignore=True), modes, st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_any_shape(case: ClassCase, mode: str, from_file: bool, prob: bool, seed: int) -> None:
    classes = case.predictions.shape[case.axis]
    matrix = np.random.default_rng(seed).normal(size=(1, 1, classes, classes)).astype(np.float32)
    layer = layer_of(f"{mode} ignore_label: {IGNORE}", case.axis, matrix if from_file else None, prob)
    bottoms = [case.predictions, case.label, *([] if from_file else [matrix])]
    axis = case.axis % case.predictions.ndim
    fixed = tuple(classes if a == axis else d for a, d in enumerate(case.dims[0]))
    check_forward(layer, bottoms, dims=[fixed, case.dims[1], *([] if from_file else [matrix.shape])])
    check_gradient(layer, bottoms, needed=Needed((True, *[False] * (len(bottoms) - 1)), ()))


def test_the_identity_matrix_makes_it_the_softmax_loss() -> None:
    rng = np.random.default_rng(0)
    bottoms = [rng.normal(size=(4, 3, 2)).astype(np.float32), rng.integers(0, 3, (4, 2)).astype(np.float32)]
    plain = parse('type: "SoftmaxWithLoss"')
    layer = layer_of(matrix=np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(check_forward(layer, bottoms)[0], check_forward(plain, bottoms)[0], rtol=1e-6)
    found, expected = (run_gradient(one, bottoms, [], [ONE])[0] for one in (layer, plain))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_small_probabilities_count_as_1e_minus_20_in_the_loss() -> None:
    bottoms = [np.array([[0, -200]], np.float32), np.array([1], np.float32)]
    layer = layer_of(matrix=np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(check_forward(layer, bottoms)[0], 20 * np.log(10), rtol=1e-6)
    np.testing.assert_array_equal(run_gradient(layer, bottoms, [], [ONE])[0], [[1, -1]])


@pytest.mark.parametrize(
    ("shapes", "error", "message"),
    [
        ([(2, 3), (2,), (3, 4)], ShapeError, r"\(12 vs. 9\): H must be 3x3"),
        ([(2, 3, 2), (2,), (3, 3)], ShapeError, "if infogain axis == 1 and prediction shape is"),
        ([(2, 3), (3,), (3, 3)], ShapeError, "The data and label should have the same first dimension"),
        ([(2,), (2,), (2, 2)], NetError, "axis 1 out of range"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], error: type[VggReproError], message: str) -> None:
    with pytest.raises(error, match=message):
        layer_of().out_shapes(shapes)


def test_refuses_a_matrix_of_another_size_from_a_file() -> None:
    with pytest.raises(ShapeError, match=r"\(4 vs. 9\): H must be 3x3"):
        layer_of(matrix=np.eye(2, dtype=np.float32)).out_shapes([(2, 3), (2,)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "layer 'l': Infogain matrix source must be specified"),
        ("loss_param { normalize: true }", 'normalize is deprecated. use "normalization"'),
        ('top: "a" top: "b"', "loss_weight must be unspecified or specified once per top blob"),
    ],
)
def test_refuses_parameters(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(f'type: "InfogainLoss" bottom: "x" bottom: "label" {text}')


def test_a_missing_file_is_named() -> None:
    with pytest.raises(VggReproError, match=r"nowhere\.binaryproto"):
        parse(
            'type: "InfogainLoss" bottom: "x" bottom: "label"'
            ' infogain_loss_param { source: "nowhere.binaryproto" }'
        )


@pytest.mark.parametrize(
    ("needed", "what"), [((True, True, False), "label"), ((True, False, True), "infogain")]
)
def test_labels_and_matrix_get_no_gradient(needed: tuple[bool, ...], what: str) -> None:
    bottoms = [np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.eye(3, dtype=np.float32)]
    with pytest.raises(GradientError, match=f"cannot backpropagate to {what} inputs"):
        run_gradient(layer_of(), bottoms, [], [ONE], needed=Needed(needed, ()))
