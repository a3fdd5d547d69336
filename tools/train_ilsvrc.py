#!/usr/bin/env python3
"""See ``vggrepro/cli/train_ilsvrc.py``."""

import sys

from vggrepro.cli.train_ilsvrc import main

if __name__ == "__main__":
    sys.exit(main())
