"""Pure steps from one Net to another."""
