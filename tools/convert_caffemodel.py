#!/usr/bin/env python3
"""See ``vggrepro/cli/convert_caffemodel.py``."""

import sys

from vggrepro.cli.convert_caffemodel import main

if __name__ == "__main__":
    sys.exit(main())
