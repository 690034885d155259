"""Process state: limits, identity, signals, pid file, title."""
