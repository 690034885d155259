"""Routers for jails: pseudo-terminals (``forkpty/``) and networks (``tuntap/``)."""
