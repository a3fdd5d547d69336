from __future__ import annotations

import pytest
from harness import parse

from vggrepro.errors import NetError

DATA_LABEL = 'top: "data" top: "label"'


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('type: "Data" data_param { batch_size: 8 } transform_param { crop_size: 24 }', (8, 3, 24, 24)),
        (
            'type: "Data" data_param { batch_size: 8 } transform_param { crop_size: 24 force_gray: true }',
            (8, 1, 24, 24),
        ),
        (
            'type: "Data" data_param { batch_size: 2 }'
            " transform_param { crop_size: 5 mean_value: 1 mean_value: 2 }",
            (2, 2, 5, 5),
        ),
        ('type: "ImageData" image_data_param { new_height: 6 new_width: 7 }', (1, 3, 6, 7)),
        (
            'type: "ImageData" image_data_param { batch_size: 4 new_height: 6 new_width: 7 is_color: false }'
            " transform_param { crop_size: 5 }",
            (4, 1, 5, 5),
        ),
        (
            'type: "MemoryData" memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }',
            (2, 3, 4, 5),
        ),
        (
            'type: "WindowData" window_data_param { batch_size: 6 } transform_param { crop_size: 9 }',
            (6, 3, 9, 9),
        ),
    ],
)
def test_shapes_from_parameters(text: str, shape: tuple[int, ...]) -> None:
    layer = parse(f"{text} {DATA_LABEL}")
    assert layer.source
    assert layer.out_shapes([]) == (shape, shape[:1])


def test_memory_data_of_any_number_of_axes() -> None:
    sizes = "memory_data_param { dim: 2 dim: 3 dim: 7 }"
    assert parse(f'type: "MemoryData" top: "x" {sizes}').out_shapes([]) == ((2, 3, 7),)
    assert parse(f'type: "MemoryData" {sizes} {DATA_LABEL}').out_shapes([]) == ((2, 3, 7), (2, 1, 1))
    four = "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }"
    with pytest.raises(NetError, match="without dim takes exactly 2 tops, got 1"):
        parse(f'type: "MemoryData" top: "x" {four}')


def test_data_without_labels() -> None:
    layer = parse('type: "Data" top: "x" data_param { batch_size: 8 } transform_param { crop_size: 24 }')
    assert layer.out_shapes([]) == ((8, 3, 24, 24),)


@pytest.mark.parametrize(
    "text",
    [
        'type: "Data" data_param { batch_size: 8 }',
        'type: "Data" transform_param { crop_size: 8 }',
        'type: "ImageData"',
        'type: "WindowData" window_data_param { batch_size: 6 }',
        'type: "HDF5Data" hdf5_data_param { batch_size: 6 source: "list.txt" }',
    ],
)
def test_what_only_the_files_tell(text: str) -> None:
    layer = parse(f"{text} {DATA_LABEL}")
    assert layer.out_shapes([]) == ()
    assert layer.tells_shape


def test_labels_have_the_batch_of_images_whose_shape_is_given() -> None:
    layer = parse(f'type: "Data" {DATA_LABEL}')
    assert layer.shapes_beside((7, 3, 5, 4)) == ((7, 3, 5, 4), (7,))
    files = parse(f'type: "HDF5Data" {DATA_LABEL}')
    assert files.shapes_beside((7, 3, 5, 4)) == ((7, 3, 5, 4),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type: "ImageData" image_data_param { new_height: 6 }', "new_height and new_width to be set"),
        ('type: "ImageData" image_data_param { batch_size: 0 }', "Positive batch size required"),
        ('type: "MemoryData" memory_data_param { batch_size: 2 height: 4 width: 5 }', "must be specified"),
        ('type: "HDF5Data" transform_param { scale: 2 }', "HDF5Data does not transform data"),
    ],
)
def test_wrong_parameters(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(f"{text} {DATA_LABEL}")
