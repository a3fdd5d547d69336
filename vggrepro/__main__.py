"""``python -m vggrepro COMMAND ...``: the console script, where it is not on the path."""

from vggrepro.cli.entry import command

if __name__ == "__main__":
    command()
