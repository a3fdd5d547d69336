"""What ends one rank ends them all. All cases: ``python tests/cli/rank_faults.py``."""

import pytest
from rank_faults import CASES, QUICK, mpirun, run_case, wrong


@pytest.mark.skipif(mpirun() is None, reason="no mpirun with mpi4py: pip install 'vggrepro[mpi]'")
@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_fault_of_one_rank_ends_them_all(case, tmp_path):
    assert wrong(case, run_case(case, tmp_path), 40) == []


def test_every_case_is_another_one():
    assert len(set(CASES)) == len(CASES) >= 30
