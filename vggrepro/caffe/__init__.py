"""Caffe's files: the wire schema, text and binary, upgrades, states, weights and snapshots.

From file to net: ``text.read_net`` -> ``upgrade.upgrade_net_param`` -> ``state.filter_net``; weights come
from ``weights.read_weights``, and ``snapshot`` writes them. Nothing here knows what a layer computes.
"""
