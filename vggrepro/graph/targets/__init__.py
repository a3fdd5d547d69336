"""What other runtimes need of a graph: plainer operators, fixed sizes, and no operator that they lack."""
