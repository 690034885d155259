"""Certificates by name: read from files, loaded when a client asks for the name, replaced when the files change."""
