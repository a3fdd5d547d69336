"""The options of provenance."""

import argparse
from pathlib import Path

from vggrepro.cli.options.provenance import ProvenanceOptions, add_provenance_options
from vggrepro.cli.options.read import read


def test_files_are_paths():
    parser = argparse.ArgumentParser()
    add_provenance_options(parser)
    assert read(ProvenanceOptions, parser.parse_args([])) == ProvenanceOptions()
    given = read(ProvenanceOptions, parser.parse_args(["--card", "m.md", "--synsets", "s.txt"]))
    assert given == ProvenanceOptions(Path("s.txt"), Path("m.md"))
