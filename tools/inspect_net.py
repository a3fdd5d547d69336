#!/usr/bin/env python3
"""See ``vggrepro/cli/inspect_net.py``."""

import sys

from vggrepro.cli.inspect_net import main

if __name__ == "__main__":
    sys.exit(main())
