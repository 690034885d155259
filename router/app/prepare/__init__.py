"""Checks before the start: everything short of binding and serving."""
