"""Sessions, execution providers and device buffers."""
