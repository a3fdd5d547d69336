"""The embedded miniature of net A, trained on digits: its files, and the size of its images."""

SCALE = 72
"""The smallest side of images that goes with the crops of 64 pixels."""
