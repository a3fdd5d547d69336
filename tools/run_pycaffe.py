#!/usr/bin/env python3
"""See ``vggrepro/cli/run_pycaffe.py``."""

from vggrepro.cli.entry import tool

if __name__ == "__main__":
    tool(__file__)
