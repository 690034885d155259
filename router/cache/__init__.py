"""Caches for routing: items that name nodes, how they are filled, and another server's cache."""
