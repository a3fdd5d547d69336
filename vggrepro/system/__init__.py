"""The operating system and the machine: files and their names, terminals, optional imports, threads, ranks."""
