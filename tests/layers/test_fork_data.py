"""Data layers of forks: their tops are inputs, in the shapes that the definition tells."""

from __future__ import annotations

import pytest
from harness import parse

from vggrepro.layers.fork_data import ForkData


def shapes(text: str) -> tuple[tuple[int, ...], ...]:
    layer = parse(f'{text} top: "data" top: "label"')
    assert isinstance(layer, ForkData)
    return tuple(layer.out_shapes([]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'type: "AnnotatedData" data_param { batch_size: 8 } transform_param { crop_size: 7 }',
            ((8, 3, 7, 7),),
        ),
        (
            'type: "AnnotatedData" data_param { batch_size: 8 }'
            " transform_param { resize_param { resize_mode: WARP height: 30 width: 40 } }",
            ((8, 3, 30, 40),),
        ),
        (
            'type: "AnnotatedData" data_param { batch_size: 8 }'
            " transform_param { resize_param { resize_mode: FIT_SMALL_SIZE height: 30 width: 40 } }",
            (),
        ),
        (
            'type: "AnnotatedData" data_param { batch_size: 8 } transform_param {'
            " resize_param { height: 30 width: 40 } resize_param { prob: 0.5 height: 30 width: 40 } }",
            ((8, 3, 30, 40),),
        ),
        (
            'type: "AnnotatedData" data_param { batch_size: 8 } transform_param {'
            " resize_param { height: 30 width: 40 } resize_param { height: 60 width: 80 } }",
            (),
        ),
        (
            'type: "ImageSegData" image_data_param { batch_size: 4 } transform_param { crop_size: 32'
            " mean_value: 1 mean_value: 2 mean_value: 3 }",
            ((4, 3, 32, 32), (4, 1, 32, 32)),
        ),
        (
            'type: "DenseImageData" image_data_param { batch_size: 2 new_height: 5 new_width: 6'
            " is_color: false }",
            ((2, 1, 5, 6), (2, 1, 5, 6)),
        ),
        (
            'type: "DenseImageData" dense_image_data_param { batch_size: 2 new_height: 5 new_width: 6 }',
            ((2, 3, 5, 6), (2, 1, 5, 6)),
        ),
        ('type: "ImageLabelmapData" image_data_param { batch_size: 1 }', ()),
        (
            'type: "VideoData" data_param { batch_size: 1 } transform_param { crop_h: 3 crop_w: 4 }',
            ((1, 3, 3, 4),),
        ),
        (
            'type: "VideoData" image_data_param { batch_size: 2 new_length: 16 new_height: 9 new_width: 8 }'
            " transform_param { crop_size: 7 }",
            ((2, 3, 16, 7, 7),),
        ),
        ('type: "VideoData" image_data_param { batch_size: 2 new_length: 16 }', ()),
        (
            'type: "VideoData" image_data_param { batch_size: 2 new_length: 16 new_height: 9 new_width: 8'
            " is_flow: true }",
            (),
        ),
    ],
)
def test_shapes(text: str, expected: tuple[tuple[int, ...], ...]) -> None:
    assert shapes(text) == expected
