"""Counters, the log line of each failed request, the access log."""
