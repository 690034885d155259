"""Forwarders, which choose a node for a request, and the caches that some of them read."""
