"""Combinations of features: each pair of front, back, body and pool, with one strict check."""
