"""The lab, for this directory."""

from tests.pairs.lab import log, web

__all__ = ["log", "web"]
