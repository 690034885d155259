"""Relays for a node's response: HTTP messages, raw bytes, tunnels."""
