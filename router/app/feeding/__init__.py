"""Feeding of processes: tables, caches, counters and steered nodes, between the one that decides and the workers."""
