"""Sessions, bound runs, devices and arrays in their memory."""
