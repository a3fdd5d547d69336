#!/usr/bin/env python3
"""See ``vggrepro/cli/compute_statistics.py``."""

from vggrepro.cli.entry import tool

if __name__ == "__main__":
    tool(__file__)
