#!/usr/bin/env python3
"""See ``vggrepro/cli/run_pycaffe.py``."""

import sys

from vggrepro.cli.run_pycaffe import main

if __name__ == "__main__":
    sys.exit(main())
