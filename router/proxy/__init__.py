"""Proxy: exchanges of requests and responses between clients and nodes."""
