"""What ends one rank ends them all. All cases: ``python tests/cli/rank_faults.py``."""

import pytest
from mpi_launcher import needs_mpi
from rank_faults import CASES, QUICK, run_case, wrong


@needs_mpi
@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_fault_of_one_rank_ends_them_all(case, tmp_path):
    assert wrong(case, run_case(case, tmp_path), 40) == []


def test_every_case_is_another_one():
    assert len(set(CASES)) == len(CASES) >= 30
