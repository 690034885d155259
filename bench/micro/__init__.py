"""Micro benchmarks with pyperf: single functions on a request's way.

``python -m bench.micro [NAME …] [--fast]``; see :mod:`bench.micro.__main__`.
"""
