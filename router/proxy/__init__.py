"""Proxy engine: exchanges of requests and responses between clients and nodes."""
