"""Vocabulary of the router: requests, failures, log, text."""
