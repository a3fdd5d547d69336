"""The operating system and the machine: files and their names, the terminal, extras, threads, ranks."""
