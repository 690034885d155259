"""Micro benchmarks with pyperf: what one call of the functions on a request's way costs.

``python -m bench.micro [NAME …] [--fast]``; see :mod:`bench.micro.__main__`.
"""
