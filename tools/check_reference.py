#!/usr/bin/env python3
"""See ``vggrepro/cli/check_reference.py``."""

import sys

from vggrepro.cli.check_reference import main

if __name__ == "__main__":
    sys.exit(main())
