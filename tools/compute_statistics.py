#!/usr/bin/env python3
"""See ``vggrepro/cli/compute_statistics.py``."""

import sys

from vggrepro.cli.compute_statistics import main

if __name__ == "__main__":
    sys.exit(main())
