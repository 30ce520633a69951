"""Programs that the benchmarks run in processes of their own; those of peers with their packages.

Each reads commands from its input, one a line, and answers each with a line.
"""
