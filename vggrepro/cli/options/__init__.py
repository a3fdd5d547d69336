"""Options of the commands. Each module adds options to a parser and names the frozen dataclass that
:func:`vggrepro.cli.options.read.read` makes of them; an option has one parser, one help and one meaning in
all commands."""
