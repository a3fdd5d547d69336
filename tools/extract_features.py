#!/usr/bin/env python3
"""See ``vggrepro/cli/extract_features.py``."""

import sys

from vggrepro.cli.extract_features import main

if __name__ == "__main__":
    sys.exit(main())
