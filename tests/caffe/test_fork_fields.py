"""The table of fork fields says what the schema says, and decides what is left out."""

import warnings

import pytest

from vggrepro.caffe import messages, schema, text
from vggrepro.caffe.fork_fields import HARMLESS_ENUMS, HARMLESS_MESSAGES, fork_fields
from vggrepro.errors import UnknownFieldError

VALUES = {"bool": "true", "message": "{ a: 1 }", "string": "'a'", "enum": "ODD"}


def fields_of(message):
    return getattr(messages, message).DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("row", fork_fields().values(), ids=lambda row: f"{row.message}.{row.field}")
def test_a_row_says_what_becomes_of_its_field(row):
    layer, parameter = "LayerParameter", row.message
    assert (row.field in fields_of(parameter)) == (row.verdict == "understood")
    assert row.origin and row.rule
    if row.verdict == "understood":
        return
    if parameter == "SolverParameter":
        parse, written = text.parse_solver, "%s"
    elif parameter == "NetParameter":
        parse, written = text.parse_net, "%s"
    elif parameter == layer:
        parse, written = text.parse_net, "layer { bottom: 'x' %s }"
    else:
        holder = next(
            f.name for f in fields_of(layer).values() if f.message_type and f.message_type.name == parameter
        )
        parse, written = text.parse_net, f"layer {{ {holder} {{ %s }} }}"
    value = VALUES.get(row.type, "3")
    if value == row.neutral:
        value = "false"
    given = written % (f"{row.field} {value}" if row.type == "message" else f"{row.field}: {value}")
    with pytest.raises(UnknownFieldError, match=f'no field named "{row.field}"'):
        parse(given)
    if row.verdict == "refused":
        with pytest.raises(UnknownFieldError, match=row.rule.split("(")[0]):
            parse(given, allow_unknown=True)
    else:
        with pytest.warns(UserWarning, match=rf"{parameter}\.{row.field} "):
            parse(given, allow_unknown=True)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("convolution_param { num_output: 1 pad_type: 0 relu: false saturate: None }", "pad_type"),
        ("convolution_param { input_scale: 1.0 dis_mode: f # no\n gen_mode: 0 }", "input_scale"),
        (
            "batch_norm_param { add_eps_before_sqrt: True update_global_stats: 1 stats_batch_size: 0 }",
            "add_eps",
        ),
        ("loss_param { label_smoothing: 0.0 }", "label_smoothing"),
    ],
)
def test_the_default_of_a_refused_field_changes_nothing(field, message):
    with pytest.raises(UnknownFieldError, match=message):
        text.parse_net(f"layer {{ {field} }}")
    with pytest.warns(UserWarning, match=message):
        text.parse_net(f"layer {{ {field} }}", allow_unknown=True)


def test_a_refused_field_says_which_value_it_may_have():
    with pytest.raises(UnknownFieldError, match="another rule of padding unless it is 0"):
        text.parse_net("layer { pooling_param { pad_type: 1 } }", allow_unknown=True)


def test_a_field_that_the_table_knows_is_not_taken_for_a_typing_error():
    why = r'"label_smoothing" \(Intel Caffe: another loss unless it is 0\)$'
    with pytest.raises(UnknownFieldError, match=why):
        text.parse_net("layer { loss_param { label_smoothing: 0.1 } }")
    with pytest.raises(UnknownFieldError, match="did you mean 'ignore_label'"):
        text.parse_net("layer { loss_param { ignore_lable: 1 } }")


@pytest.mark.parametrize("holder", ["concat_param", "eltwise_param", "inner_product_param", "scale_param"])
def test_an_engine_is_harmless_wherever_it_stands(holder):
    with pytest.warns(UserWarning, match=r"\.engine "):
        text.parse_net(f"layer {{ {holder} {{ engine: MKLDNN }} }}", allow_unknown=True)


def test_a_list_of_devices_is_harmless_and_other_lists_for_one_value_are_not():
    written = "base_lr: 0.1 device_id: [0, 1, 2, 3] max_iter: 5"
    with pytest.raises(UnknownFieldError, match="1:25: Couldn't parse integer") as caught:
        text.parse_solver(written)
    assert caught.value.harmless
    with pytest.warns(UserWarning, match=r"SolverParameter.device_id: \[0, 1, 2, 3\] \(1:25\)"):
        solver = text.parse_solver(written, allow_unknown=True)
    assert (solver.device_id, solver.max_iter) == (0, 5)
    with pytest.raises(UnknownFieldError, match="1:11: Couldn't parse integer") as caught:
        text.parse_solver("max_iter: [1]", allow_unknown=True)
    assert not caught.value.harmless
    assert text.parse_solver("test_iter: [1, 2]").test_iter == [1, 2]


def test_rows_are_there_once_and_of_messages_that_exist():
    assert len(fork_fields()) > 40
    for message in [*HARMLESS_MESSAGES, *(message for message, _ in fork_fields())]:
        assert getattr(messages, message)


def test_every_field_that_a_fork_lends_a_computing_message_has_a_row():
    lent = {
        (message, field.name)
        for message, numbers in schema.LENT_NUMBERS.items()
        for field in getattr(messages, message).DESCRIPTOR.fields
        if field.number in numbers
    }
    apart = {"LayerParameter", "BlobProto", "TransformationParameter", "V1LayerParameter"}
    understood = {key for key, row in fork_fields().items() if row.verdict == "understood"}
    assert {key for key in lent if key[0] not in apart} == understood


def test_harmless_enums_are_engines_and_databases():
    kinds = {
        field.enum_type.name
        for message in schema.FILE.message_type
        for field in getattr(messages, message.name).DESCRIPTOR.fields
        if field.name in HARMLESS_ENUMS and field.enum_type is not None
    }
    assert kinds == {"Engine", "DB"}


def test_nothing_is_said_where_nothing_is_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = text.parse_net("layer { pooling_param { ceil_mode: false } }", allow_unknown=True)
    assert net.layer[0].pooling_param.ceil_mode is False
