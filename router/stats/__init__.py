"""What operators see of a running router: uWSGI's document, metrics, the port that serves them.

Everything here reads numbers that the engine and the table keep anyway; nothing is counted for an
exporter's sake.
"""
