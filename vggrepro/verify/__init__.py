"""Comparing: a model against the float64 reference, or against stored reference outputs."""
