"""What happens: options, listeners, sessions, forwarders, stats; the command ``uwsgi-router``."""

__version__ = "0.1.0"
