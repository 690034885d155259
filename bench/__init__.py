"""Benchmarks: CPU per request of this router and of its peers, side by side."""
