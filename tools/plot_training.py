#!/usr/bin/env python3
"""See ``vggrepro/cli/plot_training.py``."""

import sys

from vggrepro.cli.plot_training import main

if __name__ == "__main__":
    sys.exit(main())
