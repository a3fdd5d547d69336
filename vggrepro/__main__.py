"""``python -m vggrepro COMMAND ...``: the console script, where it is not on the path."""

import sys

from vggrepro.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
