"""The schema against the table of BVLC Caffe's fields, and ``caffe.proto`` against its compiled form."""

from schema_facts import FOLDER, compiled, facts, parse_proto, table

from vggrepro.caffe import messages
from vggrepro.caffe.schema import script_pool


def test_the_compiled_schema_has_every_field_of_bvlc_caffe_and_no_other():
    fields, values = facts(compiled())
    expected_fields, expected_values = table()
    assert fields == expected_fields
    assert values == expected_values
    assert len(fields) > 400
    assert len(values) > 100


def test_the_proto_text_says_what_the_compiled_schema_says():
    fields, values = facts(compiled())
    written_fields, written_values = parse_proto(FOLDER.joinpath("caffe.proto").read_text())
    assert written_values == values
    # the text names nested types by their short names
    assert {key: (*f[:2], f[2].split(".")[-1], *f[3:]) for key, f in fields.items()} == {
        key: (*f[:2], f[2].split(".")[-1], *f[3:]) for key, f in written_fields.items()
    }


def test_fields_for_scripts_are_in_their_schema_alone():
    for message, field in (
        ("TransformationParameter", "noise_param"),
        ("SolverParameter", "plateau_winsize"),
    ):
        of_scripts = script_pool().FindMessageTypeByName(f"caffe.{message}").fields_by_name
        of_files = getattr(messages, message).DESCRIPTOR.fields_by_name
        assert field in of_scripts and field not in of_files
        assert set(of_files) < set(of_scripts)
    assert "TransformationParameterScriptFields" not in {
        m.name for m in messages.NetParameter.DESCRIPTOR.file.message_types_by_name.values()
    }
