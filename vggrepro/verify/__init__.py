"""Comparing: a model with the float64 reference, with a stored reference case, or with what another runtime
gives."""
