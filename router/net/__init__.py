"""Sockets: links, poller, fibers, deadlines, listeners, connects, name resolution."""
