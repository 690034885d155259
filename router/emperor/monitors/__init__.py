"""Monitors of an Emperor: each of them looks at one place, and says which configuration files of vassals are there."""
