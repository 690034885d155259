"""Forwarders, which choose nodes for requests, and the caches that some of them read."""
