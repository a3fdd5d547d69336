"""Caffe's layers, one module for each type or close family."""
