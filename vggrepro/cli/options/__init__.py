"""Options of the commands, and the values that they become."""
