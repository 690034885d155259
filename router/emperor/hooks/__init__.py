"""Hooks: what is done when a vassal starts and when it is gone."""
