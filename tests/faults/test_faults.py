"""A short run of what benchmarks/fault_injection.py does for as long as it is asked to."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fault_injection.py"


def test_killed_commands_and_full_disks_leave_nothing_wrong():
    command = [sys.executable, str(SCRIPT), "--minutes", "5", "--trials", "12", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
