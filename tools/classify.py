#!/usr/bin/env python3
"""See ``vggrepro/cli/classify.py``."""

import sys

from vggrepro.cli.classify import main

if __name__ == "__main__":
    sys.exit(main())
