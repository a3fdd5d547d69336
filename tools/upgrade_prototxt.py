#!/usr/bin/env python3
"""See ``vggrepro/cli/upgrade_prototxt.py``."""

import sys

from vggrepro.cli.upgrade_prototxt import main

if __name__ == "__main__":
    sys.exit(main())
