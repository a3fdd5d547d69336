"""What the paper says: tables, rows, presets, published replications. Data and look-ups only."""
