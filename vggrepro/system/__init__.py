"""The operating system and the machine: atomic files, mapped files, optional imports, threads, ranks."""
