#!/usr/bin/env python3
"""See ``vggrepro/cli/eval_ilsvrc.py``."""

import sys

from vggrepro.cli.eval_ilsvrc import main

if __name__ == "__main__":
    sys.exit(main())
